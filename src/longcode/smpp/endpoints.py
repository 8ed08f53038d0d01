"""Sessions over TCP or TLS: one that calls out, many that are called.

For TLS pass an `ssl.SSLContext`; client certificates are the context's (`load_cert_chain` at the ESME,
`verify_mode = CERT_REQUIRED` at the SMSC).
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Callable

from longcode.smpp.errors import ConnectionCut
from longcode.smpp.session import Session


async def connect(
    host: str,
    port: int,
    session: Session,
    *,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    timeout_seconds: float = 10.0,
) -> Session:
    """The session, connected and not yet bound. Raises ConnectionCut if there is no connection in time."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            await loop.create_connection(
                lambda: session, host, port, ssl=ssl, server_hostname=server_hostname if ssl else None
            )
    except (OSError, TimeoutError) as error:
        raise ConnectionCut(f"cannot connect to {host}:{port}: {error!r}", written=False) from error
    return session


class Server:
    """Listens, and keeps the sessions that came in until they end."""

    def __init__(self, session_factory: Callable[[], Session]) -> None:
        self._session_factory = session_factory
        self._server: asyncio.Server | None = None
        self.sessions: set[Session] = set()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int, *, ssl: tls.SSLContext | None = None) -> None:
        """Listen. Raises OSError when the port cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._admit, host, port, ssl=ssl)

    def _admit(self) -> Session:
        session = self._session_factory()
        session.registry = self.sessions
        return session

    async def close(self) -> None:
        """Stop listening and end every session in order."""
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*(session.close() for session in list(self.sessions)))

    def abort(self) -> None:
        """Stop listening and cut every session."""
        assert self._server is not None
        self._server.close()
        for session in list(self.sessions):
            session.abort()


async def listen(
    host: str, port: int, session_factory: Callable[[], Session], *, ssl: tls.SSLContext | None = None
) -> Server:
    """A server that makes a session for each connection. Raises OSError when the port cannot be had."""
    server = Server(session_factory)
    await server.start(host, port, ssl=ssl)
    return server
