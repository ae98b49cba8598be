"""What an error says of a text: accepted, not sent, or unknown.

====================================================  ==============
what came back                                        the text is
====================================================  ==============
a result                                              accepted
`InvalidRequestError`, `NotSentError`                 not sent
`RateLimitError`, any other 4xx, a refusal in a 2xx   not sent
a redirect                                            not sent
`ServerError`, `OutcomeUnknownError`                  unknown
a 2xx that cannot be read (`ResponseError`)           accepted
====================================================  ==============
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from pidj_async.errors import (
    APIError,
    ConfigurationError,
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    PidjError,
    RateLimitError,
    ResponseError,
    ServerError,
    TransportError,
)
from pidj_async.models import TextSent
from pidj_async.requests import SendText

__all__ = ["Outcome", "OutcomeState", "cause_of", "outcome_state"]


class OutcomeState(StrEnum):
    """What is known about a request."""

    ACCEPTED = "accepted"
    """Pidj took it."""
    NOT_SENT = "not_sent"
    """Proven: it was not acted on. Whether to try again depends on the error."""
    UNKNOWN = "unknown"
    """It may have been acted on. Do not send it again blindly."""


def outcome_state(error: PidjError | None) -> OutcomeState:
    """Tell what an error says of the request that it ended; ``None`` stands for no error."""
    if error is None:
        return OutcomeState.ACCEPTED
    if isinstance(error, (InvalidRequestError, ConfigurationError, NotSentError)):
        return OutcomeState.NOT_SENT
    if isinstance(error, ResponseError):
        if 200 <= error.status_code < 300:
            return OutcomeState.ACCEPTED
        return OutcomeState.NOT_SENT if 300 <= error.status_code < 400 else OutcomeState.UNKNOWN
    if isinstance(error, APIError) and not isinstance(error, ServerError):
        return OutcomeState.NOT_SENT
    return OutcomeState.UNKNOWN


#: What a `NotSentError` is called, by its kind and by the names of the classes in its chain; the first that fits.
_NOT_SENT = {
    "gaierror": "dns",
    "ConnectTimeout": "connect-timeout",
    "SSLError": "tls",
    "ConnectionRefusedError": "connection-refused",
    "PoolTimeout": "pool-timeout",
    "ProxyError": "proxy",
    "TimeoutError": "timeout",
    "OSError": "connect-error",
}
#: The same for an `OutcomeUnknownError`.
_UNKNOWN = {
    "WriteTimeout": "write-timeout",
    "ReadTimeout": "read-timeout",
    "TimeoutError": "timeout",
    "OSError": "connection-lost",
    "NetworkError": "connection-lost",
    "ProtocolError": "connection-lost",  # the server hung up instead of replying, or in the middle
}


def cause_of(error: BaseException | None) -> str | None:
    """Say why, in a word that can be counted: ``"http-503"``, ``"connection-refused"``, ``"read-timeout"``.

    Args:
        error: How a request ended; ``None`` if it succeeded.

    Returns:
        ``None`` for a success. The words of replies are ``http-`` and the status, ``declined`` for a refusal in a 2xx
        and ``unreadable-reply`` for any other 2xx; those of failures name what broke. The longest has 40 characters.
    """
    if error is None:
        return None
    if isinstance(error, (APIError, ResponseError)):
        return _cause_of_reply(error)
    kinds = ((words, otherwise) for kind, words, otherwise in _BROKEN if isinstance(error, kind))
    words, otherwise = next(kinds, ({}, type(error).__name__[:40]))
    return _first_of(words, error) or otherwise


#: Without a reply: what to look for in the chain, and what to say if none of it is there.
_BROKEN: tuple[tuple[type[PidjError], Mapping[str, str], str], ...] = (
    (InvalidRequestError, {}, "invalid-request"),
    (ConfigurationError, {}, "configuration"),
    (NotSentError, _NOT_SENT, "not-sent"),
    (OutcomeUnknownError, _UNKNOWN, "connection-lost"),
)


def _cause_of_reply(error: APIError | ResponseError) -> str:
    if error.status_code >= 300 or error.status_code < 200:
        return f"http-{error.status_code}"
    if isinstance(error, ResponseError):
        return "unreadable-reply"
    # Some of the refusals that come with a 2xx are in truth another status: "not now", "something broke".
    if isinstance(error, (RateLimitError, ServerError)) and error.code is not None:
        return f"http-{error.code}"
    return "declined"


def _first_of(words: Mapping[str, str], error: BaseException) -> str | None:
    names = {base.__name__ for one in _chain(error) for base in type(one).__mro__}
    if isinstance(error, TransportError) and error.kind is not None:
        names.add(error.kind)
    return next((word for name, word in words.items() if name in names), None)


def _chain(error: BaseException) -> list[BaseException]:
    """What led to an error, the nearest first."""
    found: list[BaseException] = []
    waiting = [error.__cause__ or error.__context__]
    while waiting and len(found) < _LONGEST_CHAIN:
        one = waiting.pop(0)
        if one is not None and one not in found:
            found.append(one)
            waiting.append(one.__cause__ or one.__context__)
            # One for each address of the host.
            waiting.extend(getattr(one, "exceptions", ()))
    return found


_LONGEST_CHAIN = 20


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one of many texts.

    Attributes:
        index: Its place among the requests, from 0.
        request: The request, as it was given.
        state: What is known about it.
        result: What Pidj answered, if it was accepted and the answer could be read.
        error: Why not, otherwise.
    """

    index: int
    request: SendText | Mapping[str, Any] = attrs.field(repr=lambda value: type(value).__name__)
    state: OutcomeState
    result: TextSent | None = None
    error: PidjError | None = None

    @property
    def accepted(self) -> bool:
        """Whether Pidj took it."""
        return self.state is OutcomeState.ACCEPTED
