"""Carriers' callbacks: proven first, stored, then answered; and nothing of what is not genuine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import select
from twilio.request_validator import RequestValidator

from longcode.carriers.port import CarrierReceipt, ReceiptStatus
from longcode.errors import StorageDown
from longcode.store import schema
from longcode.web.callbacks import Receiving
from tests.app import Api, Reply
from tests.carriers.conformance import MANUALS
from tests.carriers.test_http import BY_TOKEN, GET, INBOUND, RECEIPTS, TOKEN
from tests.smpp.loopback import until

PUBLIC = "https://sms.example"
AUTH_TOKEN = "the-token-of-the-account"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TWILIO = {**MANUALS["twilio"].settings, "auth_token": AUTH_TOKEN, "callbacks": PUBLIC}
HTTP = {**GET, **BY_TOKEN, **RECEIPTS, **INBOUND, "callback_answer": "OK", "inbound_method": "GET"}


@dataclass(frozen=True, slots=True)
class Caller:
    """A carrier that calls the product. base: what it calls it."""

    api: Api
    name: str
    carrier_id: int
    base: str = PUBLIC

    def path(self, kind: str) -> str:
        return f"/carriers/{quote(self.name, safe='')}/{kind}"

    async def twilio(self, kind: str, fields: dict[str, str], query: str = "", **headers: str) -> Reply:
        """A callback as Twilio signs it."""
        target = self.path(kind) + query
        signature = RequestValidator(AUTH_TOKEN).compute_signature(f"{self.base}{target}", fields)
        sent = {**FORM, "X-Twilio-Signature": signature, **headers}
        return await self.api.anonymous.call("POST", target, body=urlencode(fields).encode(), headers=sent)

    async def rows(self, table: str) -> list[Any]:
        """What was stored of this carrier."""
        found = schema.metadata.tables[table]
        async with self.api.database.read() as connection:
            return list(await connection.execute(select(found).where(found.c.carrier_id == self.carrier_id)))


async def carrier(api: Api, driver: str, settings: dict[str, str], base: str = PUBLIC) -> Caller:
    name = f"my carrier/{secrets.token_hex(4)}"
    return Caller(api, name, await api.product.catalog_store.add_carrier(name, driver, settings), base)


def delivered(sid: str = "SM1") -> dict[str, str]:
    return {"MessageSid": sid, "MessageStatus": "delivered", "To": "+12025550101", "From": "MyCorp"}


async def test_a_status_is_stored_as_it_came_and_answered(api: Api) -> None:
    north = await carrier(api, "twilio", TWILIO)
    reply = await north.twilio("status", delivered())
    assert (reply.status, reply.body) == (200, b"")
    [row] = await north.rows("receipt")
    assert (row.reference, row.status, row.raw) == ("SM1", "delivered", urlencode(delivered()))


async def test_without_a_public_address_the_one_that_was_called_counts(api: Api) -> None:
    settings = {key: value for key, value in TWILIO.items() if key != "callbacks"}
    north = await carrier(api, "twilio", settings, "http://127.0.0.1:8080")
    assert (await north.twilio("status", delivered())).status == 200
    elsewhere = await north.twilio("status", delivered("SM2"), Host="sms.example")
    assert elsewhere.status == 403


@pytest.mark.parametrize("driver", ["twilio", "plivo"])
async def test_a_host_that_is_none_signs_nothing(api: Api, driver: str) -> None:
    called = await carrier(api, driver, dict(MANUALS[driver].settings))
    for host in ("[", "]", "[::1", "a b", ""):
        reply = await api.anonymous.call("POST", called.path("status"), body=b"a=b", headers={**FORM, "Host": host})
        assert reply.status == 403, host


async def test_a_slash_at_the_end_and_a_query_are_part_of_what_is_signed(api: Api) -> None:
    north = await carrier(api, "twilio", TWILIO)
    assert (await north.twilio("status/", delivered(), "?attempt=x.y&%C3%A9=1")).status == 200


async def test_an_inbound_message_is_its_owners_once_however_often_it_comes(api: Api) -> None:
    north = await carrier(api, "twilio", TWILIO)
    owner = await api.account()
    number = f"+1202555{secrets.randbelow(10**7):07}"
    await api.assign(owner, number)
    fields = {"MessageSid": f"SM{secrets.token_hex(8)}", "From": "+12025550199", "To": number, "Body": "Hé 🙂"}
    for _ in range(2):
        reply = await north.twilio("inbound", fields)
        assert (reply.status, reply.headers["content-type"]) == (200, "text/xml")
        assert reply.body.endswith(b"<Response/>")
    found = await owner.call("GET", f"/api/get-conversation/{quote(number)}")
    assert [message["message_text"] for message in found.json["messages"]] == ["Hé 🙂"]


async def test_a_message_to_nobody_is_kept_for_the_operator(api: Api) -> None:
    north = await carrier(api, "twilio", TWILIO)
    fields = {"MessageSid": "SM1", "From": "+12025550199", "To": "+12025550000999", "Body": "Hello"}
    assert (await north.twilio("inbound", fields)).status == 200
    [row] = await north.rows("inbound_unowned")
    assert (row.sender, row.text) == ("+12025550199", "Hello")


async def test_a_carrier_without_a_vendor_of_its_own_calls_by_its_settings(api: Api) -> None:
    old = await carrier(api, "http", HTTP)
    body = b'{"id":17,"status":"UNDELIV","err":"3"}'
    reply = await api.anonymous.call("POST", f"{old.path('status')}?token={TOKEN}", body=body)
    assert (reply.status, reply.body) == (200, b"OK")
    [row] = await old.rows("receipt")
    assert (row.reference, row.status, row.error_code) == ("17", "undelivered", "undeliv:3")
    query = f"from=12025550199&to=999&text=Hi&id=1&token={TOKEN}"
    assert (await api.anonymous.call("GET", f"{old.path('inbound')}?{query}")).status == 200
    [unowned] = await old.rows("inbound_unowned")
    assert unowned.text == "Hi"


async def test_how_much_of_its_faults_is_borne_keeps_no_carrier_from_calling(api: Api) -> None:
    north = await carrier(api, "twilio", {**TWILIO, "circuit_faults": "3", "failover_codes": "twilio_21610"})
    assert (await north.twilio("status", delivered())).status == 200


@dataclass(frozen=True, slots=True)
class RefusalCase:
    what: str
    status: int
    method: str = "POST"
    kind: str = "status"
    driver: str = "twilio"
    body: bytes = urlencode(delivered()).encode()
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    allow: str = ""


REFUSALS = [
    RefusalCase("no signature", 403),
    RefusalCase("a wrong signature", 403, headers={"X-Twilio-Signature": "AAAA"}),
    RefusalCase("a wrong token", 403, driver="http", query="?token=wrong"),
    RefusalCase("no token", 403, driver="http"),
    RefusalCase("a GET where a POST is due", 405, method="GET", body=b"", allow="POST"),
    RefusalCase("a POST where a GET is due", 405, kind="inbound", driver="http", query=f"?token={TOKEN}", allow="GET"),
    RefusalCase("a HEAD", 405, method="HEAD", body=b"", allow="GET, POST"),
    RefusalCase("more fields than anybody signs", 403, body=b"a=b&" * 501),
    RefusalCase("a query of more fields than anybody signs", 403, driver="http", query="?" + "a=b&" * 501),
    RefusalCase("a genuine one of too many fields", 400, driver="http", query=f"?token={TOKEN}", body=b"a=b&" * 501),
    RefusalCase("a body without an end", 413, body=b"a" * 70_000),
    RefusalCase("a genuine one that says nothing", 400, driver="http", body=b"a=b", query=f"?token={TOKEN}"),
    RefusalCase(
        "a sender longer than any",
        400,
        "GET",
        "inbound",
        "http",
        b"",
        query=f"?token={TOKEN}&from={'1' * 129}&to=999&text=Hi",
    ),
    RefusalCase(
        "a recipient longer than any",
        400,
        "GET",
        "inbound",
        "http",
        b"",
        query=f"?token={TOKEN}&from=999&to={'1' * 129}&text=Hi",
    ),
    RefusalCase("a genuine one that cannot be read", 400, driver="http", body=b'{"id":', query=f"?token={TOKEN}"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.what)
async def test_it_is_refused_and_nothing_is_stored(api: Api, case: RefusalCase) -> None:
    called = await carrier(api, case.driver, TWILIO if case.driver == "twilio" else HTTP)
    reply = await api.anonymous.call(
        case.method, called.path(case.kind) + case.query, body=case.body, headers={**FORM, **case.headers}
    )
    assert reply.status == case.status
    assert reply.headers.get("allow", "") == case.allow
    assert await called.rows("receipt") == await called.rows("inbound_unowned") == []


@pytest.mark.parametrize("kind", ["status", "inbound"])
async def test_a_carrier_that_there_is_not_or_that_never_calls_is_unknown(api: Api, kind: str) -> None:
    simulator = await carrier(api, "simulator", {})
    for path in (f"/carriers/nobody/{kind}", simulator.path(kind)):
        assert (await api.anonymous.call("POST", path, body=b"x")).status == 404
    assert (await api.anonymous.call("POST", "/carriers/nobody/other", body=b"x")).status == 404


async def test_settings_that_cannot_be_read_ask_the_carrier_to_call_again(api: Api) -> None:
    broken = await carrier(api, "twilio", {**TWILIO, "account_sid": "no"})
    assert (await broken.twilio("status", delivered())).status == 503


def receipt(reference: str) -> CarrierReceipt:
    return CarrierReceipt(carrier_id=1, reference=reference, status=ReceiptStatus.DELIVERED)


async def test_receipts_that_come_while_others_are_stored_go_together_and_fail_alone() -> None:
    batches: list[list[str]] = []
    gate = asyncio.Event()

    async def store(receipts: Sequence[CarrierReceipt]) -> None:
        batches.append([one.reference for one in receipts])
        await gate.wait()
        if "poison" in batches[-1]:
            raise RuntimeError("a row that no table takes")
        if "down" in batches[-1]:
            raise StorageDown("the database did not answer")

    receiving = Receiving(store)
    first = asyncio.create_task(receiving.take([receipt("first")]))
    await until(lambda: bool(batches))
    others = [asyncio.create_task(receiving.take([receipt(name)])) for name in ("one", "poison", "two")]
    gone = asyncio.create_task(receiving.take([receipt("gone")]))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    ended = await asyncio.gather(first, *others, gone, return_exceptions=True)
    assert [type(one) for one in ended] == [NoneType, NoneType, RuntimeError, NoneType, asyncio.CancelledError]
    assert batches == [["first"], ["one", "poison", "two", "gone"], ["one"], ["poison"], ["two"], ["gone"]]
    with pytest.raises(StorageDown):
        await receiving.take([receipt("down")])
    assert batches[-1] == ["down"]
