"""A transport that follows a script: the client's own seam, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import anyio.lowlevel

from pidj_async.errors import NotSentError, OutcomeUnknownError
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.transports import Progress

__all__ = ["Scripted", "hangs", "lost", "not_sent", "replies", "texts"]

Step = Callable[[WireRequest, Progress], Any]


def replies(status_code: int = 200, headers: dict[str, str] | None = None, /, **fields: Any) -> Step:
    """A reply arrives."""
    envelope = {"code": status_code, "status": "success" if status_code < 400 else "error", "message": "m", **fields}

    def step(_: WireRequest, progress: Progress) -> WireResponse:
        progress.request_started = True
        return WireResponse(status_code=status_code, headers=headers or {}, content=json.dumps(envelope).encode())

    return step


def not_sent(_: WireRequest, __: Progress) -> WireResponse:
    """The connection is refused."""
    msg = "refused"
    raise NotSentError(msg)


def lost(_: WireRequest, progress: Progress) -> WireResponse:
    """The request goes out and its reply never comes."""
    progress.request_started = True
    msg = "lost"
    raise OutcomeUnknownError(msg)


def hangs(*, started: bool) -> Step:
    """Nothing happens, before or after the request has gone out."""

    async def step(_: WireRequest, progress: Progress) -> WireResponse:
        if started:
            progress.request_started = True
        await anyio.sleep_forever()
        raise AssertionError

    return step


class Scripted:
    """Takes one step of the script for each request; the last one for all that follow."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.requests: list[WireRequest] = []
        self.closed = 0

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        outcome = step(request, progress)
        response: WireResponse = outcome if isinstance(outcome, WireResponse) else await outcome
        return response

    async def aclose(self) -> None:
        self.closed += 1


def texts(count: int) -> Iterable[dict[str, str]]:
    """Requests to different numbers."""
    return ({"to_number": f"+1888555{index:04d}", "text_body": "Hi", "group_id": "gr:1"} for index in range(count))
