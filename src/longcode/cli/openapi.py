"""The command that describes the HTTP interfaces."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, like /openapi.json; without it as YAML.")
def openapi(as_json: bool) -> None:
    """Print the OpenAPI description of every interface. A running server shows it to people at /docs/reference."""
    from longcode.web.description import as_yaml, document  # only this command needs it

    if as_json:
        click.echo(json.dumps(document(), indent=2, ensure_ascii=False))
    else:
        click.echo(as_yaml(), nl=False)
