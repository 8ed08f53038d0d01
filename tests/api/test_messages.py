"""Messages of the native API: sent once, found again, taken back, forgotten."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.described import HELLO, Client, client
from tests.api.test_resources import number_of, operator_for
from tests.app import Api


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A body, and all that is wrong with it: code by pointer."""

    sentence: str
    body: Any
    errors: dict[str, str]

    def __str__(self) -> str:
        return self.sentence


FAULTS = [
    FaultCase("nothing is there", {}, {"/sender": "missing", "/recipient": "missing", "/text": "missing"}),
    FaultCase("null is missing", {**HELLO, "text": None}, {"/text": "missing"}),
    FaultCase(
        "every field is wrong",
        {"sender": "", "recipient": "12a", "text": "", "priority": 10, "send_at": "soon", "validity_seconds": 0},
        dict.fromkeys(("/sender", "/recipient", "/text", "/priority", "/send_at", "/validity_seconds"), "invalid"),
    ),
    FaultCase("a boolean is no number", {**HELLO, "priority": True}, {"/priority": "invalid"}),
    FaultCase("a time needs a zone", {**HELLO, "send_at": "2026-11-22T10:00:00"}, {"/send_at": "invalid"}),
    FaultCase("a field that there is not", {**HELLO, "a/b": 1}, {"/a~1b": "unknown"}),
    FaultCase("U+0000", {**HELLO, "text": "a\x00"}, {"/text": "invalid"}),
    FaultCase("a lone surrogate", {**HELLO, "text": "\ud800", "sender": 1}, {"/text": "invalid", "/sender": "invalid"}),
    FaultCase("a long reference", {**HELLO, "reference": "x" * 256}, {"/reference": "invalid"}),
]


@pytest.mark.parametrize("case", FAULTS, ids=str)
async def test_every_faulty_field_is_named_at_once_and_nothing_is_stored(mine: Client, case: FaultCase) -> None:
    key = {"Idempotency-Key": "k"}
    reply = await mine.post("/messages", case.body, headers=key)
    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
    assert {fault["pointer"]: fault["code"] for fault in reply.json["errors"]} == case.errors
    assert (await mine.get("/messages")).json["items"] == []
    assert (await mine.post("/messages", HELLO, headers=key)).status == 201


@pytest.mark.parametrize("number", ["1e" + "9" * 20, "9" * 5000, "-" + "9" * 5000, "1e999"])
async def test_a_number_that_nobody_can_hold_is_a_faulty_field(mine: Client, number: str) -> None:
    body = json.dumps(HELLO)[:-1] + f', "priority": {number}, "validity_seconds": {number}}}'
    reply = await mine.call("POST", "/messages", body=body.encode())
    assert {fault["pointer"] for fault in reply.json["errors"]} == {"/priority", "/validity_seconds"}


async def test_a_parameter_that_there_is_not_is_refused_by_all_that_send(mine: Client) -> None:
    for path, body in (("/messages", HELLO), ("/messages/batch", {"messages": [HELLO]}), ("/messages/preview", HELLO)):
        reply = await mine.post(f"{path}?key=a&%ff=", body)
        assert (reply.status, reply.json["errors"][0]["field"], len(reply.json["errors"])) == (422, "key", 2)
    assert (await mine.get("/messages")).json["items"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"1", b"[" * 60_000])
async def test_what_is_no_object_is_unreadable(mine: Client, body: bytes) -> None:
    for path in ("/messages", "/messages/batch", "/messages/preview"):
        reply = await mine.call("POST", path, body=body)
        assert (reply.status, reply.json["code"]) == (400, "unreadable")


async def test_a_long_body_is_refused(mine: Client) -> None:
    for path, limit in (("/messages", 64 * 1024), ("/messages/preview", 64 * 1024), ("/messages/batch", 8 << 20)):
        reply = await mine.call("POST", path, body=b" " * (limit + 1))
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("key", ["k", '"k"', r'"a \"b\" \\"', "1;x=y z", "k" * 255, '"' + "k" * 255 + '"'])
async def test_a_repeat_is_answered_with_the_first_message(mine: Client, key: str) -> None:
    headers = {"Idempotency-Key": key}
    first = await mine.post("/messages", HELLO, headers=headers)
    assert first.status == 201
    assert first.headers["location"] == f"/v1/messages/{first.json['id']}"
    again = await mine.post("/messages", HELLO | {"priority": 5}, headers=headers)
    assert (again.status, again.headers["idempotent-replayed"], again.json) == (200, "true", first.json)
    other = await mine.post("/messages", HELLO | {"text": "Another"}, headers=headers)
    assert (other.status, other.json["code"]) == (422, "key_reused")
    assert len((await mine.get("/messages")).json["items"]) == 1


async def test_a_quoted_key_is_the_same_as_the_bare_one(mine: Client) -> None:
    bare, quoted = [(await mine.post("/messages", HELLO, headers={"Idempotency-Key": key})) for key in ("k", '"k"')]
    assert bare.json["id"] == quoted.json["id"]


@pytest.mark.parametrize("key", ["", '"', '""', "k" * 256, "k\u00e9", '"a"b"'])
async def test_a_key_that_is_none_is_refused(mine: Client, key: str) -> None:
    reply = await mine.post("/messages", HELLO, headers={"Idempotency-Key": key})
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_one_key_many_times_at_once_sends_one_message(mine: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    replies = await asyncio.gather(*(mine.post("/messages", HELLO, headers=headers) for _ in range(8)))
    statuses = [reply.status for reply in replies]
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert {reply.json["code"] for reply in replies if reply.status == 409} == {"key_in_flight"}
    assert all(reply.headers["retry-after"] == "1" for reply in replies if reply.status == 409)
    assert len((await mine.get("/messages")).json["items"]) == 1


@dataclass(frozen=True, slots=True)
class SenderCase:
    sentence: str
    sender: str
    status: int

    def __str__(self) -> str:
        return self.sentence


@pytest.mark.parametrize(
    "case",
    [
        SenderCase("a sender ID", "MyCorp", 201),
        SenderCase("a number in another spelling", "+1 (202) 555-01{tail}", 201),
        SenderCase("a sender ID in another case", "MYCORP", 403),
        SenderCase("somebody else's number", "+12025550199", 403),
    ],
    ids=str,
)
async def test_a_sender_must_be_the_accounts_own(mine: Client, case: SenderCase) -> None:
    tail = f"{mine.account_id % 100:02}{mine.account_id}"
    await mine.api.assign(mine.caller, f"1202555{'01'}{tail}")
    reply = await mine.post("/messages", {**HELLO, "sender": case.sender.format(tail=tail)})
    assert reply.status == case.status
    if case.status == 403:
        assert reply.json["code"] == "not_owned"
        assert [fault["pointer"] for fault in reply.json["errors"]] == ["/sender"]


async def test_who_opted_out_is_not_written_to(mine: Client) -> None:
    await mine.api.product.opt_outs.add(mine.account_id, "12025550190", source="operator")
    reply = await mine.post("/messages", HELLO)
    assert (reply.status, reply.json["code"], reply.json["errors"][0]["pointer"]) == (403, "opted_out", "/recipient")


async def test_an_entry_of_a_batch_fails_alone(mine: Client) -> None:
    entries = [HELLO, {**HELLO, "sender": "Other"}, 7, {**HELLO, "text": ""}, HELLO]
    headers = {"Idempotency-Key": "batch"}
    reply = await mine.post("/messages/batch", {"messages": entries}, headers=headers)
    assert (reply.status, reply.json["accepted"], reply.json["failed"]) == (200, 2, 3)
    codes = [result["problem"] and result["problem"]["code"] for result in reply.json["results"]]
    assert codes == [None, "not_owned", "unreadable", "invalid_request", None]
    assert [result["index"] for result in reply.json["results"]] == [0, 1, 2, 3, 4]
    again = await mine.post("/messages/batch", {"messages": entries}, headers=headers)
    assert [result["replayed"] for result in again.json["results"]] == [True, False, False, False, True]
    for another in ([HELLO], [{**HELLO, "text": "Other"}] * 6, [7]):
        other = await mine.post("/messages/batch", {"messages": another}, headers=headers)
        assert (other.status, other.json["code"]) == (422, "key_reused")
    assert len((await mine.get("/messages")).json["items"]) == 2


async def test_a_batch_is_a_replay_where_it_sends_nothing_new(mine: Client) -> None:
    batch, headers = {"messages": [HELLO, {**HELLO, "sender": "Late"}]}, {"Idempotency-Key": "batch"}

    async def replayed() -> str | None:
        return (await mine.post("/messages/batch", batch, headers=headers)).headers.get("idempotent-replayed")

    assert [await replayed() for _ in range(2)] == [None, "true"]
    await mine.api.whitelist(mine.caller, "Late")
    assert [await replayed() for _ in range(2)] == [None, "true"]
    refused = {"messages": [{**HELLO, "sender": "Else"}]}
    for _ in range(2):
        reply = await mine.post("/messages/batch", refused, headers={"Idempotency-Key": "refused"})
        assert "idempotent-replayed" not in reply.headers


async def test_no_message_has_the_key_of_an_entry_of_a_batch(mine: Client) -> None:
    await mine.post("/messages/batch", {"messages": [HELLO]}, headers={"Idempotency-Key": "k"})
    for key in ("k#0", "0 of k", "0 of v1:k"):
        headers = {"Idempotency-Key": f'"{key}"'}
        assert (await mine.post("/messages", {**HELLO, "text": key}, headers=headers)).status == 201


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "surrogate"}], ids=["without a key", "under a key"])
async def test_an_entry_that_no_store_can_hold_fails_alone(mine: Client, key: dict[str, str]) -> None:
    bad = json.dumps({**HELLO, "text": "\ud800"})
    for _ in range(2):
        body = b'{"messages": [%s, %s]}' % (json.dumps(HELLO).encode(), bad.encode())
        reply = await mine.post("/messages/batch", body=body, headers=key)
        assert (reply.status, reply.json["accepted"], reply.json["failed"]) == (200, 1, 1)
        assert reply.json["results"][1]["problem"]["errors"][0]["pointer"] == "/text"
    assert len((await mine.get("/messages")).json["items"]) == (1 if key else 2)


REFUSING = (
    "ALTER TABLE message ADD CONSTRAINT refusing CHECK (text <> 'unstorable') NOT VALID",
    "CREATE TRIGGER refusing BEFORE INSERT ON message WHEN NEW.text = 'unstorable' BEGIN SELECT RAISE(ABORT, ''); END",
)
WILLING = ("ALTER TABLE message DROP CONSTRAINT refusing", "DROP TRIGGER refusing")


async def test_a_fault_of_ours_fails_one_entry_alone(mine: Client) -> None:
    database = mine.api.database

    async def change(ways: tuple[str, str]) -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql(ways[database.is_sqlite])

    await change(REFUSING)
    try:
        reply = await mine.post("/messages/batch", {"messages": [HELLO, {**HELLO, "text": "unstorable"}, HELLO]})
    finally:
        await change(WILLING)
    codes = [result["problem"] and result["problem"]["code"] for result in reply.json["results"]]
    assert codes == [None, "fault", None]


EDGES = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z")


@pytest.mark.parametrize("moment", EDGES)
async def test_times_at_the_edges_of_calendars_are_times(mine: Client, moment: str) -> None:
    sent = await mine.send(send_at=moment)
    assert sent["status"] == ("scheduled" if moment > "2" else "accepted")
    for name in ("since", "until"):
        shown = (await mine.get(f"/messages?{name}={moment}")).json["items"]
        assert bool(shown) is ((name == "since") == (moment < "2"))
    hook = (await mine.post("/webhooks", {"url": "https://a.example/"})).json["id"]
    for since, until in ((EDGES[0], moment), (moment, EDGES[-1])):
        replayed = await mine.post(f"/webhooks/{hook}/replay", {"since": since, "until": until})
        assert replayed.status == (200 if since < until else 422)
    day = moment[:10]
    assert (await mine.get(f"/usage?since={day}&until={day}")).json["items"][0]["sent_messages"] == 0


@pytest.mark.parametrize("entries", [[], [HELLO] * 1001])
async def test_a_batch_has_one_to_a_thousand_entries(mine: Client, entries: list[Any]) -> None:
    reply = await mine.post("/messages/batch", {"messages": entries})
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/messages")


async def test_a_full_batch_is_stored(mine: Client) -> None:
    reply = await mine.post("/messages/batch", {"messages": [HELLO] * 1000})
    assert reply.json["accepted"] == 1000


async def test_a_text_is_looked_at_without_being_sent(mine: Client) -> None:
    reply = await mine.post("/messages/preview", {"text": "€" * 80 + "x"})
    parts = {"encoding": "gsm7", "segment_count": 2, "segments": ["€" * 76, "€€€€x"]}
    assert reply.json == {**parts, "cost": None, "currency": None}
    assert (await mine.get("/messages")).json["items"] == []


async def test_a_scheduled_message_waits_and_is_taken_back(mine: Client) -> None:
    sent = await mine.send(send_at="2099-01-01T00:00:00+01:00")
    assert sent["status"] == "scheduled"
    done = await mine.post(f"/messages/{sent['id']}/cancel")
    assert (done.status, done.json["status"]) == (200, "canceled")
    again = await mine.post(f"/messages/{sent['id']}/cancel")
    assert (again.status, again.json) == (200, done.json)


@dataclass(frozen=True, slots=True)
class ScheduleCase:
    """shown: send_at, expires_at and priority of the message."""

    sentence: str
    said: dict[str, Any]
    shown: tuple[str | None, str | None, int | None]

    def __str__(self) -> str:
        return self.sentence


NEW_YEAR = "2099-01-01T01:00:00.123456+01:00"
SCHEDULES = [
    ScheduleCase(
        "what is sent later says when",
        {"send_at": NEW_YEAR},
        ("2099-01-01T00:00:00.123Z", "2099-01-02T00:00:00.123Z", 5),
    ),
    ScheduleCase(
        "in its own time and place",
        {"send_at": NEW_YEAR, "validity_seconds": 90, "priority": 0},
        ("2099-01-01T00:00:00.123Z", "2099-01-01T00:01:30.123Z", 0),
    ),
    ScheduleCase("a time that is over is now", {"send_at": "2000-01-01T00:00:00Z"}, (None, None, None)),
    ScheduleCase("what is sent now is not scheduled", {"validity_seconds": 90, "priority": 0}, (None, None, None)),
]


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
async def test_a_message_says_what_it_is_scheduled_by_until_it_is_not(mine: Client, case: ScheduleCase) -> None:
    body, headers = {**HELLO, **case.said}, {"Idempotency-Key": "k"}
    sent = (await mine.post("/messages", body, headers=headers)).json
    assert (sent["send_at"], sent["expires_at"], sent["priority"]) == case.shown
    path = f"/messages/{sent['id']}"
    assert [
        (await mine.post("/messages", body, headers=headers)).json,
        (await mine.get(path)).json,
        (await mine.get(f"{path}/timeline")).json["message"],
        *(await mine.get("/messages")).json["items"],
        *(await mine.get(f"/messages?recipient={quote(sent['recipient'])}&status={sent['status']}")).json["items"],
    ] == [sent] * 5
    [entry] = (await mine.post("/messages/batch", {"messages": [body]})).json["results"]
    varying = {name: sent[name] for name in ("id", "created_at")}
    assert {**entry["message"], **varying} == sent
    canceled = (await mine.post(f"{path}/cancel")).json
    assert canceled == {**sent, "status": "canceled", "send_at": None, "expires_at": None, "priority": None}


async def test_what_is_at_its_end_is_not_taken_back(mine: Client) -> None:
    value = number_of(mine)
    await (await operator_for(mine)).post("/numbers/assign", {"value": value})
    sent = await mine.send(recipient=value)
    assert sent["status"] == "delivered"
    late = await mine.post(f"/messages/{sent['id']}/cancel")
    assert (late.status, late.json["code"]) == (409, "too_late")


async def test_what_is_still_to_be_sent_is_not_forgotten(mine: Client) -> None:
    path = f"/messages/{(await mine.send(send_at='2099-01-01T00:00:00Z'))['id']}"
    for method, where in (("POST", f"{path}/redact"), ("DELETE", path)):
        reply = await mine.call(method, where)
        assert (reply.status, reply.json["code"]) == (409, "too_late")


async def test_a_redacted_message_keeps_all_but_its_text(mine: Client) -> None:
    sent = await mine.send(send_at="2099-01-01T00:00:00Z", reference="r")
    before = (await mine.post(f"/messages/{sent['id']}/cancel")).json
    after = (await mine.post(f"/messages/{sent['id']}/redact")).json
    assert after == {**before, "text": ""}
    assert (await mine.get("/messages?reference=r")).json["items"] == [after]


async def test_a_deleted_message_is_gone_and_its_key_stays_taken(mine: Client) -> None:
    headers, body = {"Idempotency-Key": "k"}, {**HELLO, "send_at": "2099-01-01T00:00:00Z"}
    path = f"/messages/{(await mine.post('/messages', body, headers=headers)).json['id']}"
    await mine.post(f"{path}/cancel")
    assert (await mine.call("DELETE", path)).status == 204
    assert (await mine.get(path)).status == (await mine.call("DELETE", path)).status == 404
    reply = await mine.post("/messages", body, headers=headers)
    assert (reply.status, reply.json["code"]) == (410, "gone")


async def test_a_received_message_is_deleted_out_of_its_mailbox(mine: Client) -> None:
    number = f"1202555{mine.account_id + 10_000_000}"
    await mine.api.assign(mine.caller, number)
    body = {"from": "12025550190", "to": number, "text": "Hi"}
    assert (await mine.caller.call("POST", "/inbound/sms/", json=body)).status == 200
    [received] = (await mine.get("/messages?direction=inbound&status=received")).json["items"]
    assert (await mine.call("DELETE", f"/messages/{received['id']}")).status == 204
    assert (await mine.get("/messages")).json["items"] == []


async def test_single_things_are_tagged(mine: Client) -> None:
    path = f"/messages/{(await mine.send())['id']}"
    first = await mine.get(path)
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', "*"):
        reply = await mine.get(path, headers={"If-None-Match": known})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
    assert (await mine.get(path, headers={"If-None-Match": 'W/"other"'})).status == 200


async def test_methods_and_slashes(mine: Client) -> None:
    path = f"/messages/{(await mine.send())['id']}"
    whole, slashed, head = await mine.get(path), await mine.get(f"{path}/"), await mine.call("HEAD", path)
    assert whole.json == slashed.json
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    options = await mine.call("OPTIONS", path)
    assert (options.status, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    wrong = await mine.call("PUT", path, {})
    assert (wrong.status, wrong.json["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "DELETE, GET, HEAD, OPTIONS",
    )
    for unknown in ("/nothing", "/messages/1/2/3"):
        assert (await mine.get(unknown)).json["code"] == "unknown_path"


async def test_a_word_of_a_path_is_no_id(mine: Client) -> None:
    for method, path in (
        ("GET", "/messages/batch"),
        ("DELETE", "/messages/preview"),
        ("PATCH", "/numbers/assign"),
        ("DELETE", "/mailboxes/anna/messages/delete"),
        ("DELETE", "/optouts/import"),
    ):
        wrong = await mine.call(method, path, {} if method == "PATCH" else None)
        assert (wrong.status, wrong.headers["allow"]) == (405, "OPTIONS, POST")


@pytest.mark.parametrize("id_", ["1", "x" * 36, "01936f2c-6a54-7d5b-9c52-3c1f0d6b7a10", "%00", "%ff"])
async def test_what_names_nothing_is_not_found(mine: Client, id_: str) -> None:
    assert (await mine.get(f"/messages/{id_}")).json["code"] == "not_found"


async def test_nobody_sees_another_accounts_messages(api: Api, mine: Client) -> None:
    other = await client(api)
    path = f"/messages/{(await other.send())['id']}"
    for method, where in (
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/redact"),
    ):
        assert (await mine.call(method, where)).status == 404
    assert (await mine.get("/messages")).json["items"] == []
    assert (await other.get(path)).json["status"] == "accepted"


async def test_a_list_goes_back_page_by_page(mine: Client) -> None:
    sent = [(await mine.send(text=str(number)))["id"] for number in range(5)]
    found, path, pages = [], "/messages?limit=2", 0
    while path:
        reply = await mine.get(path)
        found += [item["id"] for item in reply.json["items"]]
        link = reply.headers.get("link", "")
        assert ('rel="next"' in link) == (reply.json["next"] is not None)
        path, pages = link.partition(">")[0].removeprefix("</v1"), pages + 1
    assert (found, pages) == (sent[::-1], 3)


async def test_a_list_holds_what_is_asked_for(mine: Client) -> None:
    await mine.send(text="1", reference="a")
    await mine.send(text="2", recipient="+12025550191", send_at="2099-01-01T00:00:00Z")
    await mine.send(text="3", recipient="+12025550191", reference="a")
    cases = {
        "": "321",
        "?reference=a": "31",
        "?reference=b": "",
        "?reference=a&recipient=%2B12025550190": "1",
        "?recipient=%2B12025550191": "32",
        "?party=%2B12025550191&status=scheduled": "2",
        "?party=MyCorp": "321",
        "?sender=MyCorp&recipient=%2B12025550190": "1",
        "?sender=mycorp": "",
        "?status=scheduled": "2",
        "?direction=outbound": "321",
        "?direction=inbound": "",
        "?since=2000-01-01T00:00:00Z&until=2099-01-01T00:00:00Z": "321",
        "?until=2000-01-01T00:00:00Z": "",
        "?since=2099-01-01T00:00:00Z": "",
    }
    for query, texts in cases.items():
        reply = await mine.get(f"/messages{query}")
        assert ("".join(item["text"] for item in reply.json["items"]), reply.json["next"]) == (texts, None), query


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", {"limit"}),
        ("limit=201&status=lost&direction=up", {"limit", "status", "direction"}),
        ("cursor=abc", {"cursor"}),
        ("cursor=WyJvdGhlciIsMCwiIl0", {"cursor"}),
        ("since=yesterday&until=1", {"since", "until"}),
        ("color=red", {"color"}),
        ("sender=&recipient=%00", {"sender", "recipient"}),
    ],
)
async def test_a_query_that_cannot_be_is_refused(mine: Client, query: str, fields: set[str]) -> None:
    reply = await mine.get(f"/messages?{query}")
    assert reply.status == 422
    assert {fault["field"] for fault in reply.json["errors"]} == fields
