"""What a dialect offers to the door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from longcode.errors import LongcodeError
from longcode.wire.call import Answer, Call

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path with everything that it answers.

    path: without a trailing slash; `{name}` stands for one whole segment: `/api/messages/{id}`.
    methods: handlers by method. HEAD follows GET and OPTIONS answers by themselves.
    error: the dialect's own envelope for every error, ours included.
    plain_methods: HEAD and OPTIONS are methods like others, so 405 unless they are named.
    """

    path: str
    methods: Mapping[str, Handler]
    error: Callable[[LongcodeError], Answer]
    body_limit_bytes: int = 65536
    plain_methods: bool = False
