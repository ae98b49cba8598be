"""The states of a campaign and of a recipient, and every change that there may be.

The rules:

1. A text is claimed (`SENDING`, committed) before its first byte leaves. What is claimed and never settled is in doubt.
2. Only what is proven not to have been sent goes back from `SENDING` to `READY`.
3. `IN_DOUBT` is left by a person's decision alone.
4. A change that is not in the table below is a bug, and raises.

A recipient::

    PENDING  waits for its hours         -> READY | SUPPRESSED | EXPIRED | CANCELLED
    READY    waits for its turn          -> SENDING | PENDING | SUPPRESSED | EXPIRED | CANCELLED
    SENDING  claimed by a worker         -> SENT | REJECTED | IN_DOUBT | READY | SUPPRESSED
    IN_DOUBT it may have been sent       -> SENT | READY | ABANDONED          (a person)

A campaign::

    LOADING  recipients are being added  -> RUNNING | CANCELLED
    RUNNING  whoever runs it may claim   -> PAUSED | DONE | CANCELLED
    PAUSED   nobody may                  -> RUNNING | CANCELLED
    DONE     nothing is left to claim    -> RUNNING            (recipients were added, or resolved to be sent again)
    CANCELLED                            ends it; texts under way are still settled
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = [
    "CAMPAIGN_TRANSITIONS",
    "FINAL",
    "TRANSITIONS",
    "WAITING",
    "CampaignState",
    "RecipientState",
    "check_transition",
]


class RecipientState(StrEnum):
    """What has become of the text to one recipient."""

    PENDING = "pending"
    """Waits for the hours in which this recipient may be texted."""
    READY = "ready"
    """Waits for its turn."""
    SENDING = "sending"
    """Claimed by a worker, which may be sending it at this moment."""
    SENT = "sent"
    """Pidj took it."""
    REJECTED = "rejected"
    """Pidj refused it. Proven not sent."""
    IN_DOUBT = "in_doubt"
    """It may have been sent. Nobody sends it again but by a person's decision."""
    SUPPRESSED = "suppressed"
    """Not sent: the recipient wants no texts, or has not consented."""
    EXPIRED = "expired"
    """Not sent: the campaign's end came first."""
    CANCELLED = "cancelled"
    """Not sent: the campaign was cancelled first."""
    ABANDONED = "abandoned"
    """It was in doubt, and a person decided to leave it at that."""


class CampaignState(StrEnum):
    """What a campaign is about."""

    LOADING = "loading"
    """Recipients are being added; nothing is sent."""
    RUNNING = "running"
    """Whoever runs it sends."""
    PAUSED = "paused"
    """A person, or the campaign itself, has stopped it for a reason."""
    DONE = "done"
    """Nobody is left to be texted. There may be texts in doubt."""
    CANCELLED = "cancelled"
    """A person has ended it."""


_R = RecipientState
TRANSITIONS: Final[Mapping[RecipientState, frozenset[RecipientState]]] = {
    _R.PENDING: frozenset({_R.READY, _R.SUPPRESSED, _R.EXPIRED, _R.CANCELLED}),
    _R.READY: frozenset({_R.SENDING, _R.PENDING, _R.SUPPRESSED, _R.EXPIRED, _R.CANCELLED}),
    _R.SENDING: frozenset({_R.SENT, _R.REJECTED, _R.IN_DOUBT, _R.READY, _R.SUPPRESSED}),
    _R.IN_DOUBT: frozenset({_R.SENT, _R.READY, _R.ABANDONED}),
    _R.SENT: frozenset(),
    _R.REJECTED: frozenset(),
    _R.SUPPRESSED: frozenset(),
    _R.EXPIRED: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.ABANDONED: frozenset(),
}
"""What may follow each state of a recipient."""

WAITING: Final = frozenset({_R.PENDING, _R.READY})
"""Of these nothing has been sent yet, and something may be."""

FINAL: Final = frozenset(state for state, after in TRANSITIONS.items() if not after)
"""Nothing follows these."""

_C = CampaignState
CAMPAIGN_TRANSITIONS: Final[Mapping[CampaignState, frozenset[CampaignState]]] = {
    _C.LOADING: frozenset({_C.RUNNING, _C.CANCELLED}),
    _C.RUNNING: frozenset({_C.PAUSED, _C.DONE, _C.CANCELLED}),
    _C.PAUSED: frozenset({_C.RUNNING, _C.CANCELLED}),
    _C.DONE: frozenset({_C.RUNNING}),
    _C.CANCELLED: frozenset(),
}
"""What may follow each state of a campaign."""


def check_transition(before: RecipientState, after: RecipientState) -> None:
    """Make sure that a change is in the table.

    Args:
        before: The state now.
        after: The state to come.

    Raises:
        ValueError: If it is not.
    """
    if after not in TRANSITIONS[before]:
        msg = f"a recipient cannot go from {before} to {after}"
        raise ValueError(msg)
