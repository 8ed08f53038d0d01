"""Who may call the native API, for whom, and how often."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import pytest

from longcode.domain.scopes import OPERATOR, SCOPES
from longcode.flow.identity import OPERATOR_PREFIX, hash_key, new_key
from tests.api.described import HELLO, Client, client
from tests.app import Api, open_api
from tests.web.described import everything


async def key_for(api: Api, account_id: int, *scopes: str) -> Mapping[str, str]:
    """The header of a fresh key."""
    key = new_key()
    await api.product.accounts.add_key(account_id, hash_key(key), key[:8], scopes=frozenset(scopes) or None)
    return {"Authorization": f"Bearer {key}"}


async def operator(api: Api) -> Mapping[str, str]:
    key = new_key(OPERATOR_PREFIX)
    await api.product.accounts.add_operator_key(hash_key(key), key[:8])
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def mine(api: Api) -> Client:
    return await client(api)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic bm9ib2R5OndvcmQ="},
        {"Authorization": "Bearer lck_wrong"},
        {"Authorization": "Bearer lco_wrong"},
        {"Authorization": "Bearer lco_\u00e9"},
        {"Authorization": "Digest x"},
    ],
)
@pytest.mark.parametrize("call", [("GET", "/messages"), ("POST", "/messages"), ("POST", "/messages/preview")])
async def test_wrong_credentials_are_refused_before_anything_is_read(
    api: Api, headers: Mapping[str, str], call: tuple[str, str]
) -> None:
    nobody = Client(api, api.anonymous)
    reply = await nobody.call(*call, headers=headers, body=b"{" if call[0] == "POST" else None)
    assert (reply.status, reply.json["code"]) == (401, "not_authenticated")
    assert reply.headers["www-authenticate"].startswith("Basic")


NATIVE = [found for found in everything() if found.path.startswith("/v1/")]


async def test_every_operation_is_guarded(mine: Client) -> None:
    nobody = Client(mine.api, mine.api.anonymous)
    all_but = {
        scope: await key_for(mine.api, mine.account_id, *(one for one in SCOPES if one != scope))
        for scope in {found.spec["x-scope"] for found in NATIVE}
    }
    for found in NATIVE:
        path, scope = re.sub(r"{\w+}", "1", found.path.removeprefix("/v1")), found.spec["x-scope"]
        assert (await nobody.call(found.method, path, body=b"")).json["code"] == "not_authenticated", found.id
        refused = await mine.call(found.method, path, body=b"", headers=all_but[scope])
        assert refused.json["code"] == ("operator_only" if scope == OPERATOR else "scope_missing"), found.id


async def test_a_key_opens_what_its_scopes_say(mine: Client) -> None:
    reads = await key_for(mine.api, mine.account_id, "messages:read")
    assert (await mine.get("/messages", headers=reads)).status == 200
    for path, body in (("/messages", HELLO), ("/messages/batch", {"messages": [HELLO]})):
        reply = await mine.post(path, body, headers=reads)
        assert (reply.status, reply.json["code"]) == (403, "scope_missing")
        assert "messages:write" in reply.json["detail"]
    assert (await mine.post("/messages/preview", {"text": "x"}, headers=reads)).status == 200


async def test_the_older_interfaces_refuse_a_limited_key(mine: Client) -> None:
    whole = await key_for(mine.api, mine.account_id)
    limited = await key_for(mine.api, mine.account_id, "messages:read", "numbers:read")
    assert (await mine.caller.call("GET", "/api/numbers", headers=whole)).status == 200
    assert (await mine.caller.call("GET", "/api/numbers", headers=limited)).status == 401


async def test_an_operator_acts_for_the_account_that_he_names(mine: Client) -> None:
    headers = await operator(mine.api)
    unnamed = await mine.get("/messages", headers=headers)
    assert (unnamed.status, unnamed.json["code"]) == (403, "account_needed")
    stranger = await mine.get("/messages", headers={**headers, "Longcode-Account": "no such"})
    assert (stranger.status, stranger.json["code"]) == (404, "not_found")
    sent = await mine.post("/messages", HELLO, headers={**headers, "Longcode-Account": mine.caller.name})
    assert sent.status == 201
    assert (await mine.get(f"/messages/{sent.json['id']}")).status == 200
    assert (await mine.caller.call("GET", "/api/numbers", headers=headers)).status == 401


async def test_an_operator_names_an_account_in_any_alphabet(mine: Client) -> None:
    headers, name = await operator(mine.api), f"Zoë-{mine.account_id}"
    assert (await mine.post("/accounts", {"name": name}, headers=headers)).status == 201
    for sent in (name, name.encode().decode("latin-1")):  # by a client that sends Latin-1, and by one that sends UTF-8
        reply = await mine.get("/messages", headers={**headers, "Longcode-Account": sent})
        assert (reply.status, reply.json["items"]) == (200, [])


async def test_an_accounts_own_header_names_nobody_else(api: Api, mine: Client) -> None:
    other = await client(api)
    await other.send()
    reply = await mine.get("/messages", headers={"Longcode-Account": other.caller.name})
    assert reply.json["items"] == []


async def test_a_revoked_operators_key_opens_nothing(mine: Client) -> None:
    key = new_key(OPERATOR_PREFIX)
    kept = await mine.api.product.accounts.add_operator_key(hash_key(key), key[:8])
    headers = {"Authorization": f"Bearer {key}", "Longcode-Account": mine.caller.name}
    assert (await mine.get("/messages", headers=headers)).status == 200
    assert await mine.api.product.accounts.revoke_operator_key(kept.id)
    assert (await mine.get("/messages", headers=headers)).status == 401


async def test_calls_are_counted_for_each_account(sqlite_url: str) -> None:
    async with open_api(sqlite_url, api_calls_per_minute=3) as api:
        first, second = await client(api), await client(api)
        left = [(await first.get("/messages")).headers["ratelimit"] for _ in range(2)]
        assert [one.partition(";t=")[0] for one in left] == ['"calls";r=2', '"calls";r=1']
        sent = await first.post("/messages", HELLO)
        assert (sent.status, sent.headers["ratelimit-policy"]) == (201, '"calls";q=3;w=60')
        for refused in (await first.get("/messages"), await first.post("/messages", HELLO)):
            assert (refused.status, refused.json["code"]) == (429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["ratelimit"].startswith('"calls";r=0;')
        assert (await second.get("/messages")).status == 200


async def test_no_limit_says_nothing(sqlite_url: str) -> None:
    async with open_api(sqlite_url, api_calls_per_minute=0) as api:
        assert "ratelimit" not in (await (await client(api)).get("/messages")).headers


async def test_pages_of_allowed_origins_may_call(sqlite_url: str) -> None:
    origin = "https://console.example"
    async with open_api(sqlite_url, cors_origins=origin) as api:
        mine = await client(api)
        asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
        preflight = await mine.call("OPTIONS", "/messages/1", headers=asked)
        assert preflight.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS"
        assert preflight.headers["access-control-allow-origin"] == origin
        assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
        for reply in (await mine.get("/messages", headers=asked), await mine.post("/messages", HELLO, headers=asked)):
            assert reply.headers["access-control-allow-origin"] == origin
            assert "ETag" in reply.headers["access-control-expose-headers"]
        stranger = await mine.get("/messages", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_cache_keeps_answers_apart_by_origin_and_by_compression(sqlite_url: str) -> None:
    async with open_api(sqlite_url, cors_origins="https://console.example") as api:
        mine = await client(api)
        answer = await mine.caller.call("GET", "/v1/keywords", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert set(answer.headers["vary"].split(", ")) == {"Accept-Encoding", "Origin"}


@pytest.mark.parametrize(
    ("taken", "packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("br;q=1.0, GZIP ; Q=0.000 , deflate", False),
        ("gzip;q=0.", False),
        ("*;q=0", False),
        ("", False),
    ],
)
async def test_long_answers_are_compressed_for_who_takes_that(mine: Client, taken: str, packed: bool) -> None:
    for _ in range(4):
        await mine.send()
    whole = await mine.get("/messages")
    answer = await mine.caller.call("GET", "/v1/messages", headers={"Accept-Encoding": taken})
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert (len(answer.body) < len(whole.body)) == packed


async def test_the_anonymous_account_makes_no_keys(sqlite_url: str) -> None:
    async with open_api(sqlite_url, anonymous_account="demo") as api:
        caller = await api.account("demo")
        nobody = Client(api, dataclasses.replace(caller, name=""))
        assert (await nobody.get("/messages")).status == 200
        foreign = await nobody.get("/messages", headers={"Origin": "https://other.example"})
        assert (foreign.status, foreign.json["code"]) == (403, "foreign_origin")
