"""Every call as a frozen value: the constructor of a class here *is* the signature of the method that sends it.

The rules of this module:

1. A field is what its annotation says; `pidj_async._fields` holds the kinds and their checks.
2. ``| Unset = UNSET`` marks a field that may be left out; ``| None`` one that an update can clear.
3. What the vendor calls ``{id}`` in a path is named after its kind here (``contact_id``), because an id of the wrong
   kind is the commonest mistake. That is the only renaming.
4. The ``Args`` of a docstring are the one place where an argument is explained: the methods' documentation, the
   command's help and the reference are made from it.

Every constructor raises `InvalidRequestError` for a value that Pidj would refuse, discard or cut off.
"""

# No `from __future__ import annotations` here: the annotations are read when the classes are made.

from typing import ClassVar

import attrs

from pidj_async._fields import (
    MAX_TEXT_BODY,
    MAX_TOPIC,
    AbsoluteUrl,
    Channel,
    City,
    ContactId,
    Country,
    EmailAddress,
    GroupId,
    GroupReference,
    GroupReferences,
    MessageBody,
    Password,
    PhoneNumber,
    PostalCode,
    Request,
    Roles,
    SeriesId,
    State,
    Street,
    SurveyId,
    TaskTopic,
    Text,
    TimeZone,
    Truncate,
    UserId,
    request,
)
from pidj_async._unset import UNSET, Unset
from pidj_async.models import (
    Confirmation,
    ConsentCheck,
    Contact,
    CreatedContact,
    CreatedTask,
    CreatedUser,
    Group,
    PauseState,
    Series,
    SsoUrl,
    Survey,
    TextSent,
    User,
)

__all__ = [
    "CheckAuthorization",
    "CheckConsent",
    "CreateContact",
    "CreateSsoUrl",
    "CreateUser",
    "DeleteContact",
    "DeleteUser",
    "GetContact",
    "GetContactByPhone",
    "GetUser",
    "InitiateSurvey",
    "InitiateTask",
    "ListContacts",
    "ListGroups",
    "ListSeries",
    "ListSurveys",
    "PauseUser",
    "RecoverUser",
    "SendConsentText",
    "SendText",
    "SubscribeToSeries",
    "UnpauseUser",
    "UpdateContact",
    "UpdateUser",
]


@request
class SendText(Request[TextSent]):
    """Send one text message from one of your groups.

    Give either `from_number` or `group_id`. Pidj answers as soon as it has taken the text; it reports no delivery.

    Args:
        to_number: Whom to text, in E.164.
        text_body: What to say, at most 1,600 characters. `pidj_async.sms.analyze` tells how many segments it takes.
        from_number: The number to send from, in E.164; it must belong to one of your groups.
        group_id: The group to send from (``gr:…``); it must have a phone number.
        truncate: Send the first 1,600 characters of a longer text instead of refusing it.
    """

    exactly_one_of: ClassVar = (("from_number", "group_id"),)

    to_number: PhoneNumber
    text_body: MessageBody
    from_number: PhoneNumber | Unset = UNSET
    group_id: GroupId | Unset = UNSET
    truncate: Truncate = False

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if len(self.text_body) > MAX_TEXT_BODY:
            self._hold_length("text_body", MAX_TEXT_BODY, truncate=self.truncate)


@request
class InitiateTask(Request[CreatedTask]):
    """Create a task and queue it for a group's users.

    Args:
        channel: The kind of interaction. Pidj knows only ``"ticket"`` today.
        group_id: The group to assign it to (``gr:…``). Recommended: it decides which users see the task.
        subject: A short summary, shown in the lists. Recommended.
        topic: The description, at most 3,200 characters and no HTML; URLs become links. Recommended.
        name: A name to show with it, also in reports.
        email_address: An e-mail address to show with it.
        phone_number: A phone number to show with it, in E.164.
        truncate: Send the first 3,200 characters of a longer topic instead of refusing it.
    """

    channel: Channel
    group_id: GroupId | Unset = UNSET
    subject: Text | Unset = UNSET
    topic: TaskTopic | Unset = UNSET
    name: Text | Unset = UNSET
    email_address: EmailAddress | Unset = UNSET
    phone_number: PhoneNumber | Unset = UNSET
    truncate: Truncate = False

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._hold_length("topic", MAX_TOPIC, truncate=self.truncate)


@request
class GetUser(Request[User]):
    """Fetch a user.

    Args:
        user_id: The user (``us:…``).
    """

    user_id: UserId = attrs.field(kw_only=False)


@request
class CreateUser(Request[CreatedUser]):
    """Create a user.

    A user name that is taken is refused, and nothing is created. Without a role the user cannot log in.

    Args:
        username: A unique name to log in with; an e-mail address will do.
        password: The password. It is never shown in a repr, a log or an error.
        phone_number: The user's number, in E.164.
        email_address: The user's e-mail address.
        first_name: First name.
        last_name: Last name.
        roles: Any of ``"admin"``, ``"manager"``, ``"agent"``.
        groups: The groups to give access to, each by its full name or its id (``gr:…``).
        timezone: An IANA time zone, case-sensitive. The account's if left out.
        external_id: The id of the user in your own system.
    """

    username: Text
    password: Password
    phone_number: PhoneNumber | Unset = UNSET
    email_address: EmailAddress | Unset = UNSET
    first_name: Text | Unset = UNSET
    last_name: Text | Unset = UNSET
    roles: Roles | Unset = UNSET
    groups: GroupReferences | Unset = UNSET
    timezone: TimeZone | Unset = UNSET
    external_id: Text | Unset = UNSET


@request
class UpdateUser(Request[Confirmation]):
    """Change some of a user's fields. ``None`` clears a field; a field that is left out stays as it is.

    Args:
        user_id: The user (``us:…``).
        password: A new password. It is never shown, and cannot be cleared.
        phone_number: The user's number, in E.164.
        email_address: The user's e-mail address.
        first_name: First name.
        last_name: Last name.
        roles: Any of ``"admin"``, ``"manager"``, ``"agent"``; they replace the present ones.
        groups: The groups to give access to, each by its full name or its id (``gr:…``).
        timezone: An IANA time zone, case-sensitive.
        external_id: The id of the user in your own system.
    """

    user_id: UserId = attrs.field(kw_only=False)
    password: Password | Unset = UNSET
    phone_number: PhoneNumber | None | Unset = UNSET
    email_address: EmailAddress | None | Unset = UNSET
    first_name: Text | None | Unset = UNSET
    last_name: Text | None | Unset = UNSET
    roles: Roles | None | Unset = UNSET
    groups: GroupReferences | None | Unset = UNSET
    timezone: TimeZone | None | Unset = UNSET
    external_id: Text | None | Unset = UNSET


@request
class DeleteUser(Request[Confirmation]):
    """Delete a user. `users.recover` brings it back.

    Args:
        user_id: The user (``us:…``).
    """

    user_id: UserId = attrs.field(kw_only=False)


@request
class RecoverUser(Request[Confirmation]):
    """Bring back a deleted user.

    Args:
        user_id: The user (``us:…``).
    """

    user_id: UserId = attrs.field(kw_only=False)


@request
class PauseUser(Request[PauseState]):
    """Stop new conversations from being assigned to a user; the active ones go on.

    Args:
        user_id: The user (``us:…``).
    """

    user_id: UserId = attrs.field(kw_only=False)


@request
class UnpauseUser(Request[PauseState]):
    """Let conversations be assigned to a paused user again.

    Args:
        user_id: The user (``us:…``).
    """

    user_id: UserId = attrs.field(kw_only=False)


@request
class CreateSsoUrl(Request[SsoUrl]):
    """Make a URL that signs a user in. It works for 60 seconds, for whoever has it: treat it as a secret.

    Give either `user_uuid` or `external_id`.

    Args:
        user_uuid: The user (``us:…``).
        external_id: The id of the user in your own system, as it is stored in Pidj.
        next: The absolute http(s) URL to go to after signing in. The page that was called, if left out.
    """

    exactly_one_of: ClassVar = (("user_uuid", "external_id"),)

    user_uuid: UserId | Unset = UNSET
    external_id: Text | Unset = UNSET
    next: AbsoluteUrl | Unset = UNSET


@request
class GetContact(Request[Contact]):
    """Fetch a contact.

    Args:
        contact_id: The contact (``co:…``).
    """

    contact_id: ContactId = attrs.field(kw_only=False)


@request
class GetContactByPhone(Request[Contact]):
    """Fetch the contact that has a phone number.

    Args:
        phone_number: The number, in E.164.
    """

    phone_number: PhoneNumber = attrs.field(kw_only=False)


@request
class CreateContact(Request[CreatedContact]):
    """Create a contact, unless its phone number is on record already: then nothing changes.

    Args:
        phone_number: The contact's number, in E.164.
        email_address: The contact's e-mail address.
        first_name: First name.
        last_name: Last name.
        business_name: The name of the contact's business.
        display_name: What to call the contact, if not by first and last name.
        group: The group to assign the contact to, by its full name or its id (``gr:…``).
        timezone: An IANA time zone, case-sensitive. The account's if left out.
        external_id: The id of the contact in your own system.
        home_street_1: Home address: street, at most 200 characters. With the postal code given too, Pidj looks
            up the rest.
        home_street_2: Home address: second line, at most 200 characters.
        home_city: Home address: city, at most 200 characters.
        home_state: Home address: the two letters of a US state or territory.
        home_postal: Home address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
        home_country: Home address: ISO 3166-1 alpha-2 or alpha-3 code.
        business_street_1: Business address: street, at most 200 characters. With the postal code given too, Pidj looks
            up the rest.
        business_street_2: Business address: second line, at most 200 characters.
        business_city: Business address: city, at most 200 characters.
        business_state: Business address: the two letters of a US state or territory.
        business_postal: Business address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
        business_country: Business address: ISO 3166-1 alpha-2 or alpha-3 code.
    """

    phone_number: PhoneNumber
    email_address: EmailAddress | Unset = UNSET
    first_name: Text | Unset = UNSET
    last_name: Text | Unset = UNSET
    business_name: Text | Unset = UNSET
    display_name: Text | Unset = UNSET
    group: GroupReference | Unset = UNSET
    timezone: TimeZone | Unset = UNSET
    external_id: Text | Unset = UNSET
    home_street_1: Street | Unset = UNSET
    home_street_2: Street | Unset = UNSET
    home_city: City | Unset = UNSET
    home_state: State | Unset = UNSET
    home_postal: PostalCode | Unset = UNSET
    home_country: Country | Unset = UNSET
    business_street_1: Street | Unset = UNSET
    business_street_2: Street | Unset = UNSET
    business_city: City | Unset = UNSET
    business_state: State | Unset = UNSET
    business_postal: PostalCode | Unset = UNSET
    business_country: Country | Unset = UNSET


@request
class UpdateContact(Request[Confirmation]):
    """Change some of a contact's fields. ``None`` clears a field; a field that is left out stays as it is.

    Args:
        contact_id: The contact (``co:…``).
        phone_number: The contact's number, in E.164.
        email_address: The contact's e-mail address.
        first_name: First name.
        last_name: Last name.
        business_name: The name of the contact's business.
        display_name: What to call the contact, if not by first and last name.
        group: The group to assign the contact to, by its full name or its id (``gr:…``).
        timezone: An IANA time zone, case-sensitive.
        home_street_1: Home address: street, at most 200 characters. With the postal code given too, Pidj looks
            up the rest.
        home_street_2: Home address: second line, at most 200 characters.
        home_city: Home address: city, at most 200 characters.
        home_state: Home address: the two letters of a US state or territory.
        home_postal: Home address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
        home_country: Home address: ISO 3166-1 alpha-2 or alpha-3 code.
        business_street_1: Business address: street, at most 200 characters. With the postal code given too, Pidj looks
            up the rest.
        business_street_2: Business address: second line, at most 200 characters.
        business_city: Business address: city, at most 200 characters.
        business_state: Business address: the two letters of a US state or territory.
        business_postal: Business address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
        business_country: Business address: ISO 3166-1 alpha-2 or alpha-3 code.
    """

    contact_id: ContactId = attrs.field(kw_only=False)
    phone_number: PhoneNumber | None | Unset = UNSET
    email_address: EmailAddress | None | Unset = UNSET
    first_name: Text | None | Unset = UNSET
    last_name: Text | None | Unset = UNSET
    business_name: Text | None | Unset = UNSET
    display_name: Text | None | Unset = UNSET
    group: GroupReference | None | Unset = UNSET
    timezone: TimeZone | None | Unset = UNSET
    home_street_1: Street | None | Unset = UNSET
    home_street_2: Street | None | Unset = UNSET
    home_city: City | None | Unset = UNSET
    home_state: State | None | Unset = UNSET
    home_postal: PostalCode | None | Unset = UNSET
    home_country: Country | None | Unset = UNSET
    business_street_1: Street | None | Unset = UNSET
    business_street_2: Street | None | Unset = UNSET
    business_city: City | None | Unset = UNSET
    business_state: State | None | Unset = UNSET
    business_postal: PostalCode | None | Unset = UNSET
    business_country: Country | None | Unset = UNSET


@request
class DeleteContact(Request[Confirmation]):
    """Delete a contact for good: contacts cannot be brought back.

    Args:
        contact_id: The contact (``co:…``).
    """

    contact_id: ContactId = attrs.field(kw_only=False)


@request
class SendConsentText(Request[Confirmation]):
    """Ask a contact by text for consent to be texted.

    Safe to call at any time: Pidj sends the question only when it is due, and refuses otherwise (consent is not set
    up, the group is exempt, the contact has been asked already).

    Args:
        contact_id: The contact (``co:…``).
        group_id: The group that wants to text (``gr:…``).
    """

    contact_id: ContactId = attrs.field(kw_only=False)
    group_id: GroupId = attrs.field(kw_only=False)


@request
class CheckConsent(Request[ConsentCheck]):
    """Tell whether a contact must still consent before a group may text them.

    Args:
        contact_id: The contact (``co:…``).
        group_id: The group that wants to text (``gr:…``).
    """

    contact_id: ContactId = attrs.field(kw_only=False)
    group_id: GroupId = attrs.field(kw_only=False)


@request
class ListContacts(Request[tuple[Contact, ...]]):
    """Fetch all active contacts. Pidj has no pages: the whole account comes in one reply."""


@request
class ListGroups(Request[tuple[Group, ...]]):
    """Fetch all active groups."""


@request
class SubscribeToSeries(Request[Confirmation]):
    """Subscribe a contact or a phone number to a series. It takes effect at once.

    Give either `contact_id` or `to_number`, and either `from_number` or `group_id`. A number that is no contact yet
    becomes one.

    Args:
        series_id: The series (``ts:…``).
        timezone: The IANA time zone in which the series' dates and times are reckoned, case-sensitive.
        contact_id: Whom to subscribe (``co:…``).
        to_number: Whom to subscribe, in E.164.
        from_number: The number to send from, in E.164; it must belong to one of your groups.
        group_id: The group to send from (``gr:…``); it must have a phone number.
    """

    exactly_one_of: ClassVar = (("contact_id", "to_number"), ("from_number", "group_id"))

    series_id: SeriesId = attrs.field(kw_only=False)
    timezone: TimeZone
    contact_id: ContactId | Unset = UNSET
    to_number: PhoneNumber | Unset = UNSET
    from_number: PhoneNumber | Unset = UNSET
    group_id: GroupId | Unset = UNSET


@request
class ListSeries(Request[tuple[Series, ...]]):
    """Fetch all active series."""


@request
class InitiateSurvey(Request[Confirmation]):
    """Send a survey's introduction and first question to a contact or a phone number, at once.

    Give either `contact_id` or `to_number`, and either `from_number` or `group_id`.

    Args:
        survey_id: The survey (``sv:…``).
        contact_id: Whom to ask (``co:…``).
        to_number: Whom to ask, in E.164.
        from_number: The number to send from, in E.164; it must belong to one of your groups.
        group_id: The group to send from (``gr:…``); it must have a phone number.
    """

    exactly_one_of: ClassVar = (("contact_id", "to_number"), ("from_number", "group_id"))

    survey_id: SurveyId = attrs.field(kw_only=False)
    contact_id: ContactId | Unset = UNSET
    to_number: PhoneNumber | Unset = UNSET
    from_number: PhoneNumber | Unset = UNSET
    group_id: GroupId | Unset = UNSET


@request
class ListSurveys(Request[tuple[Survey, ...]]):
    """Fetch all active surveys."""


@request
class CheckAuthorization(Request[Confirmation]):
    """Verify the account key and the token. Wrong ones raise `AuthenticationError`."""
