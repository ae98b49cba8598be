"""Answering a text from the group that was texted.

This module knows no client: whatever has a ``messages.send`` like `pidj_async.client.Pidj` can send the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

import attrs

from pidj_async._unset import UNSET, Unset
from pidj_async.errors import InvalidRequestError
from pidj_async.webhooks.keywords import is_stop_word

if TYPE_CHECKING:
    from pidj_async.models import TextSent
    from pidj_async.webhooks.events import TextReceived

__all__ = ["Reply", "ReplyToOptOutError", "SendsMessages", "SendsTexts", "send_reply"]


class ReplyToOptOutError(InvalidRequestError):
    """The text to be answered was an opt-out ("STOP"), which we never answer. Nothing was sent.

    A handler that ends with it has not failed, see the rules of `pidj_async.webhooks.dispatcher`.
    """


class SendsMessages(Protocol):
    """What `SendsTexts.messages` has to be: ``pidj.messages``, or a stand-in for it in a test."""

    def send(
        self,
        *,
        to_number: str,
        text_body: str,
        from_number: str | Unset = UNSET,
        group_id: str | Unset = UNSET,
    ) -> Awaitable[TextSent]:
        """Send one text."""
        ...


class SendsTexts(Protocol):
    """What an answer can be sent through: a `pidj_async.client.Pidj`, or a stand-in for it in a test."""

    @property
    def messages(self) -> SendsMessages:
        """Has ``send``."""
        ...


@attrs.frozen(kw_only=True)
class Reply:
    """Answers the text that a handler is called with, from the group that was texted.

    ::

        @dispatcher.on(TextReceived, keyword="hours")
        async def hours(event: TextReceived, reply: Reply) -> None:
            await reply("We are open from 9 to 17.")

    A handler gets one by declaring a parameter of this type, once ``dispatcher.provide(Pidj, pidj)`` has said through
    which client answers go. In a plain ``def``, which runs in a thread: ``anyio.from_thread.run(reply, "...")``.

    Attributes:
        event: The text to be answered.
        sender: The client.
    """

    event: TextReceived
    sender: SendsTexts = attrs.field(repr=False)

    async def __call__(self, text: str) -> TextSent:
        """Send an answer.

        Args:
            text: What to say, at most 1,600 characters.

        Returns:
            What the client's ``messages.send`` returned.

        Raises:
            ReplyToOptOutError: The text was a stop word. Nothing was sent.
            InvalidRequestError: The event does not say whom to answer or from which number, or the client refuses
                `text`. Nothing was sent.
            PidjError: Whatever else ``messages.send`` raises.
        """
        return await send_reply(self.event, text, self.sender)


async def send_reply(event: TextReceived, text: str, sender: SendsTexts) -> TextSent:
    """Answer a text from the group that was texted: by the group's id, else from the number that was texted.

    Args:
        event: The text to be answered.
        text: What to say.
        sender: The client.

    Returns:
        What the client's ``messages.send`` returned.

    Raises:
        ReplyToOptOutError: As `Reply` does.
        InvalidRequestError: As `Reply` does.
    """
    # Sending even a friendly goodbye to somebody who has just said STOP is a text without consent. The one
    # confirmation that 47 CFR 64.1200(a)(12) allows is Pidj's to send.
    if is_stop_word(event.message):
        problem = "has just opted out, and an opt-out is not answered; see is_stop_word() for which texts are one"
        raise ReplyToOptOutError("to_number", problem)
    to_number = event.phone_number
    if not to_number:
        problem = "there is nobody to answer: the event has neither phone_from nor a contact with a number"
        raise InvalidRequestError("to_number", problem)
    group = event.group
    if group is not None and group.id:
        return await sender.messages.send(to_number=to_number, text_body=text, group_id=group.id)
    from_number = event.phone_to or (group.phone_number if group is not None else None)
    if not from_number:
        problem = "there is nothing to answer from: the event has neither a group with an id or a number, nor phone_to"
        raise InvalidRequestError("from_number", problem)
    return await sender.messages.send(to_number=to_number, text_body=text, from_number=from_number)
