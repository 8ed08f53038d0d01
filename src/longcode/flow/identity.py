"""Credentials: verified in constant time, cached for seconds, failures slowed down.

Secrets that people chose are argon2 hashes, computed off the event loop, two at once. API keys
are random, so their SHA-256 is enough.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from longcode.domain.account import Account, Operator
from longcode.errors import NotAuthenticated
from longcode.store.accounts import AccountStore

KEY_PREFIX = "lck_"
OPERATOR_PREFIX = "lco_"
CACHE_SECONDS = 15.0
CACHE_ENTRIES = 10_000
FREE_FAILURES = 20
FAILURE_WINDOW_SECONDS = 60.0
SLOWED_SECONDS = 1.0
FAILURE_ENTRIES = 10_000
# OWASP's second choice for argon2id: about 20 ms and 19 MiB a check.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Of a secret that nobody kept. Unknown names cost what known ones cost, so that time tells nobody which names exist.
DECOY = "$argon2id$v=19$m=19456,t=2,p=1$pRXaVeq7ILPTcfHd9ujHJQ$a8g5bAG00lp7MsxAXhh5fTUO1jM9fw6APOclNXg+INI"


def new_key(prefix: str = KEY_PREFIX) -> str:
    """A fresh API key, 256 random bits; shown once. prefix: whose it is, to be seen at once."""
    return prefix + secrets.token_urlsafe(32)


def new_secret() -> str:
    """A fresh account secret, 192 random bits; shown once."""
    return secrets.token_urlsafe(24)


def hash_key(key: str) -> bytes:
    """What is stored of an API key."""
    return hashlib.sha256(key.encode()).digest()


def hash_secret(secret: str) -> str:
    """What is stored of a secret; takes tens of milliseconds."""
    return HASHER.hash(secret)


def matches(secret_hash: str, secret: str) -> bool:
    """True where `secret` is the one that was hashed; takes tens of milliseconds."""
    try:
        return HASHER.verify(secret_hash, secret)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


class Verifier:
    """Finds the account behind credentials.

    now: monotonic seconds. sleep: how a failure is slowed; both passed in for tests.
    """

    def __init__(
        self,
        store: AccountStore,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._now = now
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
        self._guessing = asyncio.Lock()
        self._salt = secrets.token_bytes(16)
        self._verified: OrderedDict[bytes, tuple[float, Account]] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    async def password(self, name: str, secret: str, *, peer: str) -> Account:
        """The account of that name, if `secret` is its secret. Raises NotAuthenticated, slowed after 20 a minute."""
        ticket = self._ticket("password", name, secret)
        cached = self._cached(ticket)
        if cached is not None:
            return cached
        found = await self._store.secret(name)
        secret_hash = DECOY if found is None else found.secret_hash
        if self._fails_often(peer, name):
            # Those who guess share one of the two threads, and leave the other to everybody else.
            async with self._guessing:
                right = await self._hash(secret_hash, secret)
        else:
            right = await self._hash(secret_hash, secret)
        if found is None or not right:
            raise await self._failed(peer, name)
        self._remember(ticket, found.account)
        return found.account

    async def key(self, key: str, *, peer: str) -> Account:
        """The account that an API key belongs to. Raises NotAuthenticated."""
        ticket = self._ticket("key", key)
        cached = self._cached(ticket)
        if cached is not None:
            return cached
        account = await self._store.by_key_hash(hash_key(key))
        if account is None:
            raise await self._failed(peer, "")
        self._remember(ticket, account)
        return account

    async def operator(self, key: str, *, peer: str) -> Operator:
        """The operator that a key belongs to. Raises NotAuthenticated. Not cached: a revoked one ends at once."""
        operator = await self._store.operator_by_key_hash(hash_key(key))
        if operator is None:
            raise await self._failed(peer, "")
        return operator

    async def named(self, name: str) -> Account:
        """The account of that name, without any secret. Raises NotAuthenticated where there is none."""
        ticket = self._ticket("named", name)
        cached = self._cached(ticket)
        if cached is not None:
            return cached
        found = await self._store.secret(name)
        if found is None:
            raise NotAuthenticated("no credentials were given")
        self._remember(ticket, found.account)
        return found.account

    def close(self) -> None:
        """Let the hashing threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ticket(self, *parts: str) -> bytes:
        # A keyed digest, so that no secret stays in memory in the clear.
        packed = b"".join(len(part).to_bytes(4) + part.encode("utf-8", "surrogatepass") for part in parts)
        return hmac.digest(self._salt, packed, "sha256")

    def _cached(self, ticket: bytes) -> Account | None:
        entry = self._verified.get(ticket)
        if entry is None or entry[0] < self._now():
            return None
        return entry[1]

    def _remember(self, ticket: bytes, account: Account) -> None:
        self._verified[ticket] = (self._now() + CACHE_SECONDS, account)
        self._verified.move_to_end(ticket)
        while len(self._verified) > CACHE_ENTRIES:
            self._verified.popitem(last=False)

    async def _hash(self, secret_hash: str, secret: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._pool, matches, secret_hash, secret)

    def _fails_often(self, peer: str, name: str) -> bool:
        times = self._failures.get((peer, name))
        return times is not None and len(times) > FREE_FAILURES and times[0] > self._now() - FAILURE_WINDOW_SECONDS

    async def _failed(self, peer: str, name: str) -> NotAuthenticated:
        """Note a failure; only failures wait, right credentials never do."""
        now = self._now()
        times = self._failures.setdefault((peer, name), deque(maxlen=FREE_FAILURES + 1))
        self._failures.move_to_end((peer, name))
        while len(self._failures) > FAILURE_ENTRIES:
            self._failures.popitem(last=False)
        times.append(now)
        if self._fails_often(peer, name):
            await self._sleep(SLOWED_SECONDS)
        return NotAuthenticated("the credentials are wrong")
