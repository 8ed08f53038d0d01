"""The URL of a webhook, taken apart once."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from longcode.webhooks.addresses import is_public, literal

URL_CHARACTERS: Final = 2000
PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"[^.]{1,63}(\.[^.]{1,63})*\.?")
LOCAL_NAMES: Final = ("localhost", ".localhost")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect and what to ask for. host: ASCII, without brackets. path: with its query."""

    secure: bool
    host: str
    port: int
    path: str
    authority: str


def faults(url: str, *, allow_private: bool) -> list[str]:
    """Everything that keeps a URL from ever being called; empty for a good one."""
    if len(url) > URL_CHARACTERS:
        return [f"a URL has at most {URL_CHARACTERS} characters"]
    if not url.isascii() or not url.isprintable() or " " in url:
        return ["a URL is ASCII without spaces; encode what is not"]
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        return [f"this is no URL: {error}"]
    found = []
    if parts.scheme not in PORTS:
        found.append("a URL begins with https:// or http://")
    if parts.username is not None or parts.password is not None:
        found.append("a URL may hold no credentials: its signature is what an endpoint trusts")
    if parts.fragment:
        found.append("a URL may have no fragment (#)")
    if port == 0:
        found.append("port 0 cannot be connected to")
    if not host:
        found.append("a URL names a host")
    elif literal(host) is None and not _NAME.fullmatch(host):
        found.append(f"{host} is no name of a host")
    elif not allow_private and _is_private(host):
        found.append(f"{host} is a private address; only the operator can allow that, with --allow-private")
    return found


def parse(url: str) -> Target:
    """The target of a URL that has no faults."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return Target(
        secure=parts.scheme == "https",
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        path=_path(parts),
        authority=parts.netloc,
    )


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _is_private(host: str) -> bool:
    spelt = literal(host) or _old_literal(host)
    if spelt is not None:
        return not is_public(spelt)
    name = host.rstrip(".")
    return name == LOCAL_NAMES[0] or name.endswith(LOCAL_NAMES[1])


def _old_literal(host: str) -> IPv4Address | None:
    """The address in a spelling that resolvers still take: `127.1`, `0x7f.0.0.1`, `2130706433`."""
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
