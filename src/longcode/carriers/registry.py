"""The drivers that an operator may choose, by the names that an operator types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from longcode.carriers import smpp_settings
from longcode.errors import ConfigurationError

SIMULATOR: Final = "simulator"
SMPP: Final = "smpp"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of carrier, and how its settings are read.

    check: raises ConfigurationError with every fault. secret_keys: settings that are encrypted
    where they are stored, and never shown.
    """

    check: Callable[[Mapping[str, str]], object]
    secret_keys: frozenset[str]


def _no_settings(settings: Mapping[str, str]) -> None:
    if settings:
        raise ConfigurationError([f"{key}: the simulator has no settings" for key in settings])


KINDS: Final[dict[str, Kind]] = {
    SIMULATOR: Kind(_no_settings, frozenset()),
    SMPP: Kind(smpp_settings.parse, smpp_settings.SECRET_KEYS),
}
