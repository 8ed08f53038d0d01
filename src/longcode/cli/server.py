"""uvicorn's server, announced once it listens, and ended with an exit status of ours."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn

from longcode.api.events import STOPPING
from longcode.errors import ConfigurationError
from longcode.web.server import BACKLOG

ENDINGS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def listen_on(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises ConfigurationError where the address cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            [f"cannot listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}"]
        ) from error
    with listener:
        yield listener


class Server(uvicorn.Server):
    """One HTTP server in this process.

    greeting: what stands before its address on standard error.
    """

    def __init__(self, config: uvicorn.Config, *, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                click.echo(f"{self._greeting} http://{f'[{host}]' if ':' in host else host}:{port}", err=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what would be answered for ever end, and drain."""
        stopping = self.lifespan.state.get(STOPPING)
        if stopping is not None:
            stopping.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGINT and SIGTERM.

        uvicorn's own way raises the signal again once it has drained, which would end the process before
        what the server stood on has drained too.
        """
        before = {number: signal.signal(number, self.handle_exit) for number in ENDINGS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
