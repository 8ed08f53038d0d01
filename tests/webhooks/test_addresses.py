"""Where a webhook may go, and where it may not."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest

from longcode.webhooks.addresses import AddressRefused, NameUnknown, Resolver, addresses, is_public

OPEN = {
    "an address of the internet": "93.184.215.14",
    "beside a private block": "172.32.0.1",
    "beside shared space": "100.128.0.1",
    "a global IPv6 address": "2606:2800:21f:cb07::1",
    "a global IPv4 address, mapped": "::ffff:93.184.215.14",
    "a global IPv4 address behind NAT64": "64:ff9b::5db8:d70e",
}

CLOSED = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "loopback, another": "127.255.255.254",
    "ten": "10.0.0.1",
    "one seven two": "172.16.0.1",
    "one seven two, the end": "172.31.255.255",
    "one nine two": "192.168.1.1",
    "link-local": "169.254.0.1",
    "metadata of most clouds": "169.254.169.254",
    "metadata on a public address": "168.63.129.16",
    "metadata in shared space": "100.100.100.200",
    "metadata among protocol assignments": "192.0.0.192",
    "carrier-grade NAT": "100.64.0.1",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.9",
    "6to4 relays": "192.88.99.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 unspecified": "::",
    "IPv6 loopback": "::1",
    "IPv6 link-local": "fe80::1",
    "IPv6 link-local with its link": "fe80::1%eth0",
    "IPv6 site-local": "fec0::1",
    "IPv6 unique local": "fd00:ec2::254",
    "IPv6 multicast": "ff02::1",
    "IPv6 documentation": "2001:db8::1",
    "IPv6 documentation, the new block": "3fff::1",
    "loopback, mapped": "::ffff:127.0.0.1",
    "metadata, mapped": "::ffff:169.254.169.254",
    "loopback, compatible": "::127.0.0.1",
    "loopback behind NAT64": "64:ff9b::7f00:1",
    "a NAT64 of its own": "64:ff9b:1::1",
    "loopback by 6to4": "2002:7f00:1::",
    "Teredo": "2001:0:53aa:64c::1",
    "discard only": "100::1",
}


@pytest.mark.parametrize("address", OPEN.values(), ids=OPEN.keys())
def test_the_internet_is_open(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED.keys())
def test_everything_else_is_closed(address: str) -> None:
    assert not is_public(ip_address(address))


class Names:
    """A system resolver that knows one name."""

    def __init__(self, *found: str) -> None:
        self.found = found
        self.asked = 0

    def __call__(
        self, _host: str, port: int, **_hints: object
    ) -> list[tuple[object, object, int, str, tuple[object, ...]]]:
        self.asked += 1
        if not self.found:
            raise OSError("no such name")
        return [(None, None, 6, "", (address, port)) for address in self.found]


async def look_up(names: Names, host: str, *, allow_private: bool = False) -> list[str]:
    resolver = Resolver(time.monotonic, names)
    try:
        return [str(one) for one in await addresses(host, 80, allow_private=allow_private, resolver=resolver)]
    finally:
        resolver.close()


async def test_of_a_names_addresses_only_the_public_ones_are_used() -> None:
    names = Names("10.0.0.1", "93.184.215.14", "93.184.215.14", "::1")
    assert await look_up(names, "hooks.example") == ["93.184.215.14"]
    assert await look_up(names, "hooks.example", allow_private=True) == ["10.0.0.1", "93.184.215.14", "::1"]


async def test_a_name_with_private_addresses_alone_is_refused() -> None:
    with pytest.raises(AddressRefused, match=r"hooks\.example leads to a private address"):
        await look_up(Names("127.0.0.1", "::1"), "hooks.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "169.254.169.254"])
async def test_an_address_that_is_spelt_out_is_held_to_the_same(host: str) -> None:
    names = Names("93.184.215.14")
    with pytest.raises(AddressRefused):
        await look_up(names, host)
    assert names.asked == 0


async def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(NameUnknown):
        await look_up(Names(), "hooks.example")


async def test_other_spellings_of_loopback_are_told_by_what_they_resolve_to() -> None:
    resolver = Resolver(time.monotonic)
    for host in ("2130706433", "0x7f.1", "127.1", "localhost"):
        with pytest.raises((AddressRefused, NameUnknown)):
            await addresses(host, 80, allow_private=False, resolver=resolver)
    resolver.close()


async def test_an_answer_is_known_for_a_while_and_asked_again() -> None:
    seconds = [0.0]
    names = Names("93.184.215.14")
    resolver = Resolver(lambda: seconds[0], names)
    for now in (0.0, 29.0, 31.0):
        seconds[0] = now
        await resolver("hooks.example", 443)
    resolver.close()
    assert names.asked == 2
