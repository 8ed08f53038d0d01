"""The catalogue of problems is a contract, and errors find their place in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longcode.api.problems import CATALOGUE, answer
from longcode.errors import InvalidField, LongcodeError, StorageDown
from longcode.wire.errors import Fault
from tests.api.described import HELLO, Client, client
from tests.app import Api

# What clients were promised: add to it, and change nothing.
PROMISED = {
    "unreadable": 400,
    "not_authenticated": 401,
    "foreign_origin": 403,
    "scope_missing": 403,
    "operator_only": 403,
    "account_needed": 403,
    "refused": 403,
    "not_owned": 403,
    "not_whitelisted": 403,
    "opted_out": 403,
    "pool_empty": 403,
    "unknown_login": 404,
    "destination_refused": 403,
    "not_found": 404,
    "unknown_path": 404,
    "method_not_allowed": 405,
    "duplicate": 409,
    "key_in_flight": 409,
    "too_late": 409,
    "gone": 410,
    "body_too_large": 413,
    "invalid_request": 422,
    "key_reused": 422,
    "rate_limited": 429,
    "limit_reached": 429,
    "cap_reached": 429,
    "fault": 500,
    "intake_full": 503,
    "storage_down": 503,
    "unavailable": 503,
}


def test_the_catalogue_is_as_it_was_promised() -> None:
    assert {code: kind.status for code, kind in CATALOGUE.items()} == PROMISED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidField("priority", "priority is from 0 to 9"), "invalid_request"),
        (LongcodeError("unheard of"), "fault"),
        (Fault(), "fault"),
        (StorageDown("10.0.0.1 did not answer"), "storage_down"),
    ],
)
def test_every_error_is_a_problem(error: LongcodeError, code: str) -> None:
    told = answer(error)
    assert isinstance(told.body, bytes)
    document = json.loads(told.body)
    assert (told.status, document["code"]) == (CATALOGUE[code].status, code)
    assert "10.0.0.1" not in document["detail"]
    assert (b"retry-after" in dict(told.headers)) == (told.status == 503)


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/messages", {**HELLO, "text": ""}, "/text: it is empty"),
        ("/messages", {**HELLO, "text": "x" * 1601}, "/text: it must have at most 1600 characters"),
        ("/messages", {**HELLO, "text": 5}, "/text: it must be a string"),
        ("/messages", {**HELLO, "priority": "5"}, "/priority: it must be a whole number"),
        ("/messages", {**HELLO, "priority": 10}, "/priority: it must be 9 or less"),
        (
            "/messages",
            {**HELLO, "recipient": "+1 202"},
            "/recipient: it must be 3 to 15 digits, + in front or not, nothing between",
        ),
        ("/mailboxes", {"login": "an"}, "/login: it must have 3 characters or more"),
        ("/keys", {"scopes": []}, "/scopes: it is empty"),
        (
            "/numbers",
            {"value": "12025550111", "setup_price": "1,5"},
            "/setup_price: it must be an amount such as 3.40, with at most two decimals",
        ),
        ("/webhooks", {"url": "https://example.org", "per_message": 1}, "/per_message: it must be true or false"),
        ("/webhooks/1/replay", {"event_id": "x"}, "/event_id: it must be the id of an event: evt_ and a UUID"),
        ("/mailboxes/x/ack", {"cursor": "x"}, "/cursor: it is not one that this list gave"),
        (
            "/mailboxes/x/messages/delete",
            {"cursors": ["x", "y"]},
            "/cursors/0: it is not one that this list gave; /cursors/1: it is not one that this list gave",
        ),
    ],
)
async def test_what_is_wrong_is_said_in_plain_words(mine: Client, path: str, body: Any, detail: str) -> None:
    reply = await mine.post(path, body)
    assert (reply.status, reply.json["detail"]) == (422, detail)


async def test_an_unknown_type_of_event_is_told_with_those_that_there_are(mine: Client) -> None:
    reply = await mine.post("/webhooks", {"url": "https://example.org", "types": ["message.foo"]})
    assert reply.json["detail"].startswith("/types/0: it must be 'message.queued', 'message.sent', ")


async def test_a_fault_of_the_whole_body_names_no_place(mine: Client) -> None:
    reply = await mine.call("POST", "/numbers/import", body=b"number\n")
    assert reply.json["detail"] == ("the file has no column `value`; the file has an unknown column 'number'")


@pytest.mark.parametrize("path", ["/keywords", "/events", "/messages/{id}"])
async def test_a_query_that_nothing_asks_for_is_refused(mine: Client, path: str) -> None:
    path = path.replace("{id}", (await mine.send())["id"])
    reply = await mine.get(f"{path}?number=1&types=x")
    assert (reply.status, [(fault["field"], fault["code"]) for fault in reply.json["errors"]]) == (
        422,
        [("number", "unknown"), ("types", "unknown")],
    )
