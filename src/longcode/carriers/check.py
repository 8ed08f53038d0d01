"""What the tries of all kinds of carriers share: how they fail, and why there is no connection."""

from __future__ import annotations

import errno
import socket
import ssl as tls
from typing import Final

from longcode.errors import LongcodeError

CONNECT_SECONDS: Final = 10.0


class CheckFailed(LongcodeError):
    """A carrier could not be used as its settings say; the sentence says at which step and why."""

    code = "carrier_check_failed"
    retry = True


def why_unconnected(cause: BaseException | None, host: str, port: int) -> str:
    """Why there is no connection, in plain words."""
    where = f"{host}:{port}"
    refused = f"refused: nothing listens on {where}, or a firewall turns us away"
    match cause:
        case socket.gaierror():
            return f"DNS: no address is known for {host}: {cause.strerror}"
        case tls.SSLCertVerificationError():
            return f"TLS: the certificate of {where} is not trusted: {cause.verify_message}"
        case tls.SSLError():
            return f"TLS: {where} answered, and not as TLS does ({cause.reason}); is it a port without TLS?"
        case ConnectionRefusedError():
            return refused
        case TimeoutError():
            return f"no connection to {where} within {CONNECT_SECONDS:g} s: a firewall, or a wrong address"
        # A name with several addresses: asyncio puts what each said into one text.
        case OSError() if f"[Errno {errno.ECONNREFUSED}]" in str(cause):
            return refused
        case OSError():
            return f"no connection to {where}: {cause.strerror or cause}"
    return f"no connection to {where}"
