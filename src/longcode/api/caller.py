"""Who calls the native API, and whether he may do what he asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from longcode.api.limits import CallLimits, Standing, refuse_over_limit
from longcode.api.problems import AccountNeeded, OperatorOnly, ScopeMissing
from longcode.domain.account import Account, Operator
from longcode.domain.scopes import OPERATOR
from longcode.errors import NotAuthenticated, NotFound, StorageDown
from longcode.wire.call import Call
from longcode.wire.identity import Identity

ACCOUNT_HEADER: Final = "longcode-account"
# What those may not do who showed no credentials: a key would outlive the moment in which they could call.
NOT_ANONYMOUS: Final = frozenset({"keys:read", "keys:write"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, or an operator who acts as one, or for none."""

    whose: Account | None
    operator: Operator | None

    @property
    def account(self) -> Account:
        """The account that is called for; the gate has seen to it that there is one."""
        if self.whose is None:
            raise AccountNeeded(f"name the account in the header {ACCOUNT_HEADER.title()}")
        return self.whose


class Gate:
    """Lets calls in: who calls, how often he called, whether his key has the scope."""

    def __init__(self, identity: Identity, limits: CallLimits) -> None:
        self._identity = identity
        self._limits = limits

    async def admit(self, call: Call, scope: str, *, note: Callable[[Standing], None]) -> Caller:
        """The caller. note: is told how he stands with the limit, also where he is refused.

        Raises NotAuthenticated, RateLimited, ScopeMissing, OperatorOnly, AccountNeeded; NotFound for an operator
        who names an account that is not there.
        """
        who = await self._identity.of_native(call)
        if isinstance(who, Operator):
            named = await self._named(call)
            if scope != OPERATOR and named is None:
                raise AccountNeeded(f"name the account in the header {ACCOUNT_HEADER.title()}")
            return Caller(named, who)
        standing = self._limits.count(who.id)
        if standing is not None:
            note(standing)
        refuse_over_limit(standing)
        if scope == OPERATOR:
            raise OperatorOnly("this needs a key that `longcode apikey create --operator` made")
        if (who.scopes is not None and scope not in who.scopes) or (who.anonymous and scope in NOT_ANONYMOUS):
            raise ScopeMissing(f"this needs an API key with the scope {scope}")
        return Caller(who, None)

    async def still_knows(self, call: Call) -> bool:
        """Whether the credentials of a call that was let in still count; also while that cannot be asked."""
        try:
            await self._identity.of_native(call)
        except NotAuthenticated:
            return False
        except StorageDown:
            return True
        return True

    async def _named(self, call: Call) -> Account | None:
        sent = call.headers.get(ACCOUNT_HEADER.encode("ascii"))
        if sent is None:
            return None
        try:
            name = sent.decode("utf-8")
        except UnicodeDecodeError:
            name = sent.decode("latin-1")
        try:
            return await self._identity.named(name)
        except NotAuthenticated as error:
            raise NotFound(f"there is no account {name}") from error


def caller_of(request: Request) -> Caller:
    """Whom the route let in."""
    found: Caller = request.state.caller
    return found


Admitted = Annotated[Caller, Depends(caller_of)]
