"""Dispatch through an HTTP carrier that misbehaves in every way: each message ends once, and none arrives twice."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlencode

from longcode.carriers.http_port import Callback, Site
from longcode.carriers.registry import KINDS
from longcode.domain.message import Status
from longcode.flow.accept import VALIDITY
from longcode.flow.conclusion import GRACE
from tests.carriers.conformance import Happening, http_driver, reply_of
from tests.carriers.http_carrier import Taken, http_carrier
from tests.carriers.moody import FAULTS, TWILIO, Moody, text_of
from tests.flow.desk import open_desk
from tests.processes import wait_until_async

# Longer than the pauses of what was throttled; all rounds together are shorter than a message's validity.
LATER = timedelta(minutes=1)
AFTER_ALL = VALIDITY + GRACE + LATER


async def test_each_message_ends_once_and_none_is_sent_twice(database_url: str) -> None:
    moody = Moody()
    async with http_carrier(moody) as carrier:
        driver = http_driver(TWILIO, carrier.url, response_timeout_seconds="0.3", connections="8")
        async with open_desk(database_url, driver=driver) as desk:
            kinds = (*FAULTS, Happening.ACCEPTED, Happening.THROTTLED)
            ids = {f"{kind.name} {number}": kind for kind in kinds for number in range(3)}
            sent = {text: await desk.send(text=text) for text in ids}
            for _ in range(20):
                await desk.drain()
                if set(moody.taken) == set(ids):
                    break
                # It rests after each 429, and what was throttled is due later.
                await wait_until_async(lambda: driver.capacity().segments > 0, what="the end of a rest")
                await desk.world.age_queue(LATER)
            for text, message_id in sent.items():
                expected = Status.SENDING if ids[text] in FAULTS else Status.SENT
                assert (await desk.status(message_id))[0] is expected, text
            await desk.drain_later(AFTER_ALL)
            for text, message_id in sent.items():
                lost = (Status.FAILED, "outcome_unknown")
                assert await desk.status(message_id) == (lost if ids[text] in FAULTS else (Status.SENT, None)), text
    assert moody.taken == dict.fromkeys(ids, 1)
    assert set(moody.throttled.values()) == {2}


async def test_a_receipt_that_names_the_attempt_proves_what_was_never_answered(database_url: str) -> None:
    """The answers with the sids are lost; the callbacks, which begin with the same words, are not."""
    async with http_carrier(lambda _: reply_of(TWILIO, Happening.HALF)) as carrier:
        driver = http_driver(TWILIO, carrier.url)
        async with open_desk(database_url, driver=driver) as desk:
            sent = {text: await desk.send(text=text) for text in ("one", "two")}
            await desk.drain()
            assert {(await desk.status(message_id))[0] for message_id in sent.values()} == {Status.SENDING}
            make = KINDS[TWILIO.kind].vendor
            assert make is not None
            vendor = make(Site(carrier_id=desk.carrier_id, name="north"), TWILIO.settings)
            for number, (taken, word) in enumerate(zip(carrier.log, ("delivered", "sent"), strict=True)):
                await desk.receipts.take(vendor.receipts(status_callback(taken, f"SM{number}", word)))
            await desk.drain_later(timedelta())
            ends = {
                text_of(taken): status
                for taken, status in zip(carrier.log, (Status.DELIVERED, Status.SENT), strict=True)
            }
            assert {text: (await desk.status(message_id))[0] for text, message_id in sent.items()} == ends
            assert len(carrier.log) == len(sent)


def status_callback(taken: Taken, sid: str, word: str) -> Callback:
    """What Twilio says of a message that it took: at the address that came with it."""
    [url] = parse_qs(taken.body.decode())["StatusCallback"]
    body = urlencode({"MessageSid": sid, "MessageStatus": word})
    return Callback(method="POST", url=url, query=url.partition("?")[2], headers={}, body=body.encode())
