"""What a campaign is made with."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.campaigns.hours import Hours
from pidj_async.campaigns.settings import CampaignSettings, check_text
from pidj_async.errors import ConfigurationError, InvalidRequestError, TemplateError

GROUP = "gr:desk"


def settings_of(**values: Any) -> CampaignSettings:
    return CampaignSettings(**{"text": "Hi", "group_id": GROUP, **values})


def test_what_is_left_out() -> None:
    """The defaults: by day, in the United States, a hundred at a time."""
    assert {
        "text": "Hi",
        "group_id": GROUP,
        "from_number": None,
        "hours": "8:00-21:00",
        "ends_at": None,
        "region": "US",
        "rate": None,
        "concurrency": 100,
        "check_consent": False,
        "max_in_doubt": 100,
    } == settings_of().to_json()


@given(
    st.fixed_dictionaries(
        {"text": st.sampled_from(["Hi", "Hi {name|there}", "{{}}"])},
        optional={
            "hours": st.sampled_from(["any", "8-21", "20:00-8:00"]),
            "ends_at": st.datetimes(datetime(2026, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
            "region": st.sampled_from(["US", "DE", None]),
            "rate": st.integers(1, 500) | st.floats(0.01, 500),
            "concurrency": st.integers(1, 1_000),
            "check_consent": st.booleans(),
            "max_in_doubt": st.integers(0, 1_000),
        },
    )
)
def test_there_and_back(values: dict[str, Any]) -> None:
    """Settings go through JSON unchanged, and what is equal is equal there too."""
    settings = settings_of(**values)
    written = json.loads(json.dumps(settings.to_json()))

    assert settings == CampaignSettings.from_json(written)
    assert written == CampaignSettings.from_json(written).to_json()


def test_one_moment_is_one_setting() -> None:
    """However it is written: the end of a campaign is a moment, and so is the window of a day."""
    denver = timezone(timedelta(hours=-7))
    first = settings_of(ends_at=datetime(2026, 12, 24, 18, tzinfo=denver), hours="8-21", rate=5)
    second = settings_of(ends_at="2026-12-25T01:00+00:00", hours=Hours(480, 1_260), rate=5.0)

    assert (first, first.to_json()) == (second, second.to_json())
    assert datetime(2026, 12, 25, 1, tzinfo=UTC) == first.ends_at


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": ""}, "text: must not be blank"),
        ({"text": "a" * 1_601}, "text: is 1,601 characters long, and Pidj cuts it off at 1,600"),
        ({"text": "a\0b"}, "text: contains a NUL character"),
        ({"text": "\ud800"}, "text: contains a lone surrogate"),
        ({"text": "Hi {name"}, "text: the '{' at character 4 opens a merge field"),
        ({"text": 3}, "text: must be a str"),
        ({"group_id": None}, "group_id: give exactly one of group_id and from_number; got neither"),
        ({"from_number": "+18885552222"}, "group_id: give exactly one of group_id and from_number; got both"),
        ({"group_id": "co:desk"}, "group_id: must be the id of a group, which begins with 'gr:'"),
        ({"group_id": None, "from_number": "888-555-2222"}, "from_number: must be in E.164 format"),
        ({"hours": "nine to five"}, "hours: must be a window such as 8:00-21:00"),
        ({"hours": None}, "hours: must be a str; got None"),
        ({"ends_at": "tomorrow"}, "ends_at: must be a date and a time with a time zone"),
        ({"ends_at": "2026-12-24"}, "ends_at: must have a time zone"),
        ({"ends_at": datetime(2026, 12, 24)}, "ends_at: must have a time zone"),  # noqa: DTZ001
        ({"ends_at": date(2026, 12, 24)}, "ends_at: must have a time zone"),
        ({"region": "us"}, "region: must be the two capital letters of a country"),
        ({"rate": 0}, "rate: must be more than 0 texts a second, or None; got 0"),
        ({"rate": -1.5}, "rate: must be more than 0 texts a second"),
        ({"rate": float("nan")}, "rate: must be more than 0 texts a second"),
        ({"rate": float("inf")}, "rate: must be more than 0 texts a second"),
        ({"rate": True}, "rate: must be more than 0 texts a second"),
        ({"rate": "5"}, "rate: must be more than 0 texts a second, or None; got '5'"),
        ({"concurrency": 0}, "concurrency: must be a whole number from 1 on; got 0"),
        ({"concurrency": 2.5}, "concurrency: must be a whole number from 1 on; got 2.5"),
        ({"max_in_doubt": -1}, "max_in_doubt: must be a whole number from 0 on; got -1"),
        ({"max_in_doubt": True}, "max_in_doubt: must be a whole number from 0 on; got True"),
        ({"check_consent": "yes"}, "check_consent: must be True or False; got 'yes'"),
        (
            {"check_consent": True, "group_id": None, "from_number": "+18885552222"},
            "check_consent: needs a group_id",
        ),
    ],
)
def test_what_cannot_be(values: dict[str, Any], message: str) -> None:
    """It is refused when the settings are made, and the field is named."""
    with pytest.raises(InvalidRequestError) as caught:
        settings_of(**values)
    assert str(caught.value).startswith(message)


def test_a_text_is_measured_once_it_is_filled_in() -> None:
    """Braces that stand for others and names of fields are not sent, so they do not count."""
    assert settings_of(text="{{" * 1_600).text == "{{" * 1_600
    assert settings_of(text="a" * 1_590 + "{a_field_with_a_long_name}").text.endswith("name}")
    with pytest.raises(InvalidRequestError, match="is 1,601 characters"):
        check_text("a" * 1_601)


def test_a_template_error_is_one() -> None:
    """Whoever wants to know about the text alone can."""
    with pytest.raises(TemplateError):
        settings_of(text="}")


def test_settings_of_a_newer_version() -> None:
    """What this version does not know, it does not ignore."""
    with pytest.raises(ConfigurationError, match=r"does not know \(colour, mood\); upgrade pidj-async"):
        CampaignSettings.from_json({**settings_of().to_json(), "mood": 1, "colour": 2})


def test_settings_of_an_older_version() -> None:
    """What it did not have yet is as if it had been left out."""
    assert settings_of() == CampaignSettings.from_json({"text": "Hi", "group_id": GROUP})


def test_neither_text_nor_number_is_shown() -> None:
    """A repr masks both."""
    shown = repr(settings_of(text="Secret", group_id=None, from_number="+18885552222"))
    assert ("text=<6 characters>" in shown, "from_number=+188******22" in shown) == (True, True)
    assert "Secret" not in shown
