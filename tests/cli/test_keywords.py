"""`longcode keyword`, `longcode number route`, and what the operator sees of words that were heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from longcode.bootstrap import Product
from longcode.carriers.port import InboundSms
from tests.cli.commands import Desk, desk_in

DEMO = ("--account", "demo")
ANNA = "12025550101"
OURS = "12025550190"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    made = desk_in(tmp_path, sqlite_template)
    made.run("number", "add", "+1 202 555 0190", *DEMO)
    return made


def deliver(desk: Desk, *texts: str) -> None:
    """Let Anna write to our number."""

    async def act(product: Product) -> None:
        await product.arrivals.take(
            [
                InboundSms(carrier_id=1, fingerprint=text.encode(), sender=ANNA, recipient=OURS, text=text)
                for text in texts
            ]
        )

    desk.in_product(act)


def words(desk: Desk) -> dict[str, tuple[object, ...]]:
    """What each word of demo's is listed with."""
    return {
        one["word"]: (one["meaning"], one["number"], one["language"], one["reply"], one["source"])
        for one in desk.lines("keyword", "list", *DEMO)
    }


def test_words_are_listed_added_changed_and_removed(desk: Desk) -> None:
    before = words(desk)
    assert before["stopall"] == ("stop-all", None, None, None, "standard")
    told = desk.run("keyword", "add", "ARRÊT!", "--means", "stop", "--language", "fr", *DEMO)
    assert told == "arret means stop to demo\n"
    desk.run("keyword", "add", "yes", "--means", "nothing", *DEMO)
    desk.run("keyword", "add", "hours", "--means", "answer", "--reply", "9 to 5", "--number", OURS, *DEMO)
    listed = words(desk)
    assert listed["arret"] == ("stop", None, "fr", None, "own")
    assert listed["yes"] == ("nothing", None, None, None, "own")
    assert listed["hours"] == ("answer", OURS, None, "9 to 5", "own")
    desk.run("keyword", "add", "hours", "--means", "help", "--number", "+1 202 555 0190", *DEMO)
    assert words(desk)["hours"] == ("help", OURS, None, None, "own")
    desk.run("keyword", "remove", "Hours", "--number", OURS, *DEMO)
    desk.run("keyword", "remove", "arrêt", *DEMO)
    desk.run("keyword", "remove", "yes", *DEMO)
    assert words(desk) == before
    assert "has no word yes of its own" in desk.run("keyword", "remove", "yes", *DEMO, status=1)


def test_a_word_that_could_not_work_is_refused_with_all_that_is_wrong(desk: Desk) -> None:
    told = desk.run("keyword", "add", "?!", "--means", "answer", "--language", "x" * 17, *DEMO, status=1)
    assert "'?!' is no word" in told
    assert "a language has at most 16" in told
    assert "needs a reply" in told
    assert "stop always asks to stop" in desk.run("keyword", "add", "Stop", "--means", "nothing", *DEMO, status=1)
    desk.run("keyword", "add", "Stop", "--means", "stop-all", *DEMO)
    nobodys = desk.run("keyword", "add", "x", "--means", "help", "--number", ANNA, *DEMO, status=1)
    assert f"{ANNA} is not assigned to demo" in nobodys
    empty = desk.run("keyword", "add", "x", "--means", "help", "--reply", " ", *DEMO, status=1)
    assert "a reply has 1 to 1600 characters" in empty


def test_answers_are_listed_set_and_turned_off(desk: Desk) -> None:
    standard = {one["meaning"]: one["text"] for one in desk.lines("keyword", "reply", *DEMO)}
    assert list(standard) == ["stop", "stop-all", "start", "help"]
    assert standard["stop"].startswith("{account}: ")
    assert desk.run("keyword", "reply", "stop", "Bye", "--number", OURS, *DEMO).endswith("is answered with that text\n")
    assert desk.run("keyword", "reply", "help", "--off", *DEMO) == "help to demo is not answered\n"
    own = [one for one in desk.lines("keyword", "reply", *DEMO) if one["source"] == "own"]
    assert [(one["meaning"], one["number"], one["text"]) for one in own] == [("help", None, ""), ("stop", OURS, "Bye")]
    desk.run("keyword", "reply", "help", "--default", *DEMO)
    desk.run("keyword", "reply", "stop", "--default", "--number", OURS, *DEMO)
    assert {one["meaning"]: one["text"] for one in desk.lines("keyword", "reply", *DEMO)} == standard
    for wrong in (["stop"], ["stop", "text", "--off"]):
        assert "give one of" in desk.run("keyword", "reply", *wrong, *DEMO, status=1)


def test_what_was_heard_is_shown_with_the_message_and_its_answer(desk: Desk) -> None:
    deliver(desk, "Stop", "please stop", "Hello")
    (doubtful,) = desk.lines("optout", "doubtful", *DEMO)
    assert (doubtful["from"], doubtful["to"], doubtful["text"]) == (ANNA, "+1 202 555 0190", "please stop")
    assert desk.lines("optout", "doubtful", "--account", "other") == []
    assert "may be meant as an opt-out" in desk.run("message", "show", doubtful["id"])
    (event,) = desk.lines("optout", "history", ANNA)
    assert (event["scope"], event["sender"], event["keyword"], event["source"]) == ("number", OURS, "stop", "keyword")
    (shown,) = desk.lines("message", "show", event["message_id"])
    assert (shown["keyword"], shown["meaning"], shown["answers"]) == ("stop", "stop", None)
    (answer,) = desk.lines("message", "show", shown["answer"])
    assert (answer["answers"], answer["direction"], answer["recipient"]) == (event["message_id"], "outbound", ANNA)
    assert f"as the answer to message {event['message_id']}" in desk.run("message", "show", shown["answer"])


def test_a_numbers_route_is_set_step_by_step_shown_and_cleared(desk: Desk) -> None:
    desk.in_product(lambda product: _register(product, "anna"))
    route = ("number", "route", "+1 202 555 0190", *DEMO)
    assert desk.lines(*route) == [{"number": OURS, "mailbox": None, "reply": None, "webhook": None}]
    desk.run(*route, "--mailbox", "anna")
    endpoint = desk.lines("webhook", "add", "https://example.com/", *DEMO)[0]["id"]
    assert desk.lines(*route, "--reply", "Thanks", "--webhook", str(endpoint)) == [
        {"number": OURS, "mailbox": "anna", "reply": "Thanks", "webhook": endpoint}
    ]
    assert "mailbox  anna" in desk.run(*route)
    assert desk.lines(*route, "--clear", "--reply", "Hi")[0]["mailbox"] is None
    assert desk.lines(*route, "--clear")[0]["reply"] is None


def test_a_route_that_could_never_work_is_refused_with_all_that_is_wrong(desk: Desk) -> None:
    told = desk.run("number", "route", ANNA, *DEMO, "--mailbox", "nobody", "--reply", "", "--webhook", "9", status=1)
    for fault in (
        f"{ANNA} is not assigned to the account",
        "the account has no login nobody",
        "a reply has 1 to 1600 characters",
        "the account has no webhook endpoint 9",
    ):
        assert fault in told
    deaf = desk.lines("webhook", "add", "https://example.com/", *DEMO, "--events", "message.sent")[0]["id"]
    assert "is not told of message.received" in desk.run(
        "number", "route", OURS, *DEMO, "--webhook", str(deaf), status=1
    )


async def _register(product: Product, login: str) -> None:
    account = await product.accounts.by_name("demo")
    await product.mailbox_store.register(account.id, login)
