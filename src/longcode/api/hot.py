"""POST /v1/messages without a framework: the same as its route, on the shortest way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from longcode import log
from longcode.api import problems
from longcode.api.caller import Gate
from longcode.api.drafts import Draft, idempotency_key
from longcode.api.limits import Standing
from longcode.api.outbound import Outbound
from longcode.api.validation import invalid_request, refuse_parameters
from longcode.domain.public import public_message
from longcode.errors import LongcodeError, StorageDown
from longcode.flow.settlement import Entered
from longcode.wire.call import Answer, Call, Disconnected, empty_answer
from longcode.wire.errors import Fault
from longcode.wire.json import read_object

_logger = log.get("http")
_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")


def sending(gate: Gate, outbound: Outbound) -> Callable[[Call], Awaitable[Answer]]:
    """Answers a call that sends one message."""

    async def answer(call: Call) -> Answer:
        standings: list[Standing] = []
        try:
            told = _told(await send(call, standings.append))
        except Disconnected:
            return empty_answer(499)
        except LongcodeError as error:
            if isinstance(error, StorageDown):
                _logger.warning("storage is down", path=call.path, error=str(error))
            told = problems.answer(error)
        except Exception:
            _logger.exception("a call failed", method=call.method, path=call.path)
            told = problems.answer(Fault())
        if not standings:
            return told
        return replace(told, headers=(*told.headers, *standings[0].headers()))

    async def send(call: Call, note: Callable[[Standing], None]) -> Entered:
        caller = await gate.admit(call, "messages:write", note=note)
        if call.query_string:
            refuse_parameters(QueryParams(call.query_string))
        fields = read_object(await call.read())
        key = idempotency_key(call.header("idempotency-key"))
        try:
            draft = Draft.model_validate(fields)
        except ValidationError as error:
            raise invalid_request({**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()) from error
        return await outbound.send(caller.account, draft, key)

    return answer


def _told(entered: Entered) -> Answer:
    shown = public_message(entered.message)
    if entered.replayed:
        return Answer(200, _encode(shown), (_JSON, (b"idempotent-replayed", b"true")))
    return Answer(201, _encode(shown), (_JSON, (b"location", f"/v1/messages/{shown.id}".encode("ascii"))))
