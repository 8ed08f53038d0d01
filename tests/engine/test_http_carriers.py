"""A message's whole way through an HTTP carrier: the jobs of one process, a real server, signed callbacks."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

from twilio.request_validator import RequestValidator

from longcode.engine.jobs import WORKER_DRIVERS, working
from longcode.engine.local import LocalRunner
from tests.app import Caller, open_api
from tests.carriers.conformance import MANUALS, Happening, reply_of
from tests.carriers.http_carrier import Reply, Taken, http_carrier
from tests.processes import wait_until_async

TWILIO = MANUALS["twilio"]
PUBLIC = "https://sms.example"


def answer(taken: Taken) -> Reply:
    """Loses the answer to whoever asks for it."""
    lost = parse_qs(taken.body.decode())["Body"] == ["lost"]
    return reply_of(TWILIO, Happening.HALF if lost else Happening.ACCEPTED)


async def test_it_is_sent_and_delivered_also_where_the_answer_is_lost(database_url: str) -> None:
    runner = LocalRunner()
    async with http_carrier(answer) as carrier, open_api(database_url, public_url=PUBLIC) as api:
        catalog = api.product.catalog_store
        await catalog.add_carrier("north", "twilio", {**TWILIO.settings, "api": carrier.url})
        await catalog.add_route("north", prefix="", account_id=None, priority=0)
        caller = await api.account()
        await api.whitelist(caller, "MyCorp")
        async with working(api.product, runner, drivers=WORKER_DRIVERS):
            paths = [await send(caller, text) for text in ("kept", "lost")]
            await wait_until_async(lambda: len(carrier.log) == 2, what="two requests")
            assert await statuses(caller, paths, until={"SENT", "QUEUED"}) == ["SENT", "QUEUED"]
            for number, taken in enumerate(carrier.log):
                await report(caller, taken, sid_of(taken, number))
            assert await statuses(caller, paths, until={"DELIVERED"}) == ["DELIVERED", "DELIVERED"]
        assert len(carrier.log) == 2


async def send(caller: Caller, text: str) -> str:
    """Send through the product's own interface; the message's path."""
    body = {"sender_id": "MyCorp", "recipient": "12025550101", "text": text}
    made = await caller.call("POST", "/api/messages/", json=body, headers={"Idempotency-Key": f"send_msg:{text}"})
    assert made.status == 201
    return made.headers["location"]


async def statuses(caller: Caller, paths: list[str], until: set[str]) -> list[str]:
    """The messages' statuses, once they are these."""
    last: list[str] = []

    async def settled() -> bool:
        last[:] = [(await caller.call("GET", path)).json["status"] for path in paths]
        return set(last) == until

    await wait_until_async(settled, what=f"the statuses {sorted(until)}")
    return last


def sid_of(taken: Taken, number: int) -> str:
    """What the carrier calls a message; where its answer was lost, nobody here has heard it yet."""
    lost = parse_qs(taken.body.decode())["Body"] == ["lost"]
    return f"SM{number}" if lost else "SM00000000000000000000000000000001"


async def report(caller: Caller, taken: Taken, sid: str) -> None:
    """Say that it was delivered, at the address that came with it."""
    [url] = parse_qs(taken.body.decode())["StatusCallback"]
    fields = {"MessageSid": sid, "MessageStatus": "delivered"}
    signature = RequestValidator(TWILIO.settings["auth_token"]).compute_signature(url, fields)
    reply = await caller.call(
        "POST",
        url.removeprefix(PUBLIC),
        body=urlencode(fields).encode(),
        headers={"X-Twilio-Signature": signature, "Authorization": ""},
    )
    assert reply.status == 200
