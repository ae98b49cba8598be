"""How people's data and secrets are shown."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async._masking import (
    REDACTED,
    mask_phone_number,
    mask_phone_numbers_in,
    mask_text,
    redact,
    shorten,
    shorten_names,
)

phone_numbers = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
any_text = st.text(st.characters())  # lone surrogates too


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+18885552222", "+188******22"),
        ("18885552222", "18*******22"),
        ("8885552222", "88******22"),
        ("+1234567", "+123**67"),
        ("+123456", "+12**56"),
        ("1234567", "12***67"),
        ("123456", "******"),
        ("", ""),
        (18885552222, "18*******22"),
    ],
)
def test_a_phone_number_shows_its_country_and_its_last_two_digits(number: object, shown: str) -> None:
    """Enough to recognise it, not enough to text it."""
    assert shown == mask_phone_number(number)


@given(phone_numbers)
def test_a_masked_number_keeps_its_length_and_hides_at_least_two_digits(number: str) -> None:
    """Whatever the country."""
    masked = mask_phone_number(number)

    assert len(number) == len(masked)
    assert masked.count("*") >= 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+18885552222 has opted out", "+188******22 has opted out"),
        ("call 888-555-2222.", "call 88********22."),
        ("call (1) 888 555 2222", "call (1)***********22"),
        ("to=%2B18885552222&x=1", "to=+188******22&x=1"),
        ("to:+18885552222abc", "to:+188******22abc"),
        ("line\n+18885552222", "line\n+188******22"),
        ("8885552222, 8885553333", "88******22, 88******33"),
        ("gr:12345678-1234-1234-1234-123456789012", "gr:12345678-1234-1234-1234-123456789012"),
        ("at 12:30:45, code 1234567", "at 12:30:45, code 1234567"),
        ("version v1.12345678", "version v1.12345678"),
        ("a12345678 and 12345678b", "a12345678 and 12345678b"),
    ],
)
def test_numbers_inside_a_text_are_masked_and_ids_are_not(text: str, shown: str) -> None:
    """Separators, a percent-encoded plus, neighbours; ids, times and versions stay."""
    assert shown == mask_phone_numbers_in(text)


@given(any_text, phone_numbers, any_text)
def test_no_international_number_survives_in_any_text(before: str, number: str, after: str) -> None:
    """A plus and seven digits or more are a phone number, whatever stands around them."""
    assert number not in mask_phone_numbers_in(f"{before}{number}{after}")


@pytest.mark.parametrize("unit", [" 1-", "1 ", "+1(", "1", "+", "%2B1"])
def test_masking_a_long_text_is_not_quadratic(unit: str) -> None:
    """Half a megabyte of almost-numbers comes back; the suite's time limit is the judge."""
    assert mask_phone_numbers_in(unit * 200_000)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("secret plans", "<12 characters>"),
        (b"\xff\x00", "<2 bytes>"),
        (bytearray(b"123"), "<3 bytes>"),
        (None, "None"),
        (["a"], "<list>"),
        pytest.param(10**5_000, "<int>", id="huge"),
    ],
)
def test_a_body_shows_its_length_only(value: object, shown: str) -> None:
    """And what is no text at all, only its type."""
    assert shown == mask_text(value)


class Unshowable:
    def __repr__(self) -> str:
        msg = "no"
        raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("short", "'short'"),
        ("a" * 80, repr("a" * 80)),
        ("a" * 81, repr("a" * 80) + "… (81 long)"),
        (b"a" * 81, repr(b"a" * 80) + "… (81 long)"),
        ([1, 2], "[1, 2]"),
        (["x" * 200], "['" + "x" * 78 + "… (204 long)"),
        pytest.param(10**5_000, "<int>", id="huge"),
        (Unshowable(), "<Unshowable>"),
    ],
)
def test_a_value_is_shown_as_repr_would_but_shorter(value: object, shown: str) -> None:
    """Whatever the value is, a message about it stays readable, and exists."""
    assert shown == shorten(value)


@given(any_text)
def test_a_shortened_text_is_one_printable_line(text: str) -> None:
    """Nobody's data can break a log into two lines."""
    assert shorten(text).isprintable()


@given(st.lists(any_text))
def test_names_are_one_short_printable_line(names: list[str]) -> None:
    """Field names of a reply are somebody else's data too."""
    shown = shorten_names(names, 40)

    assert shown.isprintable()
    assert len(shown) <= 10 * 41  # each character is written as \Uxxxxxxxx at the longest


def test_names_are_masked() -> None:
    """PHP writes an array as an object, and its keys may be phone numbers."""
    assert "name, +188******22" == shorten_names(["name", "+18885552222"])


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("token abcd!", ["abcd"], f"token {REDACTED}!"),
        ("abcdabcd", ["abcd"], REDACTED * 2),
        ("abcdef", ["abcd", "abcdef"], REDACTED),
        ("abcdef", ["abcdef", "abcd"], REDACTED),
        ("a.cd abcd", ["a.cd"], f"{REDACTED} abcd"),
        ("redacted", ["redacted", "dact"], REDACTED),
        ("abc", ["abc"], "abc"),
        ("abc", ["", "a"], "abc"),
        ("nothing here", [], "nothing here"),
    ],
)
def test_secrets_are_taken_out(text: str, secrets: list[str], shown: str) -> None:
    """All of them, the longest first, in one pass; what is shorter than four characters is left."""
    assert shown == redact(text, secrets)


@given(
    st.lists(st.text(string.ascii_uppercase, min_size=4), min_size=1),
    st.text(string.ascii_letters),
    st.data(),
)
def test_no_whole_secret_survives(secrets: list[str], filling: str, data: st.DataObject) -> None:
    """Overlapping, nested or repeated."""
    pieces = data.draw(st.lists(st.sampled_from([*secrets, filling])))

    redacted = redact("".join(pieces), secrets)

    assert [] == [secret for secret in secrets if re.search(re.escape(secret), redacted)]
