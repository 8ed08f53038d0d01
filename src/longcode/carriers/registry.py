"""The kinds of carriers that an operator may choose, by the names that are typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from longcode.carriers import http, http_settings, plivo, smpp_settings, twilio
from longcode.carriers.http_port import Site, Vendor
from longcode.errors import ConfigurationError

SIMULATOR: Final = "simulator"
SMPP: Final = "smpp"
TWILIO: Final = "twilio"
PLIVO: Final = "plivo"
HTTP: Final = "http"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of carrier.

    check: raises ConfigurationError with every fault of its settings. secret_keys: settings that are encrypted
    where they are stored, and never shown. vendor: what its settings, in clear, mean; None where it is not
    reached by HTTP.
    """

    check: Callable[[Mapping[str, str]], object]
    secret_keys: frozenset[str] = frozenset()
    vendor: Callable[[Site, Mapping[str, str]], Vendor] | None = None


def _no_settings(settings: Mapping[str, str]) -> None:
    if settings:
        raise ConfigurationError([f"{key}: the simulator has no settings" for key in settings])


KINDS: Final[Mapping[str, Kind]] = {
    SIMULATOR: Kind(_no_settings),
    SMPP: Kind(smpp_settings.parse, smpp_settings.SECRET_KEYS),
    TWILIO: Kind(twilio.parse, twilio.SECRET_KEYS, lambda site, given: twilio.Twilio(site, twilio.parse(given))),
    PLIVO: Kind(plivo.parse, plivo.SECRET_KEYS, lambda site, given: plivo.Plivo(site, plivo.parse(given))),
    HTTP: Kind(
        http_settings.parse, http_settings.SECRET_KEYS, lambda site, given: http.Http(site, http_settings.parse(given))
    ),
}
