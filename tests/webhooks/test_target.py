"""Which URLs are taken, and everything that is wrong with the others."""

from __future__ import annotations

import pytest

from longcode.webhooks.target import Target, faults, parse

GOOD = (
    ("https://hooks.example/path?x=1", Target(True, "hooks.example", 443, "/path?x=1", "hooks.example")),
    ("http://hooks.example:8080", Target(False, "hooks.example", 8080, "/", "hooks.example:8080")),
    ("https://93.184.215.14", Target(True, "93.184.215.14", 443, "/", "93.184.215.14")),
    ("https://[2606:2800::1]:8443/a", Target(True, "2606:2800::1", 8443, "/a", "[2606:2800::1]:8443")),
)


@pytest.mark.parametrize(("url", "target"), GOOD, ids=[url for url, _ in GOOD])
def test_a_good_url(url: str, target: Target) -> None:
    assert faults(url, allow_private=False) == []
    assert parse(url) == target


BAD = {
    "another scheme": ("ftp://hooks.example", ["begins with https"]),
    "no scheme": ("hooks.example/path", ["begins with https", "names a host"]),
    "no host": ("https:///path", ["names a host"]),
    "credentials": ("https://user:secret@hooks.example", ["no credentials"]),
    "everything at once": ("gopher://u@/x#y", ["begins with https", "no credentials", "no fragment", "names a host"]),
    "port zero": ("https://hooks.example:0/", ["port 0"]),
    "a port that is none": ("https://hooks.example:99999/", ["no URL"]),
    "a bracket left open": ("https://[::1/", ["no URL"]),
    "a line break": ("https://hooks.example/\r\nX: y", ["ASCII without spaces"]),
    "a space": ("https://hooks.example/a b", ["ASCII without spaces"]),
    "beyond ASCII": ("https://bücher.example/", ["ASCII without spaces"]),
    "too long": ("https://hooks.example/" + "a" * 2000, ["at most 2000"]),
    "loopback": ("http://127.0.0.1:9000/", ["private address"]),
    "loopback in IPv6": ("http://[::1]:9000/", ["private address"]),
    "loopback as one number": ("http://2130706433/", ["private address"]),
    "loopback in hexadecimal": ("http://0x7f.0.0.1/", ["private address"]),
    "loopback in octal": ("http://017700000001/", ["private address"]),
    "loopback in short": ("http://127.1/", ["private address"]),
    "this host in short": ("http://0/", ["private address"]),
    "a name that begins with a dot": ("http://.hooks.example/", ["no name"]),
    "a name with two dots": ("http://hooks..example/", ["no name"]),
    "a name with a label too long": (f"http://{'a' * 64}.example/", ["no name"]),
    "localhost": ("http://localhost/", ["private address"]),
    "metadata": ("http://169.254.169.254/latest", ["private address"]),
}


@pytest.mark.parametrize(("url", "found"), BAD.values(), ids=BAD.keys())
def test_a_bad_url_and_all_that_is_wrong_with_it(url: str, found: list[str]) -> None:
    told = faults(url, allow_private=False)
    assert len(told) == len(found)
    assert all(part in fault for part, fault in zip(found, told, strict=True))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/", "http://localhost/", "http://[::1]/"])
def test_private_addresses_may_be_allowed(url: str) -> None:
    assert faults(url, allow_private=True) == []
