"""Commands about API keys with scopes, and those of the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from longcode.bootstrap import Product
from longcode.domain.account import Account, Operator
from longcode.flow.identity import hash_key
from tests.cli.commands import Desk, desk_in

DEMO = ("--account", "demo")


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Desk:
    return desk_in(tmp_path, sqlite_template)


def test_a_key_is_limited_to_its_scopes(desk: Desk) -> None:
    key = desk.run("apikey", "create", *DEMO, "--scope", "messages:write", "--scope", "messages:read").strip()
    desk.run("apikey", "create", *DEMO)
    listed = desk.lines("apikey", "list", *DEMO)
    assert [one["scopes"] for one in listed] == [["messages:read", "messages:write"], None]
    assert "messages:read,messages:write" in desk.run("apikey", "list", *DEMO)

    async def find(product: Product) -> Account | None:
        return await product.accounts.by_key_hash(hash_key(key))

    found = desk.in_product(find)
    assert found is not None
    assert found.scopes == {"messages:read", "messages:write"}


def test_an_operators_key_is_nobodys(desk: Desk) -> None:
    key = desk.run("apikey", "create", "--operator").strip()
    assert key.startswith("lco_")
    [listed] = desk.lines("apikey", "list", "--operator")
    assert listed["hint"] == key[:8]
    assert desk.lines("apikey", "list", *DEMO) == []

    async def find(product: Product) -> Operator | None:
        return await product.accounts.operator_by_key_hash(hash_key(key))

    assert desk.in_product(find) is not None
    assert "revoked" in desk.run("apikey", "revoke", key[:8], "--operator")
    assert desk.in_product(find) is None
    assert "revoked already" in desk.run("apikey", "revoke", str(listed["id"]), "--operator", status=1)


@pytest.mark.parametrize(
    ("args", "faults"),
    [
        ((), ["say either --account"]),
        (("--operator", *DEMO), ["say either --account"]),
        (("--operator", "--scope", "messages:read"), ["say either --account"]),
        (("--scope", "all", "--scope", "operator"), ["no scope all", "no scope operator", "say either --account"]),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_all_that_is_wrong(
    desk: Desk, args: tuple[str, ...], faults: list[str]
) -> None:
    told = desk.run("apikey", "create", *args, status=1)
    assert all(fault in told for fault in faults), told
