"""What Pidj's webhooks say, as frozen values.

Three rules hold for every class here:

1. **Both spellings.** The webhooks call an id ``uuid`` and a number ``phone`` where the API calls them ``id`` and
   ``phone_number``. Here they are always ``.id`` and ``.phone_number``, whichever was on the wire. The wire's names
   stand beside each attribute, the webhooks' own spelling first.
2. **Nothing is refused for its shape.** A field that is missing, null or of a type that cannot be read is ``None``
   (``()`` for tags).
3. **Nothing is lost.** A field without a name here, or one whose value could not be read, is in ``.extra`` of the
   object it belongs to, under the wire's name and as it was; the whole decoded body is in ``Event.raw``.

A repr masks phone numbers and messages and leaves `raw` out, so that an event can be logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from pidj_async._masking import mask_phone_number, mask_phone_numbers_in, mask_text, shorten

if TYPE_CHECKING:
    from pidj_async.models import TextSent
    from pidj_async.webhooks.replies import SendsTexts

__all__ = [
    "EVENT_TYPES",
    "ConsentGiven",
    "Contact",
    "ContactCreated",
    "ContactDeleted",
    "ContactEvent",
    "ContactRestored",
    "ContactUpdated",
    "Event",
    "Group",
    "InferredEvent",
    "Interaction",
    "InteractionClosed",
    "OptedIn",
    "OptedOut",
    "Text",
    "TextReceived",
    "UnknownEvent",
]

WIRE: Final = "pidj_wire_names"
"""The key under which an attribute's metadata holds its spellings on the wire. An attribute without it is not read."""

KIND: Final = "pidj_kind"
"""The key under which an attribute's metadata holds what it is read as: ``str``, ``tuple`` or one of these classes."""


def show_name(value: object) -> str:
    """Show what somebody else has chosen freely, short enough and safe for a log."""
    return mask_phone_numbers_in(shorten(value))


def _show_phone_number(value: object) -> str:
    return shorten(mask_phone_number(value))


def _show_extra(value: Mapping[str, Any]) -> str:
    # The names tell what is new; the values may be anybody's data.
    return f"<{show_name(', '.join(map(str, value)))[1:-1]}>"


class _Value:
    """A repr that shows what there is, and not the many fields that are not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(self))  # type: ignore[arg-type, misc, unused-ignore]
        shown = []
        for field in fields:
            value = getattr(self, field.name)
            if field.repr is not False and value and value != field.default:
                shown.append(f"{field.name}={field.repr(value) if callable(field.repr) else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _nested(kind: type, *wire_names: str) -> Mapping[str, Any]:
    return {WIRE: wire_names, KIND: kind}


# These say how an attribute is read (by `parsing`) and shown. They return ``Any`` because that is how a field
# specifier has to look to a type checker: the declared type is the one beside the attribute's name.
def _text(*wire_names: str) -> Any:
    return attrs.field(default=None, repr=show_name, metadata={WIRE: wire_names, KIND: str})


def _phone(*wire_names: str) -> Any:
    return attrs.field(default=None, repr=_show_phone_number, metadata={WIRE: wire_names, KIND: str})


def _private(*wire_names: str) -> Any:
    return attrs.field(default=None, repr=mask_text, metadata={WIRE: wire_names, KIND: str})


def _tags(*wire_names: str) -> Any:
    return attrs.field(default=(), repr=show_name, converter=tuple, metadata={WIRE: wire_names, KIND: tuple})


def _extra() -> Any:
    # Left out of the hash (a dict has none), so that events and their parts can be put in sets.
    return attrs.field(factory=dict, repr=_show_extra, hash=False)


@attrs.frozen(kw_only=True, repr=False)
class Contact(_Value):
    """A contact, as a webhook shows it. The same fields as the API's contact, in the webhooks' spelling.

    Attributes:
        id: The contact's id (``co:…``); on the wire ``uuid``.
        phone_number: E.164; on the wire ``phone``.
        phone_office: E.164.
        phone_fax: E.164.
        timezone: An IANA name such as ``America/Denver``.
        tags: In the order received.
        external_id: The id that your own system gave the contact.
        extra: The fields that have no name here, or could not be read.
    """

    id: str | None = _text("uuid", "id")
    phone_number: str | None = _phone("phone", "phone_number")
    first_name: str | None = _text("first_name")
    last_name: str | None = _text("last_name")
    business_name: str | None = _text("business_name")
    display_name: str | None = _text("display_name")
    email_address: str | None = _private("email_address")
    phone_office: str | None = _phone("phone_office")
    phone_fax: str | None = _phone("phone_fax")
    timezone: str | None = _text("timezone")
    tags: tuple[str, ...] = _tags("tags")
    external_id: str | None = _text("external_id")
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(kw_only=True, repr=False)
class Group(_Value):
    """A group: one of the account's numbers and whoever answers it.

    Attributes:
        id: The group's id (``gr:…``); on the wire ``uuid``.
        name: What the group is called in Pidj.
        phone_number: The group's own number, E.164; on the wire ``phone``.
        extra: The fields that have no name here, or could not be read.
    """

    id: str | None = _text("uuid", "id", "group_id")
    name: str | None = _text("name")
    phone_number: str | None = _phone("phone", "phone_number")
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(kw_only=True, repr=False)
class Text(_Value):
    """A text message.

    Attributes:
        message: What was written. ``None`` if nothing readable came.
        phone_to: The number that was texted, E.164.
        phone_from: The number that texted, E.164.
        group: The group that was texted.
        contact: The sender, or ``None`` when Pidj knows no contact with that number.
        extra: The fields that have no name here, or could not be read.
    """

    message: str | None = _private("message")
    phone_to: str | None = _phone("phone_to")
    phone_from: str | None = _phone("phone_from")
    group: Group | None = attrs.field(default=None, metadata=_nested(Group, "group"))
    contact: Contact | None = attrs.field(default=None, metadata=_nested(Contact, "contact"))
    extra: Mapping[str, Any] = _extra()


@attrs.frozen(kw_only=True, repr=False)
class Interaction(_Value):
    """A conversation ("task" in the API). **Inferred**: the vendor's document shows no interaction.

    Attributes:
        id: The interaction's id (probably ``ci:…``).
        group: The group it belongs to, if it says.
        contact: Whom it was with, if it says.
        extra: Everything else.
    """

    id: str | None = _text("uuid", "id")
    group: Group | None = attrs.field(default=None, metadata=_nested(Group, "group"))
    contact: Contact | None = attrs.field(default=None, metadata=_nested(Contact, "contact"))
    extra: Mapping[str, Any] = _extra()


class _Parsed(_Value):
    """Decodes the body when `Event.raw` is first asked for: few handlers ever do.

    `_documented` makes events whose ``raw`` is not set, and which keep the body instead.
    """

    __slots__ = ("_body",)

    _body: bytes | str  # JSON in UTF-8 without a byte order mark, and without numbers: nothing in it has to be refused

    if not TYPE_CHECKING:  # or else a type checker would let every misspelled attribute pass

        def __getattr__(self, name: str) -> Any:
            # Python comes here only for what is not there, a slot not yet set included. Two threads may both decode:
            # each gets an equal dict, and one of the two is kept.
            if name != "raw":
                msg = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(msg, name=name, obj=self)
            raw = json.loads(self._body)
            object.__setattr__(self, "raw", raw)
            return raw


@attrs.frozen(kw_only=True, repr=False)
class Event(_Parsed):
    """Something that happened at Pidj. Register a handler for this class to see every event.

    Attributes:
        name: The event's name on the wire, such as ``"text-received"``.
        raw: The decoded body as received: plain dicts and lists, safe to hand to ``json.dumps``. It belongs to the
            event; treat it as read-only. Empty on an event that was not parsed from a body. Two events are equal when
            their fields are, whatever their `raw`.
        extra: The body's fields that have no name here, or could not be read.
    """

    name: str = attrs.field(repr=show_name)
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    extra: Mapping[str, Any] = _extra()

    @property
    def phone_number(self) -> str | None:
        """The number of the person whom the event is about, E.164, if it names one. Never one of your own numbers."""
        return None


@attrs.frozen(kw_only=True, repr=False)
class UnknownEvent(Event):
    """An event that this version has no class for. Its fields are all in `extra`."""


@attrs.frozen(kw_only=True, repr=False)
class ContactEvent(Event):
    """Something happened to a contact. Register a handler for this class to see all four.

    Attributes:
        contact: The contact. The vendor promises one; ``None`` if none came that could be read.
    """

    contact: Contact | None = attrs.field(default=None, metadata=_nested(Contact, "contact"))

    @property
    def phone_number(self) -> str | None:
        """The contact's number, E.164."""
        return None if self.contact is None else self.contact.phone_number


@attrs.frozen(kw_only=True, repr=False)
class ContactCreated(ContactEvent):
    """A contact was created."""

    name: Literal["contact-created"] = "contact-created"


@attrs.frozen(kw_only=True, repr=False)
class ContactUpdated(ContactEvent):
    """A contact was changed. The body holds the contact as it now is; what it was before is not said."""

    name: Literal["contact-updated"] = "contact-updated"


@attrs.frozen(kw_only=True, repr=False)
class ContactDeleted(ContactEvent):
    """A contact was deleted."""

    name: Literal["contact-deleted"] = "contact-deleted"


@attrs.frozen(kw_only=True, repr=False)
class ContactRestored(ContactEvent):
    """A deleted contact was brought back."""

    name: Literal["contact-restored"] = "contact-restored"


@attrs.frozen(kw_only=True, repr=False)
class TextReceived(Event):
    """Somebody texted one of the account's numbers.

    Attributes:
        text: The text. The vendor promises one; ``None`` if none came that could be read.
    """

    name: Literal["text-received"] = "text-received"
    text: Text | None = attrs.field(default=None, metadata=_nested(Text, "text"))

    @property
    def message(self) -> str:
        """What was written; ``""`` if nothing readable came, so that ``event.message.lower()`` always works."""
        return "" if self.text is None or self.text.message is None else self.text.message

    @property
    def phone_from(self) -> str | None:
        """The number that texted, E.164."""
        return None if self.text is None else self.text.phone_from

    @property
    def phone_to(self) -> str | None:
        """The number that was texted, E.164."""
        return None if self.text is None else self.text.phone_to

    @property
    def group(self) -> Group | None:
        """The group that was texted."""
        return None if self.text is None else self.text.group

    @property
    def contact(self) -> Contact | None:
        """The sender, or ``None`` when Pidj knows no contact with that number."""
        return None if self.text is None else self.text.contact

    @property
    def phone_number(self) -> str | None:
        """The number that texted: `phone_from`, else the contact's."""
        return self.phone_from or (None if self.contact is None else self.contact.phone_number)

    async def reply(self, text: str, sender: SendsTexts) -> TextSent:
        """Answer from the group that was texted; ``await event.reply("Hi", pidj)``.

        A handler that has a parameter annotated `pidj_async.webhooks.replies.Reply` needs no client at hand.

        Args:
            text: What to say, at most 1,600 characters.
            sender: A `pidj_async.client.Pidj`, or whatever else has a ``messages.send`` like it.

        Returns:
            What ``messages.send`` returned.

        Raises:
            ReplyToOptOutError: The text was a stop word. Nothing was sent.
            InvalidRequestError: The event does not say whom to answer or from which number, or the client refuses
                `text`. Nothing was sent.
            PidjError: Whatever else ``messages.send`` raises.
        """
        from pidj_async.webhooks.replies import send_reply  # noqa: PLC0415  # whoever only reads events sends nothing

        return await send_reply(self, text, sender)


@attrs.frozen(kw_only=True, repr=False)
class InferredEvent(Event):
    """An event whose body the vendor does not document: **its shape is inferred**.

    Each attribute is there if the body had it, in whatever combination; everything else is in `extra`. A receiver
    counts what it sees there (``receiver.shapes``).

    Attributes:
        contact: The contact.
        group: The group.
        interaction: The interaction.
        text: The text.
        phone: A number that stood by itself in the body. For the person's number whatever the shape, see
            `phone_number`.
    """

    contact: Contact | None = attrs.field(default=None, metadata=_nested(Contact, "contact"))
    group: Group | None = attrs.field(default=None, metadata=_nested(Group, "group"))
    interaction: Interaction | None = attrs.field(default=None, metadata=_nested(Interaction, "interaction"))
    text: Text | None = attrs.field(default=None, metadata=_nested(Text, "text"))
    phone: str | None = _phone("phone", "phone_number")

    @property
    def phone_number(self) -> str | None:
        """The person's number, E.164: the contact's, else the text's sender, else the bare one.

        Should none of them be there, a contact inside the text or the interaction will do.
        """
        text, interaction = self.text, self.interaction
        return (
            _number_of(self.contact)
            or (text.phone_from if text is not None else None)
            or self.phone
            or _number_of(text.contact if text is not None else None)
            or _number_of(interaction.contact if interaction is not None else None)
        )


def _number_of(contact: Contact | None) -> str | None:
    return None if contact is None else contact.phone_number


@attrs.frozen(kw_only=True, repr=False)
class InteractionClosed(InferredEvent):
    """A conversation was closed. **The shape is inferred**: see `InferredEvent`."""

    name: Literal["interaction-closed"] = "interaction-closed"


@attrs.frozen(kw_only=True, repr=False)
class ConsentGiven(InferredEvent):
    """Somebody agreed to be texted. **The shape is inferred**: see `InferredEvent`."""

    name: Literal["consent-given"] = "consent-given"


@attrs.frozen(kw_only=True, repr=False)
class OptedOut(InferredEvent):
    """Somebody does not want to be texted any more. **The shape is inferred**: see `InferredEvent`."""

    name: Literal["opt-out"] = "opt-out"


@attrs.frozen(kw_only=True, repr=False)
class OptedIn(InferredEvent):
    """Somebody who had opted out wants to be texted again. **The shape is inferred**: see `InferredEvent`."""

    name: Literal["opt-in"] = "opt-in"


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    "contact-created": ContactCreated,
    "contact-updated": ContactUpdated,
    "contact-deleted": ContactDeleted,
    "contact-restored": ContactRestored,
    "text-received": TextReceived,
    "interaction-closed": InteractionClosed,
    "consent-given": ConsentGiven,
    "opt-out": OptedOut,
    "opt-in": OptedIn,
}
"""The nine events' names on the wire, in the order of the vendor's document. Any other name is an `UnknownEvent`."""
