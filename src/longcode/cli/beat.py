"""The command that kicks jobs on their periods. It needs no database, so that nothing of one is loaded."""

from __future__ import annotations

import click

from longcode import log
from longcode.cli.embedded import shared_settings
from longcode.engine.celery_beat import run_beat


@click.command()
def beat() -> None:
    """Kick every job on its period, as the workers' safety net; any number may run."""
    settings = shared_settings()
    log.configure(settings.log_level)
    run_beat(settings)
