"""The pages of docs/ that are written from the code: `python -m longcode.docs`, which is `make docs`.

A test fails while a page and its source differ.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

import longcode
from longcode.api.problems import CATALOGUE
from longcode.domain.causes import FAILURES, UNDELIVERED
from longcode.errors import LongcodeError
from longcode.settings import PREFIX, Settings

FOLDER: Final = Path("docs")
# Alembic runs these; they cannot be imported alone.
NOT_IMPORTED: Final = "longcode.store.migrations"

TYPES: Final[dict[Any, str]] = {
    str: "text",
    int: "integer",
    bool: "0 or 1",
    Path: "path",
    SecretStr: "text, secret",
    tuple: "list, commas between",
}
# By the last word of a setting's name.
UNITS: Final = {"seconds": "seconds", "days": "days", "limit": "calls", "concurrency": "calls"}

CONFIGURATION: Final = f"""\
# Configuration

*This page is written from the code by `make docs`; do not edit it.*

Every setting is an environment variable. A process reads all of them once, when it starts. It refuses to start if one
is not usable or if a name that begins with `{PREFIX}` is not in this table, and it tells all faults at once. An empty
value counts as unset.

A file gives the value of a setting that the environment does not name: in the folder of `{PREFIX}SECRETS`, such as
`/run/secrets/longcode_dlr_secret`.

| name | type | unit | default | what it does |
|-|-|-|-|-|
"""

ERRORS: Final = """\
# Errors

*This page is written from the code by `make docs`; do not edit it.*

Everything that Longcode refuses or cannot do is one of these errors. The code is stable. *Retry* says whether the same
call can succeed later without a change by the caller. Each interface turns them into its own statuses and texts; the
pages of the [dialects](index.md#dialects) say how.

| code | a kind of | meaning | retry | from |
|-|-|-|-|-|
"""

PROBLEMS: Final = """
## Problems of the native API

Under `/v1` every error is a document of the type `application/problem+json` ([RFC 9457](api.md#problems)) with one of
these codes. Statuses and codes are stable; new codes may come.

| code | status | title |
|-|-|-|
"""

MESSAGE_ERRORS: Final = """
## Errors of messages

A message that failed or was not delivered says why in its `error`. Codes that are not here are the carrier's own.

| code | status | meaning |
|-|-|-|
"""


def main() -> None:
    """Write every generated page below the current folder."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The generated pages, by their names in docs/."""
    return {"configuration.md": _configuration(), "errors.md": _errors()}


def _configuration() -> str:
    rows = (
        _row(f"`{PREFIX}{name.upper()}`", _type(field), _unit(name), _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return CONFIGURATION + "".join(rows)


def _type(field: FieldInfo) -> str:
    """What may be written, with its bounds. Raises KeyError for a type that the table above lacks."""
    kind = field.annotation
    if isinstance(kind, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    words = [TYPES[get_origin(kind) or kind]]
    for rule in field.metadata:
        if (least := getattr(rule, "ge", None)) is not None:
            words.append(f"from {least}")
        if (most := getattr(rule, "le", None)) is not None:
            words.append(f"to {most}")
    return " ".join(words)


def _unit(name: str) -> str:
    return UNITS.get(name.rpartition("_")[2], "")


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default == ():
        return "unset"
    return f"`{int(field.default) if isinstance(field.default, bool) else field.default}`"


def _errors() -> str:
    _import_everything()
    rows = (
        _row(
            f"`{error.code}`",
            "" if parent is LongcodeError else f"`{parent.code}`",
            _sentence(error),
            "yes" if error.retry else "no",
            f"`{error.__module__}`",
        )
        for parent, error in _below(LongcodeError)
    )
    return ERRORS + "".join(rows) + _problems() + _message_errors()


def _problems() -> str:
    return PROBLEMS + "".join(_row(f"`{code}`", str(kind.status), kind.title) for code, kind in CATALOGUE.items())


def _message_errors() -> str:
    tables = (("failed", FAILURES), ("undelivered", UNDELIVERED))
    return MESSAGE_ERRORS + "".join(
        _row(f"`{code}`", status, meaning) for status, meanings in tables for code, meaning in meanings.items()
    )


def _import_everything() -> None:
    """Load every module, so that every error is known."""
    for module in pkgutil.walk_packages(longcode.__path__, "longcode."):
        if not module.name.startswith(NOT_IMPORTED):
            importlib.import_module(module.name)


def _below(parent: type[LongcodeError]) -> Iterator[tuple[type[LongcodeError], type[LongcodeError]]]:
    """Every kind of the error with the one that it is a kind of, depth first."""
    kinds = [kind for kind in parent.__subclasses__() if kind.__module__.startswith("longcode.")]
    for kind in sorted(kinds, key=lambda kind: (kind.code, kind.__module__)):
        yield parent, kind
        yield from _below(kind)


def _sentence(error: type[LongcodeError]) -> str:
    """The first paragraph of its docstring, on one line."""
    first = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0]
    return " ".join(first.split())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    main()
