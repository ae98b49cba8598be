"""What a transport is.

Its most important duty is to tell what is known about a request that failed: `NotSentError` only if it is proven that
no byte of the request left this machine, `OutcomeUnknownError` otherwise.
"""

from __future__ import annotations

from typing import Protocol

from pidj_async.sansio import WireRequest, WireResponse

__all__ = ["Progress", "Transport"]


class Progress:
    """How far a call has come; it outlives a call that was cancelled.

    Attributes:
        request_started: Whether Pidj may have seen, and may act on, the request. A transport sets it just before
            the first byte goes out.
        attempts: How many times the request was tried.
    """

    __slots__ = ("attempts", "request_started")

    def __init__(self) -> None:
        self.request_started = False
        self.attempts = 0

    def __repr__(self) -> str:
        return f"Progress(request_started={self.request_started}, attempts={self.attempts})"


class Transport(Protocol):
    """Carries one request to Pidj and its reply back."""

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """Send a request and read the whole reply.

        Args:
            request: What to send.
            progress: ``progress.request_started`` must be set before the first byte of the request is handed to
                the operating system, and not if it never comes to that.

        Raises:
            NotSentError: Proven: no byte of the request left.
            OutcomeUnknownError: The request was started, and no whole reply came.
            ResponseError: A reply came, and it cannot be used: too large, wrongly encoded.
        """
        ...

    async def aclose(self) -> None:
        """Close whatever this transport opened. Closing twice is harmless."""
        ...
