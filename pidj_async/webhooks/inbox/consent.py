"""What an event means for the suppression list. Pure.

An `OptedOut` suppresses a number, an `OptedIn` lifts that. So that nothing depends on Pidj sending those (their bodies
are not documented), a text does the same if its **whole** message is one word of `keywords.STOP_WORDS` or
`START_WORDS`. Case, spaces, punctuation and emoji do not count: "Stop.", "STOP ALL" and "opt-out!" are stop words;
"please stop" is not, and neither is "Stop it". "Yes" lifts nothing, though some carriers say so: it is also what people
answer to a question.
"""

from __future__ import annotations

import unicodedata
from typing import Final, Literal

import attrs

from pidj_async._masking import mask_phone_number
from pidj_async.suppressions import readable_number
from pidj_async.webhooks.events import Event, OptedIn, OptedOut, TextReceived
from pidj_async.webhooks.keywords import STOP_WORDS

__all__ = ["START_WORDS", "Consent", "consent_of", "keyword_of"]

START_WORDS: Final = frozenset({"start", "unstop"})
"""A text of one of these words lifts the suppression of its sender."""

_LONGEST: Final = 60  # with all its spaces and exclamation marks; looking at a longer text would be a waste


@attrs.frozen(kw_only=True)
class Consent:
    """What somebody wants.

    Attributes:
        kind: Not to be texted (``"opt-out"``), or to be texted again (``"opt-in"``).
        phone_number: Whose it is, E.164; ``None`` if the event names no number that can be read.
        source: Where it was said: ``"opt-out"`` or ``"opt-in"`` for Pidj's event, ``"text"`` for a text.
    """

    kind: Literal["opt-out", "opt-in"]
    phone_number: str | None = attrs.field(repr=lambda number: "None" if number is None else mask_phone_number(number))
    source: str


def _bare(message: str) -> str:
    # NFKC makes plain letters of the wide ones that some keyboards have.
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", message))).casefold()


_BARE_STOP_WORDS: Final = frozenset(map(_bare, STOP_WORDS))


def keyword_of(message: str) -> Literal["opt-out", "opt-in"] | None:
    """Say what a text's message asks for, if it is nothing but a stop word or a start word.

    Args:
        message: The whole message.
    """
    if len(message) > _LONGEST:
        return None
    word = _bare(message)
    if word in _BARE_STOP_WORDS:
        return "opt-out"
    return "opt-in" if word in START_WORDS else None


def consent_of(event: Event) -> Consent | None:
    """Say what an event asks for.

    Args:
        event: Any event.

    Returns:
        Whose consent changes, and how; ``None`` if the event is not about that.
    """
    if isinstance(event, TextReceived):
        kind = keyword_of(event.message)
        return kind and Consent(kind=kind, phone_number=readable_number(event.phone_number), source="text")
    if isinstance(event, OptedOut):
        return Consent(kind="opt-out", phone_number=readable_number(event.phone_number), source=event.name)
    if isinstance(event, OptedIn):
        return Consent(kind="opt-in", phone_number=readable_number(event.phone_number), source=event.name)
    return None
