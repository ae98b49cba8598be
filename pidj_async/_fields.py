"""The kinds of field a request is made of.

A request class says what a field *is* in its annotation (``to_number: PhoneNumber``); the kind behind the name checks
the value, writes it for the wire, and knows how it may be shown. Type checkers see the plain type (``str``).

The rules, each from the vendor's document (API version 2020) unless it says otherwise:

1. A field that Pidj would silently discard or cut is refused here, before any I/O.
2. A blank is refused: Pidj reads it as "remove the value", and we have a word for that (``None``).
3. A value that cannot be written as UTF-8 is refused (ours: a lone surrogate has no form on the wire).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin
from urllib.parse import urlsplit

import attrs

from pidj_async._masking import mask_phone_number, mask_phone_numbers_in, mask_text, shorten
from pidj_async._unset import UNSET
from pidj_async.errors import InvalidRequestError

__all__ = [
    "AbsoluteUrl",
    "Channel",
    "City",
    "ContactId",
    "Country",
    "EmailAddress",
    "FieldInfo",
    "GroupId",
    "GroupReference",
    "GroupReferences",
    "MessageBody",
    "Password",
    "PhoneNumber",
    "PostalCode",
    "Request",
    "Role",
    "Roles",
    "SeriesId",
    "State",
    "Street",
    "SurveyId",
    "TaskTopic",
    "Text",
    "TimeZone",
    "UserId",
    "fields_of",
    "request",
]

R = TypeVar("R")
C = TypeVar("C")

MAX_TEXT_BODY = 1_600
MAX_TOPIC = 3_200
MAX_ADDRESS_LINE = 200

Role = Literal["admin", "manager", "agent"]
"""What a user may do. The vendor assigns only these three through the API."""

_USER_INFO = re.compile(r"//.*@")
E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_TAG = re.compile(r"<((?:[/!?]?[A-Za-z]|!--)[A-Za-z]*)[^<>]*>")  # "a < b" is none: HTML allows no space there
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
_ZIP = re.compile(r"[0-9]{5}(?:-[0-9]{4})?\Z")
_CANADIAN = re.compile(r"[A-Za-z][0-9][A-Za-z][ -]?[0-9][A-Za-z][0-9]\Z")
_BRITISH = re.compile(r"(?:[A-Za-z]{1,2}[0-9][A-Za-z0-9]? ?[0-9][A-Za-z]{2}|GIR ?0AA)\Z")
_AUSTRALIAN = re.compile(r"[0-9]{4}\Z")

# USPS publication 28, appendix B: the states, the district, the territories, the freely associated states and the
# military "states". ISO 3166-2 lacks the last three, so no library for countries has the whole list.
_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR "
    "PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI UM FM MH PW AA AE AP".split()
)


class Kind:
    """What a field is: how it is checked, written and shown."""

    #: What the command line and the reference call it.
    label: ClassVar[str] = "text"
    secret: ClassVar[bool] = False
    #: Somebody's number or words: masked wherever it is not asked for.
    private: ClassVar[bool] = False
    #: Says of a str that it is fine as it is, quicker than `check`, which decides about what this doubts.
    is_surely_right: Callable[[str], object] | None = None
    #: The value is an array on our side and one joined string on the wire.
    multiple: ClassVar[bool] = False

    def check(self, name: str, value: Any) -> Any:
        """Return the value to keep, or raise `InvalidRequestError`."""
        if not isinstance(value, str):
            msg = "must be a str"
            raise InvalidRequestError(name, msg, value=self.show(value))
        if not value or value.isspace():
            msg = "must not be blank (None clears a field in an update; leave it out to keep it as it is)"
            raise InvalidRequestError(name, msg, value=self.show(value))
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                msg = "contains a lone surrogate, which has no form in UTF-8"
                raise InvalidRequestError(name, msg, value=self.show(value)) from None
        # A member of a `class Role(str, Enum)` is a str, but str() of it is "Role.ADMIN", and that would go out.
        return value if type(value) is str else str.__str__(value)

    def encode(self, value: Any) -> str:
        """Write a checked value for the wire."""
        text: str = value
        return text

    def show(self, value: Any) -> str:
        """The value as messages and reprs may show it."""
        # A number lands in the wrong argument easily, so it is masked wherever it is.
        if isinstance(value, str):
            return shorten(mask_phone_numbers_in(value))
        return mask_phone_numbers_in(shorten(value))


class TextKind(Kind):
    """Any text, with a greatest length in characters if there is one."""

    def __init__(self, max_length: int | None = None) -> None:
        self.max_length = max_length

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if self.max_length is not None and len(value) > self.max_length:
            msg = f"is {len(value)} characters long, Pidj takes at most {self.max_length}"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class CuttableTextKind(Kind):
    """Text that Pidj would cut off; `Request` decides about its length, because the caller may ask to truncate."""

    private = True

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def show(self, value: Any) -> str:
        return mask_text(value)


class TopicKind(CuttableTextKind):
    """A task's description: HTML is not allowed and would not be displayed."""

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if tag := _TAG.search(value):
            # Only the tag's name: what else is in it may be anybody's data.
            msg = f"must not contain HTML, which Pidj does not display; found a <{tag[1][:12]}> tag"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class PhoneNumberKind(Kind):
    """E.164: a plus, the country code, the number; 15 digits at most (ITU-T E.164, section 6)."""

    label = "E.164"
    private = True
    is_surely_right = E164.match  # which answers every other question, too

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if not E164.match(value):
            msg = "must be in E.164 format: a plus, the country code and the number, such as +18885552222"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value

    def show(self, value: Any) -> str:
        if not isinstance(value, str):
            return super().show(value)
        return shorten(mask_phone_number(value))


class IdKind(Kind):
    """An id that carries its kind as a prefix; the rest is opaque and case-sensitive."""

    label = "id"

    def __init__(self, prefix: str, noun: str) -> None:
        self.prefix = prefix
        self.noun = noun
        self.is_surely_right = re.compile(rf"{re.escape(prefix)}[!-~]+").fullmatch

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if not value.startswith(self.prefix) or len(value) == len(self.prefix):
            msg = f"must be the id of a {self.noun}, which begins with {self.prefix!r}"
            raise InvalidRequestError(name, msg, value=self.show(value))
        if not value.isprintable() or " " in value:
            msg = "must not contain spaces or control characters"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class EmailKind(Kind):
    """Checked only loosely: something, one @, something."""

    label = "e-mail"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if not _EMAIL.match(value):
            msg = "must be an e-mail address"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


@cache
def _time_zones() -> frozenset[str]:
    import zoneinfo  # noqa: PLC0415  listing the zones reads the disk: only who names a zone pays

    # "localtime" and "Factory" are entries of the file system, not zones that anybody else knows.
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


class TimeZoneKind(Kind):
    """An IANA time zone, case-sensitive."""

    label = "time zone"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if value not in _time_zones():
            msg = "must be an IANA time zone, case-sensitive, such as America/Denver"
            folded = value.casefold().replace(" ", "_")
            if meant := next((zone for zone in _time_zones() if zone.casefold() == folded), None):
                msg += f" (did you mean {meant}?)"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class StateKind(Kind):
    """A state's two letters; Pidj silently discards anything else."""

    label = "state"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if value not in _STATES:
            msg = "must be the two capital letters of a US state or territory; Pidj discards anything else"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class PostalCodeKind(Kind):
    """A ZIP of 5 digits or ZIP+4 (10 characters), or a British, Canadian or Australian code."""

    label = "postal code"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if not any(pattern.match(value) for pattern in (_ZIP, _CANADIAN, _BRITISH, _AUSTRALIAN)):
            msg = "must be a ZIP code (12345 or 12345-6789) or a British, Canadian or Australian postal code"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


@cache
def _countries() -> frozenset[str]:
    import iso3166  # noqa: PLC0415  only who names a country pays for the list

    return frozenset(iso3166.countries_by_alpha2) | frozenset(iso3166.countries_by_alpha3)


class CountryKind(Kind):
    """ISO 3166-1 alpha-2 or alpha-3; Pidj silently discards anything else."""

    label = "country"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if value not in _countries():
            msg = "must be an ISO 3166-1 code of two or three capital letters; Pidj discards anything else"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class UrlKind(Kind):
    """An absolute http(s) URL, sent Base64-encoded."""

    label = "URL"

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and value.isprintable()
        except ValueError:
            good = False
        if not good or " " in value:
            msg = "must be an absolute http or https URL"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value

    def encode(self, value: Any) -> str:
        text: str = value
        return base64.b64encode(text.encode()).decode()

    def show(self, value: Any) -> str:
        # A return address often carries a session of its own behind its path, or a password before its host.
        if not isinstance(value, str):
            return f"<{type(value).__name__}>"
        return super().show(_USER_INFO.sub("//", re.split(r"[?#]", value, maxsplit=1)[0]))


class SecretKind(Kind):
    """A password: never shown."""

    label = "secret"
    secret = True

    def show(self, value: Any) -> str:
        return "[secret]" if isinstance(value, str) else f"[secret {type(value).__name__}]"


class ChoiceKind(Kind):
    """One of a few words."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def check(self, name: str, value: Any) -> Any:
        value = super().check(name, value)
        if value not in self.choices:
            msg = f"must be one of {', '.join(map(repr, self.choices))}"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


class ListKind(Kind):
    """Several values, joined with ``|`` on the wire."""

    multiple = True

    def __init__(self, item: Kind) -> None:
        self.item = item
        self.label = item.label  # type: ignore[misc]  # a list is named by what it holds

    def check(self, name: str, value: Any) -> Any:
        # A str is an iterable of str too: "admin" would become five roles.
        # And a mapping is an iterable of its keys: {"admin": False} would become one.
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            msg = "must be a list of values, not one value"
            raise InvalidRequestError(name, msg, value=self.show(value))
        values = tuple(self.item.check(name, one) for one in value)
        if not values:
            msg = "must not be empty (None clears a field in an update; leave it out to keep it as it is)"
            raise InvalidRequestError(name, msg, value=self.show(value))
        if joined := next((one for one in values if "|" in one), None):
            msg = "must not contain '|', which separates values on the wire"
            raise InvalidRequestError(name, msg, value=self.item.show(joined))
        return values

    def show(self, value: Any) -> str:
        if not isinstance(value, (tuple, list)):
            return super().show(value)
        shown = [self.item.show(one) for one in value[:5]]
        return f"({', '.join([*shown, '…'] if len(value) > 5 else shown)})"

    def encode(self, value: Any) -> str:
        return "|".join(self.item.encode(one) for one in value)


class FlagKind(Kind):
    """A wish addressed to this package; never on the wire."""

    label = "flag"

    def check(self, name: str, value: Any) -> Any:
        if not isinstance(value, bool):
            msg = "must be True or False"
            raise InvalidRequestError(name, msg, value=self.show(value))
        return value


_GROUP = TextKind()

Text = Annotated[str, TextKind()]
Street = Annotated[str, TextKind(MAX_ADDRESS_LINE)]
City = Annotated[str, TextKind(MAX_ADDRESS_LINE)]
MessageBody = Annotated[str, CuttableTextKind(MAX_TEXT_BODY)]
TaskTopic = Annotated[str, TopicKind(MAX_TOPIC)]
PhoneNumber = Annotated[str, PhoneNumberKind()]
EmailAddress = Annotated[str, EmailKind()]
TimeZone = Annotated[str, TimeZoneKind()]
State = Annotated[str, StateKind()]
PostalCode = Annotated[str, PostalCodeKind()]
Country = Annotated[str, CountryKind()]
AbsoluteUrl = Annotated[str, UrlKind()]
Password = Annotated[str, SecretKind()]
Channel = Annotated[Literal["ticket"], ChoiceKind("ticket")]
Roles = Annotated[Sequence[Role], ListKind(ChoiceKind("admin", "manager", "agent"))]
GroupReference = Annotated[str, _GROUP]
GroupReferences = Annotated[Sequence[str], ListKind(_GROUP)]
ContactId = Annotated[str, IdKind("co:", "contact")]
UserId = Annotated[str, IdKind("us:", "user")]
GroupId = Annotated[str, IdKind("gr:", "group")]
SeriesId = Annotated[str, IdKind("ts:", "series")]
SurveyId = Annotated[str, IdKind("sv:", "survey")]
Truncate = Annotated[bool, FlagKind()]


@attrs.frozen
class FieldInfo:
    """A field of a request, as the wire, the command line and the reference see it."""

    name: str
    kind: Kind
    required: bool
    clearable: bool
    on_wire: bool


def _kind_of(annotation: Any) -> Kind:
    """Find the kind in ``Annotated[str, kind]`` or in a union that has it as a member."""
    if get_origin(annotation) is Annotated:
        return next(extra for extra in annotation.__metadata__ if isinstance(extra, Kind))
    if get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            if get_origin(member) is Annotated:
                return _kind_of(member)
    msg = f"{annotation!r} names no kind of field"
    raise TypeError(msg)


def _never(_: str) -> bool:
    return False


def _checker(name: str, kind: Kind, *, default: object, clearable: bool) -> Callable[[Any], Any]:
    check, is_surely_right = kind.check, kind.is_surely_right or _never

    def convert(value: Any) -> Any:
        if type(value) is str:  # nearly always
            return value if is_surely_right(value) else check(name, value)
        if value is default:
            return value
        if value is None and clearable:
            return value
        if value is None or value is UNSET:
            required = default is attrs.NOTHING
            msg = "is required" if required else "cannot be cleared; leave it out to keep it as it is"
            raise InvalidRequestError(name, msg, value=repr(value))
        return check(name, value)

    return convert


def _attach_kinds(_cls: type, attributes: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Give every attribute the check of its kind (an attrs ``field_transformer``)."""
    attached = []
    for attribute in attributes:
        kind = _kind_of(attribute.type)
        required = attribute.default is attrs.NOTHING
        clearable = type(None) in get_args(attribute.type)
        info = FieldInfo(attribute.name, kind, required, clearable, not isinstance(kind, FlagKind))
        shown: Any = False if kind.secret else kind.show
        attached.append(
            attribute.evolve(
                converter=_checker(attribute.name, kind, default=attribute.default, clearable=clearable),
                repr=shown and _shower(kind),
                metadata={FieldInfo: info},
            )
        )
    return attached


def _shower(kind: Kind) -> Callable[[Any], str]:
    return lambda value: repr(value) if value is None or value is UNSET else kind.show(value)


class Request(Generic[R]):
    """A call as a value: compare it, queue it, store it, and have the client `execute` it.

    Its type parameter is what the call returns.
    """

    __slots__ = ()

    #: Pairs of fields of which exactly one must be given.
    exactly_one_of: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __attrs_post_init__(self) -> None:
        for one, other in self.exactly_one_of:
            given = getattr(self, one) is not UNSET
            if given is (getattr(self, other) is not UNSET):
                msg = f"give exactly one of {one} and {other}; got {'both' if given else 'neither'}"
                raise InvalidRequestError(one, msg)

    def _hold_length(self, name: str, max_length: int, *, truncate: bool) -> None:
        value = getattr(self, name)
        if value is UNSET or len(value) <= max_length:
            return
        if not truncate:
            msg = (
                f"is {len(value):,} characters long and Pidj cuts it off at {max_length:,}; "
                f"shorten it, or pass truncate=True to send the first {max_length:,}"
            )
            raise InvalidRequestError(name, msg, value=mask_text(value))
        kept = value[:max_length]
        if kept.isspace():
            msg = f"is blank in its first {max_length:,} characters"
            raise InvalidRequestError(name, msg, value=mask_text(value))
        object.__setattr__(self, name, kept)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attrs.field,))
def request(cls: type[C]) -> type[C]:
    """Make a request class: frozen, keyword-only, every field checked by its kind."""
    made: type[C] = attrs.frozen(cls, kw_only=True, field_transformer=_attach_kinds)
    return made


def fields_of(cls: type[Request[Any]]) -> tuple[FieldInfo, ...]:
    """The fields of a request class, in the order of its constructor."""
    any_class: Any = cls  # mypy doubts that a class can be hashed
    return _fields_of(any_class)


@cache
def _fields_of(cls: type[Any]) -> tuple[FieldInfo, ...]:
    return tuple(attribute.metadata[FieldInfo] for attribute in attrs.fields(cls))
