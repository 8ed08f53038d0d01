"""The vault."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from longcode.errors import ConfigurationError
from longcode.settings import load
from longcode.vault import KEY_FILE, Vault


def test_what_was_sealed_is_unsealed_by_the_same_key_alone(tmp_path: Path) -> None:
    vault = Vault.open(load({"LONGCODE_DATA": str(tmp_path / "one")}))
    other = Vault.open(load({"LONGCODE_DATA": str(tmp_path / "two")}))
    sealed = vault.seal("pässword")
    assert "pässword" not in sealed
    assert vault.seal("pässword") != sealed
    assert Vault.open(load({"LONGCODE_DATA": str(tmp_path / "one")})).unseal(sealed) == "pässword"
    with pytest.raises(ConfigurationError, match="is not the key"):
        other.unseal(sealed)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    Vault.open(load({"LONGCODE_DATA": str(tmp_path)}))
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    settings = load({"LONGCODE_DATA": str(tmp_path)})
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(lambda _: Vault.open(settings), range(8)))
    sealed = vaults[0].seal("secret")
    assert {vault.unseal(sealed) for vault in vaults} == {"secret"}


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="LONGCODE_SECRET_KEY_FILE"):
        Vault.open(load({"LONGCODE_SECRET_KEY_FILE": str(path)}))
