"""`/api/webhooks/dlr/` as carriers see it."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import pytest
from sqlalchemy import select

from longcode.dialects.messages import RAW_LENGTH
from longcode.store import schema
from tests.app import Api, Caller, open_api
from tests.calls import dumps
from tests.dialects.test_messages import (
    DLR,
    EMOJI,
    answer,
    check_detail,
    check_fields,
    report,
    send,
    sending,
    show,
    sign,
)


@pytest.fixture
async def caller(api: Api) -> Caller:
    return await sending(api)


async def sent(api: Api, caller: Caller, **changes: object) -> tuple[str, str]:
    """A message that its carrier has, and its reference."""
    message_id, reference = (await send(caller, **changes)).json["id"], str(uuid4())
    await answer(api, message_id, reference)
    return message_id, reference


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("DELIVERED", "DELIVERED"),
        ("delivered", "DELIVERED"),
        ("Delivered", "DELIVERED"),
        ("FAILED", "FAILED"),
        ("fAiLeD", "FAILED"),
    ],
)
@pytest.mark.parametrize("path", [DLR, DLR.rstrip("/")])
async def test_a_receipt_settles_its_message(api: Api, caller: Caller, path: str, said: str, status: str) -> None:
    message_id, reference = await sent(api, caller)
    reply = await report(api, {"provider_reference": reference, "status": said, "at": 1}, path=path)
    assert (reply.status, reply.json) == (200, {"detail": "ok"})
    assert (await show(caller, message_id))["status"] == status


async def test_a_final_status_never_changes(api: Api, caller: Caller) -> None:
    for first, second in (("DELIVERED", "FAILED"), ("FAILED", "DELIVERED")):
        message_id, reference = await sent(api, caller)
        for said in (first, second, first, second):
            reply = await report(api, {"provider_reference": reference, "status": said})
            assert (reply.status, reply.json) == (200, {"detail": "ok"})
            assert (await show(caller, message_id))["status"] == first


async def test_one_receipt_settles_all_segments(api: Api, caller: Caller) -> None:
    created = await send(caller, text="a" * 161)
    references = [str(uuid4()), str(uuid4())]
    await answer(api, created.json["id"], *references)
    await report(api, {"provider_reference": references[1], "status": "DELIVERED"})
    assert (await show(caller, created.json["id"]))["status"] == "DELIVERED"


async def test_a_receipt_that_comes_too_early_is_kept_and_matched_later(api: Api, caller: Caller) -> None:
    message_id, reference = (await send(caller)).json["id"], str(uuid4())
    early = {"provider_reference": reference, "status": "DELIVERED"}
    check_detail(await report(api, early), 404)
    assert (await show(caller, message_id))["status"] == "INITIATED"
    await answer(api, message_id, reference)
    assert (await show(caller, message_id))["status"] == "DELIVERED"
    assert (await report(api, early)).status == 200


async def test_receipts_at_once_are_all_taken(api: Api, caller: Caller) -> None:
    message_id, reference = await sent(api, caller)
    replies = await asyncio.gather(
        *(report(api, {"provider_reference": reference, "status": "DELIVERED"}) for _ in range(20))
    )
    assert Counter(reply.status for reply in replies) == {200: 20}
    assert (await show(caller, message_id))["status"] == "DELIVERED"


async def raw_of(api: Api, reference: str) -> list[str]:
    async with api.database.read() as connection:
        query = select(schema.receipt.c.raw).where(schema.receipt.c.reference == reference)
        return list((await connection.execute(query)).scalars())


async def test_what_is_kept_of_a_body_is_bounded(api: Api) -> None:
    reference = str(uuid4())
    body = dumps({"provider_reference": reference, "status": "FAILED", "note": "\0" + "x" * 60_000})
    check_detail(await report(api, body=body), 404)
    assert await raw_of(api, reference) == [body.decode()[:RAW_LENGTH]]


SIGNATURES = [
    pytest.param("{}", 200, id="the digest"),
    pytest.param("sha256={}", 200, id="with a prefix"),
    pytest.param("{upper}", 200, id="in upper case"),
    pytest.param("SHA256={upper}", 200, id="prefix and digest in upper case"),
    pytest.param(None, 403, id="absent"),
    pytest.param("", 403, id="empty"),
    pytest.param("sha256=", 403, id="the prefix alone"),
    pytest.param("sha256=sha256={}", 403, id="two prefixes"),
    pytest.param("sha1={}", 403, id="another algorithm"),
    pytest.param("{}0", 403, id="a digit more"),
    pytest.param("{short}", 403, id="a digit less"),
    pytest.param("{other}", 403, id="of another body"),
    pytest.param("{foreign}", 403, id="under another secret"),
    pytest.param("\xe9{short}", 403, id="not ASCII"),
]


@pytest.mark.parametrize(("form", "status"), SIGNATURES)
async def test_signatures(api: Api, caller: Caller, form: str | None, status: int) -> None:
    message_id, reference = await sent(api, caller)
    body = dumps({"provider_reference": reference, "status": "DELIVERED"})
    digest = sign(body)
    headers = {}
    if form is not None:
        filled = form.format(
            digest, upper=digest.upper(), short=digest[:-1], other=sign(body + b" "), foreign=sign(body, "x")
        )
        headers["X-Provider-Signature"] = filled
    # An account's credentials open nothing here.
    for who in (api.anonymous, caller):
        reply = await who.call("POST", DLR, body=body, headers=headers)
        assert reply.status == status, reply.body
        assert reply.json.keys() == {"detail"}
    assert (await show(caller, message_id))["status"] == ("DELIVERED" if status == 200 else "SENT")
    assert bool(await raw_of(api, reference)) is (status == 200)


async def test_the_signature_is_checked_before_the_body_is_parsed(api: Api) -> None:
    check_detail(await api.anonymous.call("POST", DLR, body=b"{"), 403)
    check_detail(await report(api, body=b"{"), 400)


@pytest.mark.parametrize("secret", [None, ""])
async def test_without_a_secret_every_receipt_is_refused(sqlite_url: str, secret: str | None) -> None:
    async with open_api(sqlite_url, dlr_secret=secret) as api:
        body = dumps({"provider_reference": "r", "status": "DELIVERED"})
        for signature in ("", sign(body, ""), sign(body, "None")):
            headers = {"X-Provider-Signature": signature}
            check_detail(await api.anonymous.call("POST", DLR, body=body, headers=headers), 403)


RECEIPT_CASES = [
    pytest.param({}, ("provider_reference", "status"), id="both missing"),
    pytest.param({"provider_reference": "r"}, ("status",), id="status absent"),
    pytest.param({"status": "DELIVERED"}, ("provider_reference",), id="reference absent"),
    pytest.param({"provider_reference": None, "status": "x"}, ("provider_reference",), id="missing before invalid"),
    pytest.param({"provider_reference": "", "status": "x"}, ("provider_reference", "status"), id="both invalid"),
    pytest.param({"provider_reference": "r" * 256, "status": "FAILED"}, ("provider_reference",), id="256 characters"),
    pytest.param({"provider_reference": 5, "status": "FAILED"}, ("provider_reference",), id="a number"),
    pytest.param({"provider_reference": "r\0", "status": "FAILED"}, ("provider_reference",), id="U+0000"),
    pytest.param({"provider_reference": "\udfff", "status": "FAILED"}, ("provider_reference",), id="a lone surrogate"),
    pytest.param({"provider_reference": "r", "status": "SENT"}, ("status",), id="another status"),
    pytest.param({"provider_reference": "r", "status": " FAILED"}, ("status",), id="a blank before the status"),
    pytest.param({"provider_reference": "r", "status": "faıled"}, ("status",), id="a letter that looks the same"),
    pytest.param({"provider_reference": "r", "status": True}, ("status",), id="a boolean"),
]


@pytest.mark.parametrize(("fields", "names"), RECEIPT_CASES)
async def test_faulty_receipts_are_refused(api: Api, fields: dict[str, object], names: tuple[str, ...]) -> None:
    check_fields(await report(api, fields), *names)


async def test_the_longest_reference_is_looked_up(api: Api) -> None:
    check_detail(await report(api, {"provider_reference": EMOJI * 255, "status": "FAILED"}), 404)
