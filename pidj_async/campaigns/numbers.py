"""Phone numbers of any spelling made E.164, and the time zones that a number may be in.

What is a number is for ``phonenumbers`` to say (the extra ``campaigns``), and it must be *valid*, not merely possible:
of the right length, with an area code or prefix that has been given out. Numbers that are reserved for fiction
(555-0100 to 555-0199 with any area code) are valid, and so are the examples of Pidj's document. New area codes are
given out every year, and an old ``phonenumbers`` refuses them: keep it up to date.

The library takes some 40 microseconds to read and judge a number, and 15 more for its time zones. Its answers about
North America never depend on a number's last four digits, so it is asked once for each area code and exchange, and
every other number in a common spelling takes about one. Tests hold the two ways against each other.
"""

from __future__ import annotations

import re
import threading
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pidj_async._fields import PhoneNumberKind
from pidj_async.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

__all__ = ["check_region", "normalize", "zones_of"]

_PHONE: Final = PhoneNumberKind()
_NORTH_AMERICAN: Final = re.compile(
    r"(?P<plus>\+?)(?P<one>1[-. ]?)?"
    r"\(?(?P<area>[2-9][0-9]{2})\)?[-. ]?(?P<exchange>[2-9][0-9]{2})[-. ]?(?P<rest>[0-9]{4})"
)
_E164_NORTH_AMERICAN: Final = re.compile(r"\+1([2-9][0-9]{2}[2-9][0-9]{2})[0-9]{4}")
# One number and nothing else. phonenumbers finds a number in any text, and drops a letter that stands for a digit.
_WRITTEN: Final = re.compile(r"(?:tel:)?[+\uff0b]?[\d\s().\-/\u2010-\u2015\u00a0\u00ad\u200b\u2060]*")
_EXTENSION: Final = re.compile(r"(?i)\d\s*[,;]?\s*(?:ext|extn|extension|x|#|~)\.?\s*[:.]?\s*\d+\s*#?$")
_QUANTITY: Final = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+|[0-9]{7,}[.,]0+")


class _NorthAmerica:
    """What phonenumbers says of each area code and exchange, kept in less than a megabyte for all 640,000."""

    _FIRST: Final = 200_200

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._which = bytearray(1_000_000 - self._FIRST)  # where in `_answers`; 0 if nobody has asked yet
        self._answers: list[tuple[bool, tuple[str, ...]]] = [(False, ())]

    def ask(self, area_and_exchange: str, number: str) -> tuple[bool, tuple[str, ...]]:
        """Whether a number is valid, and its time zones."""
        place = int(area_and_exchange) - self._FIRST
        if which := self._which[place]:
            return self._answers[which]
        parsed = _library().parse(number)
        zones = {*_ask_zones(parsed), *_zones_of_area(area_and_exchange[:3])}
        answer = (_library().is_valid_number(parsed), tuple(sorted(zones)))
        with self._lock:
            if answer not in self._answers[1:]:
                self._answers.append(answer)
            which = self._answers.index(answer, 1)
            if which < 256:  # there are about 60
                self._which[place] = which
        return answer


@cache
def _north_america() -> _NorthAmerica:
    return _NorthAmerica()


@cache
def _library() -> Any:
    try:
        import phonenumbers  # noqa: PLC0415  an extra; and it takes 15 ms

        import_module("phonenumbers.timezone")  # which has tzdata too
    except ImportError:
        msg = "phone numbers are read by phonenumbers, which is not installed; install pidj-async[campaigns]"
        raise ConfigurationError(msg) from None
    return phonenumbers


@cache
def _is_north_american(region: str | None) -> bool:
    return region is not None and bool(_library().country_code_for_region(region) == 1)


def check_region(region: str | None) -> str | None:
    """Make sure that a region is one whose numbers can be read.

    Args:
        region: An ISO 3166-1 alpha-2 code in capital letters, or ``None``.

    Raises:
        InvalidRequestError: It is not.
        ConfigurationError: The extra ``campaigns`` is not installed.
    """
    if region is not None and region not in _library().SUPPORTED_REGIONS:
        name, problem = "region", "must be the two capital letters of a country (ISO 3166-1 alpha-2) with phone numbers"
        raise InvalidRequestError(name, problem, value=repr(region)[:20])
    return region


def normalize(text: str, region: str | None = "US") -> str:
    """Make E.164 of a phone number as people write it.

    Args:
        text: One number: with spaces, brackets, dots, hyphens; with a plus and country code, or without.
        region: Where a number without a country code is from, an ISO 3166-1 alpha-2 code. ``None`` takes nothing but
            numbers that are in E.164 already.

    Returns:
        The number in E.164. It is valid as far as ``phonenumbers`` knows.

    Raises:
        InvalidRequestError: It is no number, or not a valid one. The message says why and masks it.
        ConfigurationError: The extra ``campaigns`` is not installed.
    """
    text = text.strip()
    if region is None and text:
        _PHONE.check("phone_number", text)
    if (found := _NORTH_AMERICAN.fullmatch(text)) and (found["one"] if found["plus"] else _is_north_american(region)):
        number = f"+1{found['area']}{found['exchange']}{found['rest']}"
        if _north_america().ask(found["area"] + found["exchange"], number)[0]:
            return number
    return _ask_normal(text, region)


def _ask_normal(text: str, region: str | None) -> str:
    """Have phonenumbers read a number, and say what is wrong if it cannot."""
    library = _library()
    if problem := _problem_of_spelling(text):
        raise InvalidRequestError("phone_number", problem, value=_PHONE.show(text) if text else None)
    try:
        parsed = library.parse(text, region)
    except library.NumberParseException as error:
        problem = _UNREADABLE.get(error.error_type, "is no phone number")
        raise InvalidRequestError("phone_number", problem, value=_PHONE.show(text)) from None
    if library.is_valid_number(parsed):
        number: str = library.format_number(parsed, library.PhoneNumberFormat.E164)
        return number
    reason = library.is_possible_number_with_reason(parsed)
    problem = _IMPOSSIBLE.get(reason, "does not exist: no number of its country begins like that")
    raise InvalidRequestError("phone_number", problem, value=_PHONE.show(text))


def _problem_of_spelling(text: str) -> str | None:
    if not text:
        return "is missing"
    if _QUANTITY.fullmatch(text):
        return "was taken for a quantity by a spreadsheet; make the column text there, and export it again"
    if _WRITTEN.fullmatch(text):
        return None
    if _EXTENSION.search(text):
        return "has an extension, which cannot be texted"
    return "must hold one number and nothing else"


# By phonenumbers' own numbers: they are not enumerations that could be imported without it.
_UNREADABLE: Final = {
    0: "has no country code that exists",
    2: "is too short",
    3: "is too short",
    4: "is too long",
}
_IMPOSSIBLE: Final = {
    1: "has no country code that exists",
    2: "is too short",
    3: "is too long",
    4: "has no area code",
    5: "has a length that no number of its country has",
}


def zones_of(phone_number: str) -> tuple[str, ...]:
    """Name the time zones that a number may be in, by what ``phonenumbers`` knows of its prefix.

    A North American number has all the zones of its area code: the library knows where some exchanges are and takes the
    others for the area's largest place, but mobile numbers have exchanges from anywhere in it. A number that is bound
    to no place at all has the zones of its country; a North American toll-free one, those of the whole numbering plan.

    Args:
        phone_number: E.164.

    Returns:
        IANA time zones, sorted; none if nothing is known.

    Raises:
        ConfigurationError: The extra ``campaigns`` is not installed.
    """
    if found := _E164_NORTH_AMERICAN.fullmatch(phone_number):
        return _north_america().ask(found[1], phone_number)[1]
    return _zones_elsewhere(phone_number)


@lru_cache(maxsize=4_096)
def _zones_elsewhere(phone_number: str) -> tuple[str, ...]:
    library = _library()
    try:
        return _ask_zones(library.parse(phone_number))
    except library.NumberParseException:
        return ()


@cache
def _zones_of_area(code: str) -> frozenset[str]:
    data = _library().tzdata.TIMEZONE_DATA
    return frozenset(zone for prefix, zones in data.items() if prefix.startswith(f"1{code}") for zone in zones)


def _ask_zones(number: PhoneNumber) -> tuple[str, ...]:
    """What phonenumbers says itself."""
    timezone = _library().timezone
    zones = timezone.time_zones_for_number(number)
    if timezone.UNKNOWN_TIMEZONE in zones:  # not valid, or of no place; the prefix may still say the country
        zones = timezone.time_zones_for_geographical_number(number)
    return tuple(sorted(set(zones) - {timezone.UNKNOWN_TIMEZONE}))
