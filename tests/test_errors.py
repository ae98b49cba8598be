"""The error tree: as it is drawn, and fit to be pickled, copied and logged."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from pidj_async import errors
from pidj_async.errors import (
    APIError,
    AuthenticationError,
    InvalidRequestError,
    NotSentError,
    PidjError,
    RateLimitError,
    ResponseError,
    ServerError,
)

CLASSES: dict[str, type[PidjError]] = {name: getattr(errors, name) for name in errors.__all__}
AGAIN: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
]


def drawn() -> dict[str, tuple[str, ...]]:
    """The tree in the module's docstring: each class with its bases."""
    found: dict[str, tuple[str, ...]] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").partition("::\n")[2].splitlines():
        if match := re.match(r"    ([ |]*(?:\+- )?)(\w+Error)\b(?: \(also an? (\w+)\))?", line):
            depth, name, other = len(match[1]), match[2], match[3]
            branch = [(at, above) for at, above in branch if at < depth]
            parent = branch[-1][1] if branch else "Exception"
            found[name] = (parent, other) if other else (parent,)
            branch.append((depth, name))
    return found


def make(cls: type[PidjError]) -> PidjError:
    """One of each, with all its attributes."""
    if issubclass(cls, InvalidRequestError):
        return cls("to_number", "must be in E.164 format", value="'+188****22'")
    details: dict[str, Any] = {}
    if issubclass(cls, APIError):
        details = {"status_code": 400, "code": 400, "status": "error", "message": "No.", "body": {"a": [1]}}
    elif issubclass(cls, ResponseError):
        details = {"status_code": 200}
    if issubclass(cls, (RateLimitError, ServerError)):
        details["retry_after"] = 1.5
    return cls("summary", **details)


def test_the_tree_is_as_drawn() -> None:
    """The drawing at the head of the module shows every class and its bases."""
    assert {name: tuple(base.__name__ for base in cls.__bases__) for name, cls in CLASSES.items()} == drawn()


@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("name", CLASSES)
def test_an_error_survives_pickling_and_copying(name: str, again: Callable[[Any], Any]) -> None:
    """A process pool or a task queue hands errors on whole, with what the client has noted on them."""
    error = make(CLASSES[name])
    error.endpoint, error.attempts = "messages.send", 3
    error.add_note("while texting")

    copied = again(error)

    assert type(error) is type(copied)
    assert (str(error), error.args, vars(error)) == (str(copied), copied.args, vars(copied))


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_knows_its_call_only_once_it_had_one(name: str) -> None:
    """Outside a call there is neither an endpoint nor a try."""
    error = make(CLASSES[name])

    assert (None, 0) == (error.endpoint, error.attempts)


def test_an_invalid_request_names_the_field_and_the_value() -> None:
    """In its words and as attributes."""
    error = InvalidRequestError("state", "must be two letters", value="'Colorado'")

    assert "state: must be two letters; got 'Colorado'" == str(error)
    assert ("state", "must be two letters", "'Colorado'") == (error.field, error.problem, error.value)


def test_an_invalid_request_without_a_value_names_the_field() -> None:
    """Nothing was given, so nothing is shown."""
    error = InvalidRequestError("from_number", "give exactly one")

    assert ("from_number: give exactly one", None) == (str(error), error.value)


def test_an_api_error_tells_what_the_reply_said() -> None:
    """And its body is an attribute, not a part of its text."""
    error = AuthenticationError(
        "users.get: HTTP 401", status_code=401, code=401, status="error", message="Who?", body={"code": 401}
    )

    assert "users.get: HTTP 401" == str(error)
    assert (401, 401, "error", "Who?", {"code": 401}) == (
        error.status_code,
        error.code,
        error.status,
        error.message,
        error.body,
    )


@pytest.mark.parametrize("cls", [RateLimitError, ServerError])
def test_the_two_that_may_name_a_time_have_none_by_default(cls: type[RateLimitError | ServerError]) -> None:
    """A reply need not say when to come back."""
    assert cls("summary", status_code=500).retry_after is None
    assert cls("summary", status_code=500, retry_after=2.0).retry_after == 2.0


def test_an_invalid_request_is_caught_as_a_value_error() -> None:
    """Who validates input with ``except ValueError`` needs to know nothing of us."""
    with pytest.raises(ValueError, match=r"^a: b$"):
        raise InvalidRequestError("a", "b")


def test_the_cause_of_an_error_stays_reachable() -> None:
    """``raise ... from`` works as it does for any exception."""
    cause = OSError("refused")
    with pytest.raises(NotSentError) as raised:
        raise NotSentError("m") from cause

    assert cause is raised.value.__cause__
