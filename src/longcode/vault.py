"""Secrets that we must use again (SMPP passwords, tokens), encrypted where they are stored."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from longcode.errors import ConfigurationError
from longcode.settings import Settings

KEY_FILE = "secret.key"
KEY_BYTES = 32
NONCE_BYTES = 12
SEALED = "sealed:"


class Vault:
    """Seals and unseals texts with one key: AES-256-GCM, a fresh nonce each."""

    def __init__(self, key: bytes, path: Path) -> None:
        self._key = key
        self._path = path

    @classmethod
    def open(cls, settings: Settings) -> Vault:
        """The vault of LONGCODE_SECRET_KEY_FILE, else of a key made once in LONGCODE_DATA.

        The file holds 64 hexadecimal digits. Raises ConfigurationError.
        """
        path = settings.secret_key_file
        if path is None:
            path = settings.data / KEY_FILE
            _make(path)
        try:
            key = bytes.fromhex(path.read_text().strip())
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"LONGCODE_SECRET_KEY_FILE: {path} is not a readable key file"]) from error
        if len(key) != KEY_BYTES:
            raise ConfigurationError([f"LONGCODE_SECRET_KEY_FILE: {path} does not hold 64 hexadecimal digits"])
        return cls(key, path)

    def seal(self, text: str) -> str:
        """The text, encrypted."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 5 MB that most processes do without

        nonce = secrets.token_bytes(NONCE_BYTES)
        return SEALED + (nonce + AESGCM(self._key).encrypt(nonce, text.encode(), None)).hex()

    def unseal(self, sealed: str) -> str:
        """The text that was sealed. Raises ConfigurationError where the key is another one."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            packed = bytes.fromhex(sealed.removeprefix(SEALED))
            return AESGCM(self._key).decrypt(packed[:NONCE_BYTES], packed[NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag) as error:
            raise ConfigurationError(
                [f"LONGCODE_SECRET_KEY_FILE: {self._path} is not the key that a stored secret was sealed with"]
            ) from error


def unsealed(values: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Values, of which some may be sealed, in clear. Raises ConfigurationError; opens no vault where none is sealed."""
    vault = Vault.open(settings) if any(value.startswith(SEALED) for value in values.values()) else None
    return {
        name: vault.unseal(value) if vault is not None and value.startswith(SEALED) else value
        for name, value in values.items()
    }


def _make(path: Path) -> None:
    """A new key, readable by its owner alone; two processes at once agree on one."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()
