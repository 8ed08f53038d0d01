"""Signatures that an independent library takes."""

from __future__ import annotations

import time
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from longcode.webhooks.signing import key_of, new_secret, sign


@given(body=st.text().map(lambda text: text.encode("utf-8", "replace")))
def test_a_signature_is_the_standards(body: bytes) -> None:
    old, new = new_secret(), new_secret()
    now = int(time.time())
    signature = sign([key_of(new), key_of(old)], id_="evt_1", timestamp=now, body=body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    for secret in (old, new):
        Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", headers, json_parse=False)


def test_a_secret_has_the_standards_form() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(b64decode(secret.removeprefix("whsec_"))) <= 64
    assert secret != new_secret()
