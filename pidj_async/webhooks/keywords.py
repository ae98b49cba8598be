"""When two people have written the same word.

Phones capitalise, add a space after a suggested word, turn quotes into typographic ones and offer full-width letters.
None of that changes what somebody meant, so `normalize_keyword` takes it away; a *keyword* is a whole message that
says nothing else.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["STOP_WORDS", "is_stop_word", "normalize_keyword"]

STOP_WORDS: Final = frozenset({"stop", "quit", "end", "revoke", "optout", "cancel", "unsubscribe", "stopall"})
"""What a message says, its letters alone, that opts its sender out. The first seven are those of 47 CFR 64.1200(a)(10),
the last one is the carriers'."""

# Typographic quotes, which phones make of the ones typed.
_QUOTES: Final = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"'}
)
_OPENING: Final = frozenset("\"'¡¿")
_MEANINGFUL: Final = frozenset("#%&*/@\\")  # punctuation to Unicode, part of a word to people: "100%", "C#"


def normalize_keyword(text: str) -> str:
    """Reduce a message to what two spellings of the same word have in common.

    That is: Unicode's compatibility form (NFKC), caseless, invisible characters left out, runs of white space made one
    space, and without quotes and brackets around it or punctuation at its end. A message of nothing but punctuation
    keeps it, so that ``"?"`` can be a keyword too.

    Args:
        text: A message, or a keyword to compare it with.

    Returns:
        The normalised text, ``""`` if there is nothing visible in `text`.
    """
    if text.isascii():
        text = text.lower()
    else:
        # Case folding can undo the normal form, hence twice.
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_QUOTES)
        text = "".join(character for character in text if not _is_invisible(character))
    text = " ".join(text.split())
    start, end = 0, len(text)
    while end > start and _may_end(text[end - 1]):
        end -= 1
    while start < end and _may_begin(text[start]):
        start += 1
    return text[start:end] or text


def is_stop_word(text: str) -> bool:
    """Say whether a message, as a whole, asks not to be texted any more.

    Only letters and digits count here, so that "STOP.", "Stop all" and "opt-out!" are all found; "please stop" is not.

    Args:
        text: The message.
    """
    letters = filter(str.isalnum, unicodedata.normalize("NFKC", text))
    return "".join(letters).casefold() in STOP_WORDS


def _is_invisible(character: str) -> bool:
    # Format characters (zero-width spaces and joiners, byte order marks) and the variation selectors behind emoji.
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _may_end(character: str) -> bool:
    if character in _MEANINGFUL:
        return False
    return character == " " or unicodedata.category(character) in {"Pd", "Pe", "Pf", "Pi", "Po"}


def _may_begin(character: str) -> bool:
    return character == " " or character in _OPENING or unicodedata.category(character) in {"Pi", "Ps"}
