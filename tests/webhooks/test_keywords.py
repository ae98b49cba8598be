"""Keywords: what makes no difference, and what does."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.webhooks import TextReceived, is_stop_word, normalize_keyword
from pidj_async.webhooks.events import Text
from pidj_async.webhooks.inbox.consent import consent_of
from pidj_async.webhooks.keywords import STOP_WORDS


@pytest.mark.parametrize(
    "written",
    [
        "stop",
        "STOP",
        "  Stop \n",
        "Stop.",
        "stop!!!",
        "stop …",
        "STOP?!",
        '"Stop"',
        "\u201cStop\u201d.",
        "\u2018stop\u2019",
        "(stop)",
        "\uff33\uff34\uff2f\uff30",  # full width
        "sto\u200bp",  # a zero-width space inside
        "\ufeffstop\ufe0f",
        "stop\u3002",  # an ideographic full stop
        "ſtop",  # a long s folds into a short one
    ],
)
def test_spellings_of_a_word_are_the_same(written: str) -> None:
    """Case, white space, quotes, brackets, the punctuation at the end and what cannot be seen make no difference."""
    assert normalize_keyword(written) == "stop"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("please stop", "please stop"),
        ("s.t.o.p", "s.t.o.p"),
        ("opt\t out", "opt out"),
        ("Straße", "strasse"),
        ("don\u2019t", "don't"),
        ("¿Qué?", "qué"),
        ("que\u0301", "qué"),  # composed and decomposed are the same
        ("100%", "100%"),
        ("C#", "c#"),
        ("/help", "/help"),
        ("#win", "#win"),
        ("-1", "-1"),
        ("?", "?"),
        ("👍", "👍"),
        ("👍🏽", "👍🏽"),
        ("", ""),
        (" \u200b\n", ""),
        ("\ud800", "\ud800"),  # half a character: Python can hold it, so it can be sent
    ],
)
def test_what_belongs_to_a_word_stays(written: str, expected: str) -> None:
    """What stands inside a word, or begins it, or is all there is, makes a difference."""
    assert normalize_keyword(written) == expected


@given(st.text())
def test_any_text_can_be_normalised(text: str) -> None:
    """Whatever somebody texts: a text without capitals around it, and the same when it is shouted with spaces."""
    normal = normalize_keyword(text)
    assert normal == normal.strip()
    assert normal == normalize_keyword(f"  {text}\n")


@given(st.sampled_from(sorted(STOP_WORDS)), st.text(string.punctuation + string.whitespace, max_size=3), st.data())
def test_a_stop_word_is_one_however_it_is_written(word: str, around: str, data: st.DataObject) -> None:
    """Its letters count, in any case, whatever stands between and around them."""
    letters = [data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in word]
    assert is_stop_word(around + "".join(letters) + around)
    assert is_stop_word("-".join(letters))


@pytest.mark.parametrize("text", ["", "please stop", "stop it", "start", "yes", "endless", "STOP 1", "unstop"])
def test_other_texts_are_not(text: str) -> None:
    """A stop word inside a sentence is not an opt-out."""
    assert not is_stop_word(text)


@given(st.sampled_from(sorted(STOP_WORDS)), st.text(string.punctuation + string.whitespace, max_size=3))
def test_whoever_is_suppressed_is_not_answered(word: str, around: str) -> None:
    """What the inbox takes for an opt-out is one here too."""
    message = f"{around}{word}{around}"
    consent = consent_of(TextReceived(text=Text(message=message, phone_from="+18885552222")))
    assert consent is not None
    assert consent.kind == "opt-out"
    assert is_stop_word(message)
