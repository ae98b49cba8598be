"""When to try again: the table at the head of the module, the delays, the budget."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import errors, retries
from pidj_async.endpoints import BY_NAME, TABLE
from pidj_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PidjError,
    RateLimitError,
    RefusedError,
    ResponseError,
    ServerError,
    TransportError,
    WebhookError,
)
from pidj_async.retries import NO_RETRIES, Backoff, RetryBudget, RetryPolicy

SAFE, UNSAFE = BY_NAME["contacts.list"], BY_NAME["messages.send"]

# what happened -> (again if safe, again if not)
RULES: dict[PidjError, tuple[bool, bool]] = {
    NotSentError("m"): (True, True),
    RateLimitError("m", status_code=429): (True, True),
    RateLimitError("m", status_code=200, code=429): (True, True),
    ServerError("m", status_code=503): (True, False),
    ServerError("m", status_code=200, code=500): (True, False),
    OutcomeUnknownError("m"): (True, False),
    TransportError("m"): (False, False),
    AuthenticationError("m", status_code=401): (False, False),
    PermissionDeniedError("m", status_code=403): (False, False),
    NotFoundError("m", status_code=404): (False, False),
    RefusedError("m", status_code=400): (False, False),
    APIError("m", status_code=500): (False, False),
    ResponseError("m", status_code=502): (False, False),
    ResponseError("m", status_code=200): (False, False),
    InvalidRequestError("f", "m"): (False, False),
    ConfigurationError("m"): (False, False),
    WebhookError("m"): (False, False),
    PidjError("m"): (False, False),
}

seconds = st.floats(0, 1e6)
policies = st.builds(
    RetryPolicy, max_attempts=st.integers(1, 10_000), initial_delay=seconds, max_delay=seconds, max_retry_after=seconds
)
retryable = st.sampled_from([error for error, (safe, _) in RULES.items() if safe])


def rate_limited(retry_after: float | None) -> RateLimitError:
    return RateLimitError("m", status_code=429, retry_after=retry_after)


# ----------------------------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize("safe", [True, False], ids=["safe", "unsafe"])
@pytest.mark.parametrize("error", RULES, ids=lambda error: type(error).__name__)
def test_what_is_tried_again(error: PidjError, safe: bool) -> None:  # noqa: FBT001
    """Only what is proven not to have been done, or is harmless to do twice."""
    again = RetryPolicy()(SAFE if safe else UNSAFE, 1, error) is not None

    assert RULES[error][0 if safe else 1] is again


def test_the_drawn_table_says_the_same() -> None:
    """The lines at the head of the module, read as rules."""
    drawn = {}
    for line in (retries.__doc__ or "").splitlines():
        if match := re.match(r"`(\w+)`(?: \(\w+\))?\s{2,}(again|stop)\S*.*?\s{2,}(again|stop)", line):
            drawn[getattr(errors, match[1])] = (match[2] == "again", match[3] == "again")

    assert {type(error): rule for error, rule in RULES.items() if any(rule)} == drawn


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_row_decides_by_one_property(row: Any) -> None:
    """An unknown outcome is repeated if the row is safe to repeat, whatever its name or verb."""
    assert row.safe_to_repeat is (RetryPolicy()(row, 1, OutcomeUnknownError("m")) is not None)


# -------------------------------------------------------------------------------------------------------------- delays


def test_the_default_delays() -> None:
    """Half a second, doubling, three times."""
    waits = [RetryPolicy()(SAFE, attempt, NotSentError("m")) for attempt in range(1, 5)]

    assert [Backoff(0.0, 0.5), Backoff(0.0, 1.0), Backoff(0.0, 2.0), None] == waits


def test_no_retries_means_none() -> None:
    """One try, however harmless another would be."""
    assert NO_RETRIES(SAFE, 1, NotSentError("m")) is None


@given(policies, st.integers(1, 10_000), retryable)
def test_delays_never_shrink_and_never_pass_the_cap(policy: RetryPolicy, attempt: int, error: PidjError) -> None:
    """Also after thousands of tries, where the power would overflow."""
    this, following = policy(SAFE, attempt, error), policy(SAFE, attempt + 1, error)

    assert (this is not None) is (attempt < policy.max_attempts)
    if this is not None:
        assert 0.0 == this.at_least <= this.at_most <= policy.max_delay
    if this is not None and following is not None:
        assert this.at_most <= following.at_most


@given(policies, st.integers(1, 100), seconds)
def test_a_server_that_names_a_time_is_obeyed(policy: RetryPolicy, attempt: int, asked: float) -> None:
    """Not before it, and up to the greatest wait that the caller allows."""
    wait = policy(UNSAFE, attempt, rate_limited(asked))

    if wait is not None:
        assert min(asked, policy.max_retry_after) == wait.at_least
        assert wait.at_least <= wait.at_most <= policy.max_retry_after
        assert wait.at_most <= wait.at_least + policy.max_delay


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (None, Backoff(0.0, 0.5)),
        (0.0, Backoff(0.0, 0.5)),
        (-5.0, Backoff(0.0, 0.5)),
        (7.0, Backoff(7.0, 7.5)),
        (59.8, Backoff(59.8, 60.0)),
        (3_600.0, Backoff(60.0, 60.0)),
        (math.inf, Backoff(60.0, 60.0)),
    ],
)
def test_retry_after(asked: float | None, wait: Backoff) -> None:
    """The jitter comes on top, so that not everybody comes back at the same moment."""
    assert wait == RetryPolicy()(UNSAFE, 1, rate_limited(asked))


@pytest.mark.parametrize("field", ["initial_delay", "max_delay", "max_retry_after"])
@pytest.mark.parametrize("value", [-1, -0.001, math.nan])
def test_a_negative_time_is_refused(field: str, value: float) -> None:
    """With the name of the option."""
    with pytest.raises(ConfigurationError, match=f"^{field} must not be negative; got {value!r}$"):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1])
def test_at_least_one_try_is_made(value: int) -> None:
    """``max_attempts`` counts the first try too."""
    with pytest.raises(ConfigurationError, match=f"^max_attempts counts the first try too.*; got {value}$"):
        RetryPolicy(max_attempts=value)


# -------------------------------------------------------------------------------------------------------------- budget


def test_a_budget_runs_out() -> None:
    """After its capacity, nothing is tried again."""
    budget = RetryBudget(capacity=2)

    assert [True, True, False, False] == [budget.take() for _ in range(4)]


def test_successes_pay_for_retries() -> None:
    """With a refill of a quarter, four successes pay for one."""
    budget = RetryBudget(capacity=1, refill=0.25)
    budget.take()
    taken = []
    for _ in range(8):
        budget.give_back()
        taken.append(budget.take())

    assert [False, False, False, True, False, False, False, True] == taken


@pytest.mark.parametrize("field", ["capacity", "refill"])
def test_a_budget_is_not_negative(field: str) -> None:
    """With the name of the option."""
    with pytest.raises(ConfigurationError, match=f"^{field} must not be negative; got -1$"):
        RetryBudget(**{field: -1})


def test_a_budget_of_nothing_allows_nothing() -> None:
    """Zero is a way to forbid retries, successes or not."""
    budget = RetryBudget(capacity=0)
    budget.give_back()

    assert budget.take() is False


@given(capacity=st.floats(0, 50), refill=st.floats(0, 5), events=st.lists(st.booleans()))
def test_no_more_retries_than_the_budget_and_the_successes_allow(
    capacity: float, refill: float, events: list[bool]
) -> None:
    """Whatever happens in whatever order, and the tokens stay between nothing and the capacity."""
    budget = RetryBudget(capacity=capacity, refill=refill)
    retried = 0
    for success in events:
        if success:
            budget.give_back()
        else:
            retried += budget.take()
        assert 0 <= budget.tokens <= capacity

    assert retried <= capacity + refill * sum(events) + 1e-6
