"""What happened to one message."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from longcode.api.caller import Admitted
from longcode.api.desk import Desk
from longcode.api.ids import UuidInPath, uuid_of
from longcode.api.routing import Routes
from longcode.domain.public import PublicMessage, public_message
from longcode.domain.timestamps import format_milli
from longcode.errors import NotFound
from longcode.flow.story import Story


class TimelineEvent(BaseModel):
    """One thing that happened. event: of which kind; the last one, `state`, says how it stands and what follows."""

    at: str
    event: str
    detail: str


class Timeline(BaseModel):
    """A message with everything that is on record about it, in the order of time.

    attempts: how often one of its segments was about to be handed over. carrier: for operators; others are told
    carriers by their ids. keyword, meaning: of what came in, where it was a word that asks for something. answers: the
    message that it answers by itself; answer: the one that answered it.
    """

    message: PublicMessage
    attempts: int
    carrier: str | None
    keyword: str | None
    meaning: str | None
    answers: str | None
    answer: str | None
    timeline: list[TimelineEvent]


def add_timelines(app: FastAPI, desk: Desk) -> None:
    """The route of timelines."""
    routes = Routes(app, "Native: messages", "messages")

    @routes.get("/messages/{id}/timeline", "getTimeline")
    async def get(id: UuidInPath, caller: Admitted) -> Timeline:
        """What happened to a message, why, and what happens next."""
        message_id = uuid_of(id)
        # Whose it is, is asked first: an operator acts as one account too.
        if await desk.messages.get(caller.account.id, message_id) is None:
            raise NotFound("there is no such message")
        story = await desk.stories.of(message_id, account_id=None if caller.operator else caller.account.id)
        if story is None:
            raise NotFound("there is no such message")
        return _shown(story)


def _shown(story: Story) -> Timeline:
    history = story.history
    return Timeline(
        message=public_message(history.message),
        attempts=len(history.attempts),
        carrier=story.carrier,
        keyword=None if history.heard is None else history.heard.word or None,
        meaning=None if history.heard is None else history.heard.meaning.value,
        answers=None if history.answers is None else str(history.answers),
        answer=None if history.answer is None else str(history.answer),
        timeline=[
            TimelineEvent(at=format_milli(event.at), event=event.event, detail=event.detail) for event in story.events
        ],
    )
