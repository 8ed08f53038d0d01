"""schemathesis finds no call of the native API whose answer is not described."""

from __future__ import annotations

import requests

from longcode.domain.scopes import OPERATOR
from tests.contract.explorer import described, explore, operations
from tests.contract.server import Installation

CHAINS = 30
ENDLESS = "/v1/events"
LOCKING = "v1RevokeOperatorKey"


def test_no_answer_is_undescribed(site: Installation) -> None:
    description = described(lambda path: path.startswith("/v1/") and path != ENDLESS)
    for _, operation in operations(description):
        # Under a key that is made up twice the second call is refused or repeated, whatever is wrong with it.
        operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "Idempotency-Key"]
    # Calls that take credentials away are made with others than the rest.
    callers = {OPERATOR: site.operator, "keys:read": site.keeper, "keys:write": site.keeper}
    exceptions = [
        {"include-operation-id": operation["operationId"], "headers": dict(callers[operation["x-scope"]])}
        for _, operation in operations(description)
        if operation["x-scope"] in callers and operation["operationId"] != LOCKING
    ]
    # This could take even the operator's: here nobody may.
    exceptions.append({"include-operation-id": LOCKING, "headers": dict(site.bearer)})
    found = explore(site, description, caller=site.bearer, exceptions=exceptions, chains=CHAINS)
    assert found.faults == {}
    assert found.answered.keys() == {label for label, _ in operations(description)}
    for path, caller in (("numbers", site.bearer), ("carriers", site.operator)):
        assert requests.get(f"{site.url}/v1/{path}", headers=caller, timeout=60).status_code == 200
