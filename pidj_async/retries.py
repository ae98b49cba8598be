"""When to try again: a pure policy, and a budget that keeps an outage from being multiplied.

The rules of the default policy:

=================================  ==============================  =====================================
what happened                      row safe to repeat              row not safe to repeat
=================================  ==============================  =====================================
`NotSentError`                     again                           again: proven not sent
`RateLimitError` (429)             again, after ``Retry-After``    again, after ``Retry-After``
`ServerError` (5xx)                again                           stop: it may have been acted on
`OutcomeUnknownError`              again                           stop: it may have been acted on
anything else                      stop                            stop
=================================  ==============================  =====================================
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from pidj_async._endpoint import Endpoint
from pidj_async.errors import (
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
    PidjError,
    RateLimitError,
    ServerError,
)

__all__ = ["NO_RETRIES", "Backoff", "Retry", "RetryBudget", "RetryPolicy"]


@attrs.frozen
class Backoff:
    """How long to wait before the next try: the client draws a moment between the two.

    Attributes:
        at_least: Seconds.
        at_most: Seconds.
    """

    at_least: float
    at_most: float


class Retry(Protocol):
    """What a retry policy is: a pure function."""

    def __call__(self, row: Endpoint[Any], attempt: int, error: PidjError, /) -> Backoff | None:
        """Say whether to try again.

        Args:
            row: The call's row of the table; ``row.safe_to_repeat`` is the property to look at.
            attempt: How many tries there have been, from 1.
            error: How the last one ended.

        Returns:
            How long to wait, or ``None`` to stop and raise the error.
        """


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 0:
        msg = f"{attribute.name} must not be negative; got {value!r}"
        raise ConfigurationError(msg)


def _at_least_one(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if not value >= 1:
        msg = f"{attribute.name} counts the first try too, so it must be at least 1; got {value!r}"
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The default policy: exponential backoff with full jitter, by the rules at the head of this module.

    Attributes:
        max_attempts: Tries in all, the first included.
        initial_delay: The longest wait before the second try, in seconds; it doubles with every further try.
        max_delay: The longest wait of all, in seconds.
        max_retry_after: The longest that a server's ``Retry-After`` is obeyed, in seconds.
    """

    max_attempts: int = attrs.field(default=4, validator=_at_least_one)
    initial_delay: float = attrs.field(default=0.5, validator=_positive)
    max_delay: float = attrs.field(default=8.0, validator=_positive)
    max_retry_after: float = attrs.field(default=60.0, validator=_positive)

    def __call__(self, row: Endpoint[Any], attempt: int, error: PidjError, /) -> Backoff | None:
        """See `Retry.__call__`."""
        if attempt >= self.max_attempts or not self._repeatable(row, error):
            return None
        # The exponent is bounded: 2.0 ** 1024 would overflow, and max_delay has ruled long before.
        longest = min(self.max_delay, self.initial_delay * 2.0 ** min(attempt - 1, 64))
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            # Not before the moment the server named, and not everybody at that very moment.
            asked = min(max(asked, 0.0), self.max_retry_after)
            return Backoff(asked, min(asked + longest, max(asked, self.max_retry_after)))
        return Backoff(0.0, longest)

    @staticmethod
    def _repeatable(row: Endpoint[Any], error: PidjError) -> bool:
        if isinstance(error, (NotSentError, RateLimitError)):
            return True
        return row.safe_to_repeat and isinstance(error, (OutcomeUnknownError, ServerError))


NO_RETRIES = RetryPolicy(max_attempts=1)
"""Try once."""


@attrs.define(kw_only=True)
class RetryBudget:
    """How many retries a client may make beside its successes.

    Each retry takes one token, each success gives back a part of one. While Pidj is well, there are always tokens; in
    an outage they run out, and calls fail at once instead of each being tried several times.

    Attributes:
        capacity: Tokens to begin with, and at most.
        refill: Tokens per success; 0.1 allows about one retry for ten successes in the long run.
    """

    capacity: float = attrs.field(default=100.0, validator=_positive)
    refill: float = attrs.field(default=0.1, validator=_positive)
    tokens: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def take(self) -> bool:
        """Take a token for a retry, if there is one."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def give_back(self) -> None:
        """Book a success."""
        if self.tokens < self.capacity:
            self.tokens = min(self.capacity, self.tokens + self.refill)
