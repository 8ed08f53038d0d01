"""The command line. Every command reads its settings from the environment; see docs/configuration.md."""

from __future__ import annotations

from importlib import import_module

import click

from longcode import __version__
from longcode.errors import LongcodeError
from longcode.wire.fields import is_clean

# Where each command is. A module is imported when one of its commands is asked for: what serves
# HTTP or speaks SMPP is slow to load, and most commands do without it.
COMMANDS = {
    "up": "processes:up",
    "serve": "processes:serve",
    "worker": "background:worker",
    "beat": "beat:beat",
    "link": "background:link",
    "migrate": "processes:migrate",
    "seed": "processes:seed",
    "doctor": "doctor:doctor",
    "account": "accounts:account",
    "number": "numbers:number",
    "sender": "accounts:sender",
    "apikey": "accounts:apikey",
    "optout": "optouts:optout",
    "keyword": "keywords:keyword",
    "import": "numbers:import_",
    "carrier": "carriers:carrier",
    "route": "routes:route",
    "pace": "paces:pace",
    "pool": "pools:pool",
    "webhook": "webhooks:webhook",
    "send": "send:send",
    "messages": "follow:messages",
    "conversation": "conversation:conversation",
    "message": "messages:message",
    "receipt": "messages:receipt",
    "inbound": "messages:inbound",
    "openapi": "openapi:openapi",
}


class Commands(click.Group):
    """Loads commands by name, and shows our own errors as one plain sentence, without a trace."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as the help lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, loaded."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"longcode.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LongcodeError as error:
            raise click.ClickException(str(error)) from error
        except UnicodeEncodeError as error:
            if is_clean(error.object):
                raise
            # Python gives bytes of the command line that are not UTF-8 as lone surrogates.
            raise click.ClickException(f"{error.object!r} is not UTF-8") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="longcode")
def main() -> None:
    """The self-hosted SMS platform."""
