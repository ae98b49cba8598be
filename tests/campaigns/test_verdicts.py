"""Verdicts: what each end of a request means for the recipient, the pace and the campaign."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import Any

import httpcore
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.campaigns import verdicts
from pidj_async.campaigns.states import TRANSITIONS, RecipientState
from pidj_async.campaigns.verdicts import Verdict, verdict_of
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
    StoreError,
    TransportError,
)
from pidj_async.outcomes import OutcomeState, outcome_state
from pidj_async.pacing import Feedback

SENT, READY, REJECTED, IN_DOUBT = (
    RecipientState.SENT,
    RecipientState.READY,
    RecipientState.REJECTED,
    RecipientState.IN_DOUBT,
)


def because(error: PidjError, *causes: BaseException) -> PidjError:
    """An error at the end of a chain, as a transport raises it."""
    last: BaseException = error
    for cause in causes:
        last.__context__ = cause
        last = cause
    return error


def api(kind: type[APIError], status_code: int, **details: Any) -> APIError:
    return kind("m", status_code=status_code, **details)


TABLE: list[tuple[BaseException | None, RecipientState, str | None, Feedback]] = [
    (None, SENT, None, Feedback.OK),
    (ResponseError("m", status_code=200), SENT, "unreadable-reply", Feedback.OK),
    (because(NotSentError("m"), httpx.ConnectError("x"), socket.gaierror()), READY, "dns", Feedback.UNREACHABLE),
    (
        because(NotSentError("m"), httpx.ConnectError("x"), ConnectionRefusedError()),
        READY,
        "connection-refused",
        Feedback.UNREACHABLE,
    ),
    (because(NotSentError("m"), ssl.SSLCertVerificationError()), READY, "tls", Feedback.UNREACHABLE),
    (because(NotSentError("m"), httpx.ConnectTimeout("x")), READY, "connect-timeout", Feedback.UNREACHABLE),
    (because(NotSentError("m"), httpcore.PoolTimeout()), READY, "pool-timeout", Feedback.UNREACHABLE),
    (because(NotSentError("m"), httpx.ProxyError("x")), READY, "proxy", Feedback.UNREACHABLE),
    (because(NotSentError("m"), TimeoutError()), READY, "timeout", Feedback.UNREACHABLE),
    (because(NotSentError("m"), OSError(24, "too many files")), READY, "connect-error", Feedback.UNREACHABLE),
    (NotSentError("m"), READY, "not-sent", Feedback.UNREACHABLE),
    (api(RateLimitError, 429), READY, "http-429", Feedback.THROTTLED),
    (api(RateLimitError, 200, code=429), READY, "http-429", Feedback.THROTTLED),
    (api(AuthenticationError, 401), READY, "http-401", Feedback.OK),
    (api(RefusedError, 402), READY, "http-402", Feedback.OK),
    (api(PermissionDeniedError, 403), READY, "http-403", Feedback.OK),
    (api(RefusedError, 200, code=402), READY, "declined", Feedback.OK),
    (ResponseError("m", status_code=301), READY, "http-301", Feedback.OK),
    (ConfigurationError("m"), READY, "configuration", Feedback.NONE),
    (api(RefusedError, 400), REJECTED, "http-400", Feedback.OK),
    (api(NotFoundError, 404), REJECTED, "http-404", Feedback.OK),
    (api(RefusedError, 422), REJECTED, "http-422", Feedback.OK),
    (api(RefusedError, 200), REJECTED, "declined", Feedback.OK),
    (api(RefusedError, 200, code=400), REJECTED, "declined", Feedback.OK),
    (InvalidRequestError("to_number", "m"), REJECTED, "invalid-request", Feedback.NONE),
    (api(ServerError, 500), IN_DOUBT, "http-500", Feedback.BROKEN),
    (api(ServerError, 502, code=403), IN_DOUBT, "http-502", Feedback.BROKEN),
    (api(ServerError, 503), IN_DOUBT, "http-503", Feedback.OVERLOADED),
    (api(ServerError, 200, code=503), IN_DOUBT, "http-503", Feedback.OVERLOADED),
    (ResponseError("m", status_code=500), IN_DOUBT, "http-500", Feedback.BROKEN),
    (ResponseError("m", status_code=101), IN_DOUBT, "http-101", Feedback.OK),
    (because(OutcomeUnknownError("m"), httpx.ReadTimeout("x")), IN_DOUBT, "read-timeout", Feedback.TIMED_OUT),
    (because(OutcomeUnknownError("m"), httpcore.WriteTimeout()), IN_DOUBT, "write-timeout", Feedback.TIMED_OUT),
    (because(OutcomeUnknownError("m"), TimeoutError()), IN_DOUBT, "timeout", Feedback.TIMED_OUT),
    (because(OutcomeUnknownError("m"), httpx.ReadError("x")), IN_DOUBT, "connection-lost", Feedback.BROKEN),
    (because(OutcomeUnknownError("m"), ConnectionResetError()), IN_DOUBT, "connection-lost", Feedback.BROKEN),
    (because(OutcomeUnknownError("m"), httpx.RemoteProtocolError("x")), IN_DOUBT, "connection-lost", Feedback.BROKEN),
    (OutcomeUnknownError("m"), IN_DOUBT, "connection-lost", Feedback.BROKEN),
    (TransportError("m"), IN_DOUBT, "TransportError", Feedback.NONE),
    (StoreError("m"), IN_DOUBT, "StoreError", Feedback.NONE),
]


@pytest.mark.parametrize(("error", "state", "cause", "feedback"), TABLE, ids=lambda one: getattr(one, "name", None))
def test_the_table(error: BaseException | None, state: RecipientState, cause: str | None, feedback: Feedback) -> None:
    """Each kind of end, one by one."""
    verdict = verdict_of(error, request_started=True)

    assert (state, cause, feedback) == (verdict.state, verdict.cause, verdict.feedback)


@pytest.mark.parametrize("error", [row[0] for row in TABLE if isinstance(row[0], PidjError)], ids=repr)
def test_no_text_is_ready_again_unless_it_is_proven_unsent(error: PidjError) -> None:
    """A verdict never claims more than the outcome does, and every one may follow `SENDING`."""
    verdict = verdict_of(error, request_started=True)
    allowed = {
        OutcomeState.ACCEPTED: {SENT},
        OutcomeState.NOT_SENT: {READY, REJECTED},
        OutcomeState.UNKNOWN: {IN_DOUBT},
    }

    assert verdict.state in allowed[outcome_state(error)]
    assert verdict.state in TRANSITIONS[RecipientState.SENDING]


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (api(AuthenticationError, 401), "Pidj does not accept the account key or the token: m"),
        (api(RefusedError, 402), "Pidj asks for payment: m"),
        (api(RefusedError, 200, code=402), "Pidj asks for payment: m"),
        (api(PermissionDeniedError, 403), "the account may not do this: m"),
        (ResponseError("m", status_code=308), "Pidj's address answers with a redirect (HTTP 308); is base_url right?"),
        (ConfigurationError("no such transport"), "no such transport"),
    ],
)
def test_what_every_recipient_would_meet_pauses_the_campaign(error: PidjError, pause: str) -> None:
    """And says what has to be mended."""
    verdict = verdict_of(error, request_started=True)

    assert (READY, pause) == (verdict.state, verdict.pause)


def test_nothing_else_pauses_it() -> None:
    """One recipient's trouble, and what passes by itself, does not."""
    pausing = [verdict.cause for row in TABLE if (verdict := verdict_of(row[0], request_started=True)).pause]

    assert ["http-401", "http-402", "http-403", "declined", "http-301", "configuration"] == pausing


@pytest.mark.parametrize("error", [api(RateLimitError, 429, retry_after=7.0), api(ServerError, 503, retry_after=7.0)])
def test_retry_after_is_handed_on(error: APIError) -> None:
    """To the pacer, which pauses everybody."""
    assert verdict_of(error, request_started=True).retry_after == 7.0


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize(("started", "state"), [(False, READY), (True, IN_DOUBT)])
def test_a_cancelled_request_is_in_doubt_once_it_has_begun(kind: str, *, started: bool, state: RecipientState) -> None:
    """Before its first byte, it is proven not sent."""
    verdict = verdict_of(asyncio.CancelledError() if kind == "asyncio" else trio_cancelled(), request_started=started)

    assert (state, "cancelled", Feedback.NONE) == (verdict.state, verdict.cause, verdict.feedback)


def trio_cancelled() -> BaseException:
    """Trio makes them itself only."""
    caught: list[BaseException] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                caught.append(error)
                raise

    trio.run(main)
    return caught[0]


@pytest.mark.parametrize("started", [False, True])
def test_an_error_that_nobody_expected_leaves_it_in_doubt(*, started: bool) -> None:
    """A transport that raises anything may have lied about the rest too."""
    expected = Verdict(state=IN_DOUBT, cause="transport-bug", error="KeyError in the transport; it may have been sent")
    assert expected == verdict_of(KeyError("+18885552222"), request_started=started)


@given(st.text(max_size=2_000))
def test_what_is_kept_of_an_error_is_short_and_masked(words: str) -> None:
    """No number that it quotes is readable in the ledger, and no page of HTML gets there."""
    verdict = verdict_of(OutcomeUnknownError(f"to +18885552222: {words}"), request_started=True)

    assert verdict.error is not None
    assert "+188******22" in verdict.error
    assert len(verdict.error) <= 500


@pytest.mark.parametrize("row", TABLE, ids=lambda row: repr(row[0]))
def test_a_cause_fits_its_column(row: tuple[BaseException | None, Any, Any, Any]) -> None:
    """A word without blanks, of 40 characters at most."""
    cause = verdict_of(row[0], request_started=True).cause

    assert cause is None or re.fullmatch(r"[\w-]{1,40}", cause)


def test_the_drawn_table_names_every_state() -> None:
    """The table at the head of the module knows all states that a verdict can have."""
    drawn = set(re.findall(r"  (SENT|READY|REJECTED|IN_DOUBT)\b", verdicts.__doc__ or ""))

    assert {state.name for _, state, _, _ in TABLE} == drawn
