"""Failover: what a carrier refuses or puts off for causes of its own goes to the next one. Pure.

Never what may be with a carrier: an accepted segment, or an attempt that nothing proved, ends the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from longcode.carriers.policy import HOPELESS, Policy
from longcode.carriers.port import Deferred, Outcome, Rejected, Submission
from longcode.flow.catalog import Catalog
from longcode.flow.conclusion import is_unproven, most_tries
from longcode.flow.routing import Parcel
from longcode.store.outbox import Claimed, Conclusion, PastAttempt


def fail_over(
    conclusion: Conclusion,
    claimed: Claimed,
    answers: Mapping[Submission, Outcome],
    *,
    carrier_id: int,
    catalog: Catalog,
    now: datetime,
) -> Conclusion:
    """Where a message moves after a round at one carrier: to the next one, or as `conclusion` says."""
    outcomes = [one for one in answers.values() if isinstance(one, Rejected | Deferred)]
    if not may_move(claimed.past) or len(outcomes) < len(answers):
        return conclusion
    policy = catalog.policy(carrier_id)
    refused = [one for one in outcomes if isinstance(one, Rejected)]
    if refused and not all(one.code in policy.fault_codes for one in refused):
        return conclusion
    hopeless = all(one.code in HOPELESS for one in outcomes)
    if not refused and not hopeless and not _borne_long_enough(claimed.past, carrier_id, policy, now):
        return conclusion
    message = claimed.message
    route = catalog.choose(
        Parcel(message.account_id, message.sender, message.recipient, message.id),
        now,
        simulated=catalog.is_simulator(carrier_id),
        tried={carrier_id, *(past.carrier_id for past in claimed.past)},
        # Where it would fail, waiting elsewhere is better; where it may wait here, it is not.
        only_available=not refused,
    )
    if route is None:
        return conclusion
    return replace(conclusion, status=None, error=None, again_after=timedelta(), carrier_id=route.carrier_id)


def may_move(past: Sequence[PastAttempt]) -> bool:
    """True where no carrier has any of a message, and none may have."""
    return not is_unproven(past) and all(one.kind != "accepted" for one in past)


def _borne_long_enough(past: Sequence[PastAttempt], carrier_id: int, policy: Policy, now: datetime) -> bool:
    """Whether a message that was just put off once more had enough of this carrier."""
    here = [one for one in past if one.carrier_id == carrier_id]
    tries = 1 + most_tries(here)
    seconds = (now - min((one.started_at for one in here), default=now)).total_seconds()
    return (0 < policy.failover_tries <= tries) or (0 < policy.failover_seconds <= seconds)
