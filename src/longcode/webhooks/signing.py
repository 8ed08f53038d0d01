"""Signatures of webhooks. Source: Standard Webhooks 1.0, "Signature scheme" and "Webhook headers"."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # from 24 to 64


def new_secret() -> str:
    """A fresh secret, as the customer keeps it: `whsec_` and base64."""
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for."""
    return b64decode(secret.removeprefix(PREFIX))


def sign(keys: Iterable[bytes], *, id_: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each key, spaces between. timestamp: Unix seconds."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return " ".join("v1," + b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
