"""How much of a carrier's faults is borne, as its settings say, and that the page tells of every setting."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from longcode.carriers import policy
from longcode.carriers.policy import Policy, parse, split
from longcode.carriers.registry import KINDS
from longcode.domain.causes import FAILURES
from longcode.errors import ConfigurationError

PAGE = Path(__file__).parents[2] / "docs" / "routes.md"


def test_settings_change_what_is_borne() -> None:
    found = parse(
        "smpp",
        {
            "failover_codes": "invalid_sender, smpp_0x400",
            "failover_tries": "2",
            "failover_seconds": "0",
            "circuit_faults": "3",
            "circuit_pause_seconds": "0.5",
        },
    )
    assert found.fault_codes == policy.FAULTS["smpp"] | {"invalid_sender", "smpp_0x400"}
    assert (found.failover_tries, found.failover_seconds) == (2, 0.0)
    assert (found.circuit_faults, found.circuit_pause) == (3, timedelta(seconds=0.5))


def test_without_settings_the_defaults_hold_and_a_simulator_is_never_left_alone() -> None:
    assert parse("smpp", {}) == Policy(fault_codes=policy.FAULTS["smpp"])
    assert parse("simulator", {}).circuit_faults == 0
    assert parse("simulator", {"circuit_faults": "4"}).circuit_faults == 4


def test_every_fault_is_told_at_once() -> None:
    settings = {"failover_codes": "a b", "failover_tries": "-1", "failover_seconds": "x", "circuit_pause_seconds": "0"}
    with pytest.raises(ConfigurationError) as refused:
        parse("smpp", settings)
    assert [fault.partition(":")[0] for fault in refused.value.faults] == list(settings)


def test_the_drivers_settings_are_told_apart() -> None:
    assert split({"host": "a", "circuit_faults": "1"}) == ({"host": "a"}, {"circuit_faults": "1"})


def test_throttling_sends_a_message_on_and_says_nothing_of_health() -> None:
    found = parse("smpp", {})
    assert "throttled" in found.fault_codes
    assert not found.is_fault("throttled")
    assert found.is_fault("system_error")
    assert not found.is_fault("invalid_destination")


def test_every_setting_is_on_the_page_and_every_kind_with_faults_exists() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [key for key in policy.KEYS if f"| `{key}` |" not in page] == []
    assert set(policy.FAULTS) <= set(KINDS)


def test_faults_of_smpp_carriers_are_codes_that_people_are_told() -> None:
    assert policy.FAULTS["smpp"] <= FAILURES.keys()
