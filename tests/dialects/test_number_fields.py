"""What the fields of `/api/numbers` may be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.app import Api
from tests.dialects.test_numbers import FIELDS, OTHER, check_envelope, everything, post

PRICES = [
    ("0", "0.00"),
    ("0.00", "0.00"),
    ("3.4", "3.40"),
    ("007.10", "7.10"),
    ("99999999.99", "99999999.99"),
    (0, "0.00"),
    (99999999, "99999999.00"),
]


@pytest.mark.parametrize(("sent", "kept"), PRICES)
async def test_a_price_is_kept_exactly(api: Api, sent: object, kept: str) -> None:
    entity = await post(await api.account(), monthyPrice=sent, setupPrice=sent)
    assert (entity["monthyPrice"], entity["setupPrice"]) == (kept, kept)


@pytest.mark.parametrize(
    ("literal", "kept"),
    [(b"1.50", "1.50"), (b"0.07", "0.07"), (b"1.1", "1.10"), (b"99999999.99", "99999999.99"), (b"0.0", "0.00")],
)
async def test_a_number_with_a_point_is_never_a_float(api: Api, literal: bytes, kept: str) -> None:
    body = b'{"value":"+12025550103","monthyPrice":' + literal + b',"setupPrice":0,"currency":"U$"}'
    reply = await (await api.account()).call("POST", "/numbers", body=body)
    assert (reply.status, reply.json["monthyPrice"]) == (201, kept)


@pytest.mark.parametrize(
    "literal",
    [b"1e3", b"1E+1", b"0.001", b"1.500", b"-0.01", b"-1", b"100000000", b"99999999.995", b"1e999999999", b"9" * 40],
)
async def test_a_number_is_no_price(api: Api, literal: bytes) -> None:
    caller = await api.account()
    body = b'{"value":"+12025550103","monthyPrice":' + literal + b',"setupPrice":0,"currency":"U$"}'
    reply = await caller.call("POST", "/numbers", body=body)
    check_envelope(reply, 400, "monthyPrice")
    assert await everything(caller) == []


@dataclass(frozen=True)
class Bad:
    """A value that a field may not have."""

    name: str
    field: str
    value: object


BAD_PRICES: list[tuple[str, object]] = [
    ("empty", ""),
    ("blank", " "),
    ("three decimals", "0.001"),
    ("a third decimal that is zero", "1.500"),
    ("negative", "-1"),
    ("negative zero", "-0"),
    ("a sign", "+1"),
    ("too high", "100000000"),
    ("higher by a cent", "100000000.00"),
    ("not a number", "NaN"),
    ("infinite", "Infinity"),
    ("an exponent", "1e3"),
    ("a comma", "1,5"),
    ("thousands", "1,000.00"),
    ("no digit before the point", ".5"),
    ("no digit after the point", "5."),
    ("space around", " 1.00"),
    ("a line's end", "1.00\n"),
    ("a unit", "$1"),
    ("underscores", "1_0"),
    ("hexadecimal", "0x10"),
    ("digits of another script", "١"),
    ("true", True),
    ("false", False),
    ("a list", ["1.00"]),
    ("an object", {"amount": "1.00"}),
    ("U+0000", "1\0"),
    ("a lone surrogate", "1\ud800"),
]
BAD_VALUES: list[tuple[str, object]] = [
    ("empty", ""),
    ("too few digits", "+1 20"),
    ("too many digits", "9" * 21),
    ("letters", "+1 202 CALL ME 55501"),
    ("a plus sign inside", "1+2025550101"),
    ("two plus signs", "++12025550101"),
    ("a slash", "202/5550101"),
    ("a line's end", "+12025550101\n"),
    ("a tab", "+1202\t5550101"),
    ("no digits", "()-. "),
    ("digits of another script", "٢٠٢٥٥٥٠١٠١"),
    ("longer than 64", "202555" + " " * 60),
    ("U+0000", "+12025550101\0"),
    ("a lone surrogate", "+12025550101\udfff"),
    ("an integer", 12025550101),
    ("true", True),
    ("a list", ["+12025550101"]),
]
BAD_CURRENCIES: list[tuple[str, object]] = [
    ("empty", ""),
    ("a blank", " "),
    ("blanks", "   "),
    ("nine characters", "123456789"),
    ("nine emoji", "💶" * 9),
    ("a line's end", "U$\n"),
    ("a tab", "\t"),
    ("an escape", "\x1b[1m"),
    ("U+0000", "U\0"),
    ("a lone surrogate", "\ud800"),
    ("an invisible character", "U\u200b"),
    ("a non-breaking space", "\u00a0"),
    ("an integer", 1),
    ("false", False),
    ("an object", {}),
]
BAD = [
    Bad(f"{field}: {name}", field, value)
    for field, cases in {
        "monthyPrice": BAD_PRICES,
        "setupPrice": BAD_PRICES,
        "value": BAD_VALUES,
        "currency": BAD_CURRENCIES,
    }.items()
    for name, value in cases
]


async def test_what_a_field_may_not_be_changes_nothing(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    one = f"/api/numbers/{entity['id']}"
    for case in BAD:
        faulty = {**OTHER, case.field: case.value}
        replies = (
            await caller.call("POST", "/api/numbers", json=faulty),
            await caller.call("PUT", one, json=faulty),
            await caller.call("PATCH", one, json={case.field: case.value}),
        )
        for reply in replies:
            assert reply.status == 400, case.name
            check_envelope(reply, 400, case.field)
            assert reply.json["errors"][case.field][0].startswith("is invalid: ")
    assert await everything(caller) == [entity]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("202555", id="6 digits"),
        pytest.param("9" * 20, id="20 digits"),
        pytest.param("+" + "9" * 20, id="20 digits and a plus sign"),
        pytest.param("(202) 555-01.01", id="every separator"),
        pytest.param(" 202 555 0101 ", id="blanks around"),
        pytest.param("202555" + " " * 58, id="64 characters"),
    ],
)
async def test_a_value_is_kept_verbatim(api: Api, value: str) -> None:
    caller = await api.account()
    entity = await post(caller, value=value)
    assert entity["value"] == value
    assert (await caller.call("GET", f"/numbers/{entity['id']}")).json["value"] == value


@pytest.mark.parametrize("currency", ["U$", "R$", "€", "x", "12345678", " $ ", "💶" * 8, "元", "<b>", "';--"])
async def test_a_currency_is_kept_verbatim(api: Api, currency: str) -> None:
    caller = await api.account()
    assert (await post(caller, currency=currency))["currency"] == currency
    assert [entity["currency"] for entity in await everything(caller)] == [currency]


async def test_all_faulty_fields_are_told_at_once(api: Api) -> None:
    caller = await api.account()
    reply = await caller.call("POST", "/numbers", json=dict.fromkeys(FIELDS, "\n"))
    check_envelope(reply, 400, *FIELDS)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_missing_comes_before_invalid(api: Api, method: str) -> None:
    caller = await api.account()
    entity = await post(caller)
    path = "/numbers" if method == "POST" else f"/numbers/{entity['id']}"

    check_envelope(await caller.call(method, path, json={}), 400, *FIELDS)
    for field in FIELDS:
        others = {name: "\n" for name in FIELDS if name != field}
        for body in (others, {**others, field: None}):
            reply = await caller.call(method, path, json=body)
            check_envelope(reply, 400, field)
            assert reply.json["errors"] == {field: ["is missing"]}
    assert await everything(caller) == [entity]


async def test_null_is_missing_in_a_patch_too(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    reply = await caller.call("PATCH", f"/numbers/{entity['id']}", json={"monthyPrice": None, "currency": ""})
    check_envelope(reply, 400, "monthyPrice")
    assert await everything(caller) == [entity]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a string"),
        pytest.param(b"value=1", id="a form"),
        pytest.param(b'{"value": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"monthyPrice": NaN}', id="not JSON's numbers"),
        pytest.param(b"[" * 20_000, id="deep"),
    ],
)
async def test_a_body_that_is_no_object_is_unreadable(api: Api, body: bytes) -> None:
    caller = await api.account()
    entity = await post(caller)
    for method, path in (
        ("POST", "/numbers"),
        ("PUT", f"/numbers/{entity['id']}"),
        ("PATCH", f"/numbers/{entity['id']}"),
    ):
        check_envelope(await caller.call(method, path, body=body), 400)
