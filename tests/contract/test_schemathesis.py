"""The OpenAPI description and the server tell the same: schemathesis finds no call whose answer is not described.

It makes calls out of the schemas alone, right and wrong ones, and chains of them by the ids that answers hold; on every
dialect and on all of the native API, as an account and as an operator.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from longcode.domain.scopes import OPERATOR
from longcode.web.description import document
from tests.contract.server import Installation, installation

CALLS_OF_AN_OPERATION = 3
CHAINS = 12
# Longer than anything may take, on a machine that others use too.
PATIENCE_SECONDS = 60
# What is right by the schema may be refused all the same: by what is stored, or by rules that no schema can say.
RULED = ["2xx", "3xx", "400", "401", "403", "404", "409", "410", "422", "429", "503"]
# One never ends, the other is not JSON.
LEFT_OUT = ("/v1/events", "/metrics")


@pytest.fixture
def site(sqlite_template: Path, tmp_path: Path) -> Iterator[Installation]:
    shutil.copy(sqlite_template, tmp_path / "longcode.db")
    with installation(f"sqlite:///{tmp_path}/longcode.db") as opened:
        yield opened


def test_no_answer_is_undescribed(site: Installation) -> None:
    described = json.loads(json.dumps(document()))
    found: dict[tuple[str, str], str] = {}
    answered: set[tuple[str, int]] = set()
    schema = schemathesis.openapi.from_dict(described, config=SchemathesisConfig.from_dict(_settings(site, described)))
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            found[event.label, "error"] = str(event.info)
        if isinstance(event, events.ScenarioFinished):
            _note(event.recorder, found, answered)
    assert found == {}
    assert {path for path, item in described["paths"].items() if not _tried(path, item, answered)} <= set(LEFT_OUT)


def _settings(site: Installation, described: dict[str, Any]) -> dict[str, Any]:
    operators = [
        {"include-operation-id": operation["operationId"], "headers": site.operator}
        for item in described["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and operation.get("x-scope") == OPERATOR
    ]
    return {
        "base-url": site.url,
        "headers": site.account,
        "request-timeout": PATIENCE_SECONDS,
        "generation": {"max-examples": CALLS_OF_AN_OPERATION, "deterministic": True, "database": "none"},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": RULED},
            # Wrong credentials are slowed down; that none is let in is tested operation by operation.
            "ignored_auth": {"enabled": False},
        },
        "phases": {
            "examples": {"enabled": False},
            "coverage": {"enabled": False},
            "stateful": {"generation": {"max-examples": CHAINS}},
        },
        "operations": [*({"include-path": path, "enabled": False} for path in LEFT_OUT), *operators],
    }


def _note(recorder: Any, found: dict[tuple[str, str], str], answered: set[tuple[str, int]]) -> None:
    """What was answered, and what of it is not as described."""
    for case_id, interaction in recorder.interactions.items():
        if interaction.response is not None:
            answered.add((recorder.cases[case_id].value.operation.label, interaction.response.status_code))
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                label = recorder.cases[case_id].value.operation.label
                found[label, check.name] = f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"


def _tried(path: str, item: dict[str, Any], answered: set[tuple[str, int]]) -> bool:
    methods = {method.upper() for method, operation in item.items() if isinstance(operation, dict)}
    return methods <= {label.partition(" ")[0] for label, _ in answered if label.partition(" ")[2] == path}
