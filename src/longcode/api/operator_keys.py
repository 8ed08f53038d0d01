"""Keys of the operator, and accounts that are brought in from elsewhere."""

from __future__ import annotations

import asyncio
import io
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel

from longcode.api.caller import Admitted
from longcode.api.cursors import Page, PageQuery, after_id, encode, page
from longcode.api.desk import Desk
from longcode.api.fields import ShownOnce
from longcode.api.ids import SerialInPath, serial_of
from longcode.api.problems import refuse
from longcode.api.routing import Routes
from longcode.domain.scopes import OPERATOR
from longcode.domain.timestamps import format_milli
from longcode.encoding.account_dump import AccountDump, read_accounts
from longcode.encoding.sql_tokens import DumpError
from longcode.errors import NotFound, Refused
from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from longcode.flow.plivo_import import bring_in
from longcode.store.accounts import ApiKey

DUMP: Final = "text/plain"
DUMP_BYTES: Final = 8 * 1024 * 1024
DUMP_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {DUMP: {"schema": {"type": "string"}}}},
}
# Each takes as long as a secret takes to be hashed.
MOST_ACCOUNTS: Final = 200


class OperatorKeyShown(BaseModel):
    """A key of the operator. hint: its first characters."""

    id: int
    hint: str
    created_at: str
    revoked_at: str | None


class OperatorKeyMade(OperatorKeyShown):
    """A new key of the operator. key: itself."""

    key: ShownOnce


class SkippedRow(BaseModel):
    """A row of a dump that says nothing usable."""

    table: str
    line: int
    reason: str


class DumpImported(BaseModel):
    """What became of a dump. conflicts: numbers that another account has, a sentence each."""

    accounts_added: int
    accounts_changed: int
    accounts_unchanged: int
    numbers_added: int
    numbers_unchanged: int
    conflicts: list[str]
    skipped: list[SkippedRow]


def add_operator_keys(app: FastAPI, desk: Desk) -> None:
    """The routes of the operator's keys, and of the import."""
    routes = Routes(app, "Native: operator", OPERATOR)
    _add_import(routes, desk)

    @routes.get("/operator-keys", "listOperatorKeys", scope_as=OPERATOR)
    async def list_keys(
        query: Annotated[PageQuery, Query()], caller: Admitted, request: Request, response: Response
    ) -> Page[OperatorKeyShown]:
        """List the operator's keys, the revoked ones too."""
        after = after_id("operator-keys", query.cursor)
        rows = await desk.accounts.operator_keys(after=after, count=query.limit + 1)
        show = _shown
        return page(request, response, rows, query.limit, show=show, cursor=lambda one: encode("operator-keys", one.id))

    @routes.post("/operator-keys", "createOperatorKey", status=201, scope_as=OPERATOR)
    async def create(caller: Admitted) -> OperatorKeyMade:
        """Make another key that opens everything of the server, shown this once."""
        key = new_key(OPERATOR_PREFIX)
        kept = await desk.accounts.add_operator_key(hash_key(key), key[:8])
        return OperatorKeyMade(**_shown(kept).model_dump(), key=key)

    @routes.delete("/operator-keys/{id}", "revokeOperatorKey", scope_as=OPERATOR, errors=("refused",))
    async def revoke(id: SerialInPath, caller: Admitted) -> None:
        """Let another key of the operator open nothing any more; running servers may still take it for 15 seconds."""
        if caller.operator is not None and caller.operator.key_id == serial_of(id):
            raise Refused("a key does not revoke itself, so that nobody is locked out: call with another one")
        if not await desk.accounts.revoke_operator_key(serial_of(id)):
            raise NotFound("there is no such live key")


def _add_import(routes: Routes, desk: Desk) -> None:
    @routes.post(
        "/import/accounts",
        "importAccounts",
        scope_as=OPERATOR,
        body_type=DUMP,
        body_limit_bytes=DUMP_BYTES,
        openapi_extra=DUMP_BODY,
    )
    async def bring(request: Request, caller: Admitted) -> DumpImported:
        """Bring accounts and their numbers in from a PostgreSQL dump, whose SQL is read and never run.

        The tables are account(id, auth_id, username) and phone_number(id, number, account_id), as COPY or INSERT. An
        account that there is gets the dump's secret; nothing is removed; the same dump may be brought in again. A dump
        with a fault in its form changes nothing. `longcode import plivo` takes dumps of any size.
        """
        dump = await asyncio.to_thread(_read, await request.body())
        report = await bring_in(dump, accounts=desk.accounts, numbers=desk.numbers)
        return DumpImported(
            accounts_added=report.accounts_added,
            accounts_changed=report.accounts_changed,
            accounts_unchanged=report.accounts_unchanged,
            numbers_added=report.numbers_added,
            numbers_unchanged=report.numbers_unchanged,
            conflicts=report.conflicts,
            skipped=[SkippedRow(table=row.table, line=row.line, reason=row.reason) for row in dump.skipped],
        )


def _read(body: bytes) -> AccountDump:
    try:
        dump = read_accounts(io.BytesIO(body))
    except DumpError as error:
        refuse([str(error)])
        raise
    if len(dump.accounts) > MOST_ACCOUNTS:
        refuse([f"there are more than {MOST_ACCOUNTS} accounts: `longcode import plivo` takes any number"])
    return dump


def _shown(key: ApiKey) -> OperatorKeyShown:
    return OperatorKeyShown(
        id=key.id,
        hint=key.hint,
        created_at=format_milli(key.created_at),
        revoked_at=None if key.revoked_at is None else format_milli(key.revoked_at),
    )
