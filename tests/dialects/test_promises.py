"""What all dialects promise alike, asked of every method of every path."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longcode.flow.identity import hash_key, new_key
from longcode.web.app import endpoints
from longcode.wire.identity import Identity
from tests.app import Api, Caller, open_api
from tests.calls import Reply, basic
from tests.conftest import DLR_SECRET
from tests.dialects.promises import (
    FIELDS,
    GUARDED,
    ROWS,
    SMS,
    WITH_BODY,
    Row,
    equipped,
    serial,
)
from tests.services.postgresql import PostgresServer

CONSOLE = "https://console.example"
EMOJI = "\N{GRINNING FACE}"
UNCLEAN = ["\x00", "\ud800", "\udfff", "\udc80\ud800"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post"]
PATHS = sorted({row.path for row in ROWS})

each_row = pytest.mark.parametrize("row", ROWS, ids=str)
each_body = pytest.mark.parametrize("row", WITH_BODY, ids=str)
each_guarded = pytest.mark.parametrize("row", GUARDED, ids=str)
each_field = pytest.mark.parametrize(("row", "name"), FIELDS, ids=[f"{row}: {name}" for row, name in FIELDS])


@pytest.fixture(scope="module")
async def caller(api: Api) -> Caller:
    """An account that has what the rows take for granted."""
    return await equipped(api)


async def test_every_method_of_every_path_has_its_row(api: Api) -> None:
    identity = Identity(api.product.verifier, anonymous=None, implicit=False)
    offered = endpoints(api.product, identity)
    assert {(method, endpoint.path) for endpoint in offered for method in endpoint.methods} == {
        (row.method, row.path) for row in ROWS
    }
    assert {endpoint.path: (endpoint.body_limit_bytes, endpoint.plain_methods) for endpoint in offered} == {
        row.path: (row.dialect.body_limit_bytes, row.dialect.plain_methods) for row in ROWS
    }


@each_row
async def test_a_good_call_is_answered_with_and_without_the_slash(caller: Caller, row: Row) -> None:
    for target in (row.target, f"{row.target}/"):
        reply = await row.call(caller, target=target)
        assert reply.status == row.usual, reply.body
        assert "location" not in reply.headers or reply.status == 201


KINDS = ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a/b; charset=iso-8859-1", "x"]


@each_body
async def test_a_body_is_json_whatever_its_content_type(caller: Caller, row: Row) -> None:
    for headers in ({}, *({"Content-Type": kind} for kind in KINDS)):
        reply = await row.call(caller, headers=headers)
        assert reply.status == row.usual, f"{headers}: {reply.body!r}"


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_tells_the_methods_that_it_has(api: Api, path: str) -> None:
    rows = {row.method: row for row in ROWS if row.path == path}
    row = next(iter(rows.values()))
    allowed = set(rows)
    if not row.dialect.plain_methods:
        allowed |= {"OPTIONS"} | ({"HEAD"} if "GET" in rows else set())
    for method, slash in itertools.product(METHODS, ("", "/")):
        # Without credentials: the method comes before them.
        reply = await api.anonymous.call(method, row.target + slash)
        assert (reply.status == 405) == (method not in allowed), method
        if reply.status == 405 or method == "OPTIONS":
            assert {name.strip() for name in reply.headers["allow"].split(",")} == allowed
        if reply.status == 405 and method != "HEAD":
            row.dialect.check_envelope(reply)
        if method == "OPTIONS" and method in allowed:
            assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("row", [row for row in ROWS if row.method == "GET"], ids=str)
async def test_head_answers_as_get_without_the_body(caller: Caller, row: Row) -> None:
    get = await row.call(caller)
    head = await caller.call("HEAD", row.target)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


@each_body
async def test_a_body_may_be_as_long_as_the_limit_and_no_longer(caller: Caller, row: Row) -> None:
    limit = row.dialect.body_limit_bytes
    content = json.dumps(row.fields()).encode()
    assert (await row.call(caller, body=content.ljust(limit))).status == row.usual
    assert (await row.call(caller, body=content.ljust(limit + 1))).status == 413


@each_field
async def test_nul_and_lone_surrogates_are_invalid_in_every_field(caller: Caller, row: Row, name: str) -> None:
    fields = row.fields()
    # Also behind six characters, which is a good length for any field.
    for text in (*UNCLEAN, *(f"123456{unclean}" for unclean in UNCLEAN)):
        value = [text] if isinstance(fields[name], list) else text
        row.check_fault(await row.call(caller, {**fields, name: value}), name, "invalid", text)


UNKNOWN = ["%00", "1%00", "%ED%A0%80", "%ff", "%F0%9F%98%80", "%2F", "%252e", "9" * 5000, "-1"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.path_param], ids=str)
async def test_no_path_parameter_is_worse_than_unknown(caller: Caller, row: Row) -> None:
    for text in UNKNOWN:
        reply = await row.call(caller, target=re.sub(r"\{.*\}", text, row.path))
        assert reply.status == 404, text


QUERY_PARAMS = [(row, name) for row in ROWS for name in row.query_params]


@pytest.mark.parametrize(("row", "name"), QUERY_PARAMS, ids=[f"{row}: {name}" for row, name in QUERY_PARAMS])
async def test_nul_and_what_is_not_utf_8_are_invalid_in_every_parameter(caller: Caller, row: Row, name: str) -> None:
    for text in ("%00", "1%00", "%ED%A0%80", "%ff", "1%FF%FE"):
        reply = await row.call(caller, target=f"{row.target}?{name}={text}")
        row.check_fault(reply, name, "invalid", text)


@each_row
async def test_unknown_parameters_are_ignored(caller: Caller, row: Row) -> None:
    reply = await row.call(caller, target=f"{row.target}?%00=%ff&unknown&=&a=%ED%A0%80&b=%zz")
    assert reply.status == row.usual


@each_body
async def test_unknown_keys_are_ignored(caller: Caller, row: Row) -> None:
    unknown = {"unknown": [{}], "\x00": "\x00", "\ud800": "\ud800", "": None, EMOJI: 1.5}
    assert (await row.call(caller, {**unknown, **row.fields()})).status == row.usual


@each_field
async def test_absent_and_null_are_missing(caller: Caller, row: Row, name: str) -> None:
    fields = row.fields()
    row.check_fault(await row.call(caller, {**fields, name: None}), name, "missing")
    if not row.partial:
        del fields[name]
        row.check_fault(await row.call(caller, fields), name, "missing")


@each_field
async def test_what_is_missing_is_told_before_what_is_invalid(caller: Caller, row: Row, name: str) -> None:
    fields = {other: None if other == name else {} for other in row.fields()}
    reply = await row.call(caller, fields)
    row.check_fault(reply, name, "missing")
    assert not any(row.blames(reply, other) for other in fields if other != name)


@each_field
async def test_a_boolean_is_no_number_and_nothing_else_either(caller: Caller, row: Row, name: str) -> None:
    for value in (True, False, {}, {"a": 1}, [[]], [True], [None]):
        row.check_fault(await row.call(caller, {**row.fields(), name: value}), name, "invalid", value)


LENGTHS = [(row, name, bounds) for row in WITH_BODY for name, bounds in row.lengths.items()]


@pytest.mark.parametrize(("row", "name", "bounds"), LENGTHS, ids=[f"{row}: {name}" for row, name, _ in LENGTHS])
async def test_lengths_count_code_points(caller: Caller, row: Row, name: str, bounds: tuple[int, int]) -> None:
    shortest, longest = bounds
    for length, character in itertools.product(bounds, (EMOJI, "é", " ")):
        reply = await row.call(caller, {**row.fields(), name: character * length})
        assert not row.blames(reply, name, "invalid"), f"{character} × {length}: {reply.body!r}"
    for length in (shortest - 1, longest + 1):
        row.check_fault(await row.call(caller, {**row.fields(), name: EMOJI * length}), name, "invalid")


UNREADABLE = {
    "nothing": b"",
    "blanks": b" \n",
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "a number": b"1",
    "cut off": b"{",
    "no value": b'{"a": }',
    "single quotes": b"{'a': 1}",
    "a trailing comma": b'{"a": 1,}',
    "trailing garbage": b"{} x",
    "two objects": b"{}{}",
    "NaN": b'{"a": NaN}',
    "an infinity": b'{"a": -Infinity}',
    "a leading zero": b'{"a": 01}',
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "not UTF-8": b'{"a": "\xff"}',
    "a surrogate in UTF-8": b'{"\xed\xa0\x80": 1}',
    "a bare control character": b'{"a": "\x01"}',
    "an unknown escape": b'{"a": "\\x41"}',
    "a form": b"from=1&to=2&text=3",
    "nesting without an end": b'{"a":' + b"[" * 30_000,
    "deep nesting": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}


@each_body
async def test_what_is_no_json_object_is_400_and_blames_no_field(caller: Caller, row: Row) -> None:
    for what, body in UNREADABLE.items():
        reply = await row.call(caller, body=body)
        assert reply.status == 400, what
        assert not any(row.blames(reply, name) for name in row.fields()), what


NUMERALS = [
    "9" * 5000,
    "-" + "9" * 5000,
    "1e400",
    "-1e999999",
    "1e-999999",
    "1e99999999999999999999",
    "0.1" + "0" * 5000,
]


@each_field
async def test_no_number_is_a_fault_of_ours(caller: Caller, row: Row, name: str) -> None:
    fields = json.dumps({**row.fields(), name: "here"})
    for numeral in NUMERALS:
        reply = await row.call(caller, body=fields.replace('"here"', numeral).encode())
        assert reply.status < 500, numeral[:30]


@each_field
async def test_of_a_key_that_stands_twice_the_last_counts(caller: Caller, row: Row, name: str) -> None:
    text = json.dumps({**row.fields(), name: None})
    doubled = f'{{"{name}": "abcdef", {text[1:]}'
    row.check_fault(await row.call(caller, body=doubled.encode()), name, "missing")


TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["+", "0", "-1", "1e3", "9999-12-31T23:59:59.9+00", "२"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(row=st.sampled_from(WITH_BODY), data=st.data())
async def test_no_field_is_a_fault_of_ours(caller: Caller, row: Row, data: st.DataObject) -> None:
    fields = row.fields()
    changed = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, VALUES)))
    assert (await row.call(caller, {**fields, **changed})).status < 500


SEGMENTS = st.binary(min_size=1, max_size=12) | st.sampled_from(
    [b".", b"..", b"\x00", b"\xed\xa0\x80", b"-0", "२".encode()]
)


@given(row=st.sampled_from([row for row in ROWS if row.path_param or row.query_params]), data=st.data())
async def test_no_parameter_is_a_fault_of_ours(caller: Caller, row: Row, data: st.DataObject) -> None:
    target = row.target
    if row.path_param:
        target = re.sub(r"\{.*\}", lambda _: quote(data.draw(SEGMENTS), safe=""), row.path)
    query = "&".join(f"{name}={quote(data.draw(SEGMENTS), safe='')}" for name in row.query_params)
    assert (await row.call(caller, target=f"{target}?{query}")).status < 500


@pytest.fixture(scope="module")
async def guarded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A product that names no anonymous account."""
    url = copied(sqlite_template, tmp_path_factory.mktemp("guarded"))
    async with open_api(url, dlr_secret=DLR_SECRET) as api:
        yield api


@pytest.fixture(scope="module")
async def open_door(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A product whose anonymous account has what the rows take for granted, and that allows one origin."""
    url = copied(sqlite_template, tmp_path_factory.mktemp("open"))
    async with open_api(url) as api:
        demo = await equipped(api)
    async with open_api(
        url, dlr_secret=DLR_SECRET, anonymous_account=demo.name, anonymous_sends=1, cors_origins=CONSOLE
    ) as api:
        yield api


def copied(template: Path, folder: Path) -> str:
    shutil.copy(template, folder / "longcode.db")
    return f"sqlite:///{folder}/longcode.db"


def check_refused(row: Row, reply: Reply) -> None:
    """Fail unless the reply refuses credentials."""
    assert reply.status == row.dialect.unauthenticated
    assert ("www-authenticate" in reply.headers) == (reply.status == 401)


@each_guarded
async def test_nobody_is_refused(guarded: Api, row: Row) -> None:
    check_refused(row, await row.call(guarded.anonymous))
    # The credentials come before the body.
    check_refused(row, await row.call(guarded.anonymous, body=b"{"))


WRONG = {
    "nothing": "",
    "only the scheme": "Basic",
    "not base64": "Basic !!!",
    "no colon": "Basic bm9jb2xvbg==",
    "not UTF-8": "Basic /zo=",
    "NUL in it": "Basic AAA6AAA=",
    "an unknown key": "Bearer lck_unknown",
    "no key": "Bearer",
    "another scheme": "Digest username=x",
    "not ASCII": "\xff\xfe",
    "endless": "x" * 10_000,
}


@each_guarded
async def test_wrong_credentials_are_refused_even_where_nobody_needs_any(open_door: Api, row: Row) -> None:
    for what, sent in WRONG.items():
        # Another peer at each call: failures are slowed, and this test makes hundreds.
        peer = f"10.0.{next(serial) % 65536 // 256}.{next(serial) % 256}"
        headers = {"Authorization": sent, "Idempotency-Key": "send_msg:1"}
        reply = await open_door.anonymous.call(row.method, row.target, body=b"{}", headers=headers, peer=peer)
        assert reply.status == row.dialect.unauthenticated, what
        check_refused(row, reply)
        row.dialect.check_envelope(reply)


@each_guarded
async def test_a_wrong_secret_is_refused(open_door: Api, row: Row) -> None:
    account = await open_door.account()
    check_refused(row, await row.call(replace(account, secret="wrong")))
    check_refused(row, await row.call(open_door.anonymous, headers=basic(secrets.token_hex(4), account.secret)))


@each_guarded
async def test_nobody_acts_as_the_anonymous_account_where_there_is_one(open_door: Api, row: Row) -> None:
    reply = await row.call(open_door.anonymous)
    if row.dialect is SMS:
        check_refused(row, reply)
    else:
        assert reply.status == row.usual


@each_guarded
async def test_an_api_key_is_as_good_as_the_secret(api: Api, caller: Caller, row: Row) -> None:
    key = new_key()
    await api.product.accounts.add_key(caller.account_id, hash_key(key), key[-4:])
    reply = await row.call(caller, headers={"Authorization": f"Bearer {key}"})
    if row.dialect is SMS:
        check_refused(row, reply)
    else:
        assert reply.status == row.usual


@each_guarded
async def test_a_foreign_page_cannot_call_as_nobody(open_door: Api, row: Row) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", f"{CONSOLE}.evil.example"):
        reply = await row.call(open_door.anonymous, headers={"Origin": origin})
        assert reply.status == 403, origin
        assert "access-control-allow-origin" not in reply.headers


@each_row
async def test_an_allowed_page_may_call_and_read(open_door: Api, row: Row) -> None:
    for origin in (CONSOLE, "http://127.0.0.1:8080"):
        reply = await row.call(open_door.anonymous, headers={"Origin": origin})
        assert reply.status == (403 if row.dialect is SMS else row.usual)
        assert reply.headers.get("access-control-allow-origin") == (CONSOLE if origin == CONSOLE else None)
        assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [CONSOLE, "https://evil.example"])
async def test_a_preflight_is_granted_to_allowed_origins_alone(open_door: Api, path: str, origin: str) -> None:
    rows = {row.method: row for row in ROWS if row.path == path}
    row = next(iter(rows.values()))
    headers = {"Origin": origin, "Access-Control-Request-Method": row.method}
    reply = await open_door.anonymous.call("OPTIONS", row.target, headers=headers)
    if row.dialect.plain_methods:
        assert reply.status == 405
        return
    assert reply.status == 204
    assert ("access-control-allow-methods" in reply.headers) == (origin == CONSOLE)
    assert ("access-control-allow-origin" in reply.headers) == (origin == CONSOLE)
    if origin == CONSOLE:
        assert set(rows) <= {name.strip() for name in reply.headers["access-control-allow-methods"].split(",")}


@each_row
async def test_without_allowed_origins_no_answer_speaks_of_any(guarded: Api, row: Row) -> None:
    reply = await guarded.anonymous.call(row.method, row.target, headers={"Origin": CONSOLE})
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("row", [row for row in ROWS if row.counted], ids=str)
async def test_a_full_intake_is_503_with_retry_after(sqlite_url: str, row: Row) -> None:
    async with open_api(sqlite_url, intake_limit=1) as api:
        caller = await equipped(api)
        assert (await row.call(caller)).status == row.usual
        replies = await asyncio.gather(*(row.call(caller) for _ in range(20)))
        assert {reply.status for reply in replies} == {row.usual, 503}
        for reply in replies:
            assert reply.status != 503 or int(reply.headers["retry-after"]) > 0


async def test_without_its_database_every_call_says_so_in_its_own_words(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with open_api(postgres_url, dlr_secret=DLR_SECRET) as api:
        caller, stranger = await equipped(api), await api.account()
        postgres_server.kill()
        for row in ROWS:
            # The first was seen before and is remembered, the second must be looked up.
            for who in (caller, stranger):
                reply = await row.call(who)
                assert reply.status == (200 if row.path == "/health" else row.dialect.down), row
