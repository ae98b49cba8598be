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
    PidjError,
    ResponseError,
    ServerError,
)
from pidj_async.models import TextSent
from pidj_async.requests import SendText

__all__ = ["Outcome", "OutcomeState", "outcome_state"]


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
