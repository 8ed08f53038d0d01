"""Calls that schemathesis makes up out of the OpenAPI description, and what it finds wrong with their answers.

It makes right and wrong calls of each operation, goes to the bounds of every field, leaves credentials out, tries
methods that a path does not have, and follows the ids that answers hold from one operation to the next.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from longcode.web.description import document
from tests.contract.server import Installation

# Longer than anything may take, on a machine that others use too.
PATIENCE_SECONDS = 60
# Of each operation, besides those that its schema's bounds make.
RANDOM_CALLS = 3
# What is right by the schema may be refused all the same: by what is stored, or by rules that no schema can say.
RULED = ["2xx", "3xx", "400", "403", "404", "409", "410", "422", "429", "503"]
REFUSED = ["4xx"]


@dataclass(slots=True)
class Findings:
    """What came of the calls, by operation, such as `GET /path`.

    faults: of answers that are not as described, by operation and check.
    """

    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    answered: dict[str, set[int]] = field(default_factory=dict)

    def note(self, recorder: Any) -> None:
        """Take in what schemathesis recorded of one scenario."""
        labels = {case_id: node.value.operation.label for case_id, node in recorder.cases.items()}
        for case_id, interaction in recorder.interactions.items():
            if interaction.response is not None:
                self.answered.setdefault(labels[case_id], set()).add(interaction.response.status_code)
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    told = f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"
                    self.faults[labels[case_id], check.name] = told


class Signature(AuthBase):
    """Signs receipts as their dialect wants it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        request.headers["X-Provider-Signature"] = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        return request


def described(chosen: Callable[[str], bool]) -> dict[str, Any]:
    """The description, of all paths only the chosen ones."""
    whole: dict[str, Any] = json.loads(json.dumps(document()))
    return {**whole, "paths": {path: item for path, item in whole["paths"].items() if chosen(path)}}


def operations(description: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation, as `GET /path`, with what is said of it."""
    for path, item in description["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict):
                yield f"{method.upper()} {path}", operation


def explore(
    site: Installation,
    description: dict[str, Any],
    *,
    caller: Mapping[str, str],
    exceptions: Sequence[Mapping[str, Any]],
    chains: int,
) -> Findings:
    """Call every operation of the description.

    caller: headers of all calls. exceptions: schemathesis' settings of single operations. chains: of calls by ids.
    """
    settings = {
        "base-url": site.url,
        "headers": dict(caller),
        "request-timeout": PATIENCE_SECONDS,
        "generation": {"max-examples": RANDOM_CALLS, "deterministic": True, "database": "none"},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": RULED},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
        "phases": {"examples": {"enabled": False}, "stateful": {"generation": {"max-examples": chains}}},
        "operations": list(exceptions),
    }
    schema = schemathesis.openapi.from_dict(description, config=SchemathesisConfig.from_dict(settings))
    schema.auth.set_from_requests(Signature(site.dlr_secret)).apply_to(operation_id="takeReceipt")
    findings = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            findings.faults[event.label, "error"] = str(event.info)
        if isinstance(event, events.ScenarioFinished):
            findings.note(event.recorder)
    return findings
