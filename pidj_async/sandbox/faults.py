"""Faults on request: the next calls of a row fail in a chosen way, so that a program's answer to it can be tested."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus

import attrs

from pidj_async._masking import shorten
from pidj_async.endpoints import BY_NAME
from pidj_async.errors import InvalidRequestError

__all__ = ["Fault", "Faults"]


@attrs.frozen(kw_only=True)
class Fault:
    """How one call fails.

    Attributes:
        status: The HTTP status to answer with; ``None`` to hang up without an answer.
        retry_after: Seconds for the ``Retry-After`` header.
        after_acting: Carry the call out first.
    """

    status: int | None = None
    retry_after: float | None = None
    after_acting: bool = False

    @property
    def envelope_status(self) -> str:
        """What the envelope's ``status`` says."""
        return "error" if self.status is not None and self.status >= 500 else "failure"


class Faults:
    """The faults that are still to happen, for each row in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(
        self,
        row_name: str,
        *,
        status: int | None,
        retry_after: float | None,
        times: int,
        drop: bool,
        after_acting: bool,
    ) -> None:
        """Let the next calls of a row fail; see `Controls.fail_next` for the arguments.

        Raises:
            InvalidRequestError: If an argument makes no sense.
        """
        if row_name not in BY_NAME:
            problem = f"is no row of the table; the rows are {', '.join(BY_NAME)}"
            raise InvalidRequestError("row_name", problem, value=shorten(row_name))
        if drop == (status is not None):
            problem = "give either a status or drop=True"
            raise InvalidRequestError("status", problem, value=repr(status))
        if status is not None and not _can_carry_an_envelope(status):
            problem = "must be 200 (a refusal in a 200), or an HTTP status from 400 on"
            raise InvalidRequestError("status", problem, value=repr(status))
        if retry_after is not None and (status is None or not 0 <= retry_after <= 86_400):
            problem = "must be from 0 to 86,400 seconds, and goes with a status"
            raise InvalidRequestError("retry_after", problem, value=repr(retry_after))
        if not 1 <= times <= 1_000_000:
            problem = "must be from 1 to 1,000,000"
            raise InvalidRequestError("times", problem, value=repr(times))
        fault = Fault(status=status, retry_after=retry_after, after_acting=after_acting)
        self._waiting.setdefault(row_name, deque()).extend([fault] * times)

    def take(self, row_name: str) -> Fault | None:
        """Take the next fault of a row, if any."""
        waiting = self._waiting.get(row_name)
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """Forget them all."""
        self._waiting.clear()


def _can_carry_an_envelope(status: int) -> bool:
    return status == 200 or (status >= 400 and status in HTTPStatus.__members__.values())
