"""Calls under an Idempotency-Key: whatever they make, they make it once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select, update

from longcode.api.app import description
from longcode.domain.clock import utc_now
from longcode.store import schema
from longcode.store.keyed_calls import KEPT, KeyedCallStore
from tests.api.described import HELLO, Client, client
from tests.api.test_resources import number_of, operator_for
from tests.app import Api

KEY = {"Idempotency-Key": "k"}


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@dataclass(frozen=True, slots=True)
class OnceCase:
    """A call that makes something, and the same with another body. shown_once: a field that no repeat shows."""

    sentence: str
    path: str
    body: Any
    other: Any
    shown_once: str | None = None
    by_operator: bool = False

    def __str__(self) -> str:
        return self.sentence


CASES = [
    OnceCase("a number", "/numbers", {"value": "12025550111"}, {"value": "12025550112"}),
    OnceCase("a pool", "/pools", {"name": "p"}, {"name": "q"}),
    OnceCase("an opt-out", "/optouts", {"recipient": "12025550111"}, {"recipient": "12025550112"}),
    OnceCase("a mailbox", "/mailboxes", {"login": "anna"}, {"login": "berta"}),
    OnceCase("a webhook", "/webhooks", {"url": "https://a.example/"}, {"url": "https://b.example/"}, "secret"),
    OnceCase("an API key", "/keys", {"scopes": ["usage:read"]}, {}, "key"),
    OnceCase("a sender", "/senders", {"sender": "A"}, {"sender": "B"}, by_operator=True),
    OnceCase("a carrier", "/carriers", {"name": "NAME", "driver": "simulator"}, {"name": "NAME2"}, by_operator=True),
    OnceCase("an account", "/accounts", {"name": "NAME"}, {"name": "NAME2"}, "secret", by_operator=True),
]


def fresh(body: Any, mine: Client) -> Any:
    """A body with a name that no other test has."""
    return json.loads(json.dumps(body).replace("NAME", f"of {mine.caller.name}"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages", HELLO),
        ("/messages/", HELLO),
        ("/messages/batch", {"messages": [HELLO]}),
        ("/numbers", {"value": "12025550111"}),
    ],
)
async def test_two_keys_are_none(mine: Client, path: str, body: Any) -> None:
    for other in ("k", "l"):
        reply = await mine.post(path, body, headers={**KEY, "idempotency-key": other})
        assert (reply.status, reply.json["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert [(await mine.get(kind)).json["items"] for kind in ("/messages", "/numbers")] == [[], []]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_repeat_makes_nothing_and_is_answered_as_the_first_was(mine: Client, case: OnceCase) -> None:
    caller = await operator_for(mine) if case.by_operator else mine
    body, other = (fresh(one, mine) for one in (case.body, case.other))
    first = await caller.post(case.path, body, headers=KEY)
    again = await caller.post(case.path, dict(reversed(body.items())), headers={"Idempotency-Key": '"k"'})
    assert first.status == 201, first.body
    assert "idempotent-replayed" not in first.headers
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    shown = first.json if case.shown_once is None else {**first.json, case.shown_once: None}
    assert again.json == shown
    differs = await caller.post(case.path, other, headers=KEY)
    assert (differs.status, differs.json["code"]) == (422, "key_reused")
    elsewhere = await caller.post("/pools", {"name": "elsewhere"}, headers=KEY)
    assert elsewhere.json["code"] == "key_reused"
    # Another caller's key is another key.
    assert (await (await client(mine.api)).post("/pools", {"name": "p"}, headers=KEY)).status == 201


async def test_no_secret_is_kept_for_repeats(mine: Client) -> None:
    key = (await mine.post("/keys", {}, headers=KEY)).json["key"]
    hook = (await mine.post("/webhooks", {"url": "https://a.example/"}, headers={"Idempotency-Key": "h"})).json
    rotate = f"/webhooks/{hook['id']}/rotate"
    rotated = await mine.post(rotate, {}, headers={"Idempotency-Key": "r"})
    assert (await mine.post(rotate, {}, headers={"Idempotency-Key": "r"})).json["secret"] is None
    async with mine.api.database.read() as connection:
        kept = "".join(await connection.scalars(select(schema.keyed_call.c.answer)))
    assert kept
    assert not [secret for secret in (key, hook["secret"], rotated.json["secret"]) if secret in kept]


def test_every_secret_in_an_answer_is_known_as_one() -> None:
    described = description()
    for path, item in described["paths"].items():
        answers = item.get("post", {}).get("responses", {})
        for status in answers.keys() & {"200", "201"}:
            content = answers[status].get("content", {}).get("application/json", {}).get("schema", {})
            name = content.get("$ref", "").rpartition("/")[2]
            fields = described["components"]["schemas"].get(name, {}).get("properties", {})
            for field in fields.keys() & {"secret", "key", "token", "password"}:
                assert "Shown this once" in fields[field]["description"], (path, field)


async def test_what_was_refused_leaves_the_key_free(mine: Client) -> None:
    assert (await mine.post("/numbers", {"value": "x"}, headers=KEY)).status == 422
    await mine.post("/numbers", {"value": "12025550111"})
    assert (await mine.post("/numbers", {"value": "12025550111"}, headers=KEY)).json["code"] == "duplicate"
    assert (await mine.post("/numbers", {"value": "12025550112"}, headers=KEY)).status == 201
    for wrong in ("", '"', "k" * 256):
        refused = await mine.post("/pools", {"name": "p"}, headers={"Idempotency-Key": wrong})
        assert [fault["field"] for fault in refused.json["errors"]] == ["Idempotency-Key"]


async def test_of_many_at_once_one_is_made(mine: Client) -> None:
    replies = await asyncio.gather(*(mine.post("/keys", {}, headers=KEY) for _ in range(10)))
    assert sorted({reply.status for reply in replies} | {200, 409}) == [200, 201, 409]
    assert [reply.status for reply in replies].count(201) == 1
    assert {reply.json["code"] for reply in replies if reply.status == 409} <= {"key_in_flight"}
    assert len((await mine.get("/keys")).json["items"]) == 1


async def test_a_call_that_was_cut_off_can_be_made_after_a_while(mine: Client) -> None:
    await mine.post("/pools", {"name": "p"}, headers=KEY)
    table = schema.keyed_call

    async def cut(**changes: Any) -> None:
        async with mine.api.database.write() as connection:
            await connection.execute(
                update(table).where(table.c.account_id == mine.account_id).values(answer=None, **changes)
            )

    await cut()
    assert (await mine.post("/pools", {"name": "p"}, headers=KEY)).json["code"] == "key_in_flight"
    await cut(claimed_until=utc_now())
    assert (await mine.post("/pools", {"name": "p"}, headers=KEY)).json["code"] == "duplicate"
    assert (await mine.post("/pools", {"name": "q"}, headers=KEY)).status == 201


async def test_an_operators_key_is_for_one_account(mine: Client) -> None:
    operator = await operator_for(mine)
    value = number_of(mine)
    first = await operator.post("/numbers/assign", {"value": value}, headers=KEY)
    assert (first.status, (await operator.post("/numbers/assign", {"value": value}, headers=KEY)).status) == (200, 200)
    other = {**operator.headers, **KEY, "Longcode-Account": (await client(mine.api)).caller.name}
    assert (await operator.post("/numbers/assign", {"value": value}, headers=other)).json["code"] == "key_reused"


async def test_a_letter_is_written_once(mine: Client) -> None:
    for login in ("anna", "berta"):
        await mine.post("/mailboxes", {"login": login})
    letter = {"sender": "anna", "text": "Hi"}
    first = await mine.post("/mailboxes/berta/messages", letter, headers=KEY)
    again = await mine.post("/mailboxes/berta/messages", letter, headers=KEY)
    assert (first.status, again.status, again.json) == (201, 200, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await mine.post("/mailboxes/anna/messages", letter, headers=KEY)).json["code"] == "key_reused"


async def test_keys_are_forgotten_after_a_while(mine: Client) -> None:
    await mine.post("/pools", {"name": "p"}, headers=KEY)
    store = KeyedCallStore(mine.api.database, utc_now)
    await store.purge(utc_now() - KEPT)
    assert (await mine.post("/pools", {"name": "p"}, headers=KEY)).status == 200
    await store.purge(utc_now())
    assert (await mine.post("/pools", {"name": "p"}, headers=KEY)).json["code"] == "duplicate"
