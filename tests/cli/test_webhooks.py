"""`longcode webhook`: what it keeps, shows, tries and delivers again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from longcode.bootstrap import Product
from longcode.domain.clock import utc_now
from longcode.store.webhook_queue import Ended
from tests.cli.commands import Desk, desk_in

DEMO = ("--account", "demo")
URL = "https://hooks.example/longcode"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    return desk_in(tmp_path, sqlite_template)


class Customer(ThreadingHTTPServer):
    """An endpoint on a thread of its own: the command under test has the loop."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Customer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def customer() -> Iterator[Customer]:
    server = Customer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def add(desk: Desk, url: str = URL, *options: str) -> tuple[str, str]:
    """The id and the secret that `add` printed."""
    [record] = desk.lines("webhook", "add", url, *DEMO, *options)
    return str(record["id"]), record["secret"]


def test_an_endpoint_is_added_listed_shown_and_removed(desk: Desk) -> None:
    first, second = desk.run("webhook", "add", URL, *DEMO).splitlines()
    assert first == "webhook 1"
    assert second.startswith("secret whsec_")
    add(desk, URL, "--events", "message.delivered, message.failed")
    assert desk.run("webhook", "list").splitlines() == [
        "id\taccount\turl\tstate\tevents",
        f"1\tdemo\t{URL}\tenabled\tall",
        f"2\tdemo\t{URL}\tenabled\tmessage.delivered,message.failed",
    ]
    assert desk.lines("webhook", "list", "--account", "other") == []
    assert desk.lines("webhook", "list", *DEMO)[1]["events"] == ["message.delivered", "message.failed"]
    shown = desk.run("webhook", "show", "1")
    assert f"url               {URL}\n" in shown
    assert "whsec" not in shown
    assert second.removeprefix("secret ").encode() not in (desk.folder / "longcode.db").read_bytes()
    assert desk.run("webhook", "remove", "1") == "webhook 1 removed\n"
    assert "no webhook endpoint 1" in desk.run("webhook", "show", "1", status=1)


def test_everything_that_is_wrong_with_a_new_endpoint_is_told_at_once(desk: Desk) -> None:
    told = desk.run("webhook", "add", "ftp://me@127.0.0.1/#x", *DEMO, "--events", "message.lost", status=1)
    for fault in ("https://", "credentials", "fragment", "private address", "there is no message.lost"):
        assert fault in told
    assert "there is no account nobody" in desk.run("webhook", "add", URL, "--account", "nobody", status=1)
    assert desk.lines("webhook", "list") == []


def test_an_endpoint_is_disabled_and_enabled(desk: Desk) -> None:
    number, _ = add(desk)
    assert desk.run("webhook", "disable", number) == "webhook 1 disabled\n"
    assert desk.run("webhook", "disable", number) == "webhook 1 was disabled already\n"
    [shown] = desk.lines("webhook", "show", number)
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "by the operator")
    assert "enable it first" in desk.run("webhook", "replay", number, "--since", "2020-01-01T10:00:00Z", status=1)
    assert desk.run("webhook", "enable", number) == "webhook 1 enabled\n"
    assert desk.run("webhook", "enable", number) == "webhook 1 was enabled already\n"


def test_a_trial_is_signed_by_the_rotated_secrets(desk: Desk, customer: Customer) -> None:
    number, old = add(desk, customer.url, "--allow-private")
    assert desk.run("webhook", "test", number).startswith("it answered 200, after ")
    [rotated] = desk.lines("webhook", "rotate", number)
    desk.run("webhook", "test", number)
    headers, body = customer.taken[1]
    for secret in (old, rotated["secret"]):
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.test"
    customer.status = 500
    assert desk.run("webhook", "test", number, status=1).startswith("it answered 500, after ")


def test_deliveries_are_listed_and_replayed(desk: Desk) -> None:
    number, _ = add(desk)
    desk.run("optout", "add", "12025550101", *DEMO)
    desk.run("optout", "add", "12025550102", *DEMO)

    async def end_all(product: Product) -> list[UUID]:
        due = await product.webhook_queue.claim(9, each=9, at_most={}, lease=product.clock() - product.clock())
        ended = [
            Ended(
                endpoint_id=one.endpoint_id,
                event_id=one.event.id,
                status=status,
                error=error,
                milliseconds=12,
                ended_at=utc_now(),
            )
            for one, status, error in zip(due, (200, None), (None, "no connection"), strict=True)
        ]
        await product.webhook_queue.finish(ended)
        return [one.event_id for one in ended]

    ids = desk.in_product(end_all)
    listed = desk.lines("webhook", "deliveries", number)
    assert [(one["event"], one["type"], one["status"], one["error"]) for one in listed] == [
        (f"evt_{ids[1]}", "optout.created", None, "no connection"),
        (f"evt_{ids[0]}", "optout.created", 200, None),
    ]
    assert len(desk.lines("webhook", "deliveries", number, "--failed")) == 1
    assert len(desk.run("webhook", "deliveries", number, "--limit", "1").splitlines()) == 2
    assert "1 event is delivered again" in desk.run("webhook", "replay", number, "--event", f"evt_{ids[0]}")
    assert "2 events are delivered again" in desk.run("webhook", "replay", number, "--since", "2020-01-01")
    assert "0 events" in desk.run("webhook", "replay", number, "--since", "2020-01-01", "--until", "2020-01-02")
    assert "no event" in desk.run("webhook", "replay", number, "--event", str(UUID(int=7)), status=1)


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ((), ["either --event, or --since"]),
        (("--event", "x", "--since", "yesterday"), ["either --event", "x is no event's id", "yesterday is no time"]),
        (("--event", "x", "--until", "2026-01-01"), ["either --event", "x is no event's id"]),
        (("--since", "2026-01-02", "--until", "2026-01-01"), ["ends before it begins"]),
    ],
)
def test_a_replay_that_says_too_little_or_too_much(desk: Desk, options: tuple[str, ...], faults: list[str]) -> None:
    number, _ = add(desk)
    told = desk.run("webhook", "replay", number, *options, status=1)
    for fault in faults:
        assert fault in told


def test_the_list_reads_as_json(desk: Desk) -> None:
    add(desk)
    assert json.loads(desk.run("webhook", "list", "--json"))["url"] == URL
