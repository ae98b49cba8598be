"""Quiet hours: when somebody may be texted, by the clocks where they may be.

The rules:

1. A window is measured by the wall clock: ``8:00-21:00`` is from 8:00 until just before 21:00. ``20:00-8:00`` goes
   over midnight. Where clocks are put forward or back, it is still what they show that counts: an hour that is left
   out is not waited for, and one that comes twice counts twice.
2. Somebody's own time zone counts, if it is known. If not, all zones that the number may be in count
   (`pidj_async.campaigns.numbers.zones_of`), and they may be texted only while the window is open in *every* one of
   them. If nothing is known of the number either, it is all of the United States (`US_ZONES`).
3. That can leave little: a North American toll-free number has 42 zones from Guam to Newfoundland, and with the default
   window two hours a day. It can leave nothing: `Hours.opening` says so, and preflight refuses such recipients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from pidj_async.campaigns.numbers import zones_of
from pidj_async.errors import InvalidRequestError

__all__ = ["US_ZONES", "Hours", "make_opening"]

US_ZONES: Final = (
    "America/Adak",
    "America/Anchorage",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/New_York",
    "America/Phoenix",
    "America/Puerto_Rico",
    "Pacific/Guam",
    "Pacific/Honolulu",
    "Pacific/Pago_Pago",
)
"""One zone for each of the clocks of the United States, its territories included."""

_DAY: Final = 86_400
_AHEAD: Final = 2 * _DAY  # no zone changes its clocks twice in so short a time
_HORIZON: Final = 366 * _DAY
_WINDOW: Final = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))? ?[-\u2013] ?([0-9]{1,2})(?::([0-9]{2}))?", re.ASCII)


@attrs.frozen(repr=False)
class Hours:
    """A window of the day in which people may be texted.

    Attributes:
        begin: Its first minute, counted from midnight.
        end: The first minute after it. If it is not after `begin`, the window goes over midnight.
    """

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a window.

        Args:
            text: ``"8:00-21:00"``, ``"20:00-8:00"`` (over midnight), ``"8-21"``, or ``"any"``.

        Raises:
            InvalidRequestError: It is none.
        """
        if text.strip().lower() == "any":
            return cls(0, 1_440)
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            problem = "must be a window such as 8:00-21:00 (or 20:00-8:00, over midnight), or any"
            raise InvalidRequestError("hours", problem, value=repr(text)[:40])
        hours, minutes = (found[1], found[3]), (found[2] or "0", found[4] or "0")
        begin, end = (int(hour) * 60 + int(minute) for hour, minute in zip(hours, minutes, strict=True))
        if max(map(int, minutes)) > 59 or begin >= 1_440 or end > 1_440:
            problem = "must have hours from 0:00 to 23:59, and 24:00 at most as the end"
            raise InvalidRequestError("hours", problem, value=repr(text))
        if begin == end:
            problem = "must not begin and end at once; write any for the whole day"
            raise InvalidRequestError("hours", problem, value=repr(text))
        return cls(begin, end)

    def __str__(self) -> str:
        if self.is_any:
            return "any"
        return f"{self.begin // 60}:{self.begin % 60:02}-{self.end // 60}:{self.end % 60:02}"

    def __repr__(self) -> str:
        return f"<Hours {self}>"

    @property
    def is_any(self) -> bool:
        """Whether the window is the whole day."""
        return self.end - self.begin == 1_440

    def opening(self, now: datetime, zones: Collection[str]) -> datetime | None:
        """Say when somebody may be texted.

        Args:
            now: The moment to begin at, with a time zone.
            zones: The IANA time zones they may be in; `US_ZONES` if there are none.

        Returns:
            ``None`` if they may be texted now; else the earliest moment from which they may be, UTC.

        Raises:
            InvalidRequestError: There is none for a year to come, or `now` has no time zone.
        """
        if self.is_any:
            return None
        start = _second(now)
        opens = self._open_in_all(start, _zones(zones))
        return None if opens == start else datetime.fromtimestamp(opens, UTC)

    def closing(self, now: datetime, zones: Collection[str]) -> datetime | None:
        """Say until when somebody may be texted, if they may be texted now.

        Args:
            now: A moment at which `opening` is ``None``, with a time zone.
            zones: As for `opening`.

        Returns:
            The first moment at which they may not be, UTC; ``None`` if there is none, because any time will do.

        Raises:
            InvalidRequestError: `now` has no time zone.
        """
        if self.is_any:
            return None
        start = _second(now)
        closes = min(self._first(start, zone, start + _HORIZON, opened=False) for zone in _zones(zones))
        return datetime.fromtimestamp(closes, UTC)

    def _contains(self, second: int) -> bool:
        begin, end = self.begin * 60, self.end * 60
        return begin <= second < end if begin < end else second >= begin or second < end

    def _open_in_all(self, start: int, zones: tuple[ZoneInfo, ...]) -> int:
        """The first second at which every zone is open. What is open in all of them is not before any one's first."""
        at, horizon = start, start + _HORIZON
        while at < horizon:
            latest = max(self._first(at, zone, horizon, opened=True) for zone in zones)
            if latest == at:
                return at
            at = latest
        problem = "are never open at once in all of the time zones that this number may be in; give its own time_zone"
        raise InvalidRequestError("hours", problem, value=repr(str(self)))

    def _first(self, at: int, zone: ZoneInfo, horizon: int, *, opened: bool) -> int:
        """The first second, from `at` on, at which a zone is open, or closed; `horizon` if there is none before it."""
        edge = (self.begin if opened else self.end) * 60
        while at < horizon:
            offset, until = _same_clock(at, zone)
            second = (at + offset) % _DAY
            if self._contains(second) == opened:
                return at
            changes = at + (edge - second) % _DAY
            if changes < until:
                return changes
            at = until
        return horizon


def _second(now: datetime) -> int:
    if now.utcoffset() is None:
        raise InvalidRequestError("now", "must have a time zone", value=str(now))
    return math.floor(now.timestamp())


def _same_clock(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """How many seconds a zone's clocks are ahead of UTC, and a moment up to which they stay so."""
    offset, after = _offset(at, zone), at + _AHEAD
    if _offset(after, zone) == offset:
        return offset, after
    before = at
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return offset, after


def _offset(at: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    return 0 if offset is None else offset.days * _DAY + offset.seconds


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no such name; or one that is a path, or a directory
        return None


def _zones(names: Collection[str]) -> tuple[ZoneInfo, ...]:
    found = tuple(zone for name in names if (zone := _zone(name)) is not None)
    return found or tuple(map(ZoneInfo, US_ZONES))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make_opening(
    hours: Hours, *, clock: Callable[[], datetime] = _utc_now
) -> Callable[[str, str | None], datetime | None]:
    """Make what the ledger asks, for each recipient it is about to claim, whether they may be texted.

    The answers are kept until the next one would be different, so that asking costs about a microsecond.

    Args:
        hours: When people may be texted.
        clock: Tells the time. Tests have clocks of their own.

    Returns:
        A function of a number (E.164) and the recipient's own time zone, if known. It returns ``None`` if they may be
        texted now, and else when to ask again: the moment from which they may be; a day from now if there is none for
        a year to come. A time zone that this machine does not know counts as not known.
    """
    # From when to when an answer holds, and the answer. Clocks may be put back, hence the first.
    answers: dict[str | tuple[str, ...], tuple[datetime, datetime, datetime | None]] = {}

    def answer(now: datetime, zones: tuple[str, ...]) -> tuple[datetime, datetime, datetime | None]:
        try:
            opens = hours.opening(now, zones)
        except InvalidRequestError:
            opens = now + timedelta(days=1)
        until = opens or hours.closing(now, zones) or now + timedelta(days=1)
        return now, until, opens

    def opening(phone_number: str, time_zone: str | None) -> datetime | None:
        if time_zone is not None and _zone(time_zone) is None:
            time_zone = None
        key = zones_of(phone_number) if time_zone is None else time_zone
        now = clock()
        known = answers.get(key)
        if known is None or not known[0] <= now < known[1]:
            known = answers[key] = answer(now, (key,) if isinstance(key, str) else key)
        return known[2]

    return _always if hours.is_any else opening


def _always(_phone_number: str, _time_zone: str | None) -> datetime | None:
    return None
