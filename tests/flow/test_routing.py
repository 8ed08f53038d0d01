"""Which way a message takes: the order of routes, who shares, and who never stands in for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.domain.phone import digits_of
from longcode.flow.catalog import Catalog
from longcode.flow.route_check import RouteDraft, currency_of, faults_of
from longcode.flow.routing import Parcel, RouteTable, rank
from longcode.store.catalog import CarrierRow, RouteRow
from longcode.store.circuits import Circuit

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ACME, OTHER = 1, 2


def carrier(carrier_id: int, driver: str = "smpp", *, paused: bool = False) -> CarrierRow:
    return CarrierRow(carrier_id, f"carrier-{carrier_id}", driver, {}, paused)


def open_until(carrier_id: int, seconds: float) -> dict[int, Circuit]:
    return {carrier_id: Circuit(carrier_id, "system_error", NOW, NOW + timedelta(seconds=seconds), 1)}


def parcel(recipient: str = "+12025550101", account_id: int = ACME, sender: str = "MyCorp", number: int = 1) -> Parcel:
    return Parcel(account_id, sender, recipient, UUID(int=number))


@dataclass(frozen=True, slots=True)
class OrderCase:
    """ways: the routes that are tried, by their ids."""

    what: str
    routes: Sequence[RouteRow]
    ways: list[int]
    parcel: Parcel = parcel()  # noqa: RUF009 - frozen


EVERYTHING = RouteRow(1, 10, "", None, 0)
ORDER_CASES = (
    OrderCase("the longest prefix is first", (EVERYTHING, RouteRow(2, 11, "1202", None, 0)), [2, 1]),
    OrderCase(
        "a long prefix is before a high priority", (RouteRow(1, 10, "", None, 9), RouteRow(2, 11, "1", None, 0)), [2, 1]
    ),
    OrderCase("of equal prefixes the highest priority", (EVERYTHING, RouteRow(2, 11, "", None, 5)), [2, 1]),
    OrderCase("of equal priorities what is for the account alone", (EVERYTHING, RouteRow(2, 11, "", ACME, 0)), [2, 1]),
    OrderCase("another account's route is none", (EVERYTHING, RouteRow(2, 11, "", OTHER, 9)), [1]),
    OrderCase(
        "a sender's route is for that sender",
        (EVERYTHING, RouteRow(2, 11, "", None, 0, sender="MyCorp"), RouteRow(3, 12, "", None, 9, sender="Else")),
        [2, 1],
    ),
    OrderCase(
        "a sender is compared as numbers are",
        (RouteRow(1, 10, "", None, 0, sender="12025550102"),),
        [1],
        parcel(sender="+1 202 555-0102"),
    ),
    OrderCase(
        "of equals the cheapest, an unknown cost last",
        (
            EVERYTHING,
            RouteRow(2, 11, "", None, 0, cost=Decimal("0.02")),
            RouteRow(3, 12, "", None, 0, cost=Decimal("0.01")),
        ),
        [3, 2, 1],
    ),
    OrderCase("of the same cost the oldest", (RouteRow(4, 11, "", None, 0), EVERYTHING), [1, 4]),
    OrderCase(
        "a carrier is tried once", (EVERYTHING, RouteRow(2, 10, "1", None, 0), RouteRow(3, 11, "", None, -1)), [2, 3]
    ),
    OrderCase("no route that fits is no way", (RouteRow(1, 10, "44", None, 0),), []),
    OrderCase("a recipient without digits fits the route of all", (EVERYTHING,), [1], parcel(recipient="anna")),
    OrderCase(
        "digits are compared, not spellings", (RouteRow(1, 10, "1202", None, 0),), [1], parcel("1 (202) 555-0101")
    ),
)


@pytest.mark.parametrize("case", ORDER_CASES, ids=lambda case: case.what)
def test_ways_stand_in_their_order(case: OrderCase) -> None:
    catalog = Catalog(1, {}, RouteTable(case.routes))
    assert [route.id for route in catalog.ways(case.parcel)] == case.ways


ROUTES = st.lists(
    st.builds(
        RouteRow,
        st.integers(1, 50),
        st.integers(10, 14),
        st.sampled_from(["", "1", "12", "1202", "44"]),
        st.sampled_from([None, ACME, OTHER]),
        st.integers(-1, 1),
        st.sampled_from([None, "MyCorp", "12025550102"]),
        st.sampled_from([None, 1, 7]),
        st.sampled_from([None, Decimal("0.01"), Decimal("0.02")]),
    ),
    max_size=12,
    unique_by=lambda route: route.id,
)


@given(
    routes=ROUTES, recipient=st.sampled_from(["+12025550101", "447700900123", "99", "x"]), number=st.integers(0, 2**64)
)
def test_the_order_is_a_strict_one_of_all_that_fits(routes: list[RouteRow], recipient: str, number: int) -> None:
    wanted = replace(parcel(recipient), message_id=UUID(int=number))
    found = list(RouteTable(routes).fitting(wanted))
    fits = [
        route
        for route in routes
        if digits_of(recipient).startswith(route.prefix)
        and route.account_id in (None, ACME)
        and route.sender in (None, "MyCorp")
    ]
    assert sorted(route.id for route in found) == sorted(route.id for route in fits)
    assert [rank(route) for route in found] == sorted(rank(route) for route in found)
    # Whoever works it out again, in whatever order the routes were read, finds the same.
    assert [route.id for route in RouteTable(routes[::-1]).fitting(wanted)] == [route.id for route in found]
    catalog = Catalog(1, {}, RouteTable(routes))
    carriers = [route.carrier_id for route in catalog.ways(wanted)]
    assert carriers == list(dict.fromkeys(route.carrier_id for route in found))


def shares(routes: Sequence[RouteRow], messages: int = 2000) -> Counter[int]:
    table = RouteTable(routes)
    return Counter(next(table.fitting(parcel(number=number))).id for number in range(messages))


def test_equals_share_by_their_weights() -> None:
    routes = (RouteRow(1, 10, "", None, 0, weight=7), RouteRow(2, 11, "", None, 0, weight=3))
    found = shares(routes)
    assert 1300 < found[1] < 1500
    assert found[1] + found[2] == 2000
    assert shares(routes) == found


def test_a_cost_does_not_matter_among_those_that_share_and_no_weight_is_one() -> None:
    cheap = RouteRow(1, 10, "", None, 0, cost=Decimal("0.01"))
    found = shares((cheap, RouteRow(2, 11, "", None, 0, weight=1, cost=Decimal("0.02"))))
    assert 900 < found[1] < 1100


def test_a_route_that_goes_moves_no_message_between_the_others() -> None:
    routes = [RouteRow(number, 10 + number, "", None, 0, weight=1) for number in (1, 2, 3)]
    all_three, two = RouteTable(routes), RouteTable(routes[:2])
    for number in range(200):
        before, after = (next(table.fitting(parcel(number=number))).id for table in (all_three, two))
        assert before in (after, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceCase:
    """carriers: of the routes 1, 2 and 3, the first of which is tried first. chosen: the carrier."""

    what: str
    carriers: tuple[CarrierRow, ...]
    chosen: int | None
    circuits: dict[int, Circuit] | None = None
    tried: tuple[int, ...] = ()
    simulated: bool | None = None
    only_available: bool = False


CHOICE_CASES = (
    ChoiceCase(what="the first that is open", carriers=(carrier(10), carrier(11)), chosen=10),
    ChoiceCase(what="a paused one is passed over", carriers=(carrier(10, paused=True), carrier(11)), chosen=11),
    ChoiceCase(
        what="one that is left alone is passed over",
        carriers=(carrier(10), carrier(11)),
        circuits=open_until(10, 5),
        chosen=11,
    ),
    ChoiceCase(
        what="one whose pause is over may be tried",
        carriers=(carrier(10), carrier(11)),
        circuits=open_until(10, 0),
        chosen=10,
    ),
    ChoiceCase(what="where none is open, the first", carriers=(carrier(10, paused=True),), chosen=10),
    ChoiceCase(
        what="or none at all, where that is asked",
        carriers=(carrier(10, paused=True),),
        only_available=True,
        chosen=None,
    ),
    ChoiceCase(what="one that was tried is left out", carriers=(carrier(10), carrier(11)), tried=(10,), chosen=11),
    ChoiceCase(
        what="what is meant for a handset waits rather than end at a simulator",
        carriers=(carrier(10, paused=True), carrier(11, "simulator")),
        chosen=10,
    ),
    ChoiceCase(
        what="a simulator is replaced by another only",
        carriers=(carrier(10, "simulator", paused=True), carrier(11), carrier(12, "simulator")),
        chosen=12,
    ),
    ChoiceCase(
        what="who reaches only simulators gets the first of these",
        carriers=(carrier(10), carrier(11, "simulator")),
        simulated=True,
        chosen=11,
    ),
    ChoiceCase(
        what="what left a real carrier finds no simulator",
        carriers=(carrier(10), carrier(11, "simulator")),
        simulated=False,
        tried=(10,),
        chosen=None,
    ),
)


@pytest.mark.parametrize("case", CHOICE_CASES, ids=lambda case: case.what)
def test_the_way_that_is_chosen(case: ChoiceCase) -> None:
    routes = [RouteRow(number, one.id, "", None, -number) for number, one in enumerate(case.carriers, start=1)]
    catalog = Catalog(1, {one.id: one for one in case.carriers}, RouteTable(routes), circuits=case.circuits or {})
    found = catalog.choose(
        parcel(), NOW, simulated=case.simulated, tried=case.tried, only_available=case.only_available
    )
    assert (None if found is None else found.carrier_id) == case.chosen


TAKEN = RouteRow(3, 10, "44", ACME, 5, cost=Decimal("0.01"), currency="EUR")
FAULTY: list[tuple[RouteDraft, list[str]]] = [
    (RouteDraft(carrier="carrier-10"), []),
    (RouteDraft(carrier="carrier-10", prefix="+44", account_id=ACME, priority=6), []),
    (RouteDraft(carrier="carrier-11", prefix="44", account_id=ACME, priority=5), []),
    (RouteDraft(carrier="carrier-10", prefix="44", account_id=ACME, priority=5), ["route 3 is the same"]),
    (
        RouteDraft(carrier="carrier-10", prefix="44", account_id=ACME, sender="MyCorp", priority=1),
        ["route 3 sends the same there, and its priority is higher"],
    ),
    (
        RouteDraft(carrier="nobody", prefix="4x", sender="", weight=0, cost="1e3", currency="Euro", account_id=ACME),
        [
            "there is no carrier nobody",
            "a prefix is at most 15 digits, and nothing else",
            "a sender may not be empty",
            "a weight is from 1 to 1000000",
            "cost is an amount such as 0.0075, with at most six decimals",
            "a currency is three capital letters, such as EUR",
        ],
    ),
    (RouteDraft(carrier="carrier-10", currency="EUR"), ["a currency needs a cost"]),
    (
        RouteDraft(carrier="carrier-10", cost="0.0075", currency="USD"),
        ["the other routes' costs are in EUR, and amounts of two currencies cannot be compared"],
    ),
    (
        RouteDraft(carrier="carrier-10", account_id=ACME, sender="Else", owns_sender=False),
        ["the account may not send as Else: add the number or the sender ID first"],
    ),
]


@pytest.mark.parametrize(("draft", "faults"), FAULTY)
def test_a_route_that_could_never_work_is_told_everything_that_is_wrong_with_it(
    draft: RouteDraft, faults: list[str]
) -> None:
    catalog = Catalog(1, {10: carrier(10), 11: carrier(11)}, RouteTable([TAKEN]))
    assert faults_of(draft, catalog) == faults


def test_a_cost_takes_the_currency_of_the_others() -> None:
    assert currency_of(RouteDraft(carrier="a", cost="1"), Catalog(1, {}, RouteTable([TAKEN]))) == "EUR"
    assert currency_of(RouteDraft(carrier="a", cost="1"), Catalog(1)) == "USD"
    assert currency_of(RouteDraft(carrier="a"), Catalog(1, {}, RouteTable([TAKEN]))) is None
