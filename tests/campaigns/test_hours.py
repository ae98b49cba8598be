"""Quiet hours: nobody is texted when it is night where they may be. The oracle is the clock on the wall."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers.tzdata import TIMEZONE_DATA

from pidj_async.campaigns.hours import US_ZONES, Hours, make_opening
from pidj_async.campaigns.numbers import zones_of
from pidj_async.errors import InvalidRequestError

DAY = Hours.parse("8:00-21:00")
NIGHT = Hours.parse("20:00-8:00")
MINUTE = timedelta(minutes=1)
WINTER = datetime(2026, 1, 15, tzinfo=UTC)
SUMMER = datetime(2026, 7, 15, tzinfo=UTC)

# Both changes of clocks in 2026: in the United States, at two in the morning of March 8 and of November 1.
SPRING = datetime(2026, 3, 8, tzinfo=UTC)
AUTUMN = datetime(2026, 11, 1, tzinfo=UTC)

TOLL_FREE = zones_of("+18885553333")
CLOCKS = [*US_ZONES, "America/Indiana/Indianapolis", "America/Boise", "America/Detroit", "America/Kentucky/Monticello"]
# Half hours, a change of half an hour, a change at midnight, a day that was never there, one without any changes.
ODD = ["America/St_Johns", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Asia/Tokyo", "Europe/Dublin"]


def is_open(hours: str, now: datetime, zones: Collection[str]) -> bool:
    """The oracle: the wall clock of each zone shows a time inside."""
    begin, end = (f"{text:0>5}" for text in hours.split("-"))
    for zone in zones:
        shown = f"{now.astimezone(ZoneInfo(zone)):%H:%M}"
        inside = begin <= shown < end if begin < end else shown >= begin or shown < end
        if not inside:
            return False
    return True


def local(moment: datetime | None, zone: str) -> str:
    return "now" if moment is None else f"{moment.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


def at(zone: str, month: int, day: int, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold)


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8:00-21:00", (480, 1_260, "8:00-21:00")),
        ("08:00 - 21:00", (480, 1_260, "8:00-21:00")),
        (" 8-21 ", (480, 1_260, "8:00-21:00")),
        ("8:30\u201320:15", (510, 1_215, "8:30-20:15")),
        ("20:00-8:00", (1_200, 480, "20:00-8:00")),
        ("8:00-24:00", (480, 1_440, "8:00-24:00")),
        ("8:00-0:00", (480, 0, "8:00-0:00")),
        ("0:00-24:00", (0, 1_440, "any")),
        ("any", (0, 1_440, "any")),
        ("ANY", (0, 1_440, "any")),
    ],
)
def test_windows(text: str, expected: tuple[int, int, str]) -> None:
    """A window is read, and written so that it can be read again."""
    hours = Hours.parse(text)

    assert expected == (hours.begin, hours.end, str(hours))
    assert hours == Hours.parse(str(hours))
    assert f"<Hours {expected[2]}>" == repr(hours)


@pytest.mark.parametrize(
    "text",
    ["", "8", "8:00", "8:00-", "eight-nine", "8:00-21:60", "25:00-26:00", "24:00-8:00", "8:00-24:01", "8.00-21.00"],
)
def test_no_windows(text: str) -> None:
    """What is no window is refused."""
    with pytest.raises(InvalidRequestError, match=r"^hours: must "):
        Hours.parse(text)


@pytest.mark.parametrize("text", ["8:00-8:00", "0:00-0:00", "0-0"])
def test_an_empty_window(text: str) -> None:
    """It could mean nothing or everything, so it is neither."""
    with pytest.raises(InvalidRequestError, match=r"^hours: must not begin and end at once; write any"):
        Hours.parse(text)


# --- one zone -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", CLOCKS)
@pytest.mark.parametrize("month", [1, 7])
def test_every_zone_of_the_united_states(zone: str, month: int) -> None:
    """At 7:59 people wait until 8:00, at 8:00 and 20:59 they may be texted, at 21:00 they wait for the morning."""
    asked = [(7, 59), (8, 0), (20, 59), (21, 0), (23, 59)]
    found = [local(DAY.opening(at(zone, month, 15, *time), [zone]), zone) for time in asked]
    days = [f"{month:02}-15 08:00", f"{month:02}-16 08:00"]

    assert [days[0], "now", "now", days[1], days[1]] == found


@pytest.mark.parametrize("zone", [*CLOCKS, *ODD])
@pytest.mark.parametrize("day", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("window", ["8:00-21:00", "20:00-8:00", "2:30-3:30", "1:30-2:30", "23:45-0:15"])
def test_each_five_minutes_around_a_change_of_clocks(zone: str, day: datetime, window: str) -> None:
    """For four days: open is what the wall clock says, and the opening is the next time that it says so."""
    hours = Hours.parse(window)
    times = [day + timedelta(days=-1, minutes=5 * count) for count in range(4 * 288)]
    expected: datetime | None = None
    for time in reversed(times):
        opened = is_open(window, time, [zone])
        expected = time if opened else expected
        if expected is not None:
            assert (time, None if opened else expected) == (time, hours.opening(time, [zone]))


def test_an_hour_that_is_left_out() -> None:
    """A window that begins in the gap opens when the gap is over; one that lies in it does not open that day."""
    zone = "America/Denver"
    evening = at(zone, 3, 7, 23, 0)

    assert "03-08 03:00" == local(Hours.parse("2:30-9:00").opening(evening, [zone]), zone)
    assert "03-09 02:10" == local(Hours.parse("2:10-2:50").opening(evening, [zone]), zone)
    assert "03-08 03:00" == local(Hours.parse("22:00-2:30").closing(evening, [zone]), zone)
    assert "03-07 22:00" == local(Hours.parse("22:00-2:30").opening(at(zone, 3, 7, 21, 0), [zone]), zone)


def test_an_hour_that_comes_twice() -> None:
    """A window in the hour that comes twice opens twice; one that ends in it ends at its first time."""
    zone = "America/Denver"
    hours = Hours.parse("1:15-1:45")
    between = at(zone, 11, 1, 1, 50)
    second = hours.opening(between, [zone])

    assert at(zone, 11, 1, 1, 15, fold=1).astimezone(UTC) == second
    assert hours.opening(at(zone, 11, 1, 1, 20, fold=0), [zone]) is None
    assert hours.opening(at(zone, 11, 1, 1, 20, fold=1), [zone]) is None
    assert at(zone, 11, 1, 1, 30).astimezone(UTC) == Hours.parse("20:00-1:30").closing(at(zone, 10, 31, 22), [zone])


def test_over_midnight() -> None:
    """A window over midnight is open on both sides of it, and closed by day."""
    zone = "America/Chicago"
    asked = [(19, 59), (20, 0), (23, 59), (0, 0), (7, 59), (8, 0)]
    found = [local(NIGHT.opening(at(zone, 5, 5, *time), [zone]), zone) for time in asked]

    assert ["05-05 20:00", "now", "now", "now", "now", "05-05 20:00"] == found


def test_any() -> None:
    """Then nobody ever waits."""
    anytime = Hours.parse("any")
    assert [None, None] == [anytime.opening(WINTER, ["America/Denver"]), anytime.closing(WINTER, [])]


def test_seconds_count() -> None:
    """A fraction of a second before eight is before eight; the answer is a whole second."""
    zone = "America/Denver"
    eight = at(zone, 5, 5, 8)
    assert eight.astimezone(UTC) == DAY.opening(eight - timedelta(microseconds=1), [zone])


@pytest.mark.parametrize("ask", [DAY.opening, DAY.closing])
def test_whose_clock(ask: object) -> None:
    """A moment without a time zone is refused: it could be anybody's."""
    with pytest.raises(InvalidRequestError, match="now: must have a time zone"):
        ask(datetime(2026, 5, 5, 12), ["America/Denver"])  # type: ignore[operator]  # noqa: DTZ001


# --- several zones ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(at("America/New_York", 1, 15, 8, 30), "01-15 09:00", id="it is too early in Chicago"),
        pytest.param(at("America/New_York", 1, 15, 9, 0), "now", id="early enough in both"),
        pytest.param(at("America/New_York", 1, 15, 20, 59), "now", id="late enough in both"),
        pytest.param(at("America/New_York", 1, 15, 21, 0), "01-16 09:00", id="too late in New York"),
    ],
)
def test_the_strictest_counts(now: datetime, expected: str) -> None:
    """Who may be in either of two zones is texted only when it is day in both."""
    zones = ["America/Chicago", "America/New_York"]
    assert expected == local(DAY.opening(now, zones), "America/New_York")


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [(WINTER, "22:00", "00:30"), (SUMMER, "22:00", "23:30")],
    ids=["winter", "summer"],
)
def test_toll_free_numbers(day: datetime, opens: str, closes: str) -> None:
    """From Guam to Newfoundland it is day at once for two hours and a half, in summer for an hour and a half, UTC."""
    opening = DAY.opening(day + timedelta(hours=12), TOLL_FREE)
    assert opening is not None
    closing = DAY.closing(opening, TOLL_FREE)

    assert (opens, closes) == (f"{opening:%H:%M}", f"{closing:%H:%M}")


def test_nothing_is_known() -> None:
    """Then it must be day in all of the United States: three hours a day, between Guam and Maine."""
    assert DAY.opening(WINTER, US_ZONES) == DAY.opening(WINTER, []) == DAY.opening(WINTER, ["Nowhere/Else"])
    opening = DAY.opening(WINTER + timedelta(hours=12), [])
    assert opening is not None
    assert ("22:00", "01:00") == (f"{opening:%H:%M}", f"{DAY.closing(opening, []):%H:%M}")


def test_every_clock_of_the_united_states_is_there() -> None:
    """Whatever `US/…` zone tzdata has: at every hour of this year, one of ours shows the same time."""
    old = [name for name in available_timezones() if name.startswith("US/")]
    hours = [WINTER + timedelta(hours=13 * count) for count in range(700)]

    def clock(name: str) -> tuple[object, ...]:
        return tuple(hour.astimezone(ZoneInfo(name)).utcoffset() for hour in hours)

    ours = {clock(name) for name in US_ZONES}
    assert len(US_ZONES) == len(ours)
    assert [] == [name for name in old if clock(name) not in ours]


def test_a_window_that_is_never_open_everywhere() -> None:
    """It says so, and what to do."""
    with pytest.raises(
        InvalidRequestError, match=r"never open at once in all of the time zones .* give its own time_zone"
    ):
        Hours.parse("9:00-10:00").opening(WINTER, ["America/New_York", "Pacific/Honolulu"])


def test_a_window_that_is_open_for_half_a_year() -> None:
    """Phoenix and Denver have the same time in winter only: in July the answer is the day when clocks are put back."""
    zones = ["America/Denver", "America/Phoenix"]
    hours = Hours.parse("8:00-8:30")

    assert "11-01 08:00" == local(hours.opening(SUMMER, zones), "America/Denver")


windows = st.tuples(st.integers(0, 1_439), st.integers(0, 1_440)).filter(lambda window: window[0] != window[1] % 1_440)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
near_a_change = st.tuples(st.sampled_from([SPRING, AUTUMN]), st.integers(-1_440, 2_880)).map(
    lambda pair: pair[0] + MINUTE * pair[1]
)


@given(
    windows,
    st.one_of(moments, near_a_change),
    st.lists(st.sampled_from([*CLOCKS, *ODD, "Etc/UTC"]), min_size=1, max_size=4, unique=True),
)
@example((480, 1_260), SPRING, list(TOLL_FREE))
@example((1_200, 480), AUTUMN, list(US_ZONES))
def test_open_is_what_the_clocks_say(window: tuple[int, int], now: datetime, zones: list[str]) -> None:
    """Open now iff every clock shows a time inside; the moment that is given is open, and no minute before it is."""
    text = "-".join(f"{minute // 60}:{minute % 60:02}" for minute in window)
    hours = Hours(*window)
    now = now.replace(second=0, microsecond=0)
    opened = is_open(text, now, zones)
    try:
        opening = hours.opening(now, zones)
    except InvalidRequestError:
        assert not any(is_open(text, now + MINUTE * count, zones) for count in range(0, 3 * 1_440, 1))
        return

    assert opened == (opening is None)
    if opening is None:
        closing = hours.closing(now, zones) or now + timedelta(days=3)
        within = [now + MINUTE * count for count in range(min(4_320, int((closing - now) / MINUTE)))]
        assert all(is_open(text, minute, zones) for minute in within)
        assert (closing - now > timedelta(days=2)) or not is_open(text, closing, zones)
    else:
        assert is_open(text, opening, zones)
        before = [now + MINUTE * count for count in range(min(4_320, int((opening - now) / MINUTE)))]
        assert not any(is_open(text, minute, zones) for minute in before)


def test_every_zone_of_phonenumbers_is_known_here() -> None:
    """None of the names that the library may give is unknown to the database of time zones."""
    names = {zone for zones in TIMEZONE_DATA.values() for zone in zones}
    assert set() == names - available_timezones()


# --- what the ledger asks -----------------------------------------------------------------------------------------


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


NEW_YORK = "+12125550146"


@given(
    st.lists(
        st.tuples(st.integers(0, 5_000), st.sampled_from([NEW_YORK, "+18505550146", "+13035550146"])), max_size=30
    ),
    st.sampled_from([DAY, NIGHT, Hours.parse("any"), Hours.parse("1:30-3:30")]),
)
def test_the_kept_answers_are_the_answers(steps: Sequence[tuple[int, str]], hours: Hours) -> None:
    """However the clock goes, also back: what is remembered is what would be found."""
    clock = Clock(AUTUMN)
    opening = make_opening(hours, clock=clock)
    for minutes, number in steps:
        clock.now = AUTUMN + MINUTE * (minutes - 2_500)
        assert hours.opening(clock.now, zones_of(number)) == opening(number, None)


def test_their_own_zone_comes_first() -> None:
    """A recipient's own time zone counts, not their number's."""
    opening = make_opening(DAY, clock=Clock(at("America/New_York", 5, 5, 9)))

    assert [None, None] == [opening(NEW_YORK, None), opening(NEW_YORK, "America/New_York")]
    assert "05-05 08:00" == local(opening(NEW_YORK, "America/Los_Angeles"), "America/Los_Angeles")
    assert "05-06 08:00" == local(opening(NEW_YORK, "Asia/Tokyo"), "Asia/Tokyo")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/", "America", "\0"])
def test_a_zone_that_this_machine_does_not_know(name: str) -> None:
    """Then it is the number's zones that count."""
    opening = make_opening(DAY, clock=Clock(at("America/New_York", 5, 5, 7)))
    assert "05-05 08:00" == local(opening(NEW_YORK, name), "America/New_York")


def test_a_recipient_who_can_never_be_texted_waits() -> None:
    """Asked again each day: the ledger gets an answer, and no error that would stop everybody."""
    clock = Clock(WINTER)
    opening = make_opening(Hours.parse("9:00-10:00"), clock=clock)

    assert WINTER + timedelta(days=1) == opening("+18885553333", None)
    clock.now += timedelta(days=1)
    assert WINTER + timedelta(days=2) == opening("+18885553333", None)


def test_asking_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand recipients of one zone in one hour: the clocks are looked at once."""
    asked: list[object] = []
    original = Hours.opening

    def counted(self: Hours, now: datetime, zones: Collection[str]) -> datetime | None:
        asked.append(zones)
        return original(self, now, zones)

    monkeypatch.setattr(Hours, "opening", counted)
    clock = Clock(at("America/New_York", 5, 5, 9))
    opening = make_opening(DAY, clock=clock)
    for index in range(1_000):
        clock.now += timedelta(seconds=3)
        opening(f"+1212555{index:04}", None)
    assert [("America/New_York",)] == asked
