"""Who calls: HTTP Basic, an API key, or the operator's anonymous account.

Source: RFC 7617 for Basic, RFC 6750 §2.1 for Bearer, RFC 6454 for origins.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import re
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import urlsplit

from longcode.domain.account import Account, Operator
from longcode.errors import ForeignOrigin, NotAuthenticated
from longcode.flow.identity import OPERATOR_PREFIX
from longcode.wire.call import Call

# Any of them says that somebody stands between the caller and us.
FORWARDING: Final = frozenset(
    {
        b"cf-connecting-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_KEY: Final = re.compile(r"[\x21-\x7e]+")


class Verify(Protocol):
    """The accounts and their secrets; every method raises NotAuthenticated where there is no match."""

    async def password(self, name: str, secret: str, *, peer: str) -> Account:
        """The account of that name, if secret is its secret. peer: whose failures to slow down."""
        ...

    async def key(self, key: str, *, peer: str) -> Account:
        """The account that the API key belongs to."""
        ...

    async def operator(self, key: str, *, peer: str) -> Operator:
        """The operator that the key belongs to."""
        ...

    async def named(self, name: str) -> Account:
        """The account of that name, without any secret."""
        ...


class Identity:
    """Finds the account that a call acts as.

    anonymous: the account for callers without credentials, None for no such thing.
    implicit: nobody chose that account for this server, so it serves only what comes straight from this
    machine: a loopback peer, a loopback Host, no forwarding header.
    cors_origins: origins whose pages may call anonymously, besides our own.
    """

    def __init__(
        self,
        verify: Verify,
        *,
        anonymous: str | None,
        implicit: bool,
        cors_origins: tuple[str, ...] = (),
    ) -> None:
        self._verify = verify
        self._anonymous = anonymous
        self._implicit = implicit
        self._origins = frozenset(origin.lower() for origin in cors_origins)

    async def of(self, call: Call) -> Account:
        """The account by Basic, by Bearer or, without any credentials, the anonymous one.

        Wrong credentials are refused even where anonymous calls are allowed, and a scheme that we do not
        know is wrong credentials. So is a key that is limited to some scopes: only the native API knows those.
        Raises NotAuthenticated; ForeignOrigin for an anonymous call from another site's page.
        """
        account = await self._of(call)
        if account.scopes is not None:
            raise _refusal()
        return account

    async def of_native(self, call: Call) -> Account | Operator:
        """As `of`, with all kinds of keys: those that are limited to scopes, and the operator's."""
        scheme, credentials = _split(call.headers.get(b"authorization", b""))
        if scheme == b"bearer" and credentials.startswith(OPERATOR_PREFIX.encode("ascii")):
            key = credentials.decode("latin-1")
            if not _KEY.fullmatch(key):
                raise _refusal()
            return await self._verify.operator(key, peer=call.peer or "")
        return await self._of(call)

    async def named(self, name: str) -> Account:
        """The account of that name, for an operator. Raises NotAuthenticated where there is none."""
        return await self._verify.named(name)

    async def _of(self, call: Call) -> Account:
        authorization = call.headers.get(b"authorization")
        if authorization is None:
            return await self._of_nobody(call)
        scheme, credentials = _split(authorization)
        if scheme == b"bearer":
            return await self._of_key(credentials, call)
        return await self._of_password(scheme, credentials, call)

    async def of_basic(self, call: Call) -> Account:
        """The account by Basic and by nothing else. Raises NotAuthenticated for whatever is wrong."""
        scheme, credentials = _split(call.headers.get(b"authorization", b""))
        return await self._of_password(scheme, credentials, call)

    async def _of_password(self, scheme: bytes, credentials: bytes, call: Call) -> Account:
        if scheme != b"basic":
            raise _refusal()
        try:
            pair = base64.b64decode(credentials, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _refusal() from error
        name, colon, secret = pair.partition(":")
        if not colon or _CONTROL.search(pair):
            raise _refusal()
        return await self._verify.password(name, secret, peer=call.peer or "")

    async def _of_key(self, credentials: bytes, call: Call) -> Account:
        key = credentials.decode("latin-1")
        if not _KEY.fullmatch(key):
            raise _refusal()
        return await self._verify.key(key, peer=call.peer or "")

    async def _of_nobody(self, call: Call) -> Account:
        if self._anonymous is None or (self._implicit and not _is_local(call)):
            raise _refusal()
        if self._is_foreign(call):
            raise ForeignOrigin("an anonymous call from a page of another origin")
        account = await self._verify.named(self._anonymous)
        return dataclasses.replace(account, anonymous=True)

    def _is_foreign(self, call: Call) -> bool:
        origin = call.header("origin")
        if origin is None:
            # A page that merely loads an address sends no Origin, and this where the browser is recent.
            return call.headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        if origin.lower() in self._origins:
            return False
        ours = _origin(f"{call.scheme}://{call.header('host') or ''}")
        return ours is None or _origin(origin) != ours


def _refusal() -> NotAuthenticated:
    return NotAuthenticated("no credentials, or wrong ones")


def _split(authorization: bytes) -> tuple[bytes, bytes]:
    scheme, _, credentials = authorization.strip().partition(b" ")
    return scheme.lower(), credentials.strip()


def _is_local(call: Call) -> bool:
    return (
        call.peer is not None
        and _is_loopback(call.peer)
        and _is_loopback_host(call.headers.get(b"host", b""))
        and FORWARDING.isdisjoint(call.headers)
    )


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


@lru_cache(maxsize=256)
def _is_loopback_host(host: bytes) -> bool:
    """127.0.0.0/8, [::1] or localhost, with any port."""
    parts = _origin(f"http://{host.decode('latin-1')}")
    return parts is not None and (parts[1] == "localhost" or _is_loopback(parts[1]))


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an origin, the default port filled in; None for `null` and what is none."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.username is not None or parts.path or parts.query:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS.get(parts.scheme)
