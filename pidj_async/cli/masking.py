"""How events are shown to whoever does not need to know whom they are about.

Masked, of what people wrote or are called only the length is left, of a number its country and its last two digits.
What is shown whole is what Pidj and this program made up themselves: names of events and fields, ids, times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pidj_async._masking import REDACTED, mask_phone_number, mask_phone_numbers_in, mask_text

if TYPE_CHECKING:
    from pidj_async.campaigns.records import RecipientRecord
    from pidj_async.suppressions import Suppression
    from pidj_async.webhooks.events import Event
    from pidj_async.webhooks.inbox.records import InboxRecord

__all__ = [
    "event_summary",
    "masked",
    "masked_error",
    "recipient_summary",
    "record_details",
    "record_summary",
    "suppression_summary",
]

_ID: Final = re.compile(r"[a-z]{2,3}:[0-9A-Za-z-]{1,40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS: Final = frozenset({"uuid", "id", "group_id", "contact_id"})
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_/+-]{0,39}")
_WORDS: Final = frozenset({"channel", "timezone", "status", "type"})
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "content-length", "content-type", "user-agent"})
_LARGE: Final = 100_000  # a number without a plus is a number all the same
_MAX_NAME: Final = 200
_CULPRIT: Final = re.compile(r"[\w.<>]+: [A-Za-z_]\w*(?=[:;]|\Z)")
_OWN_ERRORS: Final = ("the handlers took longer than ", "its worker stopped or was lost ")


def masked(value: Any, key: str = "") -> Any:
    """Mask a decoded body, at every level.

    Args:
        value: What JSON holds.
        key: The name of the field that it is in.
    """
    if isinstance(value, Mapping):
        return {mask_phone_numbers_in(name): masked(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [masked(one, key) for one in value]
    if isinstance(value, str):
        return _masked_text(value, key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) >= _LARGE:
        return "<number>"
    return value


def _masked_text(text: str, key: str) -> str:
    if key == "event":
        return mask_phone_numbers_in(text[:_MAX_NAME])
    if "phone" in key:
        return mask_phone_number(text)
    known = (key in _IDS and _ID.fullmatch(text)) or (key in _WORDS and _WORD.fullmatch(text))
    return text if known else mask_text(text)


def masked_error(error: str, state: str) -> str:
    """Leave of an event's error what is not somebody's: which handler, and the class of what it raised.

    Args:
        error: `InboxRecord.error`.
        state: `InboxRecord.state`.
    """
    if error.startswith(_OWN_ERRORS):
        return error
    if state == "quarantined":
        return error.partition(":")[0]
    found = _CULPRIT.match(error)
    shown = found.group() if found else mask_text(error)
    return shown if shown == error else f"{shown} …"


def event_summary(event: Event, *, unmask: bool) -> dict[str, Any]:
    """Say what an event is, for one line.

    Args:
        event: The event.
        unmask: Show whom it is about, and what was written.
    """
    number = event.phone_number
    message = getattr(event, "message", None)
    return {
        "event": masked(event.name, "event"),
        "phone_number": number if unmask or number is None else mask_phone_number(number),
        "message": message if unmask or message is None else mask_text(message),
    }


def record_summary(record: InboxRecord, *, unmask: bool) -> dict[str, Any]:
    """Say what has become of an event in the inbox.

    Args:
        record: The event.
        unmask: Show whom it is about, and errors as they were.
    """
    number, error = record.order_key, record.error
    return {
        "id": record.id,
        "received_at": _time(record.received_at),
        "event": masked(record.name, "event"),
        "phone_number": number if unmask or number is None else mask_phone_number(number),
        "state": record.state,
        "attempts": record.attempts,
        "due_at": _time(record.due_at) if record.state in {"pending", "leased"} else None,
        "handled_at": _time(record.handled_at),
        "replayed_at": _time(record.replayed_at),
        "duplicate_of": record.duplicate_of,
        "consent": record.consent,
        "error": error if unmask or error is None else masked_error(error, record.state),
    }


def record_details(record: InboxRecord, *, unmask: bool) -> dict[str, Any]:
    """Say everything about an event in the inbox, its body included.

    Args:
        record: The event.
        unmask: Show whom it is about, and what was written.
    """
    details = record_summary(record, unmask=unmask) | {"worker": record.worker, "fingerprint": record.fingerprint}
    headers = {
        name: value if unmask or name in _HARMLESS or value == REDACTED else mask_text(value)
        for name, value in record.headers.items()
    }
    try:
        body = json.loads(record.body)
    except ValueError:  # as an older version of this package may have taken it
        body = record.body.decode("utf-8", "replace") if unmask else mask_text(record.body)
    return details | {"headers": headers, "body": body if unmask else masked(body)}


def suppression_summary(entry: Suppression, *, unmask: bool) -> dict[str, Any]:
    """Say what the suppression list has about a number.

    Args:
        entry: The entry.
        unmask: Show the number.
    """
    return {
        "phone_number": entry.phone_number if unmask else mask_phone_number(entry.phone_number),
        "group_id": entry.group_id,
        "suppressed": entry.suppressed,
        "source": entry.source,
        "changed_at": _time(entry.changed_at),
        "event_id": entry.event_id,
    }


def recipient_summary(recipient: RecipientRecord, *, unmask: bool) -> dict[str, Any]:
    """Say what became of the text to somebody.

    Args:
        recipient: The recipient.
        unmask: Show the number.
    """
    number, error = recipient.phone_number, recipient.error
    return {
        "phone_number": number if unmask else mask_phone_number(number),
        "state": str(recipient.state),
        "cause": recipient.cause,
        "error": error if unmask or error is None else mask_phone_numbers_in(error),
        "line": recipient.line,
        "segments": recipient.segments,
        "attempts": recipient.attempts,
        "claimed_at": _time(recipient.claimed_at),
        "settled_at": _time(recipient.settled_at),
        "seconds": None if recipient.took is None else recipient.took / 1e6,
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")
