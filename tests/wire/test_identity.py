"""Who calls: credentials, the anonymous account, and whom it does not serve."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.domain.account import Account
from longcode.errors import ForeignOrigin, NotAuthenticated
from longcode.wire.call import Call
from longcode.wire.identity import Identity

ALICE = Account(id=1, name="alice")
NOBODY = Account(id=2, name="demo", anonymous=True)
CORS = ("https://console.example",)


class Accounts:
    """One account with a secret and a key, and one to be anonymous; remembers who asked."""

    def __init__(self, *, name: str = "alice", secret: str = "open:sesame") -> None:
        self.pair = (name, secret)
        self.peers: list[str] = []

    async def password(self, name: str, secret: str, *, peer: str) -> Account:
        self.peers.append(peer)
        if (name, secret) != self.pair:
            raise NotAuthenticated("wrong")
        return ALICE

    async def key(self, key: str, *, peer: str) -> Account:
        self.peers.append(peer)
        if key != "lc_key":
            raise NotAuthenticated("wrong")
        return ALICE

    async def named(self, name: str) -> Account:
        assert name == "demo"
        return Account(id=2, name="demo")


def basic(pair: str | bytes, scheme: str = "Basic") -> str:
    raw = pair.encode() if isinstance(pair, str) else pair
    return f"{scheme} {base64.b64encode(raw).decode()}"


def call_with(headers: dict[str, str] | None = None, *, peer: str | None = "127.0.0.1", scheme: str = "http") -> Call:
    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    sent = {"host": "127.0.0.1:8080", **(headers or {})}
    return Call(
        method="POST",
        path="/",
        params={},
        query_string=b"",
        headers={name.encode(): value.encode("latin-1") for name, value in sent.items()},
        peer=peer,
        scheme=scheme,
        receive=receive,
    )


@dataclass(frozen=True, slots=True)
class CredentialCase:
    """basic_only: what dialect 0 makes of the same."""

    name: str
    authorization: str
    known: bool
    basic_only: bool | None = None

    def __str__(self) -> str:
        return self.name


CREDENTIALS = [
    CredentialCase("right Basic credentials", basic("alice:open:sesame"), True),
    CredentialCase("the scheme in small letters", basic("alice:open:sesame", "basic"), True),
    CredentialCase("two spaces after the scheme", basic("alice:open:sesame", "BASIC "), True),
    CredentialCase("a wrong secret", basic("alice:open"), False),
    CredentialCase("an unknown name", basic("bob:open:sesame"), False),
    CredentialCase("the name in another case", basic("Alice:open:sesame"), False),
    CredentialCase("no colon", basic("alice"), False),
    CredentialCase("an empty pair", basic(":"), False),
    CredentialCase("nothing after the scheme", "Basic", False),
    CredentialCase("not base64", "Basic alice:open:sesame", False),
    CredentialCase("base64 cut short", basic("alice:open:sesame")[:-2], False),
    CredentialCase("not UTF-8", basic(b"alice:\xff\xfe"), False),
    CredentialCase("a control character", basic("alice:open:sesame\0"), False),
    CredentialCase("a right key", "Bearer lc_key", True, basic_only=False),
    CredentialCase("a right key, the scheme in capitals", "BEARER lc_key", True, basic_only=False),
    CredentialCase("a wrong key", "Bearer lc_other", False),
    CredentialCase("an empty key", "Bearer ", False),
    CredentialCase("a key with a space", "Bearer lc_key lc_key", False),
    CredentialCase("a key that is not ASCII", "Bearer lc_k\xe9y", False),
    CredentialCase("another scheme", "Digest username=alice", False),
    CredentialCase("a key without a scheme", "lc_key", False),
    CredentialCase("an empty header", "", False),
]


@pytest.mark.parametrize("anonymous", [None, "demo"], ids=["no anonymous account", "an anonymous account"])
@pytest.mark.parametrize("case", CREDENTIALS, ids=str)
async def test_credentials_decide_even_where_anonymous_calls_are_allowed(
    case: CredentialCase, anonymous: str | None
) -> None:
    identity = Identity(Accounts(), anonymous=anonymous, implicit=False)
    call = call_with({"authorization": case.authorization})
    if case.known:
        assert await identity.of(call) == ALICE
    else:
        with pytest.raises(NotAuthenticated):
            await identity.of(call)


@pytest.mark.parametrize("case", CREDENTIALS, ids=str)
async def test_where_only_basic_counts(case: CredentialCase) -> None:
    identity = Identity(Accounts(), anonymous="demo", implicit=False)
    call = call_with({"authorization": case.authorization})
    if case.known if case.basic_only is None else case.basic_only:
        assert await identity.of_basic(call) == ALICE
    else:
        with pytest.raises(NotAuthenticated):
            await identity.of_basic(call)


async def test_where_only_basic_counts_nobody_is_anonymous() -> None:
    identity = Identity(Accounts(), anonymous="demo", implicit=False)
    with pytest.raises(NotAuthenticated):
        await identity.of_basic(call_with())


async def test_the_peer_is_told_so_that_its_failures_can_be_slowed() -> None:
    accounts = Accounts()
    identity = Identity(accounts, anonymous=None, implicit=False)
    await identity.of(call_with({"authorization": "Bearer lc_key"}, peer="192.0.2.7"))
    await identity.of_basic(call_with({"authorization": basic("alice:open:sesame")}, peer=None))
    assert accounts.peers == ["192.0.2.7", ""]


async def test_a_foreign_page_may_call_with_credentials() -> None:
    identity = Identity(Accounts(), anonymous="demo", implicit=True)
    call = call_with({"authorization": "Bearer lc_key", "origin": "https://evil.example"}, peer="192.0.2.7")
    assert await identity.of(call) == ALICE


_printable = st.text(st.characters(blacklist_categories=["Cs", "Cc"]))


@given(_printable.filter(lambda name: ":" not in name), _printable)
async def test_any_printable_name_and_secret_arrive(name: str, secret: str) -> None:
    identity = Identity(Accounts(name=name, secret=secret), anonymous=None, implicit=False)
    assert await identity.of(call_with({"authorization": basic(f"{name}:{secret}")})) == ALICE


@dataclass(frozen=True, slots=True)
class AnonymousCase:
    """error: None where the call acts as the anonymous account."""

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    error: type[Exception] | None = None
    peer: str | None = "127.0.0.1"
    scheme: str = "http"

    def __str__(self) -> str:
        return self.name


def host(value: str) -> tuple[tuple[str, str], ...]:
    return (("host", value),)


def page(origin: str, at: str = "127.0.0.1:8080") -> tuple[tuple[str, str], ...]:
    return (("origin", origin), ("host", at))


REFUSED, FOREIGN = NotAuthenticated, ForeignOrigin
IMPLICIT = [
    AnonymousCase("this machine"),
    AnonymousCase("this machine by IPv6", host("[::1]:8080"), peer="::1"),
    AnonymousCase("this machine by IPv4 within IPv6", peer="::ffff:127.0.0.1"),
    AnonymousCase("another address of the loopback network", host("127.1.2.3"), peer="127.9.9.9"),
    AnonymousCase("localhost in capitals", host("LOCALHOST:99")),
    AnonymousCase("another machine", error=REFUSED, peer="192.0.2.7"),
    AnonymousCase("another machine by IPv6", error=REFUSED, peer="2001:db8::1"),
    AnonymousCase("a peer without an address", error=REFUSED, peer=None),
    AnonymousCase("a peer whose address is none", error=REFUSED, peer="localhost"),
    AnonymousCase("a name that merely leads here", host("rebound.example:8080"), REFUSED),
    AnonymousCase("a name that begins like ours", host("localhost.evil.example"), REFUSED),
    AnonymousCase("an address that begins like ours", host("127.0.0.1.evil.example"), REFUSED),
    AnonymousCase("a user before the host", host("localhost@evil.example"), REFUSED),
    AnonymousCase("a host with a path", host("localhost/evil.example"), REFUSED),
    AnonymousCase("an impossible port", host("localhost:99999999"), REFUSED),
    AnonymousCase("every interface is not the loopback one", host("0.0.0.0:8080"), REFUSED),
    AnonymousCase("no Host", host(""), REFUSED),
    AnonymousCase("Forwarded", (("forwarded", "for=192.0.2.7"),), REFUSED),
    AnonymousCase("Via", (("via", "1.1 proxy"),), REFUSED),
    AnonymousCase("X-Forwarded-For", (("x-forwarded-for", "127.0.0.1"),), REFUSED),
    AnonymousCase("X-Forwarded-Host", (("x-forwarded-host", "localhost"),), REFUSED),
    AnonymousCase("X-Forwarded-Proto", (("x-forwarded-proto", "http"),), REFUSED),
    AnonymousCase("X-Real-IP", (("x-real-ip", "127.0.0.1"),), REFUSED),
    AnonymousCase("a foreign page on this machine", page("https://evil.example"), FOREIGN),
]
ORIGINS = [
    AnonymousCase("our own page", page("http://127.0.0.1:8080")),
    AnonymousCase("our own page, the port left out", page("http://sms.example", "sms.example:80")),
    AnonymousCase("our own page over TLS", page("https://sms.example", "sms.example:443"), scheme="https"),
    AnonymousCase("our own page in capitals", page("HTTP://SMS.example", "sms.EXAMPLE")),
    AnonymousCase("a page that the operator allows", page("https://console.example")),
    AnonymousCase("another site's page", page("https://evil.example"), FOREIGN),
    AnonymousCase("another port", page("http://127.0.0.1:3000"), FOREIGN),
    AnonymousCase("another scheme", page("https://127.0.0.1:8080"), FOREIGN),
    AnonymousCase("another name of this machine", page("http://localhost:8080"), FOREIGN),
    AnonymousCase("an opaque origin", page("null"), FOREIGN),
    AnonymousCase("an empty origin", page(""), FOREIGN),
    AnonymousCase("an origin that is no address", page("http://[127.0.0.1"), FOREIGN),
    AnonymousCase("our address as the user of another", page("http://127.0.0.1:8080@evil.example"), FOREIGN),
    AnonymousCase("an allowed origin as a prefix", page("https://console.example.evil.example"), FOREIGN),
    AnonymousCase("a foreign page without a Host", page("https://evil.example", ""), FOREIGN),
    AnonymousCase("a foreign page that loads us as a picture", (("sec-fetch-site", "cross-site"),), FOREIGN),
    AnonymousCase("a page of our site and not of our origin", (("sec-fetch-site", "same-site"),), FOREIGN),
    AnonymousCase("our own page reading", (("sec-fetch-site", "same-origin"),)),
    AnonymousCase("an address that somebody typed", (("sec-fetch-site", "none"),)),
    AnonymousCase("a program on another machine", peer="192.0.2.7"),
    AnonymousCase("a program behind a proxy", (("x-forwarded-for", "192.0.2.7"),)),
]


async def check(case: AnonymousCase, *, implicit: bool) -> None:
    identity = Identity(Accounts(), anonymous="demo", implicit=implicit, cors_origins=CORS)
    call = call_with(dict(case.headers), peer=case.peer, scheme=case.scheme)
    if case.error is None:
        assert await identity.of(call) == NOBODY
        return
    with pytest.raises(case.error) as caught:
        await identity.of(call)
    assert caught.type is case.error


@pytest.mark.parametrize("case", IMPLICIT, ids=str)
async def test_the_anonymous_account_that_nobody_chose_serves_this_machine_only(case: AnonymousCase) -> None:
    await check(case, implicit=True)


@pytest.mark.parametrize("case", ORIGINS, ids=str)
async def test_an_anonymous_call_comes_from_no_foreign_page(case: AnonymousCase) -> None:
    await check(case, implicit=False)


async def test_without_an_anonymous_account_a_call_needs_credentials() -> None:
    identity = Identity(Accounts(), anonymous=None, implicit=False)
    with pytest.raises(NotAuthenticated):
        await identity.of(call_with())
