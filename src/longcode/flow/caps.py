"""Accounts' daily caps: what a message counts, and which calls of a batch still fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil

from longcode.domain.message import Message
from longcode.errors import CapReached
from longcode.store.catalog import RouteRow
from longcode.store.limits import AccountLimits, Charge, Usage
from longcode.store.new_messages import NewMessage


def charge_of(limits: AccountLimits, message: Message, route: RouteRow | None) -> Charge | None:
    """What a message counts on the day on which it is accepted; None where there is no cap and no cost to count."""
    known = None if route is None else route.cost
    if not limits.capped and known is None:
        return None
    cost = known or Decimal(0)
    return Charge(day_of(message.created_at), message.segment_count, cost * message.segment_count, limits)


def day_of(now: datetime) -> date:
    """The day of a cap, in UTC."""
    return now.astimezone(UTC).date()


def cap_reached(charge: Charge | None, now: datetime) -> CapReached:
    """What a call is told that does not fit any more: which cap, and when the next day begins."""
    tomorrow = datetime.combine(day_of(now) + timedelta(days=1), datetime.min.time(), UTC)
    limits = AccountLimits() if charge is None else charge.limits
    caps = []
    if limits.segments_per_day is not None:
        caps.append(f"segments {limits.segments_per_day}")
    if limits.spend_per_day is not None:
        caps.append(f"spend {limits.spend_per_day:f}")
    return CapReached(
        f"the account's cap for today is reached: {', '.join(caps)}",
        retry_after_seconds=max(1, ceil((tomorrow - now).total_seconds())),
    )


class DayBook:
    """What is left of each account's caps in one day, call by call.

    used: by account, before the first call. Other processes use some of it meanwhile: the store has the last word.
    """

    def __init__(self, used: Mapping[int, Usage]) -> None:
        self._used = dict(used)

    def take(self, messages: Iterable[NewMessage]) -> Charge | None:
        """Count the messages of one call; the charge that does not fit, and then none of them is counted."""
        found = dict(self._used)
        for new in messages:
            charge, account_id = new.charge, new.message.account_id
            if charge is None:
                continue
            before = found.get(account_id, Usage())
            after = Usage(before.segments + charge.segments, before.spend + charge.spend)
            if not _fits(after, charge.limits):
                return charge
            found[account_id] = after
        self._used = found
        return None


def _fits(usage: Usage, limits: AccountLimits) -> bool:
    segments, spend = limits.segments_per_day, limits.spend_per_day
    return (segments is None or usage.segments <= segments) and (spend is None or usage.spend <= spend)
