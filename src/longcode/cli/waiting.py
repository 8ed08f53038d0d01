"""Patience for what starts at the same time as we do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from longcode.errors import LongcodeError

T = TypeVar("T")

PAUSE_SECONDS = 0.5

wait_option = click.option(
    "--wait",
    "wait_seconds",
    metavar="SECONDS",
    default=0,
    show_default=True,
    type=click.IntRange(0, 3600),
    help="How long to try again while the database is not ready.",
)


async def patiently(
    act: Callable[[], Awaitable[T]], *, wait_seconds: float, passing: tuple[type[LongcodeError], ...]
) -> T:
    """The result of act, tried again for so long after the errors named as passing; then the last of them."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    told = ""
    while True:
        try:
            return await act()
        except passing as error:
            if loop.time() + PAUSE_SECONDS > deadline:
                raise
            if str(error) != told:
                told = str(error)
                click.echo(f"Waiting: {told}", err=True)
        await asyncio.sleep(PAUSE_SECONDS)
