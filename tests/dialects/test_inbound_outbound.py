"""`/inbound/sms/` and `/outbound/sms/` as their clients see them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from longcode.domain.phone import canonical
from longcode.flow.identity import hash_key, new_key
from longcode.store import schema
from tests.app import Api, Caller, open_api
from tests.calls import Reply
from tests.processes import wait_until_async
from tests.services.postgresql import PostgresServer
from tests.services.valkey import ValkeyServer

# Nobody's numbers: no test assigns them.
ALICE, BOB, CAROL = "+14005550101", "+14005550102", "+14005550103"
INBOUND, OUTBOUND = "/inbound/sms/", "/outbound/sms/"
OK = {INBOUND: b'{"message":"inbound sms ok","error":""}', OUTBOUND: b'{"message":"outbound sms ok","error":""}'}
STOPS = ["STOP", "STOP\n", "STOP\r", "STOP\r\n"]
ABSENT = object()

_unassigned = (f"+1{area}55501{line:02}" for area in range(401, 500) for line in range(100))


@pytest.fixture
def ours() -> str:
    """A number that no account has yet; the product is shared, and a number has one owner."""
    return next(_unassigned)


@pytest.fixture
async def caller(api: Api, ours: str) -> Caller:
    """An account that has `ours`."""
    return await owner(api, ours)


async def owner(api: Api, number: str) -> Caller:
    caller = await api.account()
    await api.assign(caller, number)
    return caller


async def post(caller: Caller, path: str, **fields: object) -> Reply:
    """A call with these fields, `sender` standing for `from`; ABSENT leaves one out."""
    body = {name.replace("sender", "from"): value for name, value in fields.items() if value is not ABSENT}
    return await caller.call("POST", path, body=json.dumps(body).encode())


async def send(caller: Caller, sender: str, to: str = BOB, text: str = "Hello") -> Reply:
    return await post(caller, OUTBOUND, sender=sender, to=to, text=text)


async def come(caller: Caller, to: str, sender: str = BOB, text: str = "Hello") -> Reply:
    return await post(caller, INBOUND, sender=sender, to=to, text=text)


def failure(error: str) -> bytes:
    return json.dumps({"message": "", "error": error}, separators=(",", ":"), ensure_ascii=False).encode()


def blocked(sender: str, to: str) -> tuple[int, bytes]:
    return 400, failure(f"sms from {sender} to {to} blocked by STOP request")


def of(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


async def stored(api: Api, caller: Caller) -> list[tuple[str, str, str, str, bool]]:
    """Direction, sender, recipient, text, and whether it waits for a carrier, of each message of the account."""
    message, outbox = schema.message, schema.outbox
    query = (
        select(message.c.direction, message.c.sender, message.c.recipient, message.c.text, outbox.c.message_id)
        .join(outbox, outbox.c.message_id == message.c.id, isouter=True)
        .where(message.c.account_id == caller.account_id)
        .order_by(message.c.id)
    )
    async with api.database.read() as connection:
        rows = (await connection.execute(query)).all()
    return [(row.direction, row.sender, row.recipient, row.text, row.message_id is not None) for row in rows]


GOOD_SENDERS = [
    pytest.param("123456", id="six digits"),
    pytest.param("1" * 16, id="sixteen digits"),
    pytest.param("+1 (202) 555-01", id="spaces and signs count like digits"),
    pytest.param("Long code", id="letters"),
    pytest.param("😀" * 6, id="six code points outside the BMP"),
    pytest.param("😀" * 16, id="sixteen code points, though 64 bytes"),
    pytest.param("      ", id="six spaces, for nothing is trimmed"),
]


@pytest.mark.parametrize("other", GOOD_SENDERS)
async def test_length_is_the_only_rule_for_a_party(api: Api, caller: Caller, ours: str, other: str) -> None:
    assert of(await come(caller, ours, sender=other)) == (200, OK[INBOUND])
    assert of(await send(caller, ours, to=other)) == (200, OK[OUTBOUND])
    assert await stored(api, caller) == [
        ("inbound", other, ours, "Hello", False),
        ("outbound", ours, other, "Hello", True),
    ]


@pytest.mark.parametrize("text", ["x", " ", "x" * 120, "😀" * 120, "a\r\nb", "é"], ids=range(6))
async def test_a_text_is_kept_as_it_is(api: Api, caller: Caller, ours: str, text: str) -> None:
    assert of(await come(caller, ours, text=text)) == (200, OK[INBOUND])
    assert of(await send(caller, ours, text=text)) == (200, OK[OUTBOUND])
    assert [row[3] for row in await stored(api, caller)] == [text, text]


async def test_unknown_keys_and_the_content_type_do_not_matter(caller: Caller, ours: str) -> None:
    body = json.dumps({"from": ours, "to": BOB, "text": "Hello", "other": {"deep": [1]}}).encode()
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
        reply = await caller.call("POST", OUTBOUND, body=body, headers={"content-type": content_type})
        assert of(reply) == (200, OK[OUTBOUND])
        assert reply.headers["content-type"] == "application/json"


async def test_the_same_call_again_is_another_message(api: Api, caller: Caller, ours: str) -> None:
    for _ in range(2):
        assert of(await send(caller, ours)) == (200, OK[OUTBOUND])
        assert of(await come(caller, ours)) == (200, OK[INBOUND])
    assert len(await stored(api, caller)) == 4


FIELDS = {"sender": "from", "to": "to", "text": "text"}
BAD = [
    *(pytest.param({key: ABSENT}, f"{name} is missing", id=f"no {name}") for key, name in FIELDS.items()),
    *(pytest.param({key: None}, f"{name} is missing", id=f"{name} is null") for key, name in FIELDS.items()),
    *(
        pytest.param({key: value}, f"{name} is invalid", id=f"{name} is {what}")
        for key, name in FIELDS.items()
        for what, value in {
            "empty": "",
            "a number": 12025550101,
            "a boolean": True,
            "a list": ["12025550101"],
            "an object": {},
            "with U+0000": "1202555\x00",
            "with a lone surrogate": "1202555\ud83d",
            "121 characters": "1" * 121,
        }.items()
    ),
    *(pytest.param({key: "12345"}, f"{FIELDS[key]} is invalid", id=f"{FIELDS[key]} of 5") for key in ("sender", "to")),
    *(
        pytest.param({key: "1" * 17}, f"{FIELDS[key]} is invalid", id=f"{FIELDS[key]} of 17")
        for key in ("sender", "to")
    ),
    pytest.param({"to": "😀" * 5}, "to is invalid", id="five code points, though ten UTF-16 units"),
    pytest.param({"sender": None, "to": None, "text": None}, "from is missing", id="missing ones in their order"),
    pytest.param({"to": None, "text": None}, "to is missing", id="to before text"),
    pytest.param({"sender": "", "to": "", "text": ""}, "from is invalid", id="invalid ones in their order"),
    pytest.param({"sender": "", "text": None}, "text is missing", id="missing comes before invalid"),
    pytest.param({"to": "", "text": ""}, "to is invalid", id="an invalid to before an invalid text"),
]


@pytest.mark.parametrize("path", [INBOUND, OUTBOUND])
@pytest.mark.parametrize(("changes", "error"), BAD)
async def test_a_bad_field_is_named(api: Api, path: str, changes: dict[str, object], error: str) -> None:
    caller = await api.account()
    reply = await post(caller, path, **{"sender": ALICE, "to": BOB, "text": "Hello", **changes})
    assert of(reply) == (400, failure(error))
    assert await stored(api, caller) == []


@pytest.mark.parametrize("path", [INBOUND, OUTBOUND])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"null", b'{"from":', b"\xff", b"from=1&to=2", b"{} {}", b"[" * 50_000], ids=range(9)
)
async def test_an_unreadable_body_is_an_unknown_failure(caller: Caller, path: str, body: bytes) -> None:
    assert of(await caller.call("POST", path, body=body)) == (400, failure("unknown failure"))


@pytest.mark.parametrize("path", [INBOUND, OUTBOUND])
async def test_a_body_over_64_kib_is_an_unknown_failure(caller: Caller, path: str) -> None:
    body = b'{"a":"' + b"x" * 65528 + b'"}'
    assert of(await caller.call("POST", path, body=body)) == (400, failure("from is missing"))
    assert of(await caller.call("POST", path, body=body + b" ")) == (413, failure("unknown failure"))


@pytest.mark.parametrize("path", [INBOUND, OUTBOUND, INBOUND.rstrip("/"), OUTBOUND.rstrip("/")])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_only_post_is_allowed_whoever_calls(api: Api, path: str, method: str) -> None:
    reply = await api.anonymous.call(method, path)
    assert of(reply) == (405, b"" if method == "HEAD" else failure("method not allowed"))
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(("path", "error"), [(INBOUND, "to"), (OUTBOUND, "from")])
async def test_both_slash_forms_answer(caller: Caller, ours: str, path: str, error: str) -> None:
    for form in (path, path.rstrip("/")):
        assert of(await post(caller, form, sender=ours, to=ours, text="Hello")) == (200, OK[path])
        reply = await post(caller, form, sender=ALICE, to=ALICE, text="Hello")
        assert of(reply) == (404, failure(f"{error} parameter not found"))


@pytest.mark.parametrize("path", [INBOUND, OUTBOUND])
@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="none"),
        pytest.param("Basic {nobody}", id="an unknown name"),
        pytest.param("Basic {wrong_secret}", id="a wrong secret"),
        pytest.param("Basic {wrong_name}", id="the name of another account"),
        pytest.param("Basic {no_colon}", id="no colon"),
        pytest.param("Basic !!!", id="not Base64"),
        pytest.param("Basic", id="nothing after the scheme"),
        pytest.param("Bearer {key}", id="an API key, which is for other paths"),
        pytest.param("Digest {right}", id="another scheme"),
    ],
)
async def test_any_failure_of_credentials_is_403_before_the_body(api: Api, path: str, authorization: str) -> None:
    caller, other, key = await api.account(), await api.account(), new_key()
    await api.product.accounts.add_key(caller.account_id, hash_key(key), "lck_")
    pairs = {
        "right": f"{caller.name}:{caller.secret}",
        "nobody": f"nobody:{caller.secret}",
        "wrong_secret": f"{caller.name}:wrong",
        "wrong_name": f"{other.name}:{caller.secret}",
        "no_colon": caller.name,
    }
    tokens = {name: base64.b64encode(pair.encode()).decode() for name, pair in pairs.items()}
    headers = {"authorization": authorization.format(key=key, **tokens)} if authorization else {}
    for body in (b"", b"{", b'{"from":"123456"}'):
        reply = await api.anonymous.call("POST", path, body=body, headers=headers)
        assert of(reply) == (403, failure("authentication failed"))
        assert "www-authenticate" not in reply.headers


async def test_there_is_no_anonymous_caller_here(sqlite_url: str) -> None:
    async with open_api(sqlite_url, anonymous_account="demo") as api:
        await api.account("demo")
        for path in (INBOUND, OUTBOUND):
            assert of(await api.anonymous.call("POST", path)) == (403, failure("authentication failed"))


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param("{digits}", id="without its plus"),
        pytest.param("{ours} ", id="with a space behind it"),
        pytest.param(ALICE, id="nobody's"),
        pytest.param("{theirs}", id="another account's"),
    ],
)
async def test_a_number_is_the_accounts_only_as_it_was_assigned(
    api: Api, caller: Caller, ours: str, spelling: str
) -> None:
    theirs = next(_unassigned)
    await owner(api, theirs)
    number = spelling.format(ours=ours, digits=ours[1:], theirs=theirs)
    assert of(await come(caller, number)) == (404, failure("to parameter not found"))
    assert of(await send(caller, number)) == (404, failure("from parameter not found"))
    assert await stored(api, caller) == []


@pytest.mark.parametrize("text", STOPS)
async def test_a_stop_blocks_the_other_direction_of_its_pair_alone(
    api: Api, caller: Caller, ours: str, text: str
) -> None:
    second = next(_unassigned)
    await api.assign(caller, second)
    assert of(await come(caller, ours, text=text)) == (200, OK[INBOUND])
    assert of(await come(caller, ours, text=text)) == (200, OK[INBOUND])
    assert of(await send(caller, ours, to=BOB)) == blocked(ours, BOB)
    assert of(await send(caller, ours, to=CAROL)) == (200, OK[OUTBOUND])
    # The same two numbers, from another of ours and the other way round.
    assert of(await send(caller, second, to=BOB)) == (200, OK[OUTBOUND])
    assert of(await come(caller, ours, sender=BOB)) == (200, OK[INBOUND])
    assert len(await stored(api, caller)) == 5


@pytest.mark.parametrize("text", ["stop", "Stop", " STOP", "STOP ", "STOP\n\n", "STOP\n\r", "STOP.", "STOPALL"])
async def test_only_these_texts_are_a_stop(caller: Caller, ours: str, text: str) -> None:
    assert of(await come(caller, ours, text=text)) == (200, OK[INBOUND])
    assert of(await send(caller, ours)) == (200, OK[OUTBOUND])


async def test_a_stop_is_known_to_its_account_alone(api: Api, caller: Caller, ours: str) -> None:
    theirs = next(_unassigned)
    other = await owner(api, theirs)
    assert of(await come(caller, ours, text="STOP")) == (200, OK[INBOUND])
    # For the other account the pair is not stopped, only not its own.
    assert of(await send(other, ours)) == (404, failure("from parameter not found"))
    # A STOP to a number of another account stores nothing.
    assert of(await come(caller, theirs, text="STOP")) == (404, failure("to parameter not found"))
    assert of(await send(other, theirs)) == (200, OK[OUTBOUND])


async def test_the_stop_comes_before_the_owner_and_the_owner_before_the_limit(
    api: Api, caller: Caller, ours: str
) -> None:
    assert of(await come(caller, ours, text="STOP")) == (200, OK[INBOUND])
    # Without its plus the sender is the same party, and no number of the account.
    assert of(await send(caller, ours[1:], to=BOB)) == blocked(ours[1:], BOB)
    assert of(await send(caller, ours[1:], to=CAROL)) == (404, failure("from parameter not found"))
    replies = [of(await send(caller, ours, to=CAROL)) for _ in range(51)]
    assert Counter(replies) == {(200, OK[OUTBOUND]): 50, (429, failure(f"limit reached for from {ours}")): 1}
    assert of(await send(caller, ours, to=BOB)) == blocked(ours, BOB)
    assert of(await send(caller, ours[1:], to=CAROL)) == (404, failure("from parameter not found"))


async def test_a_durable_opt_out_is_asked_too(api: Api, caller: Caller, ours: str) -> None:
    await api.product.opt_outs.add(caller.account_id, canonical(BOB), source="test")
    assert of(await send(caller, ours, to=BOB)) == blocked(ours, BOB)
    assert of(await send(caller, ours, to=CAROL)) == (200, OK[OUTBOUND])


async def test_of_two_hundred_calls_at_once_exactly_fifty_go_on(api: Api, caller: Caller, ours: str) -> None:
    assert (await come(caller, ours)).status == 200  # inbound is not counted
    replies = await asyncio.gather(*(send(caller, ours) for _ in range(200)))
    limited = (429, failure(f"limit reached for from {ours}"))
    assert Counter(map(of, replies)) == {(200, OK[OUTBOUND]): 50, limited: 150}
    for reply in replies:
        if reply.status == 429:
            assert 86_000 < int(reply.headers["retry-after"]) <= 86_400
    assert len([row for row in await stored(api, caller) if row[0] == "outbound"]) == 50


async def test_only_calls_that_reach_the_limit_are_counted(api: Api, caller: Caller, ours: str) -> None:
    other = await api.account()
    assert (await come(caller, ours, text="STOP")).status == 200
    for _ in range(10):
        assert (await send(caller, ours, to="")).status == 400
        assert (await send(caller, ours, to=BOB)).status == 400
        assert (await send(other, ours, to=CAROL)).status == 404
        assert (await send(caller, ours[1:], to=CAROL)).status == 404
        assert (await come(caller, ours)).status == 200
    assert Counter([(await send(caller, ours, to=CAROL)).status for _ in range(52)]) == {200: 50, 429: 2}
    # Each number has its own window.
    second = next(_unassigned)
    await api.assign(caller, second)
    assert (await send(caller, second, to=CAROL)).status == 200


async def test_a_stop_and_a_window_end(sqlite_url: str, ours: str) -> None:
    async with open_api(sqlite_url, stop_ttl_seconds=3, sender_limit=2, sender_limit_window_seconds=3) as api:
        caller = await owner(api, ours)

        async def goes_on(to: str) -> bool:
            return (await send(caller, ours, to=to)).status == 200

        assert (await come(caller, ours, text="STOP")).status == 200
        assert of(await send(caller, ours, to=BOB)) == blocked(ours, BOB)
        replies = [await send(caller, ours, to=CAROL) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 3
        await wait_until_async(lambda: goes_on(CAROL), what="the window's end")
        await wait_until_async(lambda: goes_on(BOB), what="the end of the STOP")


@pytest.fixture
async def lenient(sqlite_url: str) -> AsyncIterator[Api]:
    """A product that answers 200 to a readable body."""
    async with open_api(sqlite_url, inbound_outbound_error_status="ok", sender_limit=1) as api:
        yield api


async def test_the_operator_may_choose_200_for_errors_of_readable_bodies(lenient: Api, ours: str) -> None:
    caller = await owner(lenient, ours)
    assert of(await come(caller, ours, text="STOP")) == (200, OK[INBOUND])
    assert of(await send(caller, ours, to=CAROL)) == (200, OK[OUTBOUND])
    limited = await send(caller, ours, to=CAROL)
    assert limited.headers["retry-after"]
    for reply, error in (
        (limited, f"limit reached for from {ours}"),
        (await send(caller, ours, to=BOB), f"sms from {ours} to {BOB} blocked by STOP request"),
        (await send(caller, ALICE), "from parameter not found"),
        (await come(caller, ALICE), "to parameter not found"),
        (await send(caller, ours, to=""), "to is invalid"),
        (await post(caller, INBOUND), "from is missing"),
    ):
        assert of(reply) == (200, failure(error))
    for reply, status, error in (
        (await caller.call("POST", INBOUND, body=b"{"), 400, "unknown failure"),
        (await caller.call("POST", INBOUND, body=b"x" * 65537), 413, "unknown failure"),
        (await caller.call("GET", INBOUND), 405, "method not allowed"),
        (await lenient.anonymous.call("POST", OUTBOUND), 403, "authentication failed"),
    ):
        assert of(reply) == (status, failure(error))


async def test_a_full_intake_is_said_so(sqlite_url: str, ours: str) -> None:
    async with open_api(sqlite_url, intake_limit=1) as api:
        caller = await owner(api, ours)
        assert (await come(caller, ours)).status == 200
        replies = await asyncio.gather(*(make(caller, ours) for make in (come, send) * 5))
        refused = [reply for reply in replies if reply.status != 200]
        assert len(refused) == 9
        for reply in refused:
            assert of(reply) == (503, failure("unknown failure"))
            assert reply.headers["retry-after"] == "1"


async def test_without_the_store_of_stops_only_inbound_works(
    postgres_url: str, valkey_url: str, valkey_server: ValkeyServer, ours: str
) -> None:
    async with open_api(postgres_url, valkey_url) as api:
        caller = await owner(api, ours)
        assert (await send(caller, ours)).status == 200
        valkey_server.stop()
        down = (500, failure("unknown failure"))
        assert of(await send(caller, ours)) == down
        for text in STOPS:
            assert of(await come(caller, ours, text=text)) == down
        assert of(await come(caller, ours)) == (200, OK[INBOUND])
        assert of(await come(caller, ALICE, text="STOP")) == (404, failure("to parameter not found"))
        assert of(await send(caller, ours, to="")) == (400, failure("to is invalid"))
        assert [row[0] for row in await stored(api, caller)] == ["outbound", "inbound"]
        valkey_server.start()
        assert of(await come(caller, ours, text="STOP")) == (200, OK[INBOUND])
        assert of(await send(caller, ours)) == blocked(ours, BOB)


async def test_the_database_may_go_and_come_back(postgres_url: str, postgres_server: PostgresServer, ours: str) -> None:
    async with open_api(postgres_url) as api:
        caller = await owner(api, ours)
        assert (await send(caller, ours)).status == 200
        postgres_server.stop()
        for _ in range(2):
            assert of(await send(caller, ours)) == (500, failure("unknown failure"))
            assert of(await come(caller, ours)) == (500, failure("unknown failure"))
        postgres_server.start()
        assert of(await send(caller, ours)) == (200, OK[OUTBOUND])
        assert of(await come(caller, ours)) == (200, OK[INBOUND])
        assert [row[0] for row in await stored(api, caller)] == ["outbound", "outbound", "inbound"]
