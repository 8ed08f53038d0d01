"""Messages that name a URL of their own."""

from __future__ import annotations

import pytest

from tests.api.described import HELLO, Client, client
from tests.api.test_resources import operator_for
from tests.app import Api

URL = "https://example.com/status?of=sms"


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


async def test_the_first_message_makes_the_webhook_and_others_share_it(mine: Client) -> None:
    key = {"Idempotency-Key": "k"}
    first = await mine.post("/messages", {**HELLO, "webhook_url": URL}, headers=key)
    again = await mine.post("/messages", {**HELLO, "webhook_url": URL}, headers=key)
    assert (first.status, again.status, again.json) == (201, 200, first.json)
    other = await mine.post("/messages", {**HELLO, "webhook_url": URL + "2"}, headers=key)
    assert other.json["code"] == "key_reused"
    batch = await mine.post("/messages/batch", {"messages": [{**HELLO, "webhook_url": URL}] * 3})
    assert batch.json["accepted"] == 3
    shown = [one for one in (await mine.get("/webhooks")).json["items"] if one["url"] == URL]
    assert [(one["per_message"], one["enabled"]) for one in shown] == [(True, True)]
    assert (await mine.post(f"/webhooks/{shown[0]['id']}/rotate", {})).json["secret"].startswith("whsec_")


async def test_a_repeat_makes_no_webhook(mine: Client) -> None:
    key = {"Idempotency-Key": "k"}
    first = await mine.post("/messages", {**HELLO, "webhook_url": URL}, headers=key)
    [made] = (await mine.get("/webhooks")).json["items"]
    assert (await mine.call("DELETE", f"/webhooks/{made['id']}")).status == 204
    again = await mine.post("/messages", {**HELLO, "webhook_url": URL}, headers=key)
    other = await mine.post("/messages", {**HELLO, "webhook_url": URL + "2"}, headers=key)
    assert (again.json["id"], other.json["code"]) == (first.json["id"], "key_reused")
    assert URL + "2" not in [one["url"] for one in (await mine.get("/webhooks")).json["items"]]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sender": "Else"}, "not_owned"),
        ({"recipient": "+447700900123"}, "opted_out"),
        ({"sender": None, "pool": "none"}, "not_found"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
async def test_a_refused_message_makes_no_webhook(mine: Client, fields: dict[str, str | None], code: str) -> None:
    assert (await mine.post("/optouts", {"recipient": "+447700900123"})).status < 300
    draft = {**HELLO, "webhook_url": URL, **fields}
    refused = await mine.post("/messages", draft)
    batch = await mine.post("/messages/batch", {"messages": [draft]})
    assert [refused.json["code"], batch.json["results"][0]["problem"]["code"]] == [code, code]
    assert (await mine.get("/webhooks")).json["items"] == []


async def test_it_can_be_made_before_so_that_its_secret_is_known(mine: Client) -> None:
    draft = {"url": URL, "per_message": True}
    made = await mine.post("/webhooks", draft)
    assert (made.status, made.json["per_message"], made.json["secret"][:6]) == (201, True, "whsec_")
    assert "message.received" not in made.json["types"]
    assert (await mine.post("/webhooks", draft)).json["code"] == "duplicate"
    typed = await mine.post("/webhooks", {**draft, "types": ["message.sent"]})
    assert [fault["pointer"] for fault in typed.json["errors"]] == ["/types"]
    await mine.send(webhook_url=URL)
    assert [one["id"] for one in (await mine.get("/webhooks")).json["items"]] == [made.json["id"]]


async def test_a_private_address_needs_an_operator(mine: Client) -> None:
    private = "http://127.0.0.1:9000/status"
    refused = await mine.post("/messages", {**HELLO, "webhook_url": private})
    assert [fault["pointer"] for fault in refused.json["errors"]] == ["/webhook_url"]
    assert (await mine.get("/messages")).json["items"] == []
    operator = await operator_for(mine)
    allowed = {"url": private, "per_message": True, "allow_private": True}
    assert (await operator.post("/webhooks", allowed)).status == 201
    await mine.send(webhook_url=private)


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com/", "https://u:p@example.com/", "https://ü.com/"])
async def test_what_is_no_url_is_a_faulty_field(mine: Client, url: str) -> None:
    reply = await mine.post("/messages", {**HELLO, "webhook_url": url, "priority": 10})
    assert {fault["pointer"] for fault in reply.json["errors"]} == {"/webhook_url", "/priority"}
