"""A cluster under load, of which each process and server is killed in its turn.

What the simulator's ledger holds is what a carrier would say that it was sent; so does the log of a carrier that is
reached by HTTP, which, unlike the simulator, would send again whatever came again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.carriers.conformance import Happening
from tests.carriers.http_carrier import http_carrier
from tests.carriers.moody import FAULTS, TWILIO, Moody
from tests.faults.cluster import Cluster, open_cluster
from tests.faults.stream import CARRIED, NUMBERS, STRANGER, Stream, register, settle_accounts
from tests.faults.witnesses import customers, everything_is_told, forget_customers, holding
from tests.processes import wait_until, wait_until_async

CALLS_BEFORE_A_KILL = 100
MESSAGES_WITHOUT_A_BROKER = 20
# Requests that a killed worker leaves without an answer.
IN_FLIGHT = 3
SENT = ("sent", None)
UNKNOWN = ("failed", "outcome_unknown")
# Begins the numbers that a carrier of its own takes.
SLOW = "4477009001"
MOODY = "4477009002"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, sync_runner: asyncio.Runner) -> Iterator[Cluster]:
    with open_cluster(tmp_path_factory.mktemp("cluster"), sync_runner) as opened:
        yield opened


async def test_calls_messages_and_webhooks_survive_the_kill_of_each_process(cluster: Cluster) -> None:
    stream = Stream(cluster.serve.url)
    await register(stream)

    async def interrupted(kill: Callable[[], None]) -> None:
        """Kill something in the middle of the stream, and see that the stream noticed."""
        await stream.more(CALLS_BEFORE_A_KILL)
        failed = stream.failed
        stream.flowing.clear()
        kill()
        await wait_until_async(lambda: stream.failed > failed, what="a call that fails")

    async with holding() as carrier, customers(carrier.answering) as told:
        for command in (*carrier.commands("north", CARRIED), *told.commands()):
            await cluster.longcode(*command)

        async def in_flight() -> set[str]:
            """Wait until requests and webhooks have no answer and more of both wait; the texts of those requests."""
            heard = len(told.hears.requests)
            await carrier.hold(IN_FLIGHT)
            await told.hears.got(heard + 1)
            await stream.more(CALLS_BEFORE_A_KILL)
            return set(carrier.held)

        async with stream.run():
            await interrupted(cluster.serve.kill)
            cluster.serve.start()
            stream.flowing.set()

            answered_without_a_database = await in_flight()
            await interrupted(cluster.postgres.kill)
            carrier.answering.set()
            await wait_until_async(lambda: not carrier.held, what="their answers")
            cluster.postgres.start()
            stream.flowing.set()

            await interrupted(cluster.valkey.kill)
            cluster.valkey.start()
            stream.flowing.set()

            # From here on nobody who calls notices anything.
            await stream.more(CALLS_BEFORE_A_KILL)
            failed = stream.failed
            cluster.broker.kill()
            await stream.more(CALLS_BEFORE_A_KILL)
            cluster.broker.start()

            cut = await in_flight()
            for process in psutil.Process(cluster.worker.pid).children():
                process.kill()
            carrier.answering.set()
            await cluster.forget_the_killed()
            await stream.more(CALLS_BEFORE_A_KILL)
            cluster.beat.kill()
            cut |= await in_flight()
            cluster.worker.kill()
            carrier.answering.set()
            await cluster.forget_the_killed()
            cluster.beat.launch()
            cluster.worker.launch()
            await stream.more(CALLS_BEFORE_A_KILL)
            await wait_until_async(
                lambda: cluster.worker.is_ready() and cluster.beat.is_ready(), 30.0, what="both starts"
            )
            assert stream.failed == failed
        await settle_accounts(stream, cluster.ask, not_simulated="carried")
        ends = await carrier.settle(stream, cluster.ask)
        assert set(ends.values()) == {SENT, UNKNOWN}
        assert {ends[text] for text in answered_without_a_database} == {SENT}
        assert {ends[text] for text in cut} == {UNKNOWN}
        await everything_is_told(told.hears, cluster.ask, skip_locked="FOR UPDATE SKIP LOCKED")
        assert told.hangs.requests
        assert told.moved.requests
        assert told.private.connections == 0
        # So that the worker, when it is told to end, waits for none of them.
        await asyncio.to_thread(forget_customers, cluster.demo())


async def test_without_the_broker_everything_is_accepted_and_sent_once_when_it_is_back(cluster: Cluster) -> None:
    cluster.broker.kill()
    demo = cluster.demo()
    texts = {f"without a broker, {number}" for number in range(MESSAGES_WITHOUT_A_BROKER)}
    assert {demo.create(text, f"+{STRANGER}", text=text).status for text in texts} == {201}
    cluster.broker.start()

    async def all_delivered() -> bool:
        found = await cluster.ask("SELECT text FROM message WHERE status = 'delivered' AND text = ANY($1)", list(texts))
        return {text for (text,) in found} == texts

    await wait_until_async(all_delivered, 20.0, what="the delivery of everything")
    query = "SELECT text FROM simulator_message JOIN message ON id = message_id WHERE text = ANY($1)"
    assert sorted(text for (text,) in await cluster.ask(query, list(texts))) == sorted(texts)


async def test_a_broker_that_was_emptied_brings_kicks_as_before(cluster: Cluster) -> None:
    cluster.beat.kill()
    cluster.broker.flush()
    demo = cluster.demo()
    path = demo.create("after the flush", f"+{STRANGER}").headers["location"]
    await wait_until_async(lambda: demo.call("GET", path).json["status"] != "QUEUED", what="a kick without beat")
    cluster.beat.start()


async def test_a_worker_whose_first_process_is_killed_leaves_none_behind(cluster: Cluster) -> None:
    family = psutil.Process(cluster.worker.pid).children()
    assert len(family) >= 2
    os.kill(cluster.worker.pid, signal.SIGKILL)
    await wait_until_async(lambda: not any(map(lives, family)), what="the end of its processes")
    cluster.worker.kill()
    await cluster.forget_the_killed()
    cluster.worker.start()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_stop_pairs_survive_a_kill_and_are_rebuilt_before_anything_is_sent(cluster: Cluster) -> None:
    demo = cluster.demo()
    ours, recipient = NUMBERS[0], STRANGER
    cluster.worker.kill()
    created = demo.create("before the STOP", f"+{recipient}", sender_id=ours)
    assert created.status == 201
    assert demo.inbound(recipient, ours, "STOP").status == 200
    cluster.valkey.kill()
    cluster.valkey.start()
    wait_until(lambda: demo.outbound(ours, recipient).status == 400, what="the pair's return")

    # First the worker is the one that finds it empty, then the server.
    cluster.valkey.begin_anew()
    cluster.worker.start()
    path = created.headers["location"]
    wait_until(lambda: demo.call("GET", path).json["status"] == "FAILED", what="the end of the message")
    assert demo.call("GET", path).json["provider_reference"] is None
    cluster.valkey.flush()
    assert demo.outbound(ours, recipient).status == 400


async def test_a_carrier_that_answers_in_every_way_is_given_each_message_once(cluster: Cluster) -> None:
    moody, demo = Moody(), cluster.demo()
    kinds = (*FAULTS, Happening.ACCEPTED, Happening.REJECTED, Happening.THROTTLED)
    texts = [kind.name for kind in kinds]
    queued = "outbox.message_id IN (SELECT id FROM message WHERE text = ANY($1))"

    async def ended(faults: tuple[str, str | None]) -> bool:
        expected: dict[str, tuple[str, str | None]] = dict.fromkeys(texts, ("sent", None))
        expected |= {kind.name: faults for kind in FAULTS} | {
            Happening.REJECTED.name: ("failed", "invalid_destination")
        }
        found = await cluster.ask("SELECT text, status, error FROM message WHERE text = ANY($1)", texts)
        return {text: (status, error) for text, status, error in found} == expected

    async def put_off() -> bool:
        late = f"SELECT 1 FROM outbox WHERE {queued} AND due_at > clock_timestamp() + interval '500 seconds'"
        return await cluster.ask(late, ["THROTTLED for long"]) != []

    async def send(text: str) -> None:
        assert (await asyncio.to_thread(demo.create, text, f"+{MOODY}99", text=text)).status == 201

    async with http_carrier(moody) as carrier:
        settings = [f"{name}={value}" for name, value in TWILIO.settings.items()]
        settings += [f"api={carrier.url}", "response_timeout_seconds=0.5", "connections=8"]
        await cluster.longcode("carrier", "add", "moody", "--driver", "twilio", *settings)
        await cluster.longcode("route", "add", "--carrier", "moody", "--prefix", MOODY)
        for text in texts:
            await send(text)
        await wait_until_async(lambda: ended(("sending", None)), 20.0, what="an answer to each, or none")
        await cluster.ask(f"UPDATE outbox SET expires_at = clock_timestamp() - interval '1 day' WHERE {queued}", texts)
        await cluster.ask(f"UPDATE outbox SET due_at = clock_timestamp() WHERE {queued}", texts)
        await wait_until_async(lambda: ended(("failed", "outcome_unknown")), 20.0, what="the end of each")
        assert moody.taken == dict.fromkeys(texts, 1)
        assert moody.throttled == {Happening.THROTTLED.name: 2}
        moody.retry_after = "600"
        await send("THROTTLED for long")
        await wait_until_async(put_off, 20.0, what="a pause as long as it was asked for")


async def test_a_worker_that_is_told_to_end_waits_for_the_answers_to_what_it_handed_over(cluster: Cluster) -> None:
    demo = cluster.demo()
    async with holding() as carrier:
        carrier.answering.clear()
        for command in carrier.commands("slow", SLOW):
            await cluster.longcode(*command)
        created = await asyncio.to_thread(demo.create, "in flight", f"+{SLOW}99")
        await carrier.hold(1)
        os.kill(cluster.worker.pid, signal.SIGTERM)
        carrier.answering.set()
        assert await asyncio.to_thread(cluster.worker.wait) == 0
    found = (await asyncio.to_thread(demo.call, "GET", created.headers["location"])).json
    assert (found["status"], found["provider_reference"]) == ("SENT", "of 1")
