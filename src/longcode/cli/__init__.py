"""The command line. Every command reads its settings from the environment; see docs/configuration.md."""

from __future__ import annotations

import click

from longcode import __version__
from longcode.cli import accounts, carriers, messages, openapi, processes, routes
from longcode.errors import LongcodeError


class Commands(click.Group):
    """Shows our own errors as one plain sentence, without a trace."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LongcodeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="longcode")
def main() -> None:
    """The self-hosted SMS platform."""


for command in (
    processes.up,
    processes.serve,
    processes.worker,
    processes.link,
    processes.migrate,
    processes.seed,
    processes.doctor,
    accounts.account,
    accounts.number,
    accounts.sender,
    accounts.apikey,
    accounts.optout,
    accounts.import_,
    carriers.carrier,
    routes.route,
    messages.message,
    messages.receipt,
    messages.inbound,
    openapi.openapi,
):
    main.add_command(command)
