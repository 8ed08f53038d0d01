"""Credentials: what is right, what is remembered, and who is slowed down, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from longcode.domain.account import Account
from longcode.domain.clock import utc_now
from longcode.errors import NotAuthenticated
from longcode.flow.identity import (
    CACHE_SECONDS,
    DECOY,
    FAILURE_WINDOW_SECONDS,
    FREE_FAILURES,
    HASHER,
    KEY_PREFIX,
    SLOWED_SECONDS,
    Verifier,
    hash_key,
    hash_secret,
    matches,
    new_key,
    new_secret,
)
from longcode.store import schema
from longcode.store.accounts import AccountStore, Secret
from longcode.store.database import Database
from tests.calls import cheap_hash

SECRET_HASH = cheap_hash("right")
PEER = "192.0.2.1"


class CountingStore(AccountStore):
    """The real store, which counts how often it was asked."""

    asked = 0

    async def secret(self, name: str) -> Secret | None:
        self.asked += 1
        return await super().secret(name)

    async def by_key_hash(self, key_hash: bytes) -> Account | None:
        self.asked += 1
        return await super().by_key_hash(key_hash)


@dataclass
class Gate:
    """A Verifier whose time is in the test's hands."""

    database: Database
    store: CountingStore
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    verifier: Verifier = field(init=False)

    def __post_init__(self) -> None:
        self.verifier = Verifier(self.store, now=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def fail(self, times: int, *, name: str = "acme", peer: str = PEER) -> None:
        for _ in range(times):
            with pytest.raises(NotAuthenticated):
                await self.verifier.password(name, "wrong", peer=peer)


@pytest.fixture
async def gate(database_url: str) -> AsyncIterator[Gate]:
    database = Database(database_url)
    opened = Gate(database, CountingStore(database, utc_now))
    await opened.store.create("acme", SECRET_HASH)
    yield opened
    opened.verifier.close()
    await database.close()


async def test_the_right_secret_finds_its_account(gate: Gate) -> None:
    account = await gate.verifier.password("acme", "right", peer=PEER)
    assert (account.name, account.anonymous) == ("acme", False)


@pytest.mark.parametrize(
    ("name", "secret"),
    [("acme", "wrong"), ("acme", ""), ("acme", "right "), ("Acme", "right"), ("", "right"), ("x", "right")],
)
async def test_any_other_pair_is_refused(gate: Gate, name: str, secret: str) -> None:
    await gate.verifier.password("acme", "right", peer=PEER)
    with pytest.raises(NotAuthenticated):
        await gate.verifier.password(name, secret, peer=PEER)


async def test_a_pair_is_not_its_parts_joined(gate: Gate) -> None:
    await gate.store.create("acmeri", SECRET_HASH)
    await gate.verifier.password("acme", "right", peer=PEER)
    with pytest.raises(NotAuthenticated):
        await gate.verifier.password("acmeri", "ght", peer=PEER)


async def test_right_credentials_are_remembered_for_seconds(gate: Gate) -> None:
    for _ in range(3):
        await gate.verifier.password("acme", "right", peer=PEER)
    assert gate.store.asked == 1
    gate.now += CACHE_SECONDS + 0.1
    await gate.verifier.password("acme", "right", peer=PEER)
    assert gate.store.asked == 2


async def test_wrong_credentials_are_not_remembered(gate: Gate) -> None:
    await gate.fail(2)
    assert gate.store.asked == 2


async def test_a_changed_secret_counts_when_the_memory_ends(gate: Gate) -> None:
    account = await gate.verifier.password("acme", "right", peer=PEER)
    await gate.store.set_secret(account.id, cheap_hash("new"))
    await gate.verifier.password("acme", "new", peer=PEER)
    gate.now += CACHE_SECONDS + 0.1
    with pytest.raises(NotAuthenticated):
        await gate.verifier.password("acme", "right", peer=PEER)


async def test_an_unknown_name_costs_a_hash_like_a_known_one(gate: Gate) -> None:
    assert not HASHER.check_needs_rehash(DECOY)
    await gate.fail(1, name="nobody")
    assert gate.store.asked == 1


async def test_a_key_finds_its_account_until_it_is_revoked(gate: Gate) -> None:
    account = await gate.store.by_name("acme")
    key = new_key()
    await gate.store.add_key(account.id, hash_key(key), key[:8])
    assert await gate.verifier.key(key, peer=PEER) == account
    async with gate.database.write() as connection:
        await connection.execute(update(schema.api_key).values(revoked_at=datetime.now(UTC)))
    gate.now += CACHE_SECONDS + 0.1
    with pytest.raises(NotAuthenticated):
        await gate.verifier.key(key, peer=PEER)


async def test_a_wrong_key_is_refused(gate: Gate) -> None:
    with pytest.raises(NotAuthenticated):
        await gate.verifier.key(new_key(), peer=PEER)


async def test_a_key_is_no_secret_and_a_secret_no_key(gate: Gate) -> None:
    await gate.verifier.password("acme", "right", peer=PEER)
    with pytest.raises(NotAuthenticated):
        await gate.verifier.key("right", peer=PEER)


async def test_a_name_alone_finds_its_account_for_the_anonymous(gate: Gate) -> None:
    assert (await gate.verifier.named("acme")).name == "acme"
    with pytest.raises(NotAuthenticated):
        await gate.verifier.named("nobody")
    # Knowing the name opens nothing.
    with pytest.raises(NotAuthenticated):
        await gate.verifier.password("acme", "", peer=PEER)


async def test_failures_are_slowed_after_twenty_in_a_minute(gate: Gate) -> None:
    await gate.fail(FREE_FAILURES)
    assert (FREE_FAILURES, gate.slept) == (20, [])
    await gate.fail(2)
    assert gate.slept == [SLOWED_SECONDS] * 2


async def test_right_credentials_are_never_slowed(gate: Gate) -> None:
    await gate.fail(FREE_FAILURES + 1)
    slept = len(gate.slept)
    await gate.verifier.password("acme", "right", peer=PEER)
    assert len(gate.slept) == slept


async def test_other_addresses_and_other_accounts_are_not_slowed(gate: Gate) -> None:
    await gate.fail(FREE_FAILURES)
    await gate.fail(1, peer="192.0.2.2")
    await gate.fail(1, name="other")
    assert gate.slept == []


async def test_a_minute_later_failures_are_free_again(gate: Gate) -> None:
    await gate.fail(FREE_FAILURES)
    gate.now += FAILURE_WINDOW_SECONDS + 1
    await gate.fail(FREE_FAILURES)
    assert gate.slept == []


async def test_wrong_keys_are_slowed_by_address(gate: Gate) -> None:
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(NotAuthenticated):
            await gate.verifier.key("wrong", peer=PEER)
    assert gate.slept == [SLOWED_SECONDS]


def test_secrets_are_argon2id_and_salted() -> None:
    secret_hash = hash_secret("right")
    assert secret_hash.startswith("$argon2id$")
    assert hash_secret("right") != secret_hash
    assert matches(secret_hash, "right")
    assert not matches(secret_hash, "wrong")
    assert not matches("not a hash", "right")
    assert not matches(secret_hash, "\ud800")


def test_new_credentials_are_long_and_differ() -> None:
    assert new_key().startswith(KEY_PREFIX)
    assert len({new_key() for _ in range(10)} | {new_secret() for _ in range(10)}) == 20
    assert len(hash_key(new_key())) == 32
