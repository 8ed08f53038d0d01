"""What can go wrong between the socket and a dialect."""

from __future__ import annotations

from longcode.errors import LongcodeError


class BodyTooLarge(LongcodeError):
    """The body is longer than the endpoint reads, which is `limit_bytes`."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is longer than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class MethodNotAllowed(LongcodeError):
    """The path exists and has no such method.

    allow: the methods that it has, sorted; the door writes them into the answer's Allow header.
    """

    code = "method_not_allowed"

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__("method not allowed")
        self.allow = allow


class UnknownPath(LongcodeError):
    """There is nothing at this path."""

    code = "unknown_path"

    def __init__(self, message: str = "there is nothing at this path") -> None:
        super().__init__(message)


class Unreadable(LongcodeError):
    """The body is not a JSON object."""

    code = "unreadable"

    def __init__(self, message: str = "the body is not a JSON object") -> None:
        super().__init__(message)


class Fault(LongcodeError):
    """A fault of ours; its cause is in the log under the answer's X-Request-Id."""

    code = "fault"
    retry = True

    def __init__(self, message: str = "something went wrong on our side") -> None:
        super().__init__(message)
