from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.app import Api, Caller
from tests.calls import Reply

ENTITY = {"value": "+55 84 91234-4321", "monthyPrice": "0.03", "setupPrice": "3.40", "currency": "U$"}
OTHER = {"value": "+12025550102", "monthyPrice": "10.00", "setupPrice": "0.00", "currency": "€"}
FIELDS = ["value", "monthyPrice", "setupPrice", "currency"]
PATHS = ["/api/numbers", "/api/numbers/", "/numbers", "/numbers/"]


async def post(caller: Caller, **changed: Any) -> dict[str, Any]:
    """The entity as the server made it."""
    reply = await caller.call("POST", "/api/numbers", json={**ENTITY, **changed})
    assert reply.status == 201, reply
    entity: dict[str, Any] = reply.json
    return entity


async def everything(caller: Caller) -> list[dict[str, Any]]:
    reply = await caller.call("GET", "/api/numbers?per_page=100")
    results: list[dict[str, Any]] = reply.json["results"]
    return results


def check_envelope(reply: Reply, status: int, *fields: str) -> None:
    """A refusal in the dialect's envelope, with these fields at fault and no others."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.json.keys() == {"message", "errors"}
    assert isinstance(reply.json["message"], str)
    assert reply.json["message"]
    assert sorted(reply.json["errors"]) == sorted(fields)
    for faults in reply.json["errors"].values():
        assert [type(fault) for fault in faults] == [str]


# One number ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_a_number_lives_from_post_to_delete(api: Api, path: str) -> None:
    caller = await api.account()

    created = await caller.call("POST", path, json=ENTITY)
    assert created.status == 201
    assert created.json == {"id": created.json["id"], **ENTITY}
    assert type(created.json["id"]) is int
    location = created.headers["location"]
    assert location == f"{path.rstrip('/')}/{created.json['id']}"

    for one in (location, f"{location}/"):
        shown = await caller.call("GET", one)
        assert (shown.status, shown.json) == (200, created.json)
    listed = await caller.call("GET", path)
    assert (listed.status, listed.json["results"]) == (200, [created.json])

    replaced = await caller.call("PUT", location, json=OTHER)
    assert (replaced.status, replaced.json) == (200, {"id": created.json["id"], **OTHER})
    changed = await caller.call("PATCH", location, json={"setupPrice": "7.5", "currency": "R$"})
    assert changed.status == 200
    assert changed.json == {"id": created.json["id"], **OTHER, "setupPrice": "7.50", "currency": "R$"}
    assert (await caller.call("GET", location)).json == changed.json

    gone = await caller.call("DELETE", location)
    assert (gone.status, gone.body) == (204, b"")
    assert "content-type" not in gone.headers
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        check_envelope(await caller.call(method, location, json=ENTITY), 404)


async def test_both_names_show_the_same_inventory(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    assert (await caller.call("GET", f"/numbers/{entity['id']}")).json == entity
    assert (await caller.call("GET", "/numbers")).json["results"] == [entity]


async def test_a_clients_id_and_unknown_keys_are_ignored(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller, id=42_000_000, assigned=True, monthlyPrice="x", price=None)
    assert entity.keys() == {"id", *FIELDS}
    assert entity["id"] != 42_000_000
    replaced = await caller.call("PUT", f"/numbers/{entity['id']}", json={**ENTITY, "id": 7, "assigned": True})
    assert replaced.json == entity
    assert (await caller.call("PATCH", f"/numbers/{entity['id']}", json={"id": 7, "foo": "\0"})).json == entity
    async with api.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT assigned FROM number WHERE id = " + str(entity["id"]))
        assert not rows.scalar_one()


async def test_an_empty_patch_changes_nothing(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    reply = await caller.call("PATCH", f"/api/numbers/{entity['id']}", json={})
    assert (reply.status, reply.json) == (200, entity)


async def test_replacing_a_number_by_itself_is_no_duplicate(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    for value in (ENTITY["value"], "5584 912344321"):
        reply = await caller.call("PUT", f"/api/numbers/{entity['id']}", json={**ENTITY, "value": value})
        assert (reply.status, reply.json) == (200, {**entity, "value": value})


UNKNOWN_IDS = [
    pytest.param("0", id="zero"),
    pytest.param("999999999999999999", id="the highest that is looked up"),
    pytest.param("1000000000000000000", id="too long"),
    pytest.param("9" * 5000, id="far too long"),
    pytest.param("-1", id="negative"),
    pytest.param("+1", id="a plus sign"),
    pytest.param("1.0", id="a point"),
    pytest.param("1e0", id="an exponent"),
    pytest.param("one", id="a word"),
    pytest.param("%20", id="a space"),
    pytest.param("%00", id="U+0000"),
    pytest.param("%FF", id="bytes that are not UTF-8"),
    pytest.param("%D9%A1", id="a digit of another script"),
    pytest.param("1%2F2", id="an escaped slash"),
]


@pytest.mark.parametrize("id_", UNKNOWN_IDS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_id_that_names_nothing_is_unknown(api: Api, method: str, id_: str) -> None:
    caller = await api.account()
    check_envelope(await caller.call(method, f"/api/numbers/{id_}", json=ENTITY), 404)


# Duplicates and assignment ------------------------------------------------------------------------------------


async def test_digits_are_unique_within_an_account(api: Api) -> None:
    caller, stranger = await api.account(), await api.account()
    first, second = await post(caller), await post(caller, value=OTHER["value"])
    respelled = "(55) 84.91234 4321"

    for reply in (
        await caller.call("POST", "/numbers", json=ENTITY),
        await caller.call("POST", "/numbers", json={**ENTITY, "value": respelled}),
        await caller.call("PUT", f"/numbers/{second['id']}", json={**OTHER, "value": respelled}),
        await caller.call("PATCH", f"/numbers/{second['id']}", json={"value": respelled}),
    ):
        check_envelope(reply, 409, "value")
        assert reply.json["errors"] == {"value": ["already exists"]}

    assert await everything(caller) == [first, second]
    assert (await post(stranger))["value"] == ENTITY["value"]


async def test_of_twenty_parallel_posts_of_one_value_one_succeeds(api: Api) -> None:
    caller = await api.account()
    replies = await asyncio.gather(*(caller.call("POST", "/api/numbers", json=ENTITY) for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 19
    assert len(await everything(caller)) == 1


async def test_an_account_neither_sees_nor_changes_anothers_numbers(api: Api) -> None:
    owner, stranger = await api.account(), await api.account()
    entity = await post(owner)
    one = f"/api/numbers/{entity['id']}"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        theirs = await stranger.call(method, one, json=OTHER)
        nobodys = await stranger.call(method, "/api/numbers/999999999999999999", json=OTHER)
        check_envelope(theirs, 404)
        assert theirs.body == nobodys.body
    check_envelope(await stranger.call("PATCH", one, json={}), 404)
    assert (await stranger.call("GET", "/numbers?search=5584")).json["count"] == 0
    assert await everything(owner) == [entity]


async def test_what_is_typed_routes_nothing_until_the_operator_assigns_it(api: Api) -> None:
    caller, stranger = await api.account(), await api.account()
    value = "+12025550131"
    await post(caller, value=value)
    await post(stranger, value=value)
    assert await may_send(caller, value) is False

    await api.assign(caller, value)

    assert await may_send(caller, value) is True
    assert await may_send(stranger, value) is False
    (entity,) = await everything(caller)
    assert entity == {**ENTITY, "id": entity["id"], "value": value}

    await caller.call("PATCH", f"/numbers/{entity['id']}", json={"value": "+12025550132"})
    assert await may_send(caller, value) is False
    assert await may_send(caller, "+12025550132") is False

    await api.assign(stranger, value)
    assert await may_send(stranger, value) is True
    (entity,) = await everything(stranger)
    await stranger.call("DELETE", f"/numbers/{entity['id']}")
    assert await may_send(stranger, value) is False


async def may_send(caller: Caller, value: str) -> bool:
    """Whether the account owns the number, as another dialect answers it."""
    reply = await caller.call("POST", "/outbound/sms", json={"from": value, "to": "12025550199", "text": "hello"})
    assert reply.status in (200, 404), reply
    return reply.status == 200


# Lists --------------------------------------------------------------------------------------------------------


async def fill(caller: Caller, count: int) -> list[int]:
    """The ids of so many numbers, in order."""
    return [(await post(caller, value=f"+1202555{turn:04}"))["id"] for turn in range(count)]


def ids(reply: Reply) -> list[int]:
    assert reply.status == 200, reply
    return [entity["id"] for entity in reply.json["results"]]


def links(reply: Reply) -> dict[str, str]:
    """The Link header's URLs by relation."""
    found = re.findall(r'<([^>]*)>; rel="([a-z]+)"', reply.headers["link"])
    return {relation: url for url, relation in found}


async def test_an_empty_inventory_is_one_empty_page(api: Api) -> None:
    reply = await (await api.account()).call("GET", "/api/numbers")
    assert reply.status == 200
    assert reply.json == {"results": [], "count": 0, "page": 1, "per_page": 20, "next": None, "previous": None}
    first = "/api/numbers?page=1&per_page=20"
    assert links(reply) == {"first": first, "last": first}


@pytest.mark.parametrize("path", PATHS)
async def test_pages_are_walked_by_their_links(api: Api, path: str) -> None:
    caller = await api.account()
    expected = await fill(caller, 45)

    pages, url = [], path
    while url is not None:
        reply = await caller.call("GET", url)
        pages.append(reply)
        url = reply.json["next"]

    assert [len(ids(page)) for page in pages] == [20, 20, 5]
    assert [id_ for page in pages for id_ in ids(page)] == expected
    assert [page.json["page"] for page in pages] == [1, 2, 3]
    assert {page.json["count"] for page in pages} == {45}
    first, second, third = (f"{path}?page={page}&per_page=20" for page in (1, 2, 3))
    assert [page.json["previous"] for page in pages] == [None, first, second]
    assert [links(page) for page in pages] == [
        {"first": first, "last": third, "next": second},
        {"first": first, "last": third, "next": third, "prev": first},
        {"first": first, "last": third, "prev": second},
    ]


async def test_per_page_is_clamped_and_echoed(api: Api) -> None:
    caller = await api.account()
    expected = await fill(caller, 3)
    for sent, echoed in (("1", 1), ("3", 3), ("002", 2), ("100", 100), ("101", 100), ("9" * 5000, 100)):
        reply = await caller.call("GET", f"/numbers?per_page={sent}")
        assert reply.json["per_page"] == echoed
        assert ids(reply) == expected[:echoed]
        if reply.json["next"] is not None:
            assert reply.json["next"] == f"/numbers?page=2&per_page={echoed}"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [("3", 3), ("2147483648", 2**31), ("9223372036854775807", 2**63 - 1), ("9" * 5000, 2**63 - 1)],
    ids=["the next after the last", "beyond 32 bits", "the highest", "beyond 64 bits"],
)
async def test_past_the_end_is_empty_and_leads_back(api: Api, sent: str, echoed: int) -> None:
    caller = await api.account()
    await fill(caller, 3)
    reply = await caller.call("GET", f"/numbers?per_page=2&page={sent}")
    assert ids(reply) == []
    assert (reply.json["count"], reply.json["page"], reply.json["next"]) == (3, echoed, None)
    assert reply.json["previous"] == "/numbers?page=2&per_page=2"


@pytest.mark.parametrize(
    ("query", "faulty"),
    [
        ("page=0", ["page"]),
        ("page=000", ["page"]),
        ("page=-1", ["page"]),
        ("page=two", ["page"]),
        ("page=", ["page"]),
        ("page=1.0", ["page"]),
        ("page=%2B1", ["page"]),
        ("page=1e1", ["page"]),
        ("page=%D9%A1", ["page"]),
        ("page=1%00", ["page"]),
        ("page=1&page=x", ["page"]),
        ("per_page=0", ["per_page"]),
        ("per_page=-5", ["per_page"]),
        ("per_page=all", ["per_page"]),
        ("per_page=", ["per_page"]),
        ("sort=price", ["sort"]),
        ("sort=monthly_price", ["sort"]),
        ("sort=digits", ["sort"]),
        ("sort=assigned", ["sort"]),
        ("sort=--id", ["sort"]),
        ("sort=-", ["sort"]),
        ("sort=", ["sort"]),
        ("sort=ID", ["sort"]),
        ("sort=id,value", ["sort"]),
        ("sort=id;DROP TABLE number", ["sort"]),
        ("search=%00", ["search"]),
        ("search=%FF", ["search"]),
        ("search=%ED%A0%80", ["search"]),
        ("search=" + "1" * 65, ["search"]),
        ("page=0&per_page=x&sort=y&search=%00", ["page", "per_page", "sort", "search"]),
    ],
)
async def test_a_query_is_refused(api: Api, query: str, faulty: list[str]) -> None:
    caller = await api.account()
    check_envelope(await caller.call("GET", f"/api/numbers?{query.replace(' ', '%20')}"), 400, *faulty)


async def test_a_list_is_sorted(api: Api) -> None:
    caller = await api.account()
    for value, monthly, setup, currency in (
        ("2025550103", "2.00", "10.00", "B"),
        ("2025550101", "10.00", "9.00", "A"),
        ("2025550102", "2.00", "1.00", "A"),
    ):
        await post(caller, value=value, monthyPrice=monthly, setupPrice=setup, currency=currency)
    for sort, order in {
        "id": [3, 1, 2],
        "value": [1, 2, 3],
        "monthyPrice": [3, 2, 1],
        "setupPrice": [2, 1, 3],
        "currency": [1, 2, 3],
    }.items():
        for sent, expected in ((sort, order), (f"-{sort}", order[::-1])):
            reply = await caller.call("GET", f"/numbers?sort={sent}")
            assert [int(entity["value"][-1]) for entity in reply.json["results"]] == expected, sent


@pytest.mark.parametrize(
    ("search", "found"),
    [
        pytest.param("", 4, id="nothing finds all"),
        pytest.param("84 91234", 1, id="a part of the value"),
        pytest.param("8491234", 1, id="a part of the digits"),
        pytest.param("+1 (202) 555-0101", 1, id="digits in another spelling"),
        pytest.param("555-01", 3, id="a part of the digits in another spelling"),
        pytest.param("%", 0, id="a percent sign is no pattern"),
        pytest.param("_", 0, id="nor is an underscore"),
        pytest.param("💶" * 64, 0, id="64 emoji"),
    ],
)
async def test_a_list_is_searched(api: Api, search: str, found: int) -> None:
    caller = await api.account()
    for value in (ENTITY["value"], "+12025550101", "+1 202 555 0102", "1-202-555-0103"):
        await post(caller, value=value)
    reply = await caller.call("GET", f"/numbers?search={quote(search)}")
    assert (reply.status, reply.json["count"], len(reply.json["results"])) == (200, found, found)


async def test_links_keep_search_and_sort(api: Api) -> None:
    caller = await api.account()
    expected = await fill(caller, 5)
    query = "search=%2B1%20202&sort=-value&per_page=2&other=1"
    for value in ("+1 202 9999991", "+1 202 9999992", "+1 202 9999993"):
        await post(caller, value=value)

    first = await caller.call("GET", f"/numbers?{query}")
    second = await caller.call("GET", first.json["next"])
    last = await caller.call("GET", links(first)["last"])

    assert first.json["next"] == "/numbers?page=2&per_page=2&search=%2B1+202&sort=-value"
    assert first.json["count"] == 8
    assert [entity["value"] for entity in (*first.json["results"], *second.json["results"])] == [
        "+12025550004",
        "+12025550003",
        "+12025550002",
        "+12025550001",
    ]
    assert second.json["previous"] == "/numbers?page=1&per_page=2&search=%2B1+202&sort=-value"
    assert last.json["results"][-1]["value"] == "+1 202 9999991"
    assert expected[0] not in ids(first)


# What all dialects promise ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/numbers", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/numbers/", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/numbers", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/api/numbers/1", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
        ("POST", "/numbers/1/", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
    ],
)
async def test_a_method_that_is_not_there_is_refused(api: Api, method: str, path: str, allow: set[str]) -> None:
    reply = await (await api.account()).call(method, path, json=ENTITY)
    check_envelope(reply, 405)
    assert set(reply.headers["allow"].split(", ")) == allow


async def test_head_is_get_without_its_body(api: Api) -> None:
    caller = await api.account()
    entity = await post(caller)
    for path in ("/api/numbers", f"/numbers/{entity['id']}/", "/numbers/0", "/numbers?page=0"):
        got, head = await caller.call("GET", path), await caller.call("HEAD", path)
        assert (head.status, head.body) == (got.status, b"")
        assert {**head.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}


async def test_options_tells_the_methods(api: Api) -> None:
    reply = await api.anonymous.call("OPTIONS", "/api/numbers/1/")
    assert (reply.status, reply.body) == (204, b"")
    assert "PATCH" in reply.headers["allow"]


EVERYTHING = [
    ("GET", "/api/numbers"),
    ("POST", "/numbers/"),
    ("GET", "/api/numbers/x"),
    ("PUT", "/api/numbers/1"),
    ("PATCH", "/numbers/1"),
    ("DELETE", "/numbers/1"),
]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_credentials_come_before_anything_else(api: Api, method: str, path: str) -> None:
    caller = await api.account()
    wrong = {"Authorization": "Basic eDp5"}
    for reply in (
        await api.anonymous.call(method, path, body=b"{"),
        await caller.call(method, path, body=b"{", headers=wrong),
    ):
        check_envelope(reply, 401)
        assert reply.headers["www-authenticate"].startswith("Basic ")


async def test_a_body_has_its_limit(api: Api) -> None:
    caller = await api.account()
    fits = {**ENTITY, "padding": ""}
    fits["padding"] = "x" * (65536 - len(str(fits).encode()) - 2)
    entity = await caller.call("POST", "/numbers", json=fits)
    assert entity.status == 201
    for method, path in (("POST", "/numbers"), ("PUT", f"/numbers/{entity.json['id']}"), ("PATCH", "/numbers/1")):
        check_envelope(await caller.call(method, path, body=b" " * 65537), 413)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"])
async def test_a_body_is_json_whatever_it_calls_itself(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = await (await api.account()).call("POST", "/numbers", json=ENTITY, headers=headers)
    assert reply.status == 201
