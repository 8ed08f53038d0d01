"""The dialect of `/inbound/sms/` and `/outbound/sms/`: POST only, Basic credentials, one envelope.

The method is checked before the credentials, the credentials before the body.
docs/dialects/inbound_outbound.md is its page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Literal

from longcode.errors import (
    DestinationRefused,
    IntakeFull,
    InvalidField,
    LimitReached,
    LongcodeError,
    MissingField,
    NotAuthenticated,
    NotOwned,
    OptedOut,
)
from longcode.flow.accept import Accept, Send, SenderRule
from longcode.flow.inbound import Inbound, Received
from longcode.wire.call import Answer, Call, json_answer
from longcode.wire.endpoint import Endpoint, Handler
from longcode.wire.errors import BodyTooLarge, MethodNotAllowed, UnknownPath, Unreadable
from longcode.wire.fields import require, string
from longcode.wire.identity import Identity
from longcode.wire.json import read_object

UNKNOWN_FAILURE: Final = "unknown failure"
LENGTHS: Final = {"from": (6, 16), "to": (6, 16), "text": (1, 120)}

# Errors that say everything by themselves; the others are a fault of ours.
FIXED: Final[dict[type[LongcodeError], tuple[HTTPStatus, str]]] = {
    NotAuthenticated: (HTTPStatus.FORBIDDEN, "authentication failed"),
    MethodNotAllowed: (HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed"),
    UnknownPath: (HTTPStatus.NOT_FOUND, UNKNOWN_FAILURE),
    BodyTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, UNKNOWN_FAILURE),
    Unreadable: (HTTPStatus.BAD_REQUEST, UNKNOWN_FAILURE),
    IntakeFull: (HTTPStatus.SERVICE_UNAVAILABLE, UNKNOWN_FAILURE),
}

ErrorStatus = Literal["http", "ok"]


def endpoints(
    *, identity: Identity, accept: Accept, inbound: Inbound, error_status: ErrorStatus = "http"
) -> list[Endpoint]:
    """Both paths.

    error_status: "ok" answers 200 where "http" answers 400, 404 or 429 to a readable body, for
    clients that look at the envelope alone.
    """

    async def take_inbound(call: Call) -> Answer:
        account = await identity.of_basic(call)
        sender, recipient, text = await _read(call)
        try:
            await inbound.take(Received(account=account, sender=sender, recipient=recipient, text=text, must_own=True))
        except NotOwned:
            return refuse(HTTPStatus.NOT_FOUND, "to parameter not found")
        return _envelope(HTTPStatus.OK, message="inbound sms ok")

    async def send_outbound(call: Call) -> Answer:
        account = await identity.of_basic(call)
        sender, recipient, text = await _read(call)
        try:
            await accept.send(
                Send(
                    account=account,
                    sender=sender,
                    recipient=recipient,
                    text=text,
                    sender_rule=SenderRule.VERBATIM_NUMBER,
                    counted=True,
                )
            )
        except OptedOut:
            return refuse(HTTPStatus.BAD_REQUEST, f"sms from {sender} to {recipient} blocked by STOP request")
        except NotOwned:
            return refuse(HTTPStatus.NOT_FOUND, "from parameter not found")
        except DestinationRefused:
            return refuse(HTTPStatus.BAD_REQUEST, "to is invalid")
        except LimitReached as error:
            answer = refuse(HTTPStatus.TOO_MANY_REQUESTS, f"limit reached for from {sender}")
            retry_after = (b"retry-after", str(error.retry_after_seconds).encode())
            return Answer(answer.status, answer.body, (*answer.headers, retry_after))
        return _envelope(HTTPStatus.OK, message="outbound sms ok")

    def refuse(status: HTTPStatus, error: str) -> Answer:
        return _envelope(HTTPStatus.OK if error_status == "ok" else status, error=error)

    def explain(error: LongcodeError) -> Answer:
        if isinstance(error, MissingField | InvalidField):
            return refuse(HTTPStatus.BAD_REQUEST, f"{error.field} is {error.problem}")
        for kind, (status, text) in FIXED.items():
            if isinstance(error, kind):
                return _envelope(status, error=text)
        return _envelope(HTTPStatus.INTERNAL_SERVER_ERROR, error=UNKNOWN_FAILURE)

    def endpoint(path: str, handler: Handler) -> Endpoint:
        return Endpoint(path=path, methods={"POST": handler}, error=explain, plain_methods=True)

    return [endpoint("/inbound/sms", take_inbound), endpoint("/outbound/sms", send_outbound)]


async def _read(call: Call) -> tuple[str, str, str]:
    """from, to and text; length is the only rule."""
    fields = read_object(await call.read())
    require(fields, LENGTHS)
    sender, recipient, text = (
        string(fields, name, shortest=shortest, longest=longest) for name, (shortest, longest) in LENGTHS.items()
    )
    return sender, recipient, text


def _envelope(status: HTTPStatus, *, message: str = "", error: str = "") -> Answer:
    return json_answer(status, {"message": message, "error": error})
