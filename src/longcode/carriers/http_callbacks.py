"""Reading carriers' callbacks: forms, our own name for an attempt, texts that a database keeps."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from longcode.carriers.http_answers import LONGEST_REFERENCE, storable
from longcode.carriers.http_port import BadCallback, Callback

ATTEMPT: Final = "attempt"
MOST_FIELDS: Final = 500
LONGEST_RAW: Final = 4096
_PROOF_CHARACTERS: Final = 20

Form = Mapping[str, list[str]]


def form_of(callback: Callback) -> Form:
    """The fields of its body (POST), or of its query (GET). Raises BadCallback."""
    if callback.method == "GET":
        return fields_of(callback.query)
    return fields_of(callback.body.decode("utf-8", "replace"))


def fields_of(text: str) -> Form:
    """Each name's values in a form or a query, blank ones included. Raises BadCallback where there are too many."""
    try:
        return parse_qs(text, keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise BadCallback(f"the callback has more than {MOST_FIELDS} fields") from error


def first(form: Form, *names: str) -> str:
    """The first of these fields that is there and not empty; else ""."""
    return next((form[name][0] for name in names if form.get(name, [""])[0]), "")


def required(form: Form, *names: str) -> str:
    """The same. Raises BadCallback where there is none."""
    value = first(form, *names)
    if not value:
        raise BadCallback(f"the callback has no {names[0]}")
    return value


def reference(value: str) -> str:
    """A carrier's name for a message. Raises BadCallback for one that is too long."""
    if len(value) > LONGEST_REFERENCE:
        raise BadCallback("the callback's reference is too long")
    return storable(value)


def raw(callback: Callback) -> str:
    """The body as it came, for the record."""
    return storable(callback.body.decode("utf-8", "replace"))[:LONGEST_RAW]


def digest(*parts: str) -> bytes:
    """The fingerprint of a delivery that the carrier has a name for."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


# Not every signature covers the query, and some carriers do not sign at all: our name in it proves itself.


def with_attempt(url: str, attempt_id: UUID, key: str) -> str:
    """A callback's address that names our attempt."""
    return f"{url}?{ATTEMPT}={attempt_id.hex}.{_proof(attempt_id, key)}"


def attempt_in(callback: Callback, key: str) -> UUID | None:
    """The attempt that the address names; None where it names none that we wrote."""
    value, _, proof = first(fields_of(callback.query), ATTEMPT).partition(".")
    try:
        attempt_id = UUID(hex=value)
    except ValueError:
        return None
    genuine = hmac.compare_digest(proof.encode("utf-8", "replace"), _proof(attempt_id, key).encode("ascii"))
    return attempt_id if genuine else None


def _proof(attempt_id: UUID, key: str) -> str:
    return hmac.new(key.encode(), b"attempt " + attempt_id.bytes, hashlib.sha256).hexdigest()[:_PROOF_CHARACTERS]
