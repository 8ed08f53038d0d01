"""What an operator says of a carrier: checked, and its secrets sealed, before it is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from longcode.carriers import policy
from longcode.carriers.registry import KINDS
from longcode.errors import ConfigurationError
from longcode.settings import Settings
from longcode.store.catalog import CarrierRow
from longcode.vault import Vault, unsealed


def changed_settings(
    row: CarrierRow, given: Mapping[str, str], unset: Sequence[str], faults: list[str], settings: Settings
) -> dict[str, str]:
    """All settings as they are to be stored. Raises ConfigurationError with every fault, those given included."""
    faults += [f"{key}: given and unset" for key in unset if key in given]
    faults += [f"{key}: is not set" for key in unset if key not in given and key not in row.settings]
    kept = {key: value for key, value in row.settings.items() if key not in given and key not in unset}
    check(row.driver, {**unsealed(kept, settings), **given}, faults)
    return {**kept, **sealed(row.driver, given, settings)}


def check(driver: str, settings: Mapping[str, str], faults: list[str]) -> None:
    """Raise ConfigurationError with these faults and every fault of the settings' values, if there is one."""
    own, borne = policy.split(settings)
    checks: tuple[Callable[[], object], ...] = (partial(KINDS[driver].check, own), partial(policy.parse, driver, borne))
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            faults = [*faults, *error.faults]
    if faults:
        raise ConfigurationError(faults)


def sealed(driver: str, values: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Settings as they are stored."""
    secret = values.keys() & KINDS[driver].secret_keys
    vault = Vault.open(settings) if secret else None
    return {key: vault.seal(value) if vault is not None and key in secret else value for key, value in values.items()}
