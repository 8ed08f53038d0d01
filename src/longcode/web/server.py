"""uvicorn, set up as we want it."""

from __future__ import annotations

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longcode.wire.sending import LINGER_BYTES, LINGER_SECONDS

HEAD_LIMIT_BYTES = 64 * 1024
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS = 20
BACKLOG = 2048
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a request line and headers that go on for ever; the parser itself has no bound.

    What came in one piece with a request's beginning is not counted, since nobody tells where in the piece it began.
    """

    _in_head = True
    _began = False
    _refused = False
    _head_bytes = 0

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what came while the head was not whole."""
        if self._refused:
            self._discard(data)
            return
        self._began = False
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head and not self._began else 0
        if self._head_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._refuse()

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
