"""The OpenAPI description is valid, complete, and says what the server really does."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import yaml
from click.testing import CliRunner
from openapi_spec_validator import validate

from longcode import __version__
from longcode.cli.openapi import openapi
from longcode.dialects import conversations, inbound_outbound, mailbox, messages
from longcode.domain.money import MAX_CURRENCY_LENGTH
from longcode.domain.phone import MAX_INVENTORY_VALUE_LENGTH
from longcode.store.limits import AccountLimits
from longcode.web.app import endpoints
from longcode.web.description import as_yaml, document
from longcode.wire.errors import Fault
from longcode.wire.identity import Identity
from tests.app import Api, Caller, open_api
from tests.calls import Reply
from tests.conftest import DLR_SECRET
from tests.dialects.test_messages import answer, sign
from tests.processes import run_cli
from tests.web.described import Operation, check_described, check_schema, look_up, operation, operations

OURS = {"/healthz": {"GET"}, "/readyz": {"GET"}, "/metrics": {"GET"}}
HELD = "+55 84 91234-4321"
# What no two servers say alike.
VOLATILE = {"id", "created_at", "next_before"}


def identity(api: Api) -> Identity:
    return Identity(api.product.verifier, anonymous=None, implicit=False)


def test_the_document_is_valid_openapi() -> None:
    validate(json.loads(json.dumps(document())))
    assert document()["info"]["version"] == __version__


async def test_all_forms_are_the_same_document(api: Api) -> None:
    as_json = await api.anonymous.call("GET", "/openapi.json")
    assert (as_json.status, as_json.headers["content-type"]) == (200, "application/json")
    assert as_json.json == document()
    in_yaml = await api.anonymous.call("GET", "/openapi.yaml")
    assert (in_yaml.status, in_yaml.headers["content-type"]) == (200, "application/yaml")
    assert yaml.load(in_yaml.body, yaml.CSafeLoader) == document()
    assert b"&id001" not in in_yaml.body
    assert (await api.anonymous.call("GET", "/swagger.yaml")).body == in_yaml.body


def test_every_json_body_of_the_native_api_has_an_example_that_fits() -> None:
    for found in operations():
        body = found.spec.get("requestBody", {}).get("content", {}).get("application/json")
        if found.path.startswith("/v1/") and body is not None:
            schema = look_up(body["schema"])
            for example in schema["examples"]:
                check_schema(schema, example)


def test_bounds_are_in_the_words_of_json_schema() -> None:
    draft = document()["components"]["schemas"]["MessageDraft"]["properties"]
    assert str((draft["priority"]["minimum"], draft["priority"]["maximum"])) == "(0, 9)"
    assert not {"ge", "le"} & {key for schema in _schemas(document()) for key in schema}


def _schemas(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything of a document that might be a schema."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _schemas(part)


def test_schemas_have_names_that_a_reader_knows() -> None:
    names = set(document()["components"]["schemas"])
    assert {"Message", "MessageDraft", "MessagePage", "Webhook", "Account", "AccountPage"} <= names
    assert not [name for name in names if "_" in name or name.endswith("Shown")]


def test_the_command_prints_the_same() -> None:
    assert run_cli("openapi").stdout == as_yaml()
    assert json.loads(CliRunner().invoke(openapi, ["--json"]).stdout) == document()


async def test_every_path_and_method_is_described_and_nothing_else(api: Api) -> None:
    offered = {endpoint.path: set(endpoint.methods) for endpoint in endpoints(api.product, identity(api))}
    described: dict[str, set[str]] = {}
    for found in operations():
        described.setdefault(found.path, set()).add(found.method)
    assert described == offered | OURS


async def test_a_fault_of_ours_is_500_in_the_described_envelope(api: Api) -> None:
    for endpoint in endpoints(api.product, identity(api)):
        for method in endpoint.methods:
            found = operation(method, endpoint.path)
            assert found is not None
            if found.id == "mailboxHealth":
                continue  # a constant, which nothing can fail
            refusal = endpoint.error(Fault())
            assert isinstance(refusal.body, bytes)
            check_schema(
                look_up(found.spec["responses"]["500"])["content"]["application/json"]["schema"],
                json.loads(refusal.body),
            )


@pytest.mark.parametrize(
    ("schema", "name", "lengths"),
    [
        *(("Sms", name, lengths) for name, lengths in inbound_outbound.LENGTHS.items()),
        ("ToldMessage", "senderPhone", (1, conversations.PHONE_LENGTH)),
        ("ToldMessage", "receiverPhone", (1, conversations.PHONE_LENGTH)),
        ("ToldMessage", "messageText", (1, conversations.TEXT_LENGTH)),
        ("ToldMessage", "uuid", (1, conversations.UUID_LENGTH)),
        ("NumberDraft", "value", (None, MAX_INVENTORY_VALUE_LENGTH)),
        ("NumberDraft", "currency", (1, MAX_CURRENCY_LENGTH)),
        ("MessagesDraft", "sender_id", (1, messages.SENDER_ID_LENGTH)),
        ("MessagesDraft", "text", (1, messages.TEXT_LENGTH)),
        ("Receipt", "provider_reference", (1, messages.REFERENCE_LENGTH)),
        ("Login", "login", mailbox.LOGIN_LENGTHS),
        ("MailboxMessage", "sender", mailbox.LOGIN_LENGTHS),
        ("MailboxMessage", "message", mailbox.MESSAGE_LENGTHS),
    ],
)
def test_the_lengths_are_those_of_the_code(schema: str, name: str, lengths: tuple[int | None, int]) -> None:
    described = look_up(document()["components"]["schemas"][schema]["properties"][name])
    assert (described.get("minLength"), described["maxLength"]) == lengths


@dataclass(frozen=True, slots=True)
class Example:
    """One example of an answer, with the call that it answers."""

    operation: Operation
    name: str
    status: int
    body: Any

    def __str__(self) -> str:
        return f"{self.operation.id}: {self.name}"


EXAMPLES = [
    Example(found, name, status, body)
    for found in operations()
    if not found.id.endswith("ByAlias")
    for status, name, body in found.answers()
]


@dataclass(slots=True)
class Stage:
    """A product with a fresh account, and what the example's own call takes from what was prepared.

    params: the path's parameters. texts: what stands in the example's body, and in the call's instead.
    """

    api: Api
    caller: Caller
    params: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    async def run(self, operation_id: str, name: str, **params: str) -> Reply:
        """Make the call of another example."""
        found = next(found for found in operations() if found.id == operation_id)
        return await call(replace(self, params=params, texts={}), found, name)


async def call(stage: Stage, found: Operation, name: str) -> Reply:
    """The call that the examples of this name describe, with its parameters and its body."""
    path, query = found.path, {}
    headers: dict[str, str] = {}
    for parameter in found.parameters:
        example = parameter.get("examples", {}).get(name)
        if example is None and parameter["name"] not in stage.params:
            continue
        value = str(stage.params.get(parameter["name"], example and example["value"]))
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
        elif parameter["in"] == "query":
            query[parameter["name"]] = value
        else:
            headers[parameter["name"]] = value
    assert "{" not in path, f"{found.id}: {name} has no path"
    if query:
        path += f"?{urlencode(query)}"
    body = None
    if found.body is not None:
        text = json.dumps(found.body["examples"][name]["value"])
        for old, new in stage.texts.items():
            text = text.replace(old, new)
        body = text.encode()
        if found.id == "takeReceipt":
            headers["X-Provider-Signature"] = sign(body)
    return await stage.caller.call(found.method, path, body=body, headers=headers)


async def hold_number(stage: Stage) -> None:
    reply = await hold(stage, HELD)
    stage.params["id"] = str(reply.json["id"])


async def hold(stage: Stage, value: str) -> Reply:
    draft = {"value": value, "monthyPrice": "0.03", "setupPrice": "3.40", "currency": "U$"}
    reply = await stage.caller.call("POST", "/api/numbers", json=draft)
    assert reply.status == 201
    return reply


async def hold_two(stage: Stage) -> None:
    await hold_number(stage)
    await hold(stage, "+1 202 555-0156")


async def own_number(stage: Stage) -> None:
    await stage.api.assign(stage.caller, "12025550101")


async def stop(stage: Stage) -> None:
    await own_number(stage)
    await stage.run("takeInboundSms", "stop")


async def spend_limit(stage: Stage) -> None:
    await own_number(stage)
    for _ in range(50):
        assert (await stage.run("sendOutboundSms", "sent")).status == 200


async def opt_out(stage: Stage) -> None:
    await own_number(stage)
    await may_send(stage)
    await stage.api.product.opt_outs.add(stage.caller.account_id, "12025550191", source="operator")


async def no_destination(stage: Stage) -> None:
    await own_number(stage)
    await may_send(stage)
    await stage.api.product.limits.set(stage.caller.account_id, AccountLimits(destinations=("1202",)))


def after_the_cap(operation_id: str, name: str) -> Callable[[Stage], Awaitable[None]]:
    """The account may send one segment a day, and sent it."""

    async def prepare(stage: Stage) -> None:
        await own_number(stage)
        await may_send(stage)
        await stage.api.product.limits.set(stage.caller.account_id, AccountLimits(segments_per_day=1))
        assert (await stage.run(operation_id, name)).status < 300

    return prepare


async def may_send(stage: Stage) -> None:
    await stage.api.whitelist(stage.caller, "MyCorp")


async def converse(stage: Stage) -> None:
    await stage.run("sendSms", "sent")
    await stage.run("receiveSms", "received")


async def create(stage: Stage) -> None:
    await may_send(stage)
    reply = await stage.run("createMessage", "created")
    stage.params["id"] = reply.json["id"]


async def hand_over(stage: Stage) -> None:
    await create(stage)
    await answer(stage.api, stage.params.pop("id"), "reference-of-the-carrier")


async def two_logins(stage: Stage) -> None:
    for login in ("alice", "bob"):
        assert (await stage.caller.call("POST", "/register", json={"login": login})).status == 201


async def letter(stage: Stage) -> None:
    await two_logins(stage)
    await stage.run("sendMessage", "sent")


async def letter_seen(stage: Stage) -> None:
    await letter(stage)
    reply = await stage.run("fetchMessages", "by index")
    stage.texts["2026-11-22T10:00:00.123456"] = reply.json["messages"][0]["timestamp"]


PREPARED: Mapping[tuple[str, str], Callable[[Stage], Awaitable[None]]] = {
    ("takeInboundSms", "taken"): own_number,
    ("takeInboundSms", "stop"): own_number,
    ("sendOutboundSms", "sent"): own_number,
    ("sendOutboundSms", "stopped"): stop,
    ("sendOutboundSms", "over the limit"): spend_limit,
    ("sendOutboundSms", "no destination"): no_destination,
    ("sendOutboundSms", "over the cap"): after_the_cap("sendOutboundSms", "sent"),
    ("sendSms", "no destination"): no_destination,
    ("sendSms", "over the cap"): after_the_cap("sendSms", "sent"),
    ("sendSms", "repeated"): converse,
    ("sendSms", "another message"): converse,
    ("sendSms", "opted out"): opt_out,
    ("receiveSms", "another message"): converse,
    ("getConversation", "whole"): converse,
    ("getConversation", "page"): converse,
    ("listNumbers", "first page"): hold_number,
    ("addNumber", "duplicate"): hold_number,
    ("getNumber", "one"): hold_number,
    ("replaceNumber", "replaced"): hold_number,
    ("replaceNumber", "missing"): hold_number,
    ("replaceNumber", "duplicate"): hold_two,
    ("changeNumber", "changed"): hold_number,
    ("changeNumber", "invalid"): hold_number,
    ("changeNumber", "duplicate"): hold_two,
    ("createMessage", "created"): may_send,
    ("createMessage", "replayed"): create,
    ("createMessage", "another body"): create,
    ("createMessage", "stop word"): may_send,
    ("createMessage", "opted out"): opt_out,
    ("createMessage", "no destination"): no_destination,
    ("createMessage", "over the cap"): after_the_cap("createMessage", "created"),
    ("getMessage", "one"): create,
    ("takeReceipt", "delivered"): hand_over,
    ("fetchNewMessages", "fetched"): letter,
    ("fetchMessages", "by period"): letter,
    ("fetchMessages", "by index"): letter,
    ("deleteMessage", "deleted"): letter_seen,
    ("deleteMessages", "deleted"): letter_seen,
}


@pytest.fixture(scope="module")
async def theatre(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A product for examples, which takes longer to build than any of them to play."""
    path = tmp_path_factory.mktemp("theatre") / "longcode.db"
    shutil.copy(sqlite_template, path)
    async with open_api(f"sqlite:///{path}", dlr_secret=DLR_SECRET) as api:
        yield api


@pytest.fixture
async def stage(theatre: Api) -> AsyncIterator[Stage]:
    """A fresh account, whose numbers are free again afterwards: the examples share them, and each has one owner."""
    caller = await theatre.account()
    yield Stage(theatre, caller)
    numbers = theatre.product.numbers
    for number in await numbers.page(caller.account_id, count=100):
        await numbers.delete(caller.account_id, number.id)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
async def test_every_example_gets_its_documented_answer(stage: Stage, example: Example) -> None:
    found = example.operation
    prepare = PREPARED.get((found.id, example.name))
    if prepare is not None:
        await prepare(stage)
    elif "Mailbox" in found.spec["tags"]:
        await two_logins(stage)
    reply = await call(stage, found, example.name)
    assert (reply.status, settled(reply.json)) == (example.status, settled(example.body))
    check_described(found.method, found.path, reply)
    if found.body is not None and reply.status < 300:
        check_schema(found.body["schema"], found.body["examples"][example.name]["value"])


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example.operation.path.endswith("/sms") and example.status in (400, 404, 429)],
    ids=str,
)
async def test_an_operator_may_choose_200_for_what_could_be_read(sqlite_url: str, example: Example) -> None:
    async with open_api(sqlite_url, inbound_outbound_error_status="ok") as api:
        stage = Stage(api, await api.account())
        await PREPARED.get((example.operation.id, example.name), own_number)(stage)
        reply = await call(stage, example.operation, example.name)
        assert reply.status == (400 if example.name == "not an object" else 200)
        assert reply.json == example.body
        check_described("POST", example.operation.path, reply)


def settled(value: Any) -> Any:
    """Without what differs from server to server."""
    if isinstance(value, dict):
        mail = "recipient" in value and "timestamp" in value
        return {
            name: "…" if name in VOLATILE or (mail and name == "timestamp") else settled(part)
            for name, part in value.items()
        }
    return [settled(part) for part in value] if isinstance(value, list) else value


def test_every_example_of_a_call_has_its_answer() -> None:
    for found in operations():
        asked = set(found.body["examples"]) if found.body is not None else set()
        assert asked <= {name for _, name, _ in found.answers()}, found.id


SHARED_STATUSES = {401, 403, 413, 500, 503}


def test_every_other_status_has_an_example() -> None:
    for found in operations():
        shown = {status for status, _, _ in found.answers()}
        silent = {204} if found.method == "DELETE" else set()
        if found.id in ("metrics", "ready"):
            continue  # test_health.py
        assert found.statuses - SHARED_STATUSES - silent <= shown, found.id


@pytest.fixture(scope="module")
async def guarded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A product that names no anonymous account."""
    path = tmp_path_factory.mktemp("guarded") / "longcode.db"
    shutil.copy(sqlite_template, path)
    async with open_api(f"sqlite:///{path}", dlr_secret=DLR_SECRET, cors_origins="https://console.example") as api:
        yield api


GUARDED = [found for found in operations() if found.path not in OURS and found.id != "mailboxHealth"]


@pytest.mark.parametrize("found", GUARDED, ids=lambda found: found.id)
async def test_missing_credentials_are_refused_as_described(guarded: Api, found: Operation) -> None:
    status = HTTPStatus.UNAUTHORIZED if 401 in found.statuses else HTTPStatus.FORBIDDEN
    path = found.path.replace("{", "").replace("}", "")
    wrong = base64.b64encode(b"nobody:wrong").decode()
    for headers in ({}, {"Authorization": f"Basic {wrong}"}):
        reply = await guarded.anonymous.call(found.method, path, json={}, headers=headers)
        assert reply.status == status
        check_described(found.method, found.path, reply)


def test_only_calls_with_a_body_can_be_too_long() -> None:
    assert {found.id for found in operations() if 413 in found.statuses} == {
        found.id for found in operations() if found.body is not None
    }


async def test_a_deleted_number_answers_without_a_body(stage: Stage) -> None:
    await hold_number(stage)
    reply = await stage.run("deleteNumber", "deleted", **stage.params)
    assert reply.status == 204
    check_described("DELETE", "/api/numbers/{id}", reply)
