"""Where a customer's URL may lead: not into the operator's own network, unless the operator allows it.

Asked of every address that a name resolves to, at the moment of connecting, and the connection is made to that very
address: a name that resolves otherwise a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from longcode.errors import LongcodeError

Address = IPv4Address | IPv6Address
# Family, kind, protocol, canonical name, and the address with what belongs to it: see socket.getaddrinfo.
Entry = tuple[Any, Any, int, str, tuple[Any, ...]]

# What is not the internet, or is more than one host. Listed here and not asked of `ipaddress`, whose answers change
# with Python's minor versions. Source: IANA, IPv4 and IPv6 Special-Purpose Address Registries.
CLOSED_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; some clouds' metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's metadata on a public address
            "169.254.0.0/16",  # link-local; most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
OPEN_6: Final = IPv6Network("2000::/3")
CLOSED_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo and other protocols' own
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address of anybody's choice
            "3fff::/20",
        ),
    )
)
THREADS: Final = 64
KNOWN_SECONDS: Final = 30.0
MOST_KNOWN: Final = 10_000
NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressRefused(LongcodeError):
    """The URL leads to an address of a private network, and the endpoint may not go there."""

    code = "address_refused"


class NameUnknown(LongcodeError):
    """The name in the URL does not resolve."""

    code = "name_unknown"
    retry = True


def is_public(address: Address) -> bool:
    """True for an address of one host on the internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in CLOSED_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in OPEN_6 and not any(address in network for network in CLOSED_6)


def literal(host: str) -> Address | None:
    """The address that a URL's host spells out; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


class Resolver:
    """The system's resolver, on threads of its own: names that nobody answers for must not hold up the others'.

    now: seconds that only go on. ask: the system's question, which blocks.
    """

    def __init__(self, now: Callable[[], float], ask: Callable[..., Sequence[Entry]] = socket.getaddrinfo) -> None:
        self._now = now
        self._ask = ask
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolver")
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}

    async def __call__(self, host: str, port: int) -> list[Address]:
        """Every address of a name, in the system's order. Raises NameUnknown."""
        until, found = self._known.get((host, port), (0.0, []))
        if self._now() < until:
            return found
        ask = partial(self._ask, host, port, type=socket.SOCK_STREAM)
        try:
            entries = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except (OSError, UnicodeError) as error:
            raise NameUnknown(f"{host} does not resolve") from error
        found = [ip_address(address) for address in dict.fromkeys(str(entry[4][0]) for entry in entries)]
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[host, port] = (self._now() + KNOWN_SECONDS, found)
        return found

    def close(self) -> None:
        """Let go of the threads; one that still waits for an answer ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def addresses(host: str, port: int, *, allow_private: bool, resolver: Resolver) -> list[Address]:
    """The addresses of a host that may be connected to, at least one. Raises NameUnknown, AddressRefused."""
    spelt = literal(host)
    found = [spelt] if spelt is not None else await resolver(host, port)
    allowed = [address for address in found if allow_private or is_public(address)]
    if not allowed:
        raise AddressRefused(f"{host} leads to a private address")
    return allowed
