"""The operator's commands about routes, limits and pools, and what they show of carriers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longcode.bootstrap import Product
from tests.cli.commands import Desk, desk_in

OURS = "+12025550101"


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    made = desk_in(tmp_path, sqlite_template)
    for name in ("north", "south"):
        made.run("carrier", "add", name, "--driver", "simulator")
    return made


def test_routes_are_added_listed_shown_and_tested(desk: Desk) -> None:
    assert desk.run("route", "add", "--carrier", "north", "--cost", "0.0075", "--currency", "EUR") == (
        "route 1: all → north\n"
    )
    desk.run("number", "add", OURS, "--account", "demo")
    special = ("--prefix", "+44", "--account", "demo", "--sender", "1 202 555-0101", "--weight", "3", "--cost", "1")
    desk.run("route", "add", "--carrier", "south", *special)
    first, second = desk.lines("route", "list")
    assert first == {
        "id": 2,
        "prefix": "44",
        "account": "demo",
        "priority": 0,
        "sender": "12025550101",
        "weight": 3,
        "cost": "1",
        "currency": "EUR",
        "carrier": "south",
    }
    assert (second["cost"], second["sender"], second["weight"]) == ("0.0075", None, None)
    assert desk.run("route", "list").splitlines()[2] == "1\tall\tall\t0\tnorth\tall\t-\t0.0075\tEUR"
    assert desk.lines("route", "show", "2") == [first]
    assert "route 1 → north" in desk.run("route", "show", "1")
    assert "there is no route 9" in desk.run("route", "show", "9", status=1)
    desk.run("carrier", "pause", "south")
    ways = desk.lines("route", "test", "+447700900123", "--account", "demo", "--sender", OURS)
    assert [(way["try"], way["carrier"], way["why"], way["now"]) for way in ways] == [
        (1, "south", "prefix 44, priority 0", "passed over: paused"),
        (2, "north", "every recipient, priority 0", "open"),
    ]
    assert [way["carrier"] for way in desk.lines("route", "test", "+447700900123")] == ["north"]
    desk.run("route", "remove", "1")
    assert "no route fits" in desk.run("route", "test", "+447700900123", status=1)


def test_equals_tell_their_shares_or_costs(desk: Desk) -> None:
    desk.run("route", "add", "--carrier", "north", "--weight", "7")
    desk.run("route", "add", "--carrier", "south", "--weight", "3")
    assert "first for 7 of 10 messages by weight" in desk.run("route", "test", OURS)


def test_a_route_that_could_never_work_is_told_all_its_faults(desk: Desk) -> None:
    faults = desk.run("route", "add", "--carrier", "no", "--prefix", "x", "--account", "nobody", status=1)
    assert [fault in faults for fault in ("no account nobody", "no carrier no", "15 digits")] == [True] * 3
    assert "may not send as Else" in desk.run(
        "route", "add", "--carrier", "north", "--account", "demo", "--sender", "Else", status=1
    )
    faults = desk.run(
        "route", "add", "--carrier", "north", "--priority", str(2**63), "--weight", "0", "--sender", "a\nb", status=1
    )
    assert [fault in faults for fault in ("a priority is from", "a weight is from", "a sender is printable")] == [
        True
    ] * 3
    desk.run("route", "add", "--carrier", "north")
    assert "route 1 is the same" in desk.run("route", "add", "--carrier", "north", status=1)


@pytest.mark.parametrize(
    "command",
    [
        ("route", "show", str(2**63)),
        ("webhook", "show", str(2**63)),
        ("account", "limits", "demo", "--segments-per-day", str(2**63)),
    ],
    ids=lambda command: command[0],
)
def test_a_number_that_no_database_holds_is_refused(desk: Desk, command: tuple[str, ...]) -> None:
    assert "is not in the range" in desk.run(*command, status=2)


def test_limits_are_set_one_by_one_shown_and_cleared(desk: Desk) -> None:
    desk.run("account", "limits", "demo", "--segments-per-day", "100", "--allow", "+44", "--allow", "1202")
    desk.run("account", "limits", "demo", "--spend-per-day", "2.50")
    expected = {
        "segments_per_day": 100,
        "segments_today": 0,
        "spend_per_day": "2.5",
        "spend_today": "0",
        "currency": None,
        "destinations": ["1202", "44"],
    }
    assert desk.lines("account", "limits", "demo") == [{"account": "demo", **expected}]
    [shown] = desk.lines("account", "show", "demo")
    assert {key: shown[key] for key in expected} == expected
    assert "100, 0 used today" in desk.run("account", "show", "demo")
    listed = {line["name"]: line for line in desk.lines("account", "list")}
    assert (listed["demo"]["segments_per_day"], listed["demo"]["destinations"]) == (100, ["1202", "44"])
    assert (listed["other"]["segments_per_day"], listed["other"]["destinations"]) == (None, [])
    faults = desk.run("account", "limits", "demo", "--allow", "x", "--spend-per-day", "1e3", status=1)
    assert "x: a prefix" in faults
    assert "spend-per-day is an amount" in faults
    desk.run("account", "limits", "demo", "--clear")
    assert "everywhere" in desk.run("account", "limits", "demo")


def test_pools_are_made_filled_shown_and_removed(desk: Desk) -> None:
    desk.run("number", "add", OURS, "--account", "demo")
    desk.run("sender", "add", "MyCorp", "--account", "demo")
    assert desk.run("pool", "create", "support", "--account", "demo") == "pool support of demo\n"
    assert desk.run("pool", "add", "support", OURS, "MyCorp", "--account", "demo") == "pool support: 2 added\n"
    assert "0 added, the others" in desk.run("pool", "add", "support", "MyCorp", "--account", "demo")
    assert "may not send as Else" in desk.run("pool", "add", "support", "Else", "--account", "demo", status=1)
    assert desk.lines("pool", "list", "--account", "demo") == [{"name": "support", "senders": 2, "recipients": 0}]
    assert desk.lines("pool", "show", "support", "--account", "demo") == [
        {"sender": OURS, "kind": "number", "recipients": 0, "owned": True},
        {"sender": "MyCorp", "kind": "sender ID", "recipients": 0, "owned": True},
    ]
    both = desk.run("pool", "remove", "support", "MyCorp", "Else", "--account", "demo", status=1)
    assert "has no Else\n" in both
    assert "support: MyCorp removed" in desk.run("pool", "remove", "support", "MyCorp", "--account", "demo")
    assert "has no MyCorp" in desk.run("pool", "remove", "support", "MyCorp", "--account", "demo", status=1)
    desk.run("pool", "remove", "support", "--account", "demo")
    assert "no pool support" in desk.run("pool", "show", "support", "--account", "demo", status=1)


def test_a_carrier_tells_why_it_is_left_alone_and_takes_the_settings_of_every_driver(desk: Desk) -> None:
    faults = desk.run("carrier", "set", "north", "circuit_faults=x", "port=1", status=1)
    assert "circuit_faults: expected an integer" in faults
    assert "port:" in faults
    desk.run("carrier", "set", "north", "circuit_faults=1")

    async def fault(product: Product) -> None:
        (north, _) = (await product.catalog.now()).carriers
        await product.health.open(north, "system_error")

    desk.in_product(fault)
    north, south = desk.lines("carrier", "list")
    assert (north["circuit"]["cause"], north["circuit"]["openings"]) == ("system_error", 1)
    assert south["circuit"] is None
    assert "system_error" in desk.run("carrier", "list")
    assert "open since" in desk.run("carrier", "show", "north")
    desk.run("route", "add", "--carrier", "north")
    assert "carrier north: is left alone: open since" in desk.run("doctor", status=1)
    assert "passed over until" in json.dumps(desk.lines("route", "test", OURS))
