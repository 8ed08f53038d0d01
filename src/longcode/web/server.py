"""uvicorn, set up as we want it."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import httptools
import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longcode.wire.sending import LINGER_BYTES, LINGER_SECONDS

HEAD_LIMIT_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS = 20
BACKLOG = 2048
METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"})
# Known to the parser and to no path of ours.
UNSERVED_METHOD: Final = b"TRACE"
REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) [^ \r\n]+ HTTP/1\.[01]\r\n")
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, held to what RFC 9112 asks of a server.

    It refuses a request line and headers that go on for ever; the parser itself has no bound. What
    came in one piece with the end of the request before is not counted, since nobody tells where in
    the piece the next one began. An offered upgrade is passed over, with the request's body in place. A method
    that the parser has never heard of is a method like others that a path does not have.
    """

    _in_head = True
    _in_body = False
    _began = False
    _completed = False
    _refused = False
    _head_bytes = 0
    _piece = b""

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head, self._in_body = False, True
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is whole."""
        self._in_body, self._completed = False, True
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Count what came while the head was not whole."""
        if self._refused:
            self._discard(data)
            return
        self._began = self._completed = False
        self._piece = data
        super().data_received(data)
        if not self._in_head or (self._began and self._completed):
            self._head_bytes = 0
        else:
            self._head_bytes = len(data) if self._began else self._head_bytes + len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._refuse()

    def _unsupported_upgrade_warning(self) -> None:
        """Read the request again without its offer: the parser took the head for the whole of it.

        Otherwise its body would be lost, or worse, read as a request of its own.
        """
        end = sys.exception()
        method = self.parser.get_method()
        if method == b"CONNECT" or end is None:
            self.send_400_response("CONNECT is not served")
            return
        version = b"HTTP/" + self.parser.get_http_version().encode()
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join((b" ".join((method, self.url, version)), *lines, b"", b""))
        self._read_again(head + self._piece[end.args[0] :])

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; where only the method is unknown, let the path answer."""
        line = REQUEST_LINE.match(self._piece)
        fresh = not self._in_body and not self._head_bytes
        if line is not None and fresh and line[1] not in METHODS:
            self._read_again(UNSERVED_METHOD + self._piece[line.end(1) :])
            return
        body = msgspec.json.encode({"error": msg})
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _read_again(self, data: bytes) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self._in_body = False
        self._piece = data
        super().data_received(data)

    def _refuse(self) -> None:
        # Closing with bytes unread resets the connection, and a reset may overtake the answer.
        self._refused, self._head_bytes = True, 0
        self.transport.write(TOO_LARGE)
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _discard(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._head_bytes > LINGER_BYTES:
            self.transport.close()


def config(app: Any, **more: Any) -> uvicorn.Config:
    """The settings of every HTTP server of the product."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=BACKLOG,
        **{"lifespan": "on", **more},
    )
