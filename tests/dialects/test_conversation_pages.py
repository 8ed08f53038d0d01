"""Long conversations of `/api/get-conversation/`: streamed whole, or in pages."""

from __future__ import annotations

import pytest

from longcode.domain.message import Status
from longcode.store.intake import IntakeStore
from longcode.store.new_messages import NewMessage
from tests.app import Api, Caller
from tests.dialects.test_conversations import ALICE, BOB, RECEIVE, SEND, as_lines, lines, read, tell
from tests.messages import text_message


async def fill(api: Api, caller: Caller, count: int) -> None:
    """A conversation of ALICE with `count` lines, all to BOB, one a second from 0 on."""
    messages = [
        text_message(
            account_id=caller.account_id,
            sender=ALICE,
            recipient=BOB,
            text=f"«{at}»",
            sent_at_seconds=at,
            status=Status.RECORDED,
        )
        for at in range(count)
    ]
    await IntakeStore(api.database).insert([NewMessage(message=new, call_id=new.id) for new in messages], [])


@pytest.mark.parametrize("count", [499, 500, 501, 1000, 1001])
async def test_a_long_conversation_is_streamed_whole(api: Api, count: int) -> None:
    caller = await api.account()
    await fill(api, caller, count)
    assert await lines(caller, ALICE) == [(BOB, f"«{at}»", at, "sent") for at in range(count)]
    reply = await read(caller, ALICE)
    assert ("content-length" in reply.headers) is (count < 500)
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 10])
async def test_pages_go_back_to_the_beginning(api: Api, limit: int) -> None:
    caller = await api.account()
    for at in (1, 2, 2):
        assert (await tell(caller, SEND, timestamp=at)).status == 200
        assert (await tell(caller, RECEIVE, senderPhone=BOB, receiverPhone=ALICE, timestamp=at)).status == 200
    assert (await tell(caller, SEND, receiverPhone=ALICE, timestamp=2, messageText="note")).status == 200
    assert (await tell(caller, SEND, timestamp=3, messageText="last")).status == 200
    whole = await lines(caller, ALICE)
    assert len(whole) == 9
    collected: list[tuple[str, str, int, str]] = []
    query = f"?limit={limit}"
    for _ in range(len(whole)):
        reply = await read(caller, ALICE, query)
        assert (reply.status, set(reply.json)) == (200, {"messages", "next_before"})
        page = as_lines(reply)
        assert 1 <= len(page) <= limit
        collected[:0] = page
        if reply.json["next_before"] is None:
            break
        query = f"?limit={limit}&before={reply.json['next_before']}"
    assert collected == whole


async def test_new_messages_do_not_shift_older_pages(api: Api) -> None:
    caller = await api.account()
    await fill(api, caller, 150)
    newest = await read(caller, ALICE, "?limit=10")
    cursor = newest.json["next_before"]
    assert (await tell(caller, SEND, timestamp=1000)).status == 200
    older = await read(caller, ALICE, f"?before={cursor}")
    assert [at for _, _, at, _ in as_lines(older)] == list(range(40, 140))
    rest = await read(caller, ALICE, f"?before={older.json['next_before']}")
    assert [at for _, _, at, _ in as_lines(rest)] == list(range(40))
    assert rest.json["next_before"] is None


async def test_a_cursor_of_another_account_shows_nothing_of_it(api: Api) -> None:
    caller, other = await api.account(), await api.account()
    await fill(api, caller, 5)
    assert (await tell(other, SEND, timestamp=2, messageText="mine")).status == 200
    cursor = (await read(caller, ALICE, "?limit=1")).json["next_before"]
    assert [text for _, text, _, _ in as_lines(await read(other, ALICE, f"?before={cursor}"))] == ["mine"]


BAD_QUERIES = [
    *(
        pytest.param(f"?limit={limit}", "limit is invalid", id=f"limit {limit or 'blank'}")
        for limit in ("", "0", "-1", "+1", "1001", "1e2", "1.0", "ten", "true", "%D9%A1", "%00", "9" * 5000)
    ),
    *(
        pytest.param(f"?before={before}", "before is invalid", id=f"before {before or 'blank'}")
        for before in ("", "0", "100", "%00", "%FF", "A" * 33, "A" * 33 + "%2F", "A" * 32 + "D_", "A" * 35, "A" * 4000)
    ),
]


@pytest.mark.parametrize(("query", "message"), BAD_QUERIES)
async def test_a_bad_query_is_named(api: Api, query: str, message: str) -> None:
    caller = await api.account()
    assert (await tell(caller, SEND)).status == 200
    reply = await read(caller, ALICE, query)
    assert (reply.status, reply.json) == (400, {"message": message})


async def test_the_largest_page_and_unknown_parameters(api: Api) -> None:
    caller = await api.account()
    await fill(api, caller, 1001)
    reply = await read(caller, ALICE, "?limit=1000")
    assert [at for _, _, at, _ in as_lines(reply)] == list(range(1, 1001))
    assert reply.json["next_before"]
    assert list((await read(caller, ALICE, "?page=2")).json) == ["messages"]
