"""Idempotency keys of `/api/messages/`."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import pytest

from longcode.store import schema
from tests.app import Api, Caller, open_api
from tests.calls import dumps
from tests.dialects.test_messages import (
    ABSENT,
    PATH,
    RECIPIENT,
    SENDER,
    answer,
    check_detail,
    check_fields,
    count,
    message,
    send,
    sending,
    show,
)
from tests.services.valkey import ValkeyServer


@pytest.fixture
async def caller(api: Api) -> Caller:
    return await sending(api)


BAD_KEYS = [
    pytest.param(None, id="absent"),
    pytest.param("", id="empty"),
    pytest.param("k", id="without its prefix"),
    pytest.param("send_msg:", id="nothing behind the prefix"),
    pytest.param("send_msg:  ", id="blanks behind the prefix"),
    pytest.param("SEND_MSG:k", id="prefix in another case"),
    pytest.param("xsend_msg:k", id="something before the prefix"),
    pytest.param('"send_msg:k"', id="quoted"),
    pytest.param("send_msg:" + "k" * 256, id="256 characters"),
    pytest.param("send_msg:a\tb", id="a control character"),
    pytest.param("send_msg:caf\xe9", id="not ASCII"),
    pytest.param("send_msg:a\x7f", id="DEL"),
]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_key_without_its_form_is_refused_before_the_body_is_read(caller: Caller, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    for body in (dumps(message()), b"{"):
        reply = await caller.call("POST", PATH, body=body, headers=headers)
        check_detail(reply, 400)
        assert "Idempotency-Key" in reply.json["detail"]


@pytest.mark.parametrize("other", ["send_msg:k", "send_msg:l", "", "l"])
async def test_two_keys_are_none(caller: Caller, other: str) -> None:
    for keys in (
        {"Idempotency-Key": "send_msg:k", "idempotency-key": other},
        {"idempotency-key": other, "Idempotency-Key": "send_msg:k"},
    ):
        reply = await caller.call("POST", PATH, json=message(), headers=keys)
        check_detail(reply, 400)
        assert "Idempotency-Key" in reply.json["detail"]
    assert (await send(caller, "k")).status == 201


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b", "send_msg:k", "'; --", "~!/%00"])
async def test_a_key_is_the_clients_own_name_for_its_message(caller: Caller, key: str) -> None:
    reply = await send(caller, key)
    assert (reply.status, reply.json["client_message_id"]) == (201, key)


async def test_blanks_around_the_header_are_no_part_of_the_key(caller: Caller) -> None:
    first = await caller.call("POST", PATH, json=message(), headers={"Idempotency-Key": "  send_msg:k \t"})
    assert (first.status, first.json["client_message_id"]) == (201, "k")
    assert (await send(caller, "k")).status == 200


async def test_a_replay_answers_with_the_current_record(api: Api, caller: Caller) -> None:
    first = await send(caller, "k")
    replay = await send(caller, "k")
    assert (replay.status, replay.json) == (200, first.json)
    assert "location" not in replay.headers
    reference = str(uuid4())
    await answer(api, first.json["id"], reference)
    replay = await send(caller, "k")
    assert (replay.status, replay.json) == (200, {**first.json, "status": "SENT", "provider_reference": reference})
    assert await count(api, "message", caller.account_id) == 1


async def test_a_replay_is_answered_whatever_was_forbidden_since(api: Api, caller: Caller) -> None:
    first = await send(caller, "k")
    await api.product.opt_outs.add(caller.account_id, RECIPIENT, source="test")
    async with api.database.write() as connection:
        await connection.execute(schema.sender_id.delete().where(schema.sender_id.c.account_id == caller.account_id))
    assert (await send(caller, "k")).json == first.json
    check_fields(await send(caller), "sender_id")


async def test_the_values_of_three_fields_make_a_replay(caller: Caller) -> None:
    first = await send(caller, "k", text="caf\xe9")
    turned = dict(reversed(message(text="caf\xe9", note="\0", id=5).items()))
    for body in (dumps(turned), b' {"text":"caf\xc3\xa9","recipient":"12025550147","sender_id":"My\\u0043orp"}\n'):
        replay = await caller.call("POST", PATH, body=body, headers={"Idempotency-Key": "send_msg:k"})
        assert (replay.status, replay.json) == (200, first.json)


OTHER_BODIES = [
    pytest.param({"text": "other"}, id="text"),
    pytest.param({"text": "Hello, this is a test message. "}, id="a space more"),
    pytest.param({"recipient": f"+{RECIPIENT}"}, id="another spelling of the recipient"),
    pytest.param({"sender_id": "Another"}, id="another sender ID"),
    pytest.param({"sender_id": "BadSender"}, id="a sender ID that may not be used"),
    pytest.param({"recipient": "12025550199"}, id="a recipient who opted out"),
    pytest.param({"text": "STOP"}, id="the word STOP"),
    pytest.param({"text": "STOP", "sender_id": "BadSender"}, id="STOP from a sender ID that may not be used"),
    pytest.param({"text": ABSENT}, id="a field missing"),
    pytest.param({"text": 5}, id="a field invalid"),
]


@pytest.mark.parametrize("changes", OTHER_BODIES)
async def test_a_key_with_another_body_is_refused(api: Api, caller: Caller, changes: dict[str, object]) -> None:
    await api.whitelist(caller, "Another")
    await api.product.opt_outs.add(caller.account_id, "12025550199", source="test")
    first = await send(caller, "k")
    check_detail(await send(caller, "k", **changes), 422)
    assert await show(caller, first.json["id"]) == first.json
    assert await count(api, "message", caller.account_id) == 1


async def test_an_unreadable_body_is_refused_before_its_key_is_looked_up(caller: Caller) -> None:
    await send(caller, "k")
    check_detail(await caller.call("POST", PATH, body=b"{", headers={"Idempotency-Key": "send_msg:k"}), 400)


async def test_twenty_at_once_with_one_key_are_one_message(api: Api, caller: Caller) -> None:
    replies = await asyncio.gather(*(send(caller, "k") for _ in range(20)))
    assert Counter(reply.status for reply in replies) == {201: 1, 200: 19}
    assert len({reply.json["id"] for reply in replies}) == 1
    for table in ("message", "idempotency", "outbox"):
        assert await count(api, table, caller.account_id) == 1


async def test_of_two_bodies_at_once_under_one_key_one_wins(api: Api, caller: Caller) -> None:
    texts = [str(number % 2) for number in range(20)]
    replies = await asyncio.gather(*(send(caller, "k", text=text) for text in texts))
    assert Counter(reply.status for reply in replies) == {201: 1, 200: 9, 422: 10}
    assert await count(api, "outbox", caller.account_id) == 1


async def test_keys_and_messages_are_an_accounts_own(api: Api, caller: Caller) -> None:
    other = await api.account()
    await api.whitelist(other, SENDER)
    first, second = await send(caller, "k"), await send(other, "k", text="other")
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]
    unknown = await caller.call("GET", f"{PATH}{uuid4()}/")
    foreign = await caller.call("GET", second.headers["location"])
    check_detail(foreign, 404)
    assert foreign.json == unknown.json


async def test_a_whitelist_is_an_accounts_own(api: Api, caller: Caller) -> None:
    check_fields(await send(await api.account()), "sender_id")


async def test_without_its_redis_a_message_is_still_taken(
    postgres_url: str, valkey_url: str, valkey_server: ValkeyServer
) -> None:
    async with open_api(postgres_url, valkey_url) as api:
        caller = await api.account()
        await api.whitelist(caller, SENDER)
        valkey_server.stop()
        assert (await send(caller, "k")).status == 201
        assert (await send(caller, "k")).status == 200
        assert await count(api, "outbox", caller.account_id) == 1
