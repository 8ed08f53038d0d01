"""The dialect of `/api/numbers`, alias `/numbers`: an account's number inventory.

Credentials are checked first, then the id in the path, the body, its fields, and last what is stored.
docs/dialects/numbers.md is its page.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from longcode.domain.money import format_price, is_currency, parse_price
from longcode.domain.phone import MAX_INVENTORY_VALUE_LENGTH, parse_inventory_value
from longcode.errors import Duplicate, InvalidField, LongcodeError, NotFound
from longcode.store.numbers import Change, Draft, Listed, Number, NumberStore, Order, SortKey
from longcode.wire.call import Answer, Call, empty_answer, json_answer
from longcode.wire.endpoint import Endpoint
from longcode.wire.fields import is_clean
from longcode.wire.identity import Identity
from longcode.wire.json import read_object
from longcode.wire.statuses import sentence_of, status_of

PATHS: Final = ("/api/numbers", "/numbers")
DEFAULT_PER_PAGE: Final = 20
MAX_PER_PAGE: Final = 100
MAX_PAGE: Final = 2**63 - 1

_ID: Final = re.compile(r"[0-9]{1,18}")
_COUNT: Final = re.compile(r"[0-9]+")


class Parse(Protocol):
    """A field's value from JSON as what we keep. Raises InvalidField(field)."""

    def __call__(self, value: object, *, field: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Field:
    """How one field of the wire is read. attribute: of Draft and of Change. rule: what is said when it is broken."""

    attribute: str
    parse: Parse
    rule: str


def parse_currency(value: object, *, field: str) -> str:
    """1 to 8 printable characters, not all of them spaces. Raises InvalidField."""
    if isinstance(value, str) and is_currency(value):
        return value
    raise InvalidField(field)


_PRICE_RULE: Final = "it must be 0 to 99999999.99, plain digits with at most two decimals"
FIELDS: Final[Mapping[str, Field]] = {
    "value": Field(
        "value",
        parse_inventory_value,
        "it must have 6 to 20 digits; besides, only a + in front, spaces, hyphens, dots and parentheses",
    ),
    "monthyPrice": Field("monthly_price", parse_price, _PRICE_RULE),
    "setupPrice": Field("setup_price", parse_price, _PRICE_RULE),
    "currency": Field("currency", parse_currency, "it must be 1 to 8 printable characters"),
}
QUERY_RULES: Final[Mapping[str, str]] = {
    "page": "it must be a whole number from 1 on",
    "per_page": "it must be a whole number from 1 on",
    "search": f"it must be at most {MAX_INVENTORY_VALUE_LENGTH} characters",
    "sort": "it must be id, value, monthyPrice, setupPrice or currency, with - in front for descending",
}
SORT_KEYS: Final[Mapping[str, SortKey]] = {
    "id": SortKey.ID,
    "value": SortKey.VALUE,
    "monthyPrice": SortKey.MONTHLY_PRICE,
    "setupPrice": SortKey.SETUP_PRICE,
    "currency": SortKey.CURRENCY,
}


class FaultyFields(LongcodeError):
    """Several fields at once, each with what is wrong with it."""

    code = "faulty_fields"

    def __init__(self, message: str, faults: Mapping[str, str]) -> None:
        super().__init__(message)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Window:
    """Which stretch of which list is wanted. search and sort: as they were sent, None if they were not."""

    page: int
    per_page: int
    search: str | None
    sort: str | None

    @property
    def order(self) -> Order:
        if self.sort is None:
            return Order()
        return Order(SORT_KEYS[self.sort.removeprefix("-")], descending=self.sort.startswith("-"))


def endpoints(*, identity: Identity, numbers: NumberStore) -> list[Endpoint]:
    """The list and its items, under both names."""

    async def list_numbers(call: Call) -> Answer:
        account = await identity.of(call)
        window = _read_window(call.query())
        listed = await numbers.listed(
            account.id,
            search=window.search or "",
            order=window.order,
            offset=(window.page - 1) * window.per_page,
            limit=window.per_page,
        )
        return _page(call.path, window, listed)

    async def add(call: Call) -> Answer:
        account = await identity.of(call)
        fields = read_object(await call.read())
        number = await numbers.add(account.id, Draft(**_read(fields, FIELDS)))
        location = f"{call.path.rstrip('/')}/{number.id}"
        return json_answer(HTTPStatus.CREATED, _entity(number), (("location", location),))

    async def show(call: Call) -> Answer:
        account = await identity.of(call)
        return _one(await numbers.get(account.id, _id(call)))

    async def replace(call: Call) -> Answer:
        account = await identity.of(call)
        number_id = _id(call)
        fields = read_object(await call.read())
        return _one(await numbers.replace(account.id, number_id, Draft(**_read(fields, FIELDS))))

    async def change(call: Call) -> Answer:
        account = await identity.of(call)
        number_id = _id(call)
        fields = read_object(await call.read())
        present = [name for name in FIELDS if name in fields]
        return _one(await numbers.change(account.id, number_id, Change(**_read(fields, present))))

    async def remove(call: Call) -> Answer:
        account = await identity.of(call)
        await numbers.delete(account.id, _id(call))
        return empty_answer(HTTPStatus.NO_CONTENT)

    collection = {"GET": list_numbers, "POST": add}
    item = {"GET": show, "PUT": replace, "PATCH": change, "DELETE": remove}
    return [
        endpoint
        for path in PATHS
        for endpoint in (
            Endpoint(path=path, methods=collection, error=explain),
            Endpoint(path=f"{path}/{{id}}", methods=item, error=explain),
        )
    ]


def explain(error: LongcodeError) -> Answer:
    """The dialect's answer to any error."""
    if isinstance(error, FaultyFields):
        return _refuse(HTTPStatus.BAD_REQUEST, str(error), error.faults)
    faults = {"value": "already exists"} if isinstance(error, Duplicate) else {}
    return _refuse(status_of(error), sentence_of(error), faults)


def _refuse(status: HTTPStatus, message: str, faults: Mapping[str, str]) -> Answer:
    return json_answer(status, {"message": message, "errors": {name: [fault] for name, fault in faults.items()}})


def _id(call: Call) -> int:
    """The number that the path names. Raises NotFound for what no number's id looks like."""
    text = call.params["id"]
    if not _ID.fullmatch(text):
        raise NotFound("there is no such number")
    return int(text)


def _read(fields: Mapping[str, object], names: Collection[str]) -> dict[str, Any]:
    """The fields of these names, by their attributes. Raises FaultyFields: for the missing ones, else the invalid."""
    missing = [name for name in names if fields.get(name) is None]
    if missing:
        raise FaultyFields("fields are missing", dict.fromkeys(missing, "is missing"))
    read: dict[str, Any] = {}
    invalid: dict[str, str] = {}
    for name in names:
        field = FIELDS[name]
        try:
            read[field.attribute] = field.parse(fields[name], field=name)
        except InvalidField:
            invalid[name] = f"is invalid: {field.rule}"
    if invalid:
        raise FaultyFields("fields are invalid", invalid)
    return read


def _read_window(query: Mapping[str, str]) -> Window:
    """The list's parameters. Raises FaultyFields with all that are invalid."""
    page = _whole_number(query.get("page", "1"), most=MAX_PAGE)
    per_page = _whole_number(query.get("per_page", str(DEFAULT_PER_PAGE)), most=MAX_PER_PAGE)
    search = query.get("search")
    sort = query.get("sort")
    valid = {
        "page": page is not None,
        "per_page": per_page is not None,
        "search": search is None or (len(search) <= MAX_INVENTORY_VALUE_LENGTH and is_clean(search)),
        "sort": sort is None or sort.removeprefix("-") in SORT_KEYS,
    }
    if page is None or per_page is None or not all(valid.values()):
        faults = {name: f"is invalid: {QUERY_RULES[name]}" for name, fine in valid.items() if not fine}
        raise FaultyFields("parameters are invalid", faults)
    return Window(page, per_page, search, sort)


def _whole_number(text: str, *, most: int) -> int | None:
    """1 to most, what is above as most; None for everything else."""
    if not _COUNT.fullmatch(text):
        return None
    # Python refuses to read integers of thousands of digits; the first twenty say enough.
    return min(int(text.lstrip("0")[:20] or "0"), most) or None


def _page(path: str, window: Window, listed: Listed) -> Answer:
    last = max(1, -(-listed.count // window.per_page))
    pages = {"first": 1, "last": last}
    if window.page < last:
        pages["next"] = window.page + 1
    if window.page > 1:
        pages["prev"] = min(window.page - 1, last)
    urls = {relation: _url(path, window, page) for relation, page in pages.items()}
    body = {
        "results": [_entity(number) for number in listed.numbers],
        "count": listed.count,
        "page": window.page,
        "per_page": window.per_page,
        "next": urls.get("next"),
        "previous": urls.get("prev"),
    }
    link = ", ".join(f'<{url}>; rel="{relation}"' for relation, url in urls.items())
    return json_answer(HTTPStatus.OK, body, (("link", link),))


def _url(path: str, window: Window, page: int) -> str:
    """The same list at another page, under the name by which it was asked for."""
    kept = {"search": window.search, "sort": window.sort}
    query = {"page": page, "per_page": window.per_page, **{name: text for name, text in kept.items() if text}}
    return f"{path}?{urlencode(query)}"


def _one(number: Number) -> Answer:
    return json_answer(HTTPStatus.OK, _entity(number))


def _entity(number: Number) -> dict[str, object]:
    return {
        "id": number.id,
        "value": number.value,
        "monthyPrice": format_price(number.monthly_price),
        "setupPrice": format_price(number.setup_price),
        "currency": number.currency,
    }
