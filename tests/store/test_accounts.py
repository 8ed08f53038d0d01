"""Accounts and what hangs on them, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from longcode.domain.account import Account
from longcode.domain.clock import utc_now
from longcode.errors import Duplicate, NotFound
from longcode.store.accounts import AccountStore, Secret
from longcode.store.catalog import CatalogStore
from longcode.store.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def accounts(database: Database) -> AccountStore:
    return AccountStore(database, utc_now)


async def test_an_account_is_found_by_its_exact_name(accounts: AccountStore) -> None:
    account = await accounts.create("acme", "hash")
    assert await accounts.by_name("acme") == account
    assert await accounts.secret("acme") == Secret(account, "hash")
    for name in ("Acme", "acme ", "", "nobody"):
        assert await accounts.secret(name) is None
        with pytest.raises(NotFound):
            await accounts.by_name(name)


async def test_a_name_is_taken_once(accounts: AccountStore) -> None:
    await accounts.create("acme", "hash")
    with pytest.raises(Duplicate):
        await accounts.create("acme", "other")
    assert (await accounts.create("Acme", "other")).name == "Acme"
    assert await accounts.secret("acme") == Secret(Account(1, "acme"), "hash")


async def test_a_new_secret_replaces_the_old_one_of_this_account_alone(accounts: AccountStore) -> None:
    one, two = await accounts.create("one", "a"), await accounts.create("two", "b")
    await accounts.set_secret(one.id, "c")
    assert await accounts.secret("one") == Secret(one, "c")
    assert await accounts.secret("two") == Secret(two, "b")


async def test_an_account_may_have_many_keys_each_its_own(accounts: AccountStore) -> None:
    one, two = await accounts.create("one", ""), await accounts.create("two", "")
    for account, key_hash in ((one, b"1"), (one, b"2"), (two, b"3")):
        await accounts.add_key(account.id, key_hash, "lck_1234")
    assert [await accounts.by_key_hash(key_hash) for key_hash in (b"1", b"2", b"3", b"4")] == [one, one, two, None]
    first, second = await accounts.keys(one.id, count=9)
    assert (first.hint, first.revoked_at) == ("lck_1234", None)
    assert not await accounts.revoke_key(two.id, first.id)
    assert await accounts.revoke_key(one.id, first.id)
    assert not await accounts.revoke_key(one.id, first.id)
    assert [await accounts.by_key_hash(key_hash) for key_hash in (b"1", b"2", b"3")] == [None, one, two]
    [revoked] = await accounts.keys(one.id, count=1)
    assert (revoked.id, revoked.revoked_at is None) == (first.id, False)
    assert await accounts.keys(one.id, after=first.id, count=9) == [second]


async def test_sender_ids_are_kept_once_for_each_account(accounts: AccountStore) -> None:
    one, two = await accounts.create("one", ""), await accounts.create("two", "")
    assert await accounts.add_sender_id(one.id, "MyCorp")
    assert not await accounts.add_sender_id(one.id, "MyCorp")
    assert await accounts.add_sender_id(one.id, "mycorp")
    assert await accounts.add_sender_id(two.id, "MyCorp")


async def test_sender_ids_are_listed_in_pages_and_removed_of_this_account_alone(
    accounts: AccountStore, database: Database
) -> None:
    one, two = await accounts.create("one", ""), await accounts.create("two", "")
    values = ["12025550101", "12025550102", "12025550103"]
    for account in (one, two):
        for value in values:
            await accounts.add_sender_id(account.id, value)
    assert await accounts.sender_ids(one.id, count=2) == values[:2]
    assert await accounts.sender_ids(one.id, after=values[1], count=2) == values[2:]

    before = await CatalogStore(database, utc_now).version()
    assert await accounts.remove_sender_id(one.id, values[0])
    assert await CatalogStore(database, utc_now).version() == before + 1
    assert not await accounts.remove_sender_id(one.id, values[0])
    assert await CatalogStore(database, utc_now).version() == before + 1
    assert await accounts.sender_ids(one.id, count=9) == values[1:]
    assert len(await accounts.sender_ids(two.id, count=9)) == 3


async def test_accounts_are_listed_in_pages(accounts: AccountStore) -> None:
    for name in ("b", "a", "c"):
        await accounts.create(name, "")
    first = await accounts.page(count=2)
    assert [account.name for account in first] == ["b", "a"]
    assert [account.name for account in await accounts.page(after=first[-1].id, count=2)] == ["c"]


async def test_what_changes_nothing_moves_no_version_on(accounts: AccountStore, database: Database) -> None:
    account = await accounts.create("acme", "")
    await accounts.add_sender_id(account.id, "MyCorp")
    before = await CatalogStore(database, utc_now).version()
    await accounts.add_sender_id(account.id, "MyCorp")
    with pytest.raises(Duplicate):
        await accounts.create("acme", "")
    assert await CatalogStore(database, utc_now).version() == before
