"""What is known about a request whose transport failed.

Two witnesses must agree before a request counts as *not sent*: the trace (no byte of the request was started) and the
kind of error (one that only comes up before sending). If either speaks for sending, the outcome is unknown. One witness
alone would not do: a transport that is not httpcore's may map a lost connection to ``ConnectTimeout``, and a mocked
``ReadTimeout`` comes without any trace.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from pidj_async.errors import NotSentError, OutcomeUnknownError, PidjError, ResponseError, TransportError
from pidj_async.transports.base import Progress

__all__ = [
    "Tracer",
    "Witness",
    "badly_framed",
    "is_cut_off",
    "meaning_of",
    "not_sent",
    "outcome_unknown",
    "transport_error",
]

#: Errors that httpx and httpcore, which name them alike, raise only before a request is written.
_BEFORE_SENDING = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})

_WORDS = {
    "ConnectError": "could not connect to",
    "ConnectTimeout": "timed out connecting to",
    "PoolTimeout": "no connection became free in time to",
    "ProxyError": "the proxy refused to connect to",
    "ReadError": "the connection broke while waiting for the reply of",
    "ReadTimeout": "timed out waiting for the reply of",
    "RemoteProtocolError": "the reply was cut off or was not HTTP, from",
    "WriteError": "the connection broke while sending to",
    "WriteTimeout": "timed out sending to",
}

_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class Witness:
    """Whether a transport traces, which is known once any of its requests has.

    Attributes:
        traces: Only then does the absence of an event prove anything.
    """

    __slots__ = ("traces",)

    def __init__(self, *, traces: bool) -> None:
        self.traces = traces


class Tracer:
    """Listens to httpcore's trace events and marks the moment at which the request itself is begun."""

    __slots__ = ("_progress", "_witness")

    def __init__(self, progress: Progress, witness: Witness) -> None:
        self._progress = progress
        self._witness = witness

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one event; httpcore awaits this for each."""
        self._witness.traces = True
        if event.endswith(".send_request_headers.started"):
            request = info.get("request")
            # A proxy's CONNECT is a request too, and tells Pidj nothing.
            if getattr(request, "method", None) != b"CONNECT":
                self._progress.request_started = True


def is_cut_off(error: Exception) -> bool:
    """Whether a protocol error means that the server hung up, rather than that it wrote nonsense."""
    # Both come as RemoteProtocolError; only the text, which the tests pin, tells h11's and httpcore's two cases.
    text = str(error)
    return "peer closed connection" in text or "disconnected" in text


def meaning_of(
    error: Exception, *, host: str, progress: Progress, witness: Witness, call: str, status_code: int | None
) -> PidjError:
    """Say what any exception of an exchange means, to be raised ``from`` its own ``__cause__``.

    Args:
        error: What the transport, or the reading of the body, raised.
        host: See `transport_error`.
        progress: See `transport_error`.
        witness: See `transport_error`.
        call: See `transport_error`.
        status_code: The status of the reply whose body was being read, if it had come to that.
    """
    if isinstance(error, ResponseError):
        return ResponseError(f"{call}: {error}", status_code=error.status_code)
    protocol = type(error).__name__ == "RemoteProtocolError"
    if protocol and status_code is not None and not is_cut_off(error):
        return badly_framed(status_code, call=call)
    meaning = transport_error(error, host=host, progress=progress, witness=witness, call=call)
    if not protocol:  # whose text may quote what the server wrote, which may quote what we sent: it is not passed on
        meaning.__cause__ = error
    return meaning


def transport_error(error: Exception, *, host: str, progress: Progress, witness: Witness, call: str) -> TransportError:
    """Say what a transport's exception means for the request.

    Args:
        error: What the transport raised.
        host: Where the request was to go, for the message.
        progress: Whether the trace saw the request begin. Without proof that it did not, it counts as begun.
        witness: Whether the transport traces at all.
        call: The name of the call, for the message.
    """
    kind = type(error).__name__
    if witness.traces and not progress.request_started and kind in _BEFORE_SENDING:
        return not_sent(kind, call=call, host=host, error=error)
    progress.request_started = True
    return outcome_unknown(kind, call=call, host=host)


def not_sent(kind: str, *, call: str, host: str, error: BaseException) -> NotSentError:
    """The error for a request that was not begun.

    Args:
        kind: What happened, by httpx's name for it.
        call: The name of the call.
        host: Where the request was to go.
        error: The operating system's or the TLS library's reason, perhaps among its causes.
    """
    return NotSentError(f"{call}: {_words(kind)} {host}{_reason(error)}; nothing was sent")


def outcome_unknown(kind: str, *, call: str, host: str) -> OutcomeUnknownError:
    """The error for a request that was begun, and whose reply did not come; see `not_sent` for the arguments."""
    return OutcomeUnknownError(f"{call}: {_words(kind)} {host}; the request may have been acted on")


def badly_framed(status_code: int, *, call: str) -> ResponseError:
    """The error for a body that is not cut off, but is not HTTP."""
    msg = f"{call}: HTTP {status_code}, but the body is not framed as HTTP prescribes"
    return ResponseError(msg, status_code=status_code)


def _words(kind: str) -> str:
    return _WORDS.get(kind, f"{kind} while talking to")


def _reason(error: BaseException) -> str:
    """The operating system's or the TLS library's words: before sending, they hold nothing of the request."""
    cause: BaseException | None = error
    text = ""
    for _ in range(6):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno in _OUT_OF_FILES:
            return " (too many open files: lower max_connections or raise the limit of open files)"
        text = str(cause) or text
        cause = cause.__cause__ or cause.__context__
    return f" ({text})" if text else ""
