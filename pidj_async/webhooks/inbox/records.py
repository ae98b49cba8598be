"""What is seen of an event in the inbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, get_args

import attrs

from pidj_async._masking import mask_phone_number, mask_text, shorten_names
from pidj_async.webhooks.events import Event, show_name
from pidj_async.webhooks.parsing import parse_event

__all__ = ["STATES", "InboxRecord", "State"]

State = Literal["pending", "leased", "handled", "skipped", "quarantined", "dead"]
"""Where an event is in its life; see `pidj_async.webhooks.inbox`."""

STATES: Final[tuple[State, ...]] = get_args(State)
"""All of them, in the order of an event's life."""


def _show_order_key(value: str | None) -> str:
    return "None" if value is None else mask_phone_number(value)


@attrs.frozen(kw_only=True)
class InboxRecord:
    """An event in the inbox. Its repr masks what is somebody's.

    Attributes:
        id: Its number in the inbox: the later an event came, the higher.
        received_at: When it was stored, UTC.
        name: The event's name on the wire, cut to 200 characters.
        order_key: Events with the same key are handled one after another. The phone number of the person it is
            about; ``None`` if it names none.
        body: The body, byte for byte as it was posted.
        headers: The request's headers, names in lower case, without credentials and secrets.
        fingerprint: SHA-256 of the body, in hexadecimal.
        duplicate_of: The id of an event with the same body, a few seconds older.
        consent: What it did to the suppression list when it came: ``"opt-out"``, ``"opt-in"``, nothing (``None``), or
            ``"unreadable"``: it was an opt-out or opt-in, and named no number that could be read.
        state: Where it is in its life.
        attempts: How many times it was handed to the dispatcher since it came, or since it was replayed, the current
            time included.
        due_at: When it may be tried again, if it is pending; until when its worker has it, if it is leased. UTC.
        worker: Who has it, if it is leased.
        handled_at: When it reached its end, UTC.
        replayed_at: When somebody had it handled again, UTC.
        error: What went wrong the last time. Phone numbers in it are masked.
    """

    id: int
    received_at: datetime
    name: str = attrs.field(repr=show_name)
    order_key: str | None = attrs.field(default=None, repr=_show_order_key)
    body: bytes = attrs.field(repr=mask_text)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=shorten_names, hash=False)
    fingerprint: str = attrs.field(repr=False)
    duplicate_of: int | None = None
    consent: Literal["opt-out", "opt-in", "unreadable"] | None = None
    state: State
    attempts: int = 0
    due_at: datetime
    worker: str | None = None
    handled_at: datetime | None = None
    replayed_at: datetime | None = None
    error: str | None = attrs.field(default=None, repr=mask_text)

    @property
    def probable_duplicate(self) -> bool:
        """Whether the same body had come a few seconds before. That may be a retry, or somebody who says it twice."""
        return self.duplicate_of is not None

    def event(self) -> Event:
        """Read the body again.

        Raises:
            InvalidPayloadError: It cannot be read. That is so only if an older version of this package took it.
        """
        return parse_event(self.body)
