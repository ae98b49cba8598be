"""What the tests of campaigns share: people, and a Pidj that follows rules per number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel

from pidj_async import Pidj
from pidj_async.campaigns import Campaign, RecipientState
from pidj_async.errors import NotSentError, OutcomeUnknownError
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.store import Store
from pidj_async.transports import Progress

__all__ = ["GROUP", "Post", "campaign_of", "counts_of", "number", "numbers", "people"]

GROUP = "gr:7b0d9b1e-6b7a-4d43-8a3f-111111111111"

Rule = Callable[[str, int], Any]
"""(number, how often it was texted before) -> a status to answer with, an error to raise, or None for success."""


def number(index: int) -> str:
    """A number in Denver, which exists nowhere else in the tests."""
    return f"+1303555{index:04d}"


def numbers(count: int) -> list[str]:
    return [number(index) for index in range(count)]


def people(count: int, **fields: str) -> list[dict[str, str]]:
    return [{"phone_number": number(index), **fields} for index in range(count)]


class Post:
    """A transport that counts what arrives: what a number was sent is what its owner has read.

    Args:
        rule: Decides about each text.
        delay: Seconds that a text takes.
    """

    def __init__(self, rule: Rule = lambda _, __: None, *, delay: float = 0.0) -> None:
        self.rule = rule
        self.delay = delay
        self.texts: Counter[str] = Counter()
        self.bodies: dict[str, str] = {}
        self.order: list[str] = []
        self.other: list[str] = []
        self.flying = 0
        self.most_flying = 0
        self.reachable = True

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        if not self.reachable:
            msg = "connection refused"
            raise NotSentError(msg)
        if request.endpoint != "messages.send":
            self.other.append(request.endpoint)
            await anyio.lowlevel.checkpoint()
            return reply(self.rule(request.endpoint, len(self.other)) or 200, **_ANSWERS.get(request.endpoint, {}))
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        to = form["to_number"]
        verdict = self.rule(to, self.texts[to])
        if isinstance(verdict, NotSentError):
            raise verdict
        progress.request_started = True
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            await (anyio.sleep(self.delay) if self.delay else anyio.lowlevel.checkpoint())
        finally:
            self.flying -= 1
        if verdict is None or verdict == 200 or isinstance(verdict, OutcomeUnknownError):
            self.texts[to] += 1
            self.bodies[to] = form["text_body"]
            self.order.append(to)
        if isinstance(verdict, OutcomeUnknownError):
            raise verdict
        return verdict if isinstance(verdict, WireResponse) else reply(verdict or 200)

    async def aclose(self) -> None:
        pass

    def client(self) -> Pidj:
        return Pidj(account_key="key", token="token", transport=self)


_ANSWERS: dict[str, dict[str, Any]] = {
    "contacts.get_by_phone": {"contact": {"id": "co:1"}},
    "contacts.check_consent": {"needed": False},
}


def reply(status_code: int = 200, headers: dict[str, str] | None = None, /, **fields: Any) -> WireResponse:
    envelope = {"code": status_code, "status": "success" if status_code < 400 else "error", "message": "m", **fields}
    return WireResponse(status_code=status_code, headers=headers or {}, content=json.dumps(envelope).encode())


def lost() -> OutcomeUnknownError:
    """It arrives, and nobody learns of it."""
    return OutcomeUnknownError("the connection was lost")


def refused() -> NotSentError:
    return NotSentError("connection refused")


async def campaign_of(store: Store, post: Post, who: Sequence[Any] | int, /, **settings: Any) -> Campaign:
    """A campaign with its recipients; any hours, so that the tests run at night too."""
    settings = {"text": "Hi", "group_id": GROUP, "hours": "any", **settings}
    campaign = Campaign(store, "spring", client=post.client(), **settings)
    await campaign.add(people(who) if isinstance(who, int) else who)
    return campaign


def counts_of(counts: Any) -> dict[str, int]:
    """The states that anybody is in."""
    return {str(RecipientState(state)): count for state, count in counts.items() if count}
