"""Expiring state in Redis or Valkey: one server (no cluster), its clock, one round trip a settle.

One key an ordered pair, `longcode:stop:<account>:<sender>:<recipient>`; one a window,
`longcode:limit:<account>:<sender>`; one a bucket, `longcode:pace:<name>`; and `longcode:marker`, which
only `restore` writes and nothing expires: an emptied server is one that lacks it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from longcode.errors import StorageDown
from longcode.expiring.buckets import SECOND, cost, room
from longcode.expiring.port import Bucket, Emptied, Pair, Question, Verdict
from longcode.expiring.redis_lines import RedisLines

MARKER: Final = b"longcode:marker"
CHUNK: Final = 1000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
STOPPED: Final = -1
EMPTIED: Final = "Redis was emptied, and its STOP pairs are not restored yet"


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which Redis runs as one atomic step."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


# KEYS: the marker, without which nothing is done, then those of the steps.
# ARGV: STOP lifetime in ms, limit, window in ms, steps. Each letter of steps takes the next key: `m` marks
# that pair, `a` asks it, `c` asks it and then counts in the window that the key after it names.
# Gives a number for each `a` and `c`: -1 stopped, 0 go on, else the ms until the window ends.
# The limit is compared before counting: a refused call writes nothing, so an attacker costs no disk.
SETTLE: Final = _script("""
local limit, steps, answers, k = tonumber(ARGV[2]), ARGV[4], {}, 1
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
for i = 1, #steps do
  local step = steps:byte(i)
  k = k + 1
  if step == 109 then
    redis.call('SET', KEYS[k], '1', 'PX', ARGV[1])
  else
    local answer = 0
    if redis.call('EXISTS', KEYS[k]) == 1 then
      answer = -1
    elseif step == 99 then
      local window = KEYS[k + 1]
      local calls = tonumber(redis.call('GET', window) or 0)
      if calls == 0 then
        redis.call('SET', window, '1', 'PX', ARGV[3])
      elseif calls < limit then
        redis.call('INCR', window)
      else
        answer = math.max(1, redis.call('PTTL', window))
      end
    end
    if step == 99 then k = k + 1 end
    answers[#answers + 1] = answer
  end
end
return answers
""")

# ARGV: how many calls to take back from each key. A window left without a call is not open.
GIVE_BACK: Final = _script("""
for i, window in ipairs(KEYS) do
  local calls, back = tonumber(redis.call('GET', window) or 0), tonumber(ARGV[i])
  if calls > back then
    redis.call('DECRBY', window, back)
  else
    redis.call('DEL', window)
  end
end
return 0
""")

# `buckets.grant`, on the server's clock. ARGV: JSON, for each wish a list of (index of the bucket's key, its
# cost, its room), in microseconds. Gives the wait of each bucket of each wish, in microseconds and rounded up.
# A key is the instant at which its bucket is full again, and ends with it.
PACE: Final = _script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept, given, shut, answers = {}, {}, {}, {}
for k, key in ipairs(KEYS) do
  kept[k] = math.max(now, tonumber(redis.call('GET', key) or now))
end
for _, wish in ipairs(cjson.decode(ARGV[1])) do
  local granted = true
  for _, bucket in ipairs(wish) do
    local k, cost, room = bucket[1], bucket[2], bucket[3]
    local wait = math.max(0, kept[k] + cost - room - now, shut[k] or 0)
    if wait > 0 then
      granted = false
      shut[k] = wait
    end
    answers[#answers + 1] = math.ceil(wait)
  end
  if granted then
    for _, bucket in ipairs(wish) do
      kept[bucket[1]] = kept[bucket[1]] + bucket[2]
      given[bucket[1]] = true
    end
  end
end
for k in pairs(given) do
  redis.call('SET', KEYS[k], string.format('%.0f', kept[k]), 'PX', math.ceil((kept[k] - now) / 1000) + 1)
end
return answers
""")

# ARGV: the instant, in ms since 1970, at which each pair ends.
RESTORE: Final = _script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, pair in ipairs(KEYS) do
  local left = tonumber(ARGV[i]) - now
  if left > 0 and left > redis.call('PTTL', pair) then
    redis.call('SET', pair, '1', 'PX', string.format('%d', left))
  end
end
return 0
""")


class RedisExpiring:
    """The port of expiring state on one Redis or Valkey server, which connects at the first call.

    url: redis://, rediss:// or unix://.
    timeout_seconds: bounds each round trip, connecting included. Nothing is tried twice: a settle that
    timed out may have counted its calls, so that at worst too many are counted, never too few.
    """

    def __init__(
        self,
        url: str,
        *,
        stop_ttl_seconds: int,
        limit: int,
        window_seconds: int,
        timeout_seconds: float = 1.0,
    ) -> None:
        self._stop_ttl = timedelta(seconds=stop_ttl_seconds)
        self._numbers = (stop_ttl_seconds * 1000, limit, window_seconds * 1000)
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._lines = RedisLines(url, timeout_seconds=timeout_seconds)

    async def settle(self, questions: Sequence[Question]) -> list[Verdict]:
        """Answer all questions by one script call, or one MGET where none marks or counts."""
        if any(question.marks or question.count for question in questions):
            return await self._settle_by_script(questions)
        held = await self.stopped([question.ask for question in questions if question.ask])
        return [Verdict(stopped=question.ask in held) for question in questions]

    async def _settle_by_script(self, questions: Sequence[Question]) -> list[Verdict]:
        keys: list[bytes] = [MARKER]
        steps: list[str] = []
        for question in questions:
            keys += [_stop_key(pair) for pair in question.marks]
            steps.append("m" * len(question.marks))
            if question.ask:
                keys.append(_stop_key(question.ask))
                steps.append("c" if question.count else "a")
                if question.count:
                    keys.append(_limit_key(question.ask))
        settled = await self._run(SETTLE, keys, *self._numbers, "".join(steps))
        if settled is None:
            raise Emptied(EMPTIED)
        answers = iter(settled)
        return [_verdict(next(answers)) if question.ask else Verdict() for question in questions]

    async def give_back(self, questions: Sequence[Question]) -> None:
        """Take back one counted call for each question that counted; never below none."""
        counted = Counter(_limit_key(question.ask) for question in questions if question.ask and question.count)
        if counted:
            await self._run(GIVE_BACK, list(counted), *counted.values())

    async def stopped(self, pairs: Sequence[Pair]) -> set[Pair]:
        """Those of `pairs` that hold now."""
        held: set[Pair] = set()
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            marker, *values = await self._lines.call("MGET", MARKER, *map(_stop_key, chunk))
            if marker is None:
                raise Emptied(EMPTIED)
            held.update(pair for pair, value in zip(chunk, values, strict=True) if value is not None)
        return held

    async def pace(self, wishes: Sequence[Sequence[Bucket]]) -> list[list[float]]:
        """Grant or refuse by one script call, on the server's clock."""
        names = sorted({bucket.name for wish in wishes for bucket in wish})
        if not names:
            return [[] for _ in wishes]
        number = {name: n for n, name in enumerate(names, start=1)}
        asked = [[[number[bucket.name], cost(bucket), room(bucket)] for bucket in wish] for wish in wishes]
        answers = iter(await self._run(PACE, [_encoded(f"longcode:pace:{name}") for name in names], json.dumps(asked)))
        return [[next(answers) / SECOND for _ in wish] for wish in wishes]

    async def restore(self, pairs: Sequence[tuple[Pair, datetime]]) -> None:
        """Keep each pair for the STOP lifetime from its instant, then write the marker."""
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            ends = [(since + self._stop_ttl - EPOCH) // MILLISECOND for _, since in chunk]
            await self._run(RESTORE, [_stop_key(pair) for pair, _ in chunk], *ends)
        await self._lines.call("SET", MARKER, "1")

    async def complete(self) -> bool:
        """False where the server was emptied, or was never filled, since `restore` last ran."""
        return bool(await self._lines.call("EXISTS", MARKER))

    async def purge(self) -> None:
        """Nothing: the server drops what has expired."""

    async def close(self) -> None:
        """Let go of connections."""
        await self._lines.close()

    async def faults(self) -> list[str]:
        """What in the server's setup endangers STOP pairs, a sentence each; none where it is safe."""
        try:
            async with asyncio.timeout(self._timeout_seconds), Redis.from_url(self._url) as redis:
                info = await redis.info()
        except ResponseError:
            return ["Redis does not let us ask INFO: see to it that it has appendonly yes and noeviction."]
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageDown(f"Redis did not answer: {error or 'timeout'}") from error
        found = []
        if not info["aof_enabled"]:
            found.append("Redis has appendonly off: a restart forgets STOP pairs and counts. Set appendonly yes.")
        elif info.get("aof_last_write_status", "ok") != "ok":
            found.append("Redis cannot write its append-only file, so it refuses STOP pairs. Look at its disk.")
        if (policy := info["maxmemory_policy"]) != "noeviction":
            found.append(
                f"Redis has maxmemory-policy {policy}: short of memory it drops STOP pairs and counts."
                " Set maxmemory-policy noeviction."
            )
        if info["role"] != "master":
            found.append("Redis is a replica: it refuses STOP pairs. Point the URL at the primary.")
        return found

    async def _run(self, script: Script, keys: Sequence[bytes], *arguments: int | str) -> Any:
        try:
            return await self._lines.call("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except StorageDown as down:
            if not isinstance(down.__cause__, NoScriptError):
                raise
        # A server that does not know the script has run none of it; EVAL also teaches it.
        return await self._lines.call("EVAL", script.text, len(keys), *keys, *arguments)


def _stop_key(pair: Pair) -> bytes:
    return _encoded(f"longcode:stop:{pair.account_id}:{_escaped(pair.sender)}:{pair.recipient}")


def _limit_key(pair: Pair) -> bytes:
    return _encoded(f"longcode:limit:{pair.account_id}:{_escaped(pair.sender)}")


def _escaped(sender: str) -> str:
    # Only the sender: what follows the last colon needs no end.
    return sender.replace("%", "%25").replace(":", "%3A")


def _encoded(key: str) -> bytes:
    # A party may hold a lone surrogate, which JSON can carry.
    return key.encode("utf-8", "surrogatepass")


def _verdict(answer: int) -> Verdict:
    if answer == STOPPED:
        return Verdict(stopped=True)
    return Verdict(over_limit_seconds=-(-answer // 1000))
