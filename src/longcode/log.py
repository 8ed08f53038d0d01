"""Logs: JSON lines, or a console renderer on a terminal.

Never message text or secrets; numbers only through `longcode.domain.phone.mask`.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
CAUSES_SHOWN = 5
FRAMES_SHOWN = 12


def configure(level: str = "info") -> None:
    """Set the process's logging up; called once, by the command line."""
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, _name_exception, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def _name_exception(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An exception as its types and frames. Its words stay out: a database's or a codec's hold message text."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        kinds: list[str] = []
        cause: BaseException | None = error
        while cause is not None and len(kinds) < CAUSES_SHOWN:
            kinds.append(type(cause).__qualname__)
            cause = cause.__cause__ or cause.__context__
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES_SHOWN:]
        event["exception"] = " from ".join(kinds)
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def get(area: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `area`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(area=area)
    return logger
