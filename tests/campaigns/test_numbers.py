"""Phone numbers as people write them, and where they may be. The oracle is phonenumbers itself."""

from __future__ import annotations

import csv
import sys

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import timezone
from phonenumbers.tzdata import TIMEZONE_DATA

from pidj_async.campaigns import numbers
from pidj_async.campaigns.numbers import check_region, normalize, zones_of
from pidj_async.cli.demo_play import shipped_recipients
from pidj_async.errors import ConfigurationError, InvalidRequestError

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
AMERICAN = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
MAJOR = ["US", "CA", "GB", "DE", "FR", "AU", "MX", "IT", "BR", "IN"]


def oracle(text: str, region: str) -> str | None:
    """What phonenumbers makes of a number; ``None`` if it is not valid."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def ours(text: str, region: str | None = "US") -> str | None:
    try:
        return normalize(text, region)
    except InvalidRequestError:
        return None


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """Ten digits, more or less as North Americans write them."""
    area, exchange, rest = draw(digits(3)), draw(digits(3)), draw(digits(4))
    prefix = draw(st.sampled_from(["", "+1", "1", "+1 ", "1-", "+1.", "+", "011", "001", "+0", "tel:+1"]))
    first = draw(st.sampled_from(["{}", "({})", "({}) ", "{}-", "{}.", "{} ", "{})", "({}"]))
    between = draw(st.sampled_from(["", "-", ".", " ", " - "]))
    return prefix + first.format(area) + exchange + between + rest


@given(spellings(), st.sampled_from(AMERICAN))
@example("(212) 555-0146", "US")
@example("12425550146", "BS")
@example("1 868 555 0146", "TT")
def test_north_american_numbers_are_what_phonenumbers_says(text: str, region: str) -> None:
    """However they are spelled, in whichever country of the plan: the quick way and the library agree."""
    assert oracle(text, region) == ours(text, region)


@given(st.integers(200, 999), st.integers(0, 999), digits(4), digits(4))
def test_the_last_four_digits_never_matter(area: int, exchange: int, one: str, other: str) -> None:
    """Of any area code, given out or not, the answer for an exchange holds for all its numbers: validity and zones."""
    for rest in (one, other):
        number = f"+1{area:03}{exchange:03}{rest}"
        assert oracle(number, "US") == ours(number)
        said = set(timezone.time_zones_for_number(phonenumbers.parse(number))) - {timezone.UNKNOWN_TIMEZONE}
        assert said <= set(zones_of(number))


@pytest.mark.soak
@pytest.mark.parametrize("first", range(2, 10))
def test_every_exchange(first: int) -> None:
    """All 640,000 of them."""
    for place in range(first * 100_000 + 200, (first + 1) * 100_000):
        if place % 1_000 >= 200:
            number = f"+1{place}{place % 9_973:04}"
            assert oracle(number, "US") == ours(number)


def test_every_area_code() -> None:
    """Whether a code has been given out is what phonenumbers says, for all that there could be."""
    codes = [f"+1{code}5550146" for code in range(200, 1_000)]

    assert [oracle(number, "US") for number in codes] == [ours(number) for number in codes]
    assert 300 < sum(ours(number) is not None for number in codes) < 500


@given(st.sampled_from(MAJOR), st.sampled_from(MAJOR), st.data())
def test_other_numbers_are_what_phonenumbers_says(country: str, region: str, data: st.DataObject) -> None:
    """Numbers of other countries, with their country code or as they are dialled at home."""
    example_number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    assert example_number is not None
    national = f"{example_number.national_number}"
    kept = data.draw(st.integers(0, len(national)))
    national = national[:kept] + data.draw(st.text("0123456789", max_size=len(national) - kept + 2))
    text = data.draw(st.sampled_from([f"+{example_number.country_code}", "0", "", "00"])) + national

    assert oracle(text, region) == ours(text, region)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(212) 555-0146", "+12125550146"),
        (" 212.555.0146\n", "+12125550146"),
        ("12125550146", "+12125550146"),
        ("+1 212 555 0146", "+12125550146"),
        ("tel:+1-212-555-0146", "+12125550146"),
        ("\uff0b\uff11 212 555 0146", "+12125550146"),
        ("212\u2011555\u20110146", "+12125550146"),
        ("\u0662\u0661\u0662 555 0146", "+12125550146"),
        ("+44 20 7183 8750", "+442071838750"),
        ("011 44 20 7183 8750", "+442071838750"),
        ("+18885553333", "+18885553333"),
        ("+18885552222", "+18885552222"),
        ("+61 2 9123 4567", "+61291234567"),
    ],
)
def test_spellings(text: str, expected: str) -> None:
    """What people write, and what it is; the examples of Pidj's document are numbers."""
    assert expected == normalize(text)


@pytest.mark.parametrize(
    ("text", "region", "message"),
    [
        ("", "US", "is missing"),
        ("  ", None, "is missing"),
        ("n/a", "US", "must hold one number and nothing else; got '***'"),
        ("+1207555O196", "US", "must hold one number and nothing else; got '+120******96'"),
        ("call 2125550146", "US", "must hold one number and nothing else; got 'ca***********46'"),
        ("+12125550146, +12125550147", "US", "must hold one number and nothing else; got '+121********************47'"),
        ("+1 212 555 0146 ext. 4", "US", "has an extension, which cannot be texted; got '+1 2**************** 4'"),
        ("212-555-0146x12", "US", "has an extension, which cannot be texted; got '21***********12'"),
        ("1.21255501E+10", "US", "was taken for a quantity by a spreadsheet; make the column text there"),
        ("2125550146.0", "DE", "was taken for a quantity by a spreadsheet; make the column text there"),
        ("+1212", "US", "is too short; got '*****'"),
        ("5550146", "US", "has no area code; got '55***46'"),
        ("+121255501467", "US", "is too long; got '+121*******67'"),
        ("+15555550146", "US", "does not exist: no number of its country begins like that; got '+155******46'"),
        ("+03605550139", "US", "has no country code that exists; got '+036******39'"),
        ("+999123456789", "US", "has no country code that exists; got '+999*******89'"),
        ("212-555-0146", None, "must be in E.164 format: a plus, the country code and the number"),
        ("+1 212 555 0146", None, "must be in E.164 format: a plus, the country code and the number"),
        ("+15555550146", None, "does not exist: no number of its country begins like that; got '+155******46'"),
    ],
)
def test_what_is_no_number(text: str, region: str | None, message: str) -> None:
    """The reason is named, and the number is masked."""
    with pytest.raises(InvalidRequestError) as caught:
        normalize(text, region)
    assert str(caught.value).startswith(f"phone_number: {message}")


@given(st.text())
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    """Nothing else happens, and what comes out is E.164."""
    number = ours(text)
    assert number is None or (number[0] == "+" and number[1:].isascii() and number[1:].isdigit())


@given(st.sampled_from(REGIONS), spellings())
def test_normal_is_normal_already(region: str, text: str) -> None:
    """To normalise twice is to normalise once, wherever one is."""
    number = ours(text, region)
    if number is not None:
        assert [number, number] == [normalize(number, region), normalize(number, None)]


def test_the_shipped_list() -> None:
    """1,984 of its 2,000 lines have a number by phonenumbers, two of them with an extension; 1,963 are in E.164."""
    with shipped_recipients().open(encoding="utf-8", newline="") as lines:
        texts = [row["phone_number"] for row in csv.DictReader(lines)]

    assert (2_000, 1_984) == (len(texts), sum(oracle(text, "US") is not None for text in texts))
    assert 1_982 == sum(ours(text) is not None for text in texts)
    assert 1_963 == sum(ours(text, None) is not None for text in texts)


# --- zones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param("+12125550146", ["America/New_York"], id="New York"),
        pytest.param("+13175550146", ["America/New_York"], id="Indianapolis"),
        pytest.param("+12195550146", ["America/Chicago", "America/New_York"], id="the Chicago corner of Indiana"),
        pytest.param("+18505550146", ["America/Chicago", "America/New_York"], id="the Florida panhandle"),
        pytest.param("+16025550146", ["America/Phoenix"], id="Phoenix"),
        pytest.param("+13035550146", ["America/Denver"], id="Denver"),
        pytest.param("+18085550146", ["Pacific/Honolulu"], id="Honolulu"),
        pytest.param("+17875550146", ["America/Puerto_Rico"], id="Puerto Rico"),
        pytest.param("+16715550146", ["Pacific/Guam"], id="Guam"),
        pytest.param("+442071838750", ["Europe/London"], id="London"),
        pytest.param("+12425550100", ["America/Nassau"], id="not valid, but of a country"),
        pytest.param("+80012345678", [], id="of no country"),
        pytest.param("+999123456789", [], id="of no country code"),
        pytest.param("nonsense", [], id="no number"),
    ],
)
def test_zones(number: str, expected: list[str]) -> None:
    """The zones of the area code; none if nothing is known."""
    assert expected == list(zones_of(number))


def test_alaska_and_toll_free() -> None:
    """Alaska has Adak too; a toll-free number may be anywhere in the numbering plan."""
    assert {"America/Adak", "America/Anchorage", "America/Juneau"} < set(zones_of("+19075550146"))
    assert (42, True) == (len(zones_of("+18885553333")), set(zones_of("+18885553333")) == set(TIMEZONE_DATA["1"]))


@given(st.sampled_from(sorted(TIMEZONE_DATA)), digits(12))
def test_zones_are_at_least_those_of_phonenumbers(prefix: str, rest: str) -> None:
    """Nothing that the library says of a number is left out; outside of North America nothing is added."""
    number = f"+{prefix}{rest}"[:12]
    try:
        said = set(timezone.time_zones_for_number(phonenumbers.parse(number))) - {timezone.UNKNOWN_TIMEZONE}
    except phonenumbers.NumberParseException:
        said = set()
    found = set(zones_of(number))

    assert said <= found
    if said and not number.startswith("+1"):
        assert said == found


# --- regions, and the extra ---------------------------------------------------------------------------------------


def test_a_region() -> None:
    """Two capital letters of a country with numbers, or none at all."""
    assert ["US", "DE", None] == [check_region("US"), check_region("DE"), check_region(None)]


@pytest.mark.parametrize("region", ["us", "USA", "XX", "", "AQ"])
def test_no_region(region: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidRequestError, match=r"^region: must be the two capital letters of a country"):
        check_region(region)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    numbers._library.cache_clear()
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    try:
        with pytest.raises(ConfigurationError, match=r"install pidj-async\[campaigns\]"):
            normalize("+442071838750")
    finally:
        monkeypatch.undo()
        numbers._library.cache_clear()
    assert "+442071838750" == normalize("+442071838750")
