"""What the end of a request means for the recipient, the pace and the campaign: a pure function.

===========================================================  ============  ===============================
what came back                                               the text is   and
===========================================================  ============  ===============================
a result                                                     SENT
a 2xx that cannot be read                                    SENT
no connection: name, refusal, timeout, TLS, pool             READY
429                                                          READY         everybody pauses
401, 402, 403, as the status or as a refusal's code          READY         the campaign pauses
a redirect, a client set up wrongly                          READY         the campaign pauses
another 4xx, or a refusal in a 2xx                           REJECTED
a text that Pidj would refuse or change, found beforehand    REJECTED
5xx, a broken connection, no reply in time                   IN_DOUBT
cancelled, or an error that nobody expected                  as it began   IN_DOUBT once it had, else READY
===========================================================  ============  ===============================

*READY* is proven not to have been sent. The campaign pauses where every other recipient would fare the same.
"""

from __future__ import annotations

from typing import Final

import attrs

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.campaigns.states import RecipientState
from pidj_async.errors import (
    APIError,
    ConfigurationError,
    InvalidRequestError,
    PidjError,
    RateLimitError,
    ResponseError,
)
from pidj_async.outcomes import OutcomeState, cause_of, outcome_state
from pidj_async.pacing import Feedback, feedback_of

__all__ = ["Verdict", "verdict_of"]

_LONGEST: Final = 500  # characters of an error, in the ledger

#: What a person has to mend before anybody can be texted.
_PAUSES: Final = {
    401: "Pidj does not accept the account key or the token",
    402: "Pidj asks for payment",
    403: "the account may not do this",
}


@attrs.frozen(kw_only=True)
class Verdict:
    """What follows from the end of a request.

    Attributes:
        state: What the recipient is now.
        cause: Why, in a word that can be counted; ``None`` if it was sent and that was all.
        error: Why, as a sentence, numbers masked.
        feedback: What it says about how Pidj is doing.
        retry_after: How many seconds Pidj asked to wait, if it did.
        pause: Why the campaign has to pause; ``None`` if it need not.
    """

    state: RecipientState
    cause: str | None = None
    error: str | None = None
    feedback: Feedback = Feedback.NONE
    retry_after: float | None = None
    pause: str | None = None


_SENT: Final = Verdict(state=RecipientState.SENT, feedback=Feedback.OK)


def verdict_of(error: BaseException | None, *, request_started: bool) -> Verdict:
    """Judge the end of a request.

    Args:
        error: What it raised; ``None`` if it succeeded. Also a cancellation, or an exception that no transport should
            raise.
        request_started: Whether any of its bytes may have left this machine.
    """
    if error is None:
        return _SENT
    if not isinstance(error, PidjError):
        return _surprised(error, request_started=request_started)
    pause = _pause_of(error)
    return Verdict(
        state=RecipientState.READY if pause else _state_of(error),
        cause=cause_of(error),
        error=_shown(error),
        feedback=feedback_of(error),
        retry_after=getattr(error, "retry_after", None),
        pause=pause,
    )


def _state_of(error: PidjError) -> RecipientState:
    outcome = outcome_state(error)
    if outcome is OutcomeState.ACCEPTED:
        return RecipientState.SENT
    if outcome is OutcomeState.UNKNOWN:
        return RecipientState.IN_DOUBT
    if isinstance(error, InvalidRequestError) or (
        isinstance(error, APIError) and not isinstance(error, RateLimitError)
    ):
        return RecipientState.REJECTED
    return RecipientState.READY


def _pause_of(error: PidjError) -> str | None:
    if isinstance(error, ConfigurationError):
        return _shown(error)
    if isinstance(error, ResponseError) and 300 <= error.status_code < 400:
        return f"Pidj's address answers with a redirect (HTTP {error.status_code}); is base_url right?"
    # Only what is proven not sent: a 5xx with such a code in it stays in doubt.
    if isinstance(error, APIError) and outcome_state(error) is OutcomeState.NOT_SENT:
        return next((f"{_PAUSES[one]}: {error}" for one in (error.status_code, error.code) if one in _PAUSES), None)
    return None


def _surprised(error: BaseException, *, request_started: bool) -> Verdict:
    # Cancelling is orderly, and the transport's word counts. A bug in a transport is no proof of anything.
    cancelled = not isinstance(error, Exception)
    if cancelled and not request_started:
        return Verdict(state=RecipientState.READY, cause="cancelled", error="cancelled before anything was sent")
    if cancelled:
        return Verdict(state=RecipientState.IN_DOUBT, cause="cancelled", error="cancelled; it may have been sent")
    shown = f"{type(error).__name__} in the transport; it may have been sent"
    return Verdict(state=RecipientState.IN_DOUBT, cause="transport-bug", error=shown)


def _shown(error: PidjError) -> str:
    text = mask_phone_numbers_in(str(error))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
