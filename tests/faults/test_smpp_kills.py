"""SIGKILL of each process and server in the middle of 2,000 messages by SMPP: each ends once, none is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from longcode.smpp.constants import CommandStatus
from tests.cli.http import Http
from tests.faults.smpp_installation import INSISTENT, ONCE, SECRET, Installation
from tests.faults.smpp_traffic import DELIVERED, UNKNOWN, Traffic
from tests.processes import run_cli, wait_until_async
from tests.smpp.smsc import Script

MESSAGES = 2000
BETWEEN_KILLS = 500
# So slow that a full window is in flight whenever something is killed.
SLOW = Script(answer_delay_seconds=0.1)

# Once so many messages were accepted or taken.
Kill = Callable[[Installation, Traffic, int], Awaitable[None]]


async def kill_serve(smpp: Installation, traffic: Traffic, after: int) -> None:
    await traffic.accepted(after)
    smpp.serve.kill()
    await traffic.disturbed()
    await smpp.start(smpp.serve)


async def kill_link(smpp: Installation, traffic: Traffic, after: int) -> None:
    await traffic.taken(after)
    smpp.link.kill()
    assert await traffic.cut_attempts() > 0
    await smpp.start(smpp.link)


async def kill_postgresql(smpp: Installation, traffic: Traffic, after: int) -> None:
    await traffic.accepted(after)
    smpp.postgres.kill()
    await traffic.disturbed()
    await asyncio.to_thread(smpp.postgres.start)


async def kill_valkey(smpp: Installation, traffic: Traffic, after: int) -> None:
    def waits() -> int:
        return smpp.link.output().count("dispatch waits for the expiring state")

    await traffic.taken(after)
    before = waits()
    smpp.valkey.kill()
    await wait_until_async(lambda: waits() > before, what="a link that waits")
    await asyncio.to_thread(smpp.valkey.start)


@dataclass(frozen=True, slots=True)
class KillCase:
    name: str
    kills: tuple[Kill, ...]


KILLS = (
    KillCase("serve is killed", (kill_serve,)),
    KillCase("link is killed", (kill_link,)),
    KillCase("link is killed twice in a row", (kill_link, kill_link)),
    KillCase("PostgreSQL is killed", (kill_postgresql,)),
    KillCase("Valkey is killed", (kill_valkey,)),
)


@pytest.mark.parametrize("case", KILLS, ids=lambda case: case.name)
async def test_each_message_ends_once_and_none_is_sent_twice(smpp: Installation, case: KillCase) -> None:
    traffic = Traffic(smpp, MESSAGES)
    async with traffic.sending(SLOW):
        for number, kill in enumerate(case.kills, start=1):
            await kill(smpp, traffic, number * BETWEEN_KILLS)
    ends = await traffic.ends()
    assert ends[DELIVERED] + ends[UNKNOWN] == MESSAGES


async def test_an_at_least_once_carrier_gets_again_what_a_killed_link_left_unanswered(smpp: Installation) -> None:
    traffic = Traffic(smpp, MESSAGES, client=INSISTENT)
    async with traffic.sending(SLOW):
        await kill_link(smpp, traffic, BETWEEN_KILLS)
    assert await traffic.ends(again=True) == {DELIVERED: MESSAGES}
    assert traffic.repeated() > 0


async def test_a_link_sends_nothing_before_the_stop_pairs_of_an_emptied_valkey_are_back(smpp: Installation) -> None:
    ours, theirs = "12025550142", "447700900999"
    for what in ("number", "sender"):
        await asyncio.to_thread(run_cli, what, "add", ours, "--account", ONCE.name, env=smpp.serve.env)
    account = Http(smpp.serve.port or 0).basic(ONCE.name, SECRET)
    taken, refused = len(smpp.smsc.taken), smpp.smsc.refused
    smpp.smsc.script = Script(reject=((theirs, CommandStatus.ESME_RTHROTTLED),))
    created = await asyncio.to_thread(account.create, "before the STOP", f"+{theirs}", sender_id=ours)
    await wait_until_async(lambda: smpp.smsc.refused > refused, what="a message that is put off")
    assert (await asyncio.to_thread(account.inbound, theirs, ours, "STOP")).status == 200
    await asyncio.to_thread(smpp.valkey.begin_anew)
    smpp.smsc.script = Script()

    async def ended() -> bool:
        return (await asyncio.to_thread(account.call, "GET", created.headers["location"])).json["status"] == "FAILED"

    await wait_until_async(ended, what="the end of the message")
    assert len(smpp.smsc.taken) == taken
