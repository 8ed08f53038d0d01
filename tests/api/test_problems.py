"""The catalogue of problems is a contract, and errors find their place in it."""

from __future__ import annotations

import json

import pytest

from longcode.api.problems import CATALOGUE, answer
from longcode.errors import InvalidField, LongcodeError, StorageDown
from longcode.wire.errors import Fault

# What clients were promised: add to it, and change nothing.
PROMISED = {
    "unreadable": 400,
    "not_authenticated": 401,
    "foreign_origin": 403,
    "scope_missing": 403,
    "operator_only": 403,
    "account_needed": 403,
    "refused": 403,
    "not_owned": 403,
    "not_whitelisted": 403,
    "opted_out": 403,
    "pool_empty": 403,
    "unknown_login": 404,
    "destination_refused": 403,
    "not_found": 404,
    "unknown_path": 404,
    "method_not_allowed": 405,
    "duplicate": 409,
    "key_in_flight": 409,
    "too_late": 409,
    "gone": 410,
    "body_too_large": 413,
    "invalid_request": 422,
    "key_reused": 422,
    "rate_limited": 429,
    "limit_reached": 429,
    "cap_reached": 429,
    "fault": 500,
    "intake_full": 503,
    "storage_down": 503,
    "unavailable": 503,
}


def test_the_catalogue_is_as_it_was_promised() -> None:
    assert {code: kind.status for code, kind in CATALOGUE.items()} == PROMISED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidField("priority", "priority is from 0 to 9"), "invalid_request"),
        (LongcodeError("unheard of"), "fault"),
        (Fault(), "fault"),
        (StorageDown("10.0.0.1 did not answer"), "storage_down"),
    ],
)
def test_every_error_is_a_problem(error: LongcodeError, code: str) -> None:
    told = answer(error)
    assert isinstance(told.body, bytes)
    document = json.loads(told.body)
    assert (told.status, document["code"]) == (CATALOGUE[code].status, code)
    assert "10.0.0.1" not in document["detail"]
    assert (b"retry-after" in dict(told.headers)) == (told.status == 503)
