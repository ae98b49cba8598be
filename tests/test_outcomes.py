"""What an error says of a text: the table at the head of the module."""

from __future__ import annotations

import pytest

from pidj_async import errors
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
)
from pidj_async.models import TextSent
from pidj_async.outcomes import Outcome, OutcomeState, outcome_state
from pidj_async.requests import SendText
from tests.valid import PHONE

ACCEPTED, NOT_SENT, UNKNOWN = OutcomeState.ACCEPTED, OutcomeState.NOT_SENT, OutcomeState.UNKNOWN

TABLE: list[tuple[PidjError | None, OutcomeState]] = [
    (None, ACCEPTED),
    (InvalidRequestError("f", "m"), NOT_SENT),
    (ConfigurationError("m"), NOT_SENT),
    (NotSentError("m"), NOT_SENT),
    (RateLimitError("m", status_code=429), NOT_SENT),
    (RateLimitError("m", status_code=200, code=429), NOT_SENT),
    (AuthenticationError("m", status_code=401), NOT_SENT),
    (PermissionDeniedError("m", status_code=403), NOT_SENT),
    (NotFoundError("m", status_code=404), NOT_SENT),
    (RefusedError("m", status_code=422), NOT_SENT),
    (RefusedError("m", status_code=200, status="failure"), NOT_SENT),
    (ResponseError("m", status_code=301), NOT_SENT),
    (ResponseError("m", status_code=308), NOT_SENT),
    (ServerError("m", status_code=500), UNKNOWN),
    (ServerError("m", status_code=200, code=503), UNKNOWN),
    (OutcomeUnknownError("m"), UNKNOWN),
    (ResponseError("m", status_code=200), ACCEPTED),
    (ResponseError("m", status_code=299), ACCEPTED),
    # Not in the drawn table: what no call raises today is the more careful of the two.
    (ResponseError("m", status_code=103), UNKNOWN),
    (ResponseError("m", status_code=502), UNKNOWN),
    (TransportError("m"), UNKNOWN),
    (PidjError("m"), UNKNOWN),
]


@pytest.mark.parametrize(("error", "state"), TABLE, ids=lambda value: getattr(value, "name", type(value).__name__))
def test_what_an_error_says_of_a_text(error: PidjError | None, state: OutcomeState) -> None:
    """Accepted, not sent, or unknown; unknown wherever it is not proven."""
    assert state is outcome_state(error)


def test_every_error_that_a_call_can_raise_is_in_the_table() -> None:
    """A new one needs a decision."""
    elsewhere = {"InvalidPayloadError", "StoreError", "TemplateError", "UnauthorizedWebhookError", "WebhookError"}
    calls = {getattr(errors, name) for name in errors.__all__ if name not in elsewhere}

    assert calls - {APIError} == {type(error) for error, _ in TABLE if error is not None}


def test_a_state_is_a_word() -> None:
    """It can be written to a file and read back."""
    assert ["accepted", "not_sent", "unknown"] == [str(state) for state in OutcomeState]
    assert ACCEPTED is OutcomeState("accepted")


@pytest.mark.parametrize("state", OutcomeState)
def test_an_outcome_is_accepted_or_not(state: OutcomeState) -> None:
    """The one question that is asked most."""
    request = SendText(to_number=PHONE, text_body="Hi", group_id="gr:1")

    assert (state is ACCEPTED) is Outcome(index=0, request=request, state=state).accepted


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (SendText(to_number=PHONE, text_body="my diagnosis", group_id="gr:1"), "SendText"),
        ({"to_number": PHONE, "text_body": "my diagnosis"}, "dict"),
    ],
)
def test_a_repr_tells_neither_whom_nor_what(request_: SendText | dict[str, str], kind: str) -> None:
    """Ten thousand of them go to a log."""
    outcome = Outcome(index=7, request=request_, state=ACCEPTED, result=TextSent(status="success"))

    assert (
        f"Outcome(index=7, request={kind}, state=<OutcomeState.ACCEPTED: 'accepted'>, "
        "result=TextSent(extra={}, status='success', message=None), error=None)"
    ) == repr(outcome)
