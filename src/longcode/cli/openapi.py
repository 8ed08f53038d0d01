"""The command that describes the HTTP interfaces."""

from __future__ import annotations

import click


@click.command()
def openapi() -> None:
    """Print the OpenAPI description of every interface."""
    from longcode.web.description import as_yaml  # only this command needs it

    click.echo(as_yaml(), nl=False)
