r"""How a text is encoded, how many segments it takes, and which character is to blame.

The rules, from 3GPP TS 23.038 (alphabets) and TS 23.040 (concatenation)
    1. A text made only of the GSM 7-bit default alphabet and its extension table travels as GSM-7, in septets.
    2. A character of the extension table (``^ { } \ [ ~ ] |``, the euro sign, form feed) is an escape and a second
       septet. ESC by itself is no character.
    3. One character outside of both turns the whole text into UCS-2, in 16-bit units. Characters beyond U+FFFF, most
       emoji among them, are two units: a surrogate pair.
    4. A text that fits one segment has all 140 octets: 160 septets, or 70 units. A longer one gives 6 octets of each
       segment to a header (with an 8-bit reference number), which leaves 153 septets, or 67 units.
    5. Neither an escaped character nor a surrogate pair is split: one that would straddle two segments moves to the
       second, and the last place of the first stays empty.

National language tables (locking and single shift) are left out, because a sender cannot rely on them. Texts are
counted as they stand: a letter typed as a base and a combining accent is not composed first. What Pidj or a carrier
bills is theirs to say; this is what the standard says.

Nothing here does I/O, and no result holds the text it was computed from.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_CHARACTERS",
    "Encoding",
    "Segmentation",
    "analyze",
    "describe_character",
    "forcing_characters",
    "suggest_replacement",
]

MAX_CHARACTERS: Final = 1600
"""The longest text that ``POST /send`` takes whole, in characters: the vendor truncates longer ones.

The vendor adds that texts with emoji and special characters may have a smaller limit, and does not say which.
"""

_ESC = "\x1b"

# TS 23.038, 6.2.1, sixteen positions to a line. Position 0x1B is the escape to the extension table, hence not here.
# Position 0x09 is the capital C with cedilla; the small one is in neither table.
_BASIC = (
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./"
    "0123456789:;<=>?"
    "\u00a1ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmno"
    "pqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
# TS 23.038, 6.2.1.1. Its other two positions are control codes, not characters.
_EXTENSION = "\f^{}\\[~]|\u20ac"
_GSM_7 = frozenset(_BASIC + _EXTENSION)

# The possessive quantifier keeps no way back, which makes this one pass in C over the usual text.
_ALL_BASIC = re.compile(f"[{re.escape(_BASIC)}]*+")
_NOT_GSM_7 = re.compile(f"[^{re.escape(_BASIC + _EXTENSION)}]")
_BEFORE_EXTENDED = re.compile(f"(?=[{re.escape(_EXTENSION)}])")

# The high octets of a pair's two units.
_HIGH_SURROGATE = range(0xD8, 0xDC)
_LOW_SURROGATE = range(0xDC, 0xE0)


class Encoding(enum.StrEnum):
    """How a text travels. It depends on the text alone."""

    GSM_7 = "GSM-7"
    """7-bit septets: 160 of them in a single segment, 153 in each of several."""

    UCS_2 = "UCS-2"
    """16-bit units: 70 of them in a single segment, 67 in each of several."""


_SINGLE: Final = {Encoding.GSM_7: 160, Encoding.UCS_2: 70}
_CONCATENATED: Final = {Encoding.GSM_7: 153, Encoding.UCS_2: 67}


@attrs.frozen(kw_only=True)
class Segmentation:
    """What a text comes to on the air. Made by `analyze`; the text itself is not kept."""

    encoding: Encoding
    """GSM-7 if every character allows it, else UCS-2."""

    segments: int
    """How many segments the text takes; 0 for an empty one."""

    units: int
    """The text's length in septets (GSM-7) or in 16-bit units (UCS-2), without places left empty between segments."""

    units_per_segment: int
    """How many units a segment of this text holds: 160 or 70 up to one segment, 153 or 67 beyond."""

    units_left: int
    """How many units are free in the last segment; 0 for an empty text, which has none.

    A single segment that overflows becomes two shorter ones, so this is what can be added without a further segment.
    """

    characters: int
    """The text's length in code points, as ``len`` counts; this is compared with `MAX_CHARACTERS`."""

    forced_by: str | None
    """The first character that forced UCS-2, or ``None`` for GSM-7."""

    forced_by_index: int | None
    """Where in the text that character is, counted from 0 in code points, or ``None`` for GSM-7."""


def analyze(text: str) -> Segmentation:
    """Tell how a text is encoded and how many segments it takes.

    Args:
        text: The text's body, of any length. Lone surrogates are counted as one unit each.

    Returns:
        Its encoding, its segments and units, and the first character that forced UCS-2.
    """
    if _ALL_BASIC.fullmatch(text):
        return _segmentation(text, Encoding.GSM_7, len(text))
    forced = _NOT_GSM_7.search(text)
    if forced is None:
        # Only this alphabet's own characters are left, so an ESC in here can only be the first half of one.
        septets = _BEFORE_EXTENDED.sub(_ESC, text)
        return _segmentation(text, Encoding.GSM_7, len(septets), lambda end: septets[end - 1] == _ESC)
    # The high octet of each unit is enough to see a pair. Two lone surrogates that happen to form one are one.
    octets = text.encode("utf-16-be", "surrogatepass")[::2]
    return _segmentation(
        text,
        Encoding.UCS_2,
        len(octets),
        lambda end: octets[end - 1] in _HIGH_SURROGATE and octets[end] in _LOW_SURROGATE,
        forced,
    )


def _segmentation(
    text: str,
    encoding: Encoding,
    units: int,
    straddles: Callable[[int], bool] | None = None,
    forced: re.Match[str] | None = None,
) -> Segmentation:
    """Fill the segments.

    ``straddles(end)`` tells whether a cut before the unit at ``end`` would split a pair; ``None`` if there are no
    pairs at all.
    """
    size = _SINGLE[encoding]
    if units <= size:
        segments, end = min(units, 1), size if units else 0
    else:
        size = _CONCATENATED[encoding]
        if straddles is None:
            segments = -(-units // size)
            end = segments * size
        else:
            segments, end = 1, size
            while end < units:
                end += size - straddles(end)
                segments += 1
    return Segmentation(
        encoding=encoding,
        segments=segments,
        units=units,
        units_per_segment=size,
        units_left=end - units,
        characters=len(text),
        forced_by=forced and forced.group(),
        forced_by_index=forced and forced.start(),
    )


def forcing_characters(text: str) -> tuple[tuple[int, str], ...]:
    """List every distinct character that forces UCS-2, for someone who wants to get rid of all of them.

    This is no part of `Segmentation`, because for a text in another script it would be most of the text.

    Args:
        text: The text's body.

    Returns:
        Pairs of the index of the first occurrence (from 0, in code points) and the character, in the text's order;
        empty if the text is GSM-7.
    """
    first: dict[str, int] = {}
    for found in _NOT_GSM_7.finditer(text):
        first.setdefault(found.group(), found.start())
    return tuple((index, character) for character, index in first.items())


# What keyboards, word processors and spreadsheets put in the place of a plain character, where Unicode's own
# decompositions (see `suggest_replacement`) know nothing or something worse.
_REPLACEMENTS: Final = {
    replaced: plain
    for plain, characters in {
        "'": "`\u00b4\u02b9\u02bb\u02bc\u02c8\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a",
        '"': "\u00ab\u00bb\u02ba\u201c\u201d\u201e\u201f\u2033\u2036",
        "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58",
        "*": "\u00b7\u2022\u2023\u2219\u25aa\u25cf\u25e6\u2217",
        "/": "\u00f7\u2044\u2215",
        " ": "\t",
        "\n": "\v\u0085\u2028\u2029",
        # Invisible, and mostly pasted in by accident. The zero-width joiners of scripts and emoji are meant, and stay.
        "": "\u00ad\u200b\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff",
        "x": "\u00d7",
        "u": "\u00b5",
        "<-": "\u2190",
        "->": "\u2192",
        "<=": "\u2264",
        ">=": "\u2265",
        "(C)": "\u00a9",
        "(R)": "\u00ae",
        "(TM)": "\u2122",
        "OE": "\u0152",
        "oe": "\u0153",
        "L": "\u0141",
        "l": "\u0142",
        "D": "\u0110",
        "d": "\u0111",
        "i": "\u0131",
    }.items()
    for replaced in characters
}

# Superscripts, subscripts, fractions and circled figures are not among them: 10 squared must not become 102, nor one
# and a half 11/2.
_HARMLESS_TAGS: Final = frozenset({"<compat>", "<font>", "<narrow>", "<noBreak>", "<wide>"})


def suggest_replacement(char: str) -> str | None:
    """Suggest GSM-7 text for a character that forces UCS-2.

    Typographic quotes, dashes, spaces, bullets and the like have a plain equivalent. Accented letters that GSM-7 lacks
    lose their accent, which can change a word: it is a suggestion to show to a person, not a substitution to make.

    Args:
        char: A single character.

    Returns:
        What to write instead, ``""`` to leave it out, or ``None`` if the character fits GSM-7 already or nothing comes
        close to it.

    Raises:
        TypeError: `char` is not exactly one character.
    """
    decomposition = unicodedata.decomposition(char)
    if char in _GSM_7:
        return None
    if (plain := _REPLACEMENTS.get(char)) is not None:
        return plain
    tag = decomposition.partition(" ")[0]
    if not tag or (tag.startswith("<") and tag not in _HARMLESS_TAGS):
        return None
    # Composed first, so that what GSM-7 has as one character stays one: the angstrom sign is a letter of it.
    candidates = [unicodedata.normalize("NFKC", char)]
    if unicodedata.category(char).startswith("L"):
        decomposed = unicodedata.normalize("NFKD", char)
        candidates.append("".join(part for part in decomposed if not unicodedata.combining(part)))
    # A letter that is nothing but marks leaves nothing over, and that would read as "leave it out".
    return next((candidate for candidate in candidates if candidate and _GSM_7.issuperset(candidate)), None)


# Unicode gives control codes no name, only aliases. These are the ones that turn up in pasted text.
_CONTROL_NAMES: Final = {
    "\x00": "NULL",
    "\t": "CHARACTER TABULATION",
    "\n": "LINE FEED",
    "\v": "LINE TABULATION",
    "\f": "FORM FEED",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
    "\x85": "NEXT LINE",
}
_CATEGORY_LABELS: Final = {"Cc": "<control>", "Cs": "<surrogate>", "Co": "<private use>"}


def describe_character(char: str) -> str:
    """Name a character in plain ASCII, so that even an invisible one can be shown.

    U+2019, for one, is ``"U+2019 RIGHT SINGLE QUOTATION MARK"``.

    Args:
        char: A single character.

    Returns:
        Its code point and its Unicode name; what kind of thing it is in angle brackets if it has no name.

    Raises:
        TypeError: `char` is not exactly one character.
    """
    code_point = f"U+{ord(char):04X}"
    label = _CATEGORY_LABELS.get(unicodedata.category(char), "<unassigned>")
    return f"{code_point} {_CONTROL_NAMES.get(char) or unicodedata.name(char, label)}"
