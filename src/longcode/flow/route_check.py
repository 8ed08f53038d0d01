"""What is wrong with a route that is to be made: everything at once, before it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from longcode.domain.money import parse_amount
from longcode.domain.phone import canonical
from longcode.errors import InvalidField, OfField
from longcode.flow.catalog import Catalog
from longcode.store.catalog import RouteRow

LONGEST_PREFIX: Final = 15
MOST: Final = 1_000_000  # of priorities and weights
_CURRENCY: Final = re.compile("[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDraft:
    """A route as an operator writes it: its prefix and cost are text, its carrier is a name.

    account_id: None for all accounts. owns_sender: whether the account, if one is named, may send as `sender`.
    """

    carrier: str
    prefix: str = ""
    account_id: int | None = None
    sender: str | None = None
    owns_sender: bool = True
    priority: int = 0
    weight: int | None = None
    cost: str | None = None
    currency: str | None = None

    @property
    def digits(self) -> str:
        """The prefix without its plus."""
        return self.prefix.removeprefix("+")

    @property
    def amount(self) -> Decimal | None:
        """The cost, where there is one that can be read."""
        try:
            return None if self.cost is None else parse_amount(self.cost, field="cost")
        except InvalidField:
            return None


def faults_of(draft: RouteDraft, catalog: Catalog) -> list[str]:
    """Why a route could never work as it is written; nothing where it can."""
    return [*_unusable(draft, catalog), *_costly(draft, catalog), *_useless(draft, catalog)]


def currency_of(draft: RouteDraft, catalog: Catalog) -> str | None:
    """The currency of a draft's cost: its own, else that of the other routes, else USD; None without a cost."""
    return None if draft.cost is None else draft.currency or catalog.currency or "USD"


def _unusable(draft: RouteDraft, catalog: Catalog) -> Iterator[str]:
    if not any(carrier.name == draft.carrier for carrier in catalog.carriers.values()):
        yield OfField(f"there is no carrier {draft.carrier}", "carrier")
    if not re.fullmatch(f"[0-9]{{0,{LONGEST_PREFIX}}}", draft.digits):
        yield OfField(f"a prefix is at most {LONGEST_PREFIX} digits, and nothing else", "prefix")
    if not -MOST <= draft.priority <= MOST:
        yield OfField(f"a priority is from {-MOST} to {MOST}", "priority")
    if draft.sender == "":
        yield OfField("a sender may not be empty", "sender")
    elif draft.sender is not None and not draft.sender.isprintable():
        yield OfField("a sender is printable", "sender")
    elif draft.sender is not None and not draft.owns_sender:
        yield OfField(f"the account may not send as {draft.sender}: add the number or the sender ID first", "sender")


def _costly(draft: RouteDraft, catalog: Catalog) -> Iterator[str]:
    if draft.weight is not None and not 1 <= draft.weight <= MOST:
        yield OfField(f"a weight is from 1 to {MOST}", "weight")
    if draft.cost is not None and draft.amount is None:
        yield OfField("cost is an amount such as 0.0075, with at most six decimals", "cost")
    if draft.currency is not None and draft.cost is None:
        yield OfField("a currency needs a cost", "cost")
    if draft.currency is not None and not _CURRENCY.fullmatch(draft.currency):
        yield OfField("a currency is three capital letters, such as EUR", "currency")
    elif draft.cost is not None and catalog.currency not in (None, currency_of(draft, catalog)):
        yield OfField(
            f"the other routes' costs are in {catalog.currency}, and amounts of two currencies cannot be compared",
            "currency",
        )


def _useless(draft: RouteDraft, catalog: Catalog) -> Iterator[str]:
    sender = None if draft.sender is None else canonical(draft.sender)
    for route in catalog.routes:
        carrier = catalog.carriers.get(route.carrier_id)
        if carrier is None or carrier.name != draft.carrier or route.prefix != draft.digits:
            continue
        if (route.account_id, route.sender, route.priority) == (draft.account_id, sender, draft.priority):
            yield f"route {route.id} is the same"
        elif _covers(route, draft.account_id, sender) and route.priority > draft.priority:
            yield f"route {route.id} sends the same there, and its priority is higher"


def _covers(route: RouteRow, account_id: int | None, sender: str | None) -> bool:
    return route.account_id in (None, account_id) and route.sender in (None, sender)
