"""What calls return: frozen values, read tolerantly.

Pidj's document leaves much open, so a reply is read the way one would want it read. ``null`` and a missing field are
``None``; a number where text belongs becomes its digits; a value of any other type, and every field that has no name
here, stays reachable in ``extra`` under the name it had on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from pidj_async._masking import mask_phone_number, shorten_names

__all__ = [
    "Confirmation",
    "ConsentCheck",
    "Contact",
    "CreatedContact",
    "CreatedTask",
    "CreatedUser",
    "Group",
    "Model",
    "PauseState",
    "Series",
    "SsoUrl",
    "Survey",
    "TextSent",
    "User",
]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _phone(value: str | None) -> str:
    return repr(value if value is None else mask_phone_number(value))


def _extra_names(value: Mapping[str, Any]) -> str:
    # The names tell what is new; the values may be anybody's data.
    return f"<{shorten_names(sorted(value))}>" if value else "{}"


@attrs.frozen(kw_only=True)
class Model:
    """What every result has.

    Attributes:
        extra: Fields of the reply that have no name here, or whose type was not the promised one.
    """

    extra: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=_extra_names, hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view of a dict can be neither pickled nor copied deeply.
        values = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        return (_rebuild, (type(self), {**values, "extra": dict(self.extra)}))


def _rebuild(cls: type[Model], values: dict[str, Any]) -> Model:
    return cls(**{**values, "extra": MappingProxyType(values["extra"])})


@attrs.frozen(kw_only=True)
class Confirmation(Model):
    """The call succeeded, and there is nothing else to tell.

    Attributes:
        status: The envelope's status: ``"success"``, or a word that the vendor has added since.
        message: The vendor's words, if any.
    """

    status: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class TextSent(Model):
    """Pidj accepted the text. It reports nothing about delivery.

    Attributes:
        status: The envelope's status: ``"success"``, or a word that the vendor has added since.
        message: The vendor's words, upon success "Text sent."
    """

    status: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class CreatedTask(Model):
    """A task was created and queued.

    Attributes:
        id: Its id (``ci:…``).
    """

    id: str


@attrs.frozen(kw_only=True)
class CreatedUser(Model):
    """A user was created.

    Attributes:
        id: Its id (``us:…``).
        message: The vendor's words.
    """

    id: str
    message: str | None = None


@attrs.frozen(kw_only=True)
class CreatedContact(Model):
    """A contact was created, or its phone number was on record already and nothing changed.

    Attributes:
        id: Its id (``co:…``).
        message: The vendor's words.
    """

    id: str
    message: str | None = None


@attrs.frozen(kw_only=True)
class PauseState(Model):
    """Whether a user is paused now.

    Attributes:
        paused: ``True`` if the user gets no new conversations; ``None`` if the reply did not say.
        status: The envelope's status.
    """

    paused: bool | None = None
    status: str | None = None


@attrs.frozen(kw_only=True)
class SsoUrl(Model):
    """A signed-in session waiting to be opened. Whoever has the URL is the user: never log it.

    Attributes:
        url: Send the browser there within 60 seconds.
    """

    url: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ConsentCheck(Model):
    """Whether a contact must still consent before a group may text them.

    Attributes:
        needed: ``True`` if consent is set up for the group and the contact has not given it.
        message: Why it is not needed, if it is not.
    """

    needed: bool
    message: str | None = None


@attrs.frozen(kw_only=True)
class Contact(Model):
    """Somebody who can be texted.

    Attributes:
        id: Its id (``co:…``); the empty string if the reply had none.
        phone_number: In E.164.
        timezone: An IANA time zone.
    """

    id: str = ""
    first_name: str | None = None
    last_name: str | None = None
    business_name: str | None = None
    display_name: str | None = None
    email_address: str | None = None
    phone_number: str | None = attrs.field(default=None, repr=_phone)
    phone_office: str | None = attrs.field(default=None, repr=_phone)
    phone_fax: str | None = attrs.field(default=None, repr=_phone)
    timezone: str | None = None
    tags: tuple[str, ...] = ()
    external_id: str | None = None


@attrs.frozen(kw_only=True)
class User(Model):
    """Somebody who works in Pidj.

    The reply carries no id: it is the one that was asked for.

    Attributes:
        phone_number: In E.164.
        roles: ``admin``, ``manager``, ``agent``, or what the vendor has added since.
    """

    first_name: str | None = None
    last_name: str | None = None
    business_name: str | None = None
    display_name: str | None = None
    email_address: str | None = None
    phone_number: str | None = attrs.field(default=None, repr=_phone)
    tags: tuple[str, ...] = ()
    username: str | None = None
    roles: tuple[str, ...] = ()
    external_id: str | None = None


@attrs.frozen(kw_only=True)
class Group(Model):
    """A team with, usually, a phone number of its own.

    Attributes:
        group_id: Its id (``gr:…``); also reachable as ``id``.
        phone_number: The number its texts come from, in E.164; ``None`` if it cannot text.
        color: Hexadecimal, rgb, rgba or the name of a CSS colour.
    """

    group_id: str = ""
    name: str | None = None
    phone_number: str | None = attrs.field(default=None, repr=_phone)
    color: str | None = None

    @property
    def id(self) -> str:
        """The same as `group_id`."""
        return self.group_id


@attrs.frozen(kw_only=True)
class Series(Model):
    """Texts sent one after another on a schedule.

    Attributes:
        series_id: Its id (``ts:…``); also reachable as ``id``.
        groups: The ids of the groups it may send from.
    """

    series_id: str = ""
    name: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same as `series_id`."""
        return self.series_id


@attrs.frozen(kw_only=True)
class Survey(Model):
    """Questions asked by text.

    Attributes:
        survey_id: Its id (``sv:…``); also reachable as ``id``.
    """

    survey_id: str = ""
    name: str | None = None

    @property
    def id(self) -> str:
        """The same as `survey_id`."""
        return self.survey_id
