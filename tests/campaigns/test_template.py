"""Texts with merge fields: what stands in them, and what cannot."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.campaigns.template import Template
from pidj_async.errors import InvalidRequestError, TemplateError

MARIA = {"first_name": "Maria", "time": "8:00"}

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}|"), min_size=1, max_size=8)
names = names.map(str.strip).filter(bool)


def escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Hi {first_name}", "Hi Maria", id="a field"),
        pytest.param("{first_name}", "Maria", id="nothing but a field"),
        pytest.param("{first_name}{time}{first_name}", "Maria8:00Maria", id="one after the other"),
        pytest.param("Hi { first_name }", "Hi Maria", id="white space around its name"),
        pytest.param("Hi {first_name|there}", "Hi Maria", id="a default that is not needed"),
        pytest.param("Hi {nick|there}", "Hi there", id="a default for what is missing"),
        pytest.param("Hi {nick| there }!", "Hi  there !", id="a default as it stands"),
        pytest.param("Hi{nick|}!", "Hi!", id="an empty default"),
        pytest.param("Hi {nick|a|b}", "Hi a|b", id="a default with a bar"),
        pytest.param("a {{first_name}} b", "a {first_name} b", id="braces"),
        pytest.param("{{{first_name}}}", "{Maria}", id="a field in braces"),
        pytest.param("{{}}", "{}", id="empty braces"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_text_is_filled_in(text: str, expected: str) -> None:
    """Fields are replaced, defaults stand in for what is missing, doubled braces are single ones."""
    assert expected == Template(text).render(MARIA)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Hi {first_name", "the '{' at character 4 opens a merge field that is not closed"),
        ("Hi first_name}", "the '}' at character 14 closes no merge field"),
        ("Hi {first_name}}", "the '}' at character 16 closes no merge field"),
        ("{{{first_name}}", "the '}' at character 15 closes no merge field"),
        ("Hi {}", "the merge field at character 4 has no name"),
        ("Hi { |there}", "the merge field at character 4 has no name"),
        ("{a{b}}", "the '{' at character 1 opens a merge field that is not closed"),
        ("{a|{b}}", "the '{' at character 1 opens a merge field that is not closed"),
    ],
)
def test_a_text_that_cannot_be_read(text: str, problem: str) -> None:
    """A stray brace or a field without a name is found at once, and the message says where."""
    with pytest.raises(TemplateError, match=f"^text: {re.escape(problem)}"):
        Template(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "first_name: is missing, and the text has no default for it"),
        ({"first_name": ""}, "first_name: is blank, and the text has no default for it"),
        ({"first_name": " \t"}, "first_name: is blank, and the text has no default for it"),
    ],
)
def test_a_field_that_cannot_be_filled_in(values: dict[str, str], message: str) -> None:
    """Without a default, no value and a blank one are errors that name the field."""
    with pytest.raises(TemplateError, match=f"^{message}") as caught:
        Template("Hi {first_name}").render(values)
    assert ("first_name", True) == (caught.value.field, isinstance(caught.value, InvalidRequestError))


def test_a_blank_value_takes_the_default() -> None:
    """Nobody is greeted by name who has only a space for one."""
    assert "Hi there" == Template("Hi {first_name|there}").render({"first_name": "  "})


def test_white_space_around_a_value_is_left_out() -> None:
    """Lists are full of it."""
    assert "Hi Maria!" == Template("Hi {first_name}!").render({"first_name": " Maria\n"})


def test_the_fields_are_named() -> None:
    """Each once, in the text's order; required if it stands anywhere without a default."""
    template = Template("{b|x} {a} {b} {c|} {a|y}")

    assert (("b", "a", "c"), ("b", "a"), True) == (template.fields, template.required, template.has_fields)
    assert ((), (), False) == ((bare := Template("no {{fields}}")).fields, bare.required, bare.has_fields)


def test_the_text_is_not_shown() -> None:
    """A repr has the fields, and of the text only its length."""
    assert "<Template of <28 characters>, merge fields: name, when>" == repr(Template("Secret {name} until {when|6}"))


@given(plain)
def test_escaped_text_comes_back(text: str) -> None:
    """Whatever a text is: doubled braces make it a template of nothing but itself."""
    template = Template(escape(text))

    assert (text, False) == (template.render({}), template.has_fields)


@given(st.lists(st.tuples(plain, names, plain.filter(lambda text: text.strip() != "")), max_size=5), plain)
def test_values_are_put_in_as_they_are(parts: list[tuple[str, str, str]], end: str) -> None:
    """Braces in a value mean nothing, and what stands between the fields is untouched."""
    values = {name: value for _, name, value in parts}
    text = "".join(f"{escape(before)}{{{name}}}" for before, name, _ in parts) + escape(end)
    expected = "".join(before + values[name].strip() for before, name, _ in parts) + end

    assert expected == Template(text).render(values)


@given(st.text(st.sampled_from("{}|ab "), max_size=20))
def test_a_text_is_a_template_or_an_error(text: str) -> None:
    """No text does anything else; and what is a template can be rendered when all fields have values."""
    try:
        template = Template(text)
    except TemplateError:
        return
    rendered = template.render(dict.fromkeys(template.fields, "x"))
    assert len(rendered) <= len(text)
