"""Pages of lists: opaque cursors, and the links between pages.

A cursor holds what the last item of a page is sorted by, so that a page costs the same however deep it lies.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from longcode.api.problems import InvalidRequest, invalid
from longcode.store.commit_order import Place
from longcode.wire.fields import is_clean

Item = TypeVar("Item")
Row = TypeVar("Row")

MOST: Final = 200
USUAL: Final = 50
_MOST_NEGATIVE: Final = -(2**63)


class Page(BaseModel, Generic[Item]):
    """A part of a list. next: the cursor of the page after this one; null where it is the last."""

    items: list[Item]
    next: str | None


class PageQuery(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=MOST, description="The most items of a page.")] = USUAL
    cursor: Annotated[
        str | None,
        Field(max_length=512, description="`next` of the page before; without one the first page."),
    ] = None


def encode(kind: str, *place: str | int) -> str:
    """A cursor. kind: of which list, so that none is taken for that of another."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *place])).rstrip(b"=").decode("ascii")


def decode(kind: str, cursor: str, *shapes: type) -> list[Any]:
    """The place that `encode` wrote, of these types. Raises InvalidRequest."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(text)
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        raise _not_ours() from error
    if not isinstance(found, list) or len(found) != len(shapes) + 1 or found[0] != kind:
        raise _not_ours()
    place = found[1:]
    if any(type(value) is not shape for value, shape in zip(place, shapes, strict=True)):
        raise _not_ours()
    if any(not _MOST_NEGATIVE <= value < -_MOST_NEGATIVE for value in place if isinstance(value, int)):
        raise _not_ours()
    if any(not is_clean(value) for value in place if isinstance(value, str)):
        raise _not_ours()
    return place


def page(
    request: Request,
    response: Response,
    rows: Sequence[Row],
    limit: int,
    *,
    show: Callable[[Row], Item],
    cursor: Callable[[Row], str],
) -> Page[Item]:
    """The page that `limit + 1` rows make, with its Link header."""
    shown = rows[:limit]
    following = cursor(shown[-1]) if len(rows) > limit else None
    link_next(request, response, following)
    return Page(items=[show(row) for row in shown], next=following)


def link_next(request: Request, response: Response, following: str | None) -> None:
    """Say where the next page is. Source: RFC 8288."""
    if following is not None:
        query = {**request.query_params, "cursor": following}
        path = request.scope["raw_path"].decode("ascii", "replace")
        response.headers["link"] = f'<{path}?{urlencode(query)}>; rel="next"'


def encode_place(kind: str, place: Place) -> str:
    """A cursor into what is read in the order of commits."""
    return encode(kind, place.xact, str(place.id))


def decode_place(kind: str, cursor: str) -> Place:
    """The place that `encode_place` wrote. Raises InvalidRequest."""
    xact, id_ = decode(kind, cursor, int, str)
    try:
        return Place(xact, UUID(id_))
    except ValueError as error:
        raise _not_ours() from error


def after_id(kind: str, cursor: str | None) -> int:
    """The id behind which a page begins. Raises InvalidRequest."""
    return 0 if cursor is None else decode(kind, cursor, int)[0]


def after_name(kind: str, cursor: str | None) -> str:
    """The name behind which a page begins. Raises InvalidRequest."""
    return "" if cursor is None else decode(kind, cursor, str)[0]


def _not_ours() -> InvalidRequest:
    return invalid("it is not one that this list gave", field="cursor")
