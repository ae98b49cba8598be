"""What the command's exit codes mean, and what it says when something goes wrong.

The rules:

1. A code tells a script what to do next: mend the arguments, mend the credentials, try again, or look first.
2. An error goes to standard error, as a sentence or, with ``--json``, as one JSON object. Standard output stays clean.
3. No secret is in either; phone numbers are masked, and a message's text is never shown.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from pidj_async import errors
from pidj_async._masking import mask_phone_numbers_in
from pidj_async.outcomes import outcome_state

__all__ = [
    "BROKEN_PIPE",
    "EXIT_CODES",
    "HELD_UP",
    "INTERRUPTED",
    "IN_DOUBT",
    "ExitCode",
    "Interrupted",
    "NothingFoundError",
    "exit_code_of",
    "report_of",
]


class NothingFoundError(errors.PidjError):
    """What was asked for is not in the store."""


@attrs.frozen
class ExitCode:
    """One of the command's exit codes.

    Attributes:
        code: The code.
        meaning: What it says of the call.
        errors: The errors it stands for.
    """

    code: int
    meaning: str
    errors: tuple[type[errors.PidjError], ...] = ()


IN_DOUBT: Final = 11
HELD_UP: Final = 12
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

# In the order in which they are looked up: a subclass stands before its base.
EXIT_CODES: Final = (
    ExitCode(0, "done"),
    ExitCode(1, "the demonstration does not add up, or this program has a bug"),
    ExitCode(
        2,
        "wrong usage, settings or values; nothing was sent",
        (errors.InvalidRequestError, errors.ConfigurationError),
    ),
    ExitCode(
        4,
        "the credentials are wrong (401) or do not allow this (403)",
        (errors.AuthenticationError, errors.PermissionDeniedError),
    ),
    ExitCode(5, "there is no such thing (404)", (errors.NotFoundError, NothingFoundError)),
    ExitCode(6, "not sent: Pidj was not reached, trying again is harmless", (errors.NotSentError,)),
    ExitCode(
        7,
        "outcome unknown: no reply came, or a 5xx; look before you try again",
        (errors.ServerError, errors.TransportError),
    ),
    ExitCode(8, "too many requests (429); nothing was done", (errors.RateLimitError,)),
    ExitCode(9, "a reply that cannot be read; after a 2xx it was most likely done", (errors.ResponseError,)),
    ExitCode(10, "the store could not be read or written", (errors.StoreError,)),
    ExitCode(IN_DOUBT, "a campaign is done, with texts in doubt; see 'pidj campaign resolve'"),
    ExitCode(HELD_UP, "a campaign was paused or cancelled before everybody was texted"),
    ExitCode(3, "Pidj understood, and refused", (errors.APIError,)),
    ExitCode(INTERRUPTED, "interrupted with Ctrl-C; the message says what became of it"),
    ExitCode(BROKEN_PIPE, "whoever read the output has gone"),
)
"""Every exit code of the command."""


class Interrupted(Exception):  # noqa: N818  nobody erred
    """The person at the keyboard had enough.

    Attributes:
        started: Whether a request was under way that may have been acted on; ``None`` if there was none to send.
    """

    def __init__(self, *, started: bool | None = None, endpoint: str | None = None) -> None:
        fate = {None: "", True: "; the request may have been acted on", False: "; nothing was sent"}[started]
        super().__init__(f"interrupted{fate}")
        self.started = started
        self.endpoint = endpoint


def exit_code_of(error: errors.PidjError) -> int:
    """Return the exit code that stands for an error."""
    return next((one.code for one in EXIT_CODES if isinstance(error, one.errors)), 1)


def report_of(error: errors.PidjError) -> dict[str, Any]:
    """Say everything about an error that is safe to say, as JSON can hold it.

    Keys that do not apply are left out. ``outcome`` is what is known of the request: ``not_sent``, ``unknown`` or
    ``accepted``.
    """
    report: dict[str, Any] = {
        "type": type(error).__name__,
        "message": str(error),
        "exit_code": exit_code_of(error),
        "endpoint": error.endpoint,
        "attempts": error.attempts,
        "outcome": str(outcome_state(error)),
    }
    for name in ("field", "value", "status_code", "code", "status", "retry_after"):
        report[name] = getattr(error, name, None)
    if isinstance(error, errors.APIError) and error.message is not None:
        report["vendor_message"] = mask_phone_numbers_in(error.message)
    return {name: value for name, value in report.items() if value is not None}
