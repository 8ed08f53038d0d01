"""No account sees, changes or infers what is another's, through any dialect."""

from __future__ import annotations

from typing import Any

from tests.app import Api, Caller
from tests.dialects.promises import equipped, serial

MAIL = {"sender": "alice", "recipient": "bob"}


async def say_everything(caller: Caller, own_number: str, text: str) -> dict[str, Any]:
    """One thing in each dialect under names that every account uses here; the things by name."""
    told = {"senderPhone": own_number, "receiverPhone": "15065559999", "messageText": text, "timestamp": 1, "uuid": "u"}
    listed = {"value": "+1 506 555-9998", "monthyPrice": "1", "setupPrice": "1", "currency": "U$"}
    message = {"sender_id": "MyCorp", "recipient": "15065559999", "text": text}
    assert (await caller.call("POST", "/api/send-sms", json=told)).status == 200
    number = await caller.call("POST", "/api/numbers", json=listed)
    sent = await caller.call("POST", "/api/messages/", json=message, headers={"Idempotency-Key": "send_msg:k"})
    assert (number.status, sent.status, sent.json["text"]) == (201, 201, text)
    assert (await caller.call("POST", "/send_message", json={**MAIL, "message": text})).status == 201
    (letter,) = (await caller.call("PUT", "/fetch_messages", json={**MAIL, "start": 0})).json["messages"]
    assert letter["message"] == text
    return {"number": number.json, "message": sent.json, "letter": letter}


async def test_names_that_one_account_uses_are_free_for_another(api: Api) -> None:
    for text in ("one", "two"):
        own_number = f"1506555{next(serial):04}"
        caller = await equipped(api, own_number)
        await say_everything(caller, own_number, text)
        conversation = (await caller.call("GET", "/api/get-conversation/15065559999")).json["messages"]
        assert {line["message_text"] for line in conversation} == {text}


async def test_what_one_account_has_another_cannot_see_change_or_delete(api: Api) -> None:
    own_numbers = [f"1506556{next(serial):04}" for _ in range(2)]
    first, second = [await equipped(api, own_number) for own_number in own_numbers]
    said = await say_everything(first, own_numbers[0], "private")
    item, shown = f"/api/numbers/{said['number']['id']}", f"/api/messages/{said['message']['id']}/"
    stamp = said["letter"]["timestamp"]

    changed = {**said["number"], "value": "+1 506 555-9996"}
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert (await second.call(method, item, json=changed)).status == 404
    for path in (shown, f"/api/get-conversation/{own_numbers[0]}", "/api/get-conversation/15065559999"):
        assert (await second.call("GET", path)).status == 404
    assert (await second.call("PUT", "/fetch_messages", json={**MAIL, "start": 0})).json == {"messages": []}
    assert (await second.call("DELETE", "/delete_message", json={**MAIL, "timestamp": stamp})).status == 400
    assert (await second.call("DELETE", "/delete_messages", json={**MAIL, "timestamps": [stamp]})).status == 201

    assert (await first.call("GET", item)).json == said["number"]
    assert (await first.call("GET", shown)).json == said["message"]
    kept = (await first.call("PUT", "/fetch_messages", json={**MAIL, "start": 0})).json
    assert kept == {"messages": [said["letter"]]}


async def test_no_account_sends_from_or_stops_the_number_of_another(api: Api) -> None:
    numbers = [f"1507555{next(serial):04}" for _ in range(2)]
    first, second = [await equipped(api, number) for number in numbers]
    peer = "15075559999"
    spoofed = await second.call("POST", "/outbound/sms/", json={"from": numbers[0], "to": peer, "text": "x"})
    unowned = await second.call("POST", "/outbound/sms/", json={"from": "15075559998", "to": peer, "text": "x"})
    assert (spoofed.status, spoofed.body) == (unowned.status, unowned.body)
    assert spoofed.status == 404
    stop = {"from": peer, "to": numbers[0], "text": "STOP"}
    assert (await second.call("POST", "/inbound/sms/", json=stop)).status == 404
    told = {"senderPhone": peer, "receiverPhone": numbers[0], "messageText": "STOP", "timestamp": 1, "uuid": "stop"}
    assert (await second.call("POST", "/api/receive-sms", json=told)).status == 200
    send = {"from": numbers[0], "to": peer, "text": "x"}
    assert (await first.call("POST", "/outbound/sms/", json=send)).status == 200
