"""What a transport is.

Its most important duty is to tell what is known about a request that failed: `NotSentError` only if it is proven that
no byte of the request left this machine, `OutcomeUnknownError` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self, runtime_checkable

from pidj_async.sansio import WireRequest, WireResponse

__all__ = ["Progress", "ReplyStream", "StreamingTransport", "Transport"]


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


class ReplyStream(Protocol):
    """A reply whose head has come and whose body is still arriving.

    Iterating over it yields the body in pieces as they come: decompressed, none of them empty, none larger than some
    hundred kilobytes. It holds a connection until it has been read to its end, has raised an error, or is closed.
    """

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; of a repeated header the last."""
        ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes:
        """Wait for the next piece.

        Raises:
            OutcomeUnknownError: The rest of the reply never came.
            ResponseError: The body cannot be used: too large, wrongly encoded, cut off.
        """
        ...

    async def aclose(self) -> None:
        """Give up what has not been read, and the connection with it. Closing twice is harmless."""
        ...


@runtime_checkable
class StreamingTransport(Transport, Protocol):
    """A transport that can also hand over a reply while it is arriving."""

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> ReplyStream:
        """Send a request and wait for the head of the reply.

        Args:
            request: What to send.
            progress: As for `Transport.send`.
            max_bytes: The greatest size of this reply's body, decompressed, instead of the transport's own limit, which
                is for replies that are kept whole. ``None`` for no limit.

        Returns:
            The reply. Close it, unless it was read to its end.

        Raises:
            NotSentError: Proven: no byte of the request left.
            OutcomeUnknownError: The request was started, and no reply came.
        """
        ...
