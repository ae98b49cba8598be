"""What a campaign is made with, and must be run with to its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

import attrs

from pidj_async._fields import MAX_TEXT_BODY, CuttableTextKind, IdKind, PhoneNumberKind
from pidj_async._masking import mask_phone_number, mask_text, shorten
from pidj_async.campaigns.hours import Hours
from pidj_async.campaigns.numbers import check_region
from pidj_async.campaigns.template import Template
from pidj_async.errors import ConfigurationError, InvalidRequestError

__all__ = ["CampaignSettings", "check_text"]

_TEXT: Final = CuttableTextKind(MAX_TEXT_BODY)
_GROUP: Final = IdKind("gr:", "group")
_PHONE: Final = PhoneNumberKind()


def check_text(text: str) -> str:
    """Make sure that Pidj takes a text as it is, and that every database can hold it.

    Args:
        text: As it is to be sent, merge fields filled in.

    Raises:
        InvalidRequestError: It is blank, too long, or has characters that cannot be sent.
    """
    _TEXT.check("text", text)
    if len(text) > MAX_TEXT_BODY:
        problem = f"is {len(text):,} characters long, and Pidj cuts it off at {MAX_TEXT_BODY:,}"
        raise InvalidRequestError("text", problem)
    if "\0" in text:
        problem = "contains a NUL character"
        raise InvalidRequestError("text", problem)
    return text


def _hours(value: Hours | str) -> Hours:
    if isinstance(value, Hours):
        return value
    if not isinstance(value, str):
        raise InvalidRequestError("hours", "must be a str", value=shorten(value))
    return Hours.parse(value)


def _moment(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        problem = "must be a date and a time with a time zone, such as 2026-12-24T18:00-07:00"
        raise InvalidRequestError("ends_at", problem, value=shorten(value)) from None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        problem = "must have a time zone, such as 2026-12-24T18:00-07:00: whose clock is meant?"
        raise InvalidRequestError("ends_at", problem, value=str(moment)[:40])
    return moment.astimezone(UTC)


def _rate(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InvalidRequestError("rate", "must be more than 0 texts a second, or None", value=shorten(value))
    return float(value)


def _whole(least: int) -> Any:
    def validate(_: object, attribute: attrs.Attribute[int], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidRequestError(attribute.name, f"must be a whole number from {least} on", value=shorten(value))

    return validate


def _show_number(value: str | None) -> str:
    return "None" if value is None else mask_phone_number(value)


@attrs.frozen(kw_only=True)
class CampaignSettings:
    """What a campaign is made with.

    Attributes:
        text: What to send; `pidj_async.campaigns.template` has the rules for merge fields.
        group_id: The group to text from (``gr:…``); this or `from_number`.
        from_number: The number to text from, E.164.
        hours: When people may be texted, in their own time. Text is read by `Hours.parse`.
        ends_at: After this nobody is texted any more; UTC. It must be given with a time zone, as a `datetime` or in
            ISO 8601.
        region: Where numbers without a country code are from, ISO 3166-1 alpha-2; ``None`` takes E.164 only.
        rate: Texts a second, at most; ``None`` for as many as Pidj takes.
        concurrency: How many texts may be under way at a time; in a crash so many can be in doubt.
        check_consent: Ask Pidj before each text whether the contact has consented to be texted by the group.
        max_in_doubt: How many texts of one run may be in doubt before the campaign pauses itself.

    Raises:
        InvalidRequestError: A value that cannot be; it names the field.
    """

    text: str = attrs.field(repr=mask_text)
    group_id: str | None = None
    from_number: str | None = attrs.field(default=None, repr=_show_number)
    hours: Hours = attrs.field(default=Hours(8 * 60, 21 * 60), converter=_hours)
    ends_at: datetime | None = attrs.field(default=None, converter=_moment)
    region: str | None = "US"
    rate: float | None = attrs.field(default=None, converter=_rate)
    concurrency: int = attrs.field(default=100, validator=_whole(1))
    check_consent: bool = False
    max_in_doubt: int = attrs.field(default=100, validator=_whole(0))

    def __attrs_post_init__(self) -> None:
        if (self.group_id is None) == (self.from_number is None):
            given = "neither" if self.group_id is None else "both"
            raise InvalidRequestError("group_id", f"give exactly one of group_id and from_number; got {given}")
        if self.group_id is not None:
            _GROUP.check("group_id", self.group_id)
        if self.from_number is not None:
            _PHONE.check("from_number", self.from_number)
        if not isinstance(self.check_consent, bool):
            raise InvalidRequestError("check_consent", "must be True or False", value=shorten(self.check_consent))
        if self.check_consent and self.group_id is None:
            problem = "needs a group_id: people consent to be texted by a group"
            raise InvalidRequestError("check_consent", problem)
        check_region(self.region)
        _TEXT.check("text", self.text)
        template = Template(self.text)
        if not template.has_fields:
            check_text(template.render({}))

    def to_json(self) -> dict[str, object]:
        """Return the settings as JSON values. Equal settings give equal values."""
        values = attrs.asdict(self, recurse=False)
        values["hours"] = str(self.hours)
        values["ends_at"] = None if self.ends_at is None else self.ends_at.isoformat()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read settings that `to_json` has made.

        Args:
            values: JSON values by name. What is missing has its default.

        Raises:
            ConfigurationError: There is a setting that this version does not know.
            InvalidRequestError: A value that cannot be.
        """
        if unknown := sorted(values.keys() - {field.name for field in attrs.fields(cls)}):
            msg = (
                f"the campaign has settings that this version does not know ({', '.join(unknown)}); upgrade pidj-async"
            )
            raise ConfigurationError(msg)
        return cls(**values)
