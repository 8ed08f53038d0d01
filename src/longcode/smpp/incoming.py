"""The peer's requests while the owner's handler has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from longcode.smpp.constants import RESPONSE_BIT, CommandStatus
from longcode.smpp.pdu import RESPONSES, GenericNack, Notification, Pdu, Response, refusal

log = logging.getLogger(__name__)

Answer = Response | None
Run = Callable[[Pdu], Answer | Awaitable[Answer]]
Done = Callable[[int, Pdu, Response], None]


class Incoming:
    """Runs the handler for each request, and reports each with the response to write.

    A handler that answers at once costs no task. One that fails, is cancelled, or gives what is no response
    to the request, is reported with ESME_RSYSERR. What it gives for a notification is not looked at.
    """

    def __init__(self, handler: Run, done: Done) -> None:
        self._handler = handler
        self._done = done
        self._futures: set[asyncio.Future[Answer]] = set()
        self.running = 0

    def start(self, sequence_number: int, request: Pdu) -> None:
        """Hand the request over."""
        self.running += 1
        try:
            result = self._handler(request)
        except Exception:
            log.exception("the handler of %s failed", type(request).__name__)
            result = _failure(request)
        if result is None or isinstance(result, Response):
            self._finish(sequence_number, request, result)
            return
        future = asyncio.ensure_future(result)
        self._futures.add(future)
        future.add_done_callback(partial(self._ended, sequence_number, request))

    async def wait(self, timeout_seconds: float) -> None:
        """Return when every handler that is running has ended, or the time is over."""
        if self._futures:
            await asyncio.wait(self._futures, timeout=timeout_seconds)

    def _ended(self, sequence_number: int, request: Pdu, future: asyncio.Future[Answer]) -> None:
        self._futures.discard(future)
        response: Answer = _failure(request)
        if not future.cancelled():
            error = future.exception()
            if error is None:
                response = future.result()
            else:
                log.error("the handler of %s failed", type(request).__name__, exc_info=error)
        self._finish(sequence_number, request, response)

    def _finish(self, sequence_number: int, request: Pdu, response: Answer) -> None:
        self.running -= 1
        if isinstance(request, Notification):
            response = GenericNack()
        elif not isinstance(response, (RESPONSES[request.command_id | RESPONSE_BIT], GenericNack)):
            log.error("the handler of %s gave no response to it", type(request).__name__)
            response = _failure(request)
        self._done(sequence_number, request, response)


def _failure(request: Pdu) -> Response:
    return refusal(request.command_id, CommandStatus.ESME_RSYSERR)
