"""When a carrier's faults send a message elsewhere, and when the carrier is left alone; settings of every driver.

docs/routes.md explains each setting; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from longcode.errors import ConfigurationError

# No credentials that count, no money, no right: the same for whatever we send there.
_CREDENTIALS: Final = frozenset({"not_authenticated", "http_401", "http_402", "http_403"})
# Put off with one of these, a message need not be put off again to know better.
HOPELESS: Final = frozenset({"not_authenticated"})
# By driver, the codes that say nothing of the message: with another carrier it may well go.
FAULTS: Final[Mapping[str, frozenset[str]]] = {
    "smpp": frozenset(
        {
            "system_error",
            "temporary_error",
            "not_bound",
            "throttled",
            "queue_full",
            "submit_failed",
            "permanent_error",
            "unknown_error",
            "not_understood",
            # What we ask for by the carrier's own settings.
            "invalid_command",
            "invalid_priority",
            "invalid_registered_delivery",
            "invalid_service_type",
            "invalid_esm_class",
            "invalid_schedule",
            "invalid_validity",
            "invalid_parameter",
        }
    ),
    "http": _CREDENTIALS,
    "plivo": _CREDENTIALS,
    # Authentication failed, account not active, access denied, test credentials.
    "twilio": _CREDENTIALS | {"twilio_20003", "twilio_20005", "twilio_20006", "twilio_20008"},
}
# What a recipient of the simulator chose says nothing of the simulator.
CIRCUIT_FAULTS: Final[Mapping[str, int]] = {"simulator": 0}
# The carrier works, and says that we are too fast; or it was not asked at all.
BUSY: Final = frozenset({"throttled", "queue_full", "paced"})

_CODE: Final = re.compile("[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much of a carrier's faults is borne.

    fault_codes: its refusals with one of these send a message to the next carrier.
    failover_tries, failover_seconds: put off so often, or for so long, a message goes to the next carrier; 0: never.
    circuit_faults: after so many faults in a row the carrier is left alone; 0: never.
    circuit_pause: for how long at first; each time that it faults again twice as long.
    """

    fault_codes: frozenset[str] = frozenset()
    failover_tries: int = 5
    failover_seconds: float = 120.0
    circuit_faults: int = 10
    circuit_pause: timedelta = timedelta(seconds=5)

    def is_fault(self, code: str) -> bool:
        """Whether a code says that the carrier itself does not work."""
        return code in self.fault_codes and code not in BUSY


def parse(driver: str, settings: Mapping[str, str]) -> Policy:
    """The policy among a carrier's settings. Raises ConfigurationError with every fault."""
    values: dict[str, Any] = {}
    faults = []
    for key, reader in _READERS.items():
        if key in settings:
            try:
                values[key] = reader(settings[key])
            except ValueError as fault:
                faults.append(f"{key}: {fault}")
    if faults:
        raise ConfigurationError(faults)
    codes = values.pop("failover_codes", frozenset()) | FAULTS.get(driver, frozenset())
    if "circuit_pause_seconds" in values:
        values["circuit_pause"] = timedelta(seconds=values.pop("circuit_pause_seconds"))
    if driver in CIRCUIT_FAULTS:
        values.setdefault("circuit_faults", CIRCUIT_FAULTS[driver])
    return Policy(fault_codes=codes, **values)


def split(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """A carrier's settings: those that its driver reads, and those of its policy."""
    own = {key: value for key, value in settings.items() if key not in _READERS}
    return own, {key: value for key, value in settings.items() if key in _READERS}


def _codes(value: str) -> frozenset[str]:
    codes = [code.strip() for code in value.split(",")]
    if not all(_CODE.fullmatch(code) for code in codes):
        raise ValueError("expected codes such as invalid_sender, separated by commas")
    return frozenset(codes)


def _whole(most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch("[0-9]{1,6}", value) or int(value) > most:
            raise ValueError(f"expected an integer from 0 to {most}")
        return int(value)

    return read


def _seconds(least: float, most: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        number = float(value) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", value) else -1.0
        if not least <= number <= most:
            raise ValueError(f"expected {least:g} to {most:g}")
        return number

    return read


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "failover_codes": _codes,
    "failover_tries": _whole(1000),
    "failover_seconds": _seconds(0, 86_400),
    "circuit_faults": _whole(100_000),
    "circuit_pause_seconds": _seconds(0.1, 3600),
}
KEYS: Final = tuple(_READERS)
