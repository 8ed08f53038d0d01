"""schemathesis finds no call of the five dialects whose answer is not described."""

from __future__ import annotations

import requests

from tests.contract.explorer import described, explore, operations
from tests.contract.server import Installation

CHAINS = 12
NOT_JSON = "/metrics"
# Without credentials, 403: its contract says so, and HTTP says 401.
FORBIDDING = {"include-tag": "SMS microservice", "checks": {"missing_required_header": {"enabled": False}}}
# Each has two paths, and what was deleted at the one is missed at the other.
TWO_NAMED = {"include-tag": "Number inventory", "checks": {"ensure_resource_availability": {"enabled": False}}}


def test_no_answer_is_undescribed(site: Installation) -> None:
    description = described(lambda path: not path.startswith("/v1/") and path != NOT_JSON)
    found = explore(site, description, caller=site.basic, exceptions=[FORBIDDING, TWO_NAMED], chains=CHAINS)
    assert found.faults == {}
    assert found.answered.keys() == {label for label, _ in operations(description)}
    assert requests.get(f"{site.url}/api/numbers", headers=site.basic, timeout=60).status_code == 200
