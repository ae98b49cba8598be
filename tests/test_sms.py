"""What `pidj_async.sms` claims of a text: its encoding, its segments, and who is to blame for UCS-2."""

from __future__ import annotations

import sys
import unicodedata

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pidj_async import sms
from pidj_async.sms import Encoding, Segmentation, analyze, describe_character, forcing_characters, suggest_replacement

# The default alphabet written down a second time, in another order: by where its characters stand in Unicode.
BASIC = (
    set(map(chr, range(0x20, 0x7F))) - set("[\\]^`{|}~")
    | set("\n\r")
    | set("\u00a1\u00a3\u00a4\u00a5\u00a7\u00bf\u00c4\u00c5\u00c6\u00c7\u00c9\u00d1\u00d6\u00d8\u00dc\u00df")
    | set("\u00e0\u00e4\u00e5\u00e6\u00e8\u00e9\u00ec\u00f1\u00f2\u00f6\u00f8\u00f9\u00fc")
    | set("\u0393\u0394\u0398\u039b\u039e\u03a0\u03a3\u03a6\u03a8\u03a9")
)
EXTENSION = set("\f[\\]^{|}~\u20ac")
EURO = "\u20ac"
CURLY = "\u2019"
EMOJI = "\U0001f600"
HIGH, LOW = "\ud83d", "\ude00"

# Enough of each kind that pairs meet boundaries often, which characters drawn from all of Unicode hardly ever do.
septet_texts = st.text(st.sampled_from("a\n\u00e9\u03a9\f[\\]^{|}~\u20ac"), max_size=700)
ucs2_texts = st.text(st.sampled_from(f"a{EURO}{CURLY}{EMOJI}{HIGH}{LOW}"), max_size=300)
surrogate_texts = st.text(st.characters(categories=["Cs", "L", "P", "So"]), max_size=50)
any_texts = st.text(st.characters(), max_size=50) | surrogate_texts
# Long runs put the characters that matter next to a cut.
long_texts = st.lists(st.sampled_from(["a" * 65, "a" * 66, "b" * 152, EURO, CURLY, EMOJI, HIGH, LOW]), max_size=12).map(
    "".join
)
texts = septet_texts | ucs2_texts | any_texts | long_texts


def pieces_of(text: str) -> tuple[Encoding, list[int]]:
    """The reference: the encoding, and the size of each indivisible piece of the text, one by one."""
    if all(char in BASIC or char in EXTENSION for char in text):
        return Encoding.GSM_7, [1 if char in BASIC else 2 for char in text]
    sizes: list[int] = []
    previous = ""
    for char in text:
        if "\ud800" <= previous <= "\udbff" and "\udc00" <= char <= "\udfff":
            sizes[-1] = 2
        else:
            sizes.append(2 if ord(char) > 0xFFFF else 1)
        previous = char
    return Encoding.UCS_2, sizes


def pack(sizes: list[int], limit: int) -> list[int]:
    """The reference: how full each segment is when the pieces go in one after the other."""
    segments: list[int] = []
    for size in sizes:
        if not segments or segments[-1] + size > limit:
            segments.append(0)
        segments[-1] += size
    return segments


def reference(text: str) -> tuple[Encoding, int, int, int, int]:
    """The reference: encoding, segments, units, units a segment, units left."""
    encoding, sizes = pieces_of(text)
    single, concatenated = (160, 153) if encoding is Encoding.GSM_7 else (70, 67)
    limit = single if sum(sizes) <= single else concatenated
    filled = pack(sizes, limit)
    return encoding, len(filled), sum(sizes), limit, limit - filled[-1] if filled else 0


def counts(result: Segmentation) -> tuple[Encoding, int, int, int, int]:
    """The part of a result that the reference knows."""
    return result.encoding, result.segments, result.units, result.units_per_segment, result.units_left


GSM_7, UCS_2 = Encoding.GSM_7, Encoding.UCS_2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (GSM_7, 0, 0, 160, 0), id="empty"),
        pytest.param("a", (GSM_7, 1, 1, 160, 159), id="one"),
        pytest.param("a" * 160, (GSM_7, 1, 160, 160, 0), id="160"),
        pytest.param("a" * 161, (GSM_7, 2, 161, 153, 145), id="161"),
        pytest.param("a" * 306, (GSM_7, 2, 306, 153, 0), id="306"),
        pytest.param("a" * 307, (GSM_7, 3, 307, 153, 152), id="307"),
        pytest.param("a" * 459, (GSM_7, 3, 459, 153, 0), id="459"),
        pytest.param("a" * 460, (GSM_7, 4, 460, 153, 152), id="460"),
        pytest.param("a" * 1600, (GSM_7, 11, 1600, 153, 83), id="the longest the vendor takes"),
        pytest.param(EURO, (GSM_7, 1, 2, 160, 158), id="a euro is two septets"),
        pytest.param(EURO * 80, (GSM_7, 1, 160, 160, 0), id="80 euros"),
        pytest.param(EURO * 81, (GSM_7, 2, 162, 153, 143), id="81 euros, 76 in the first"),
        pytest.param("a" * 158 + EURO, (GSM_7, 1, 160, 160, 0), id="a euro as the last of 160"),
        pytest.param("a" * 159 + EURO, (GSM_7, 2, 161, 153, 145), id="a euro over the end of 160"),
        pytest.param("a" * 152 + EURO, (GSM_7, 1, 154, 160, 6), id="152 does not matter in a single segment"),
        pytest.param("a" * 151 + EURO + "a" * 153, (GSM_7, 2, 306, 153, 0), id="a euro that just fits 153"),
        pytest.param("a" * 152 + EURO + "a" * 152, (GSM_7, 3, 306, 153, 152), id="a euro that straddles 153"),
        pytest.param("a" * 152 + EURO + "a" * 151, (GSM_7, 2, 305, 153, 0), id="straddled, and just enough room"),
        pytest.param("a" * 152 + EURO + "a" * 150 + EURO, (GSM_7, 3, 306, 153, 151), id="two straddle"),
        pytest.param("a" * 153 + EURO + "a" * 10, (GSM_7, 2, 165, 153, 141), id="a euro that begins the second"),
        pytest.param("\u4e00", (UCS_2, 1, 1, 70, 69), id="one in UCS-2"),
        pytest.param("\u4e00" * 70, (UCS_2, 1, 70, 70, 0), id="70"),
        pytest.param("\u4e00" * 71, (UCS_2, 2, 71, 67, 63), id="71"),
        pytest.param("\u4e00" * 134, (UCS_2, 2, 134, 67, 0), id="134"),
        pytest.param("\u4e00" * 135, (UCS_2, 3, 135, 67, 66), id="135"),
        pytest.param("a" * 70 + CURLY, (UCS_2, 2, 71, 67, 63), id="one curly quote makes it all UCS-2"),
        pytest.param(CURLY + EURO * 69, (UCS_2, 1, 70, 70, 0), id="a euro is one unit in UCS-2"),
        pytest.param(EMOJI, (UCS_2, 1, 2, 70, 68), id="an emoji is two units"),
        pytest.param(EMOJI * 35, (UCS_2, 1, 70, 70, 0), id="35 emoji"),
        pytest.param(EMOJI * 36, (UCS_2, 2, 72, 67, 61), id="36 emoji, 33 in the first"),
        pytest.param("a" * 66 + EMOJI, (UCS_2, 1, 68, 70, 2), id="66 does not matter in a single segment"),
        pytest.param("a" * 65 + EMOJI + "a" * 67, (UCS_2, 2, 134, 67, 0), id="an emoji that just fits 67"),
        pytest.param("a" * 66 + EMOJI + "a" * 66, (UCS_2, 3, 134, 67, 66), id="an emoji that straddles 67"),
        pytest.param("a" * 66 + EMOJI + "a" * 65, (UCS_2, 2, 133, 67, 0), id="straddled, and just enough room"),
        pytest.param(HIGH, (UCS_2, 1, 1, 70, 69), id="a lone high surrogate"),
        pytest.param(LOW + HIGH, (UCS_2, 1, 2, 70, 68), id="two that are no pair"),
        pytest.param("a" * 66 + LOW + HIGH + "a" * 66, (UCS_2, 2, 134, 67, 0), id="no pair, so it may be split"),
        pytest.param("a" * 66 + HIGH + "a" * 67, (UCS_2, 2, 134, 67, 0), id="a high one alone before the cut"),
        pytest.param("a" * 67 + LOW + "a" * 66, (UCS_2, 2, 134, 67, 0), id="a low one alone after the cut"),
        pytest.param("a" * 66 + LOW * 2 + "a" * 66, (UCS_2, 2, 134, 67, 0), id="two low ones are no pair"),
        pytest.param("a" * 66 + HIGH * 2 + "a" * 66, (UCS_2, 2, 134, 67, 0), id="nor are two high ones"),
        pytest.param("a" * 66 + HIGH + LOW + "a" * 66, (UCS_2, 3, 134, 67, 66), id="a pair, so it may not"),
    ],
)
def test_boundaries(text: str, expected: tuple[Encoding, int, int, int, int]) -> None:
    """Encoding, segments, units, units a segment and units left are the standard's, at every boundary."""
    assert expected == counts(analyze(text))


def test_the_alphabets_are_complete() -> None:
    """The standard's 127 basic and 10 extended characters exist, and no others: all of Unicode's plane 0 was asked."""
    everything = "".join(map(chr, range(0x10000)))
    fitting = set(everything).difference(char for _, char in forcing_characters(everything))
    found = {units: {char for char in fitting if analyze(char).units == units} for units in (1, 2)}

    assert BASIC | EXTENSION == fitting
    assert {1: BASIC, 2: EXTENSION} == found
    assert (127, 10) == (len(BASIC), len(EXTENSION))


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        pytest.param("\u00c7", GSM_7, id="capital C with cedilla"),
        pytest.param("\u00e7", UCS_2, id="small c with cedilla"),
        pytest.param("\u03a9", GSM_7, id="capital omega"),
        pytest.param("\u2126", UCS_2, id="ohm sign"),
        pytest.param("\u0391", UCS_2, id="capital alpha, which Latin letters stand in for"),
        pytest.param("\u03c9", UCS_2, id="small omega"),
        pytest.param("\n", GSM_7, id="line feed"),
        pytest.param("\f", GSM_7, id="form feed"),
        pytest.param("\t", UCS_2, id="tab"),
        pytest.param("\x1b", UCS_2, id="ESC is no character"),
        pytest.param("\x00", UCS_2, id="NUL, though @ stands at position 0"),
        pytest.param("`", UCS_2, id="grave accent"),
        pytest.param("'", GSM_7, id="apostrophe"),
        pytest.param("e\u0301", UCS_2, id="an accent that is not composed"),
    ],
)
def test_encoding_of_the_easily_mistaken(char: str, expected: Encoding) -> None:
    """Characters that other counters get wrong have the encoding the standard gives them."""
    assert expected is analyze(char).encoding


def test_the_first_offender_is_named() -> None:
    """`forced_by` is the first character that forced UCS-2, and its index counts code points."""
    result = analyze(f"It{EURO}{CURLY}s {EMOJI}")

    assert (CURLY, 3) == (result.forced_by, result.forced_by_index)


def test_an_offender_beyond_the_bmp_is_named_whole() -> None:
    """An emoji is one offender, one character and two units."""
    result = analyze(f"ok {EMOJI}")

    assert (EMOJI, 3, 4, 5) == (result.forced_by, result.forced_by_index, result.characters, result.units)


def test_gsm_7_has_no_offender() -> None:
    """With GSM-7 there is nobody to blame."""
    result = analyze(f"plain {EURO}")

    assert (None, None) == (result.forced_by, result.forced_by_index)


def test_every_offender_is_listed_once() -> None:
    """`forcing_characters` gives each distinct offender with its first index, in order."""
    text = f"{EMOJI}a{CURLY}b{EMOJI}c{CURLY}\u00e7"

    assert ((0, EMOJI), (2, CURLY), (7, "\u00e7")) == forcing_characters(text)


def test_the_body_is_neither_kept_nor_shown() -> None:
    """Neither the repr nor any field of a result holds the text, only the one offender."""
    result = analyze(f"Dear Jo, your code is 4711{CURLY}")

    assert (
        "Segmentation(encoding=<Encoding.UCS_2: 'UCS-2'>, segments=1, units=27, units_per_segment=70, units_left=43, "
        "characters=27, forced_by='\u2019', forced_by_index=26)"
    ) == repr(result)
    assert {UCS_2, CURLY} == {value for value in attrs.astuple(result) if isinstance(value, str)}


def test_results_are_frozen_values() -> None:
    """Two texts that come to the same are equal, hash alike, and cannot be changed."""
    one, other = analyze("abc"), analyze("xyz")

    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.segments = 2  # type: ignore[misc]


def test_an_encoding_reads_as_its_name() -> None:
    """Encodings print as the field names them."""
    assert ["GSM-7", "UCS-2"] == [f"{encoding}" for encoding in Encoding]


@settings(deadline=None)
@given(texts)
@example("a" * 152 + EURO + "a" * 152)
@example("a" * 66 + EMOJI + "a" * 66)
def test_agrees_with_packing_one_by_one(text: str) -> None:
    """The result is that of a slow packer that puts one character after the other."""
    assert reference(text) == counts(analyze(text))


@settings(deadline=None)
@given(texts)
def test_the_offender_is_where_it_is_said_to_be(text: str) -> None:
    """Up to the first offender a text is GSM-7; with it, it is not; without one, it is all GSM-7."""
    result = analyze(text)

    if result.forced_by_index is None:
        assert (GSM_7, None, ()) == (result.encoding, result.forced_by, forcing_characters(text))
    else:
        assert text[result.forced_by_index] == result.forced_by
        assert GSM_7 is analyze(text[: result.forced_by_index]).encoding
        assert UCS_2 is analyze(text[: result.forced_by_index + 1]).encoding
        assert (result.forced_by_index, result.forced_by) == forcing_characters(text)[0]


@settings(deadline=None)
@given(texts)
def test_offenders_are_all_there_are(text: str) -> None:
    """Take out every listed character and GSM-7 is left; the list has no character twice."""
    offenders = [char for _, char in forcing_characters(text)]

    assert GSM_7 is analyze("".join(char for char in text if char not in offenders)).encoding
    assert len(set(offenders)) == len(offenders)
    assert [text.index(char) for char in offenders] == [index for index, _ in forcing_characters(text)]


@settings(deadline=None)
@given(texts, texts)
def test_longer_is_never_less(text: str, more: str) -> None:
    """Adding to a text never takes a segment or a unit's worth of characters away, nor UCS-2 back to GSM-7."""
    before, after = analyze(text), analyze(text + more)

    assert after.segments >= before.segments
    assert after.characters == before.characters + len(more)
    assert (before.encoding, after.encoding) != (UCS_2, GSM_7)
    if before.encoding is UCS_2:
        assert (before.forced_by, before.forced_by_index) == (after.forced_by, after.forced_by_index)


@settings(deadline=None)
@given(septet_texts | ucs2_texts)
def test_units_left_are_what_can_be_added(text: str) -> None:
    """So many plain characters more fit without a further segment, and one more does not."""
    before = analyze(text)

    assert before.segments == analyze(text + "a" * before.units_left).segments
    assert before.segments + 1 == analyze(text + "a" * (before.units_left + 1)).segments


@settings(deadline=None)
@given(texts)
def test_no_place_is_counted_twice(text: str) -> None:
    """Units, free places and at most one place lost at each cut make up the segments."""
    result = analyze(text)
    lost = result.segments * result.units_per_segment - result.units - result.units_left

    assert 0 <= lost <= max(result.segments - 1, 0)
    assert 0 <= result.units_left < result.units_per_segment


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\u2018", "'"),
        ("\u2019", "'"),
        ("`", "'"),
        ("\u00b4", "'"),
        ("\u201c", '"'),
        ("\u201d", '"'),
        ("\u00ab", '"'),
        ("\u2013", "-"),
        ("\u2014", "-"),
        ("\u2011", "-"),
        ("\u2212", "-"),
        ("\u2026", "..."),
        ("\u00a0", " "),
        ("\u202f", " "),
        ("\u3000", " "),
        ("\t", " "),
        ("\u2028", "\n"),
        ("\u2022", "*"),
        ("\u200b", ""),
        ("\ufeff", ""),
        ("\u2122", "(TM)"),
        ("\u00d7", "x"),
        ("\ufb01", "fi"),
        ("\uff01", "!"),
        ("\U0001d400", "A"),
        ("\u00e7", "c"),
        ("\u00e1", "a"),
        ("\u1ea4", "A"),
        ("\u0153", "oe"),
        ("\u2126", "\u03a9"),
        ("\u212b", "\u00c5"),
    ],
    ids=lambda value: describe_character(value) if len(value) == 1 else None,
)
def test_typographic_offenders_have_a_plain_equivalent(char: str, expected: str) -> None:
    """The usual offenders have a replacement in GSM-7."""
    assert expected == suggest_replacement(char)


@pytest.mark.parametrize(
    "char",
    [
        "\u00b2",
        "\u2070",
        "\u00bd",
        "\u2460",
        "\u00a8",
        "\u2260",
        "\u0301",
        "\u03ac",
        "\uac00",
        "\u4e00",
        "\u200d",
        EMOJI,
        HIGH,
    ],
    ids=describe_character,
)
def test_nothing_is_suggested_that_would_mislead(char: str) -> None:
    """10 squared does not become 102, one and a half not 11/2, "not equal" not "equal"; and a script stays itself."""
    assert suggest_replacement(char) is None


def test_every_suggestion_helps() -> None:
    """Over the whole of Unicode: what fits has no suggestion, and whatever is suggested fits."""
    for char in map(chr, range(sys.maxunicode + 1)):
        suggestion = suggest_replacement(char)
        if suggestion is not None:
            assert analyze(char).encoding is UCS_2, describe_character(char)
            assert analyze(suggestion).encoding is GSM_7, describe_character(char)


def test_letters_are_not_left_out() -> None:
    """An empty suggestion is for the invisible only: format characters, and what picks a glyph's variant."""
    left_out = {unicodedata.category(char) for char in map(chr, range(0x10000)) if suggest_replacement(char) == ""}

    assert {"Cf", "Mn"} == left_out


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\u2019", "U+2019 RIGHT SINGLE QUOTATION MARK"),
        (EMOJI, "U+1F600 GRINNING FACE"),
        ("\u00a0", "U+00A0 NO-BREAK SPACE"),
        ("a", "U+0061 LATIN SMALL LETTER A"),
        ("\t", "U+0009 CHARACTER TABULATION"),
        ("\x1b", "U+001B ESCAPE"),
        ("\x01", "U+0001 <control>"),
        (HIGH, "U+D83D <surrogate>"),
        ("\ue000", "U+E000 <private use>"),
        ("\uffff", "U+FFFF <unassigned>"),
        ("\U0010fffd", "U+10FFFD <private use>"),
    ],
)
def test_a_character_is_named(char: str, expected: str) -> None:
    """Code point and Unicode name, or what kind of thing it is where there is no name."""
    assert expected == describe_character(char)


@pytest.mark.parametrize("text", ["", "ab", "e\u0301"])
def test_only_single_characters_are_described_or_replaced(text: str) -> None:
    """Anything but a single character is the caller's mistake."""
    with pytest.raises(TypeError):
        describe_character(text)
    with pytest.raises(TypeError):
        suggest_replacement(text)


def test_the_vendors_limit() -> None:
    """Pidj truncates texts longer than 1,600 characters."""
    assert sms.MAX_CHARACTERS == 1600
