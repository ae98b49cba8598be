"""The sandbox's world: what exists in the account and what happens to it. Pure: no I/O, no locks, no waiting.

A method either does what it says and emits the events that Pidj would, or raises `Refusal` and changes nothing.

Where the vendor's document is silent, this is what the sandbox does; do not take it for a promise of Pidj's:

1. **Creating a contact whose number is on record** answers 200 with the id of the contact that has it. (The document
   says only that nothing will be done.) A number can belong to one contact only, so an update that would give it to a
   second one is refused.
2. **An opt-out holds for the whole account**, and whatever would text that number is refused, so that a test notices:
   texts, consent requests, surveys and series.
3. **Texting a number that is no contact** creates none, nor does a survey. (Subscribing to a series does: documented.)
4. **Consent is not enforced** when texting. Only the question for it is: it is asked once for each contact and group.
5. **A user name stays taken** when its user is deleted, because the user may be recovered. Pausing, unpausing and
   recovering twice is the same as once.
6. **STOP and START count once**: who has opted out already raises no second event. Every incoming text also raises
   ``text-received``. The keywords are the CTIA's and their usual synonyms; one must be all of the message, in any case.
7. **An update that changes nothing** raises no event.
8. **A series may be sent from any group** with a number, whichever groups it lists.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from pidj_async.sandbox.payloads import (
    contact_in_webhook,
    group_in_webhook,
    interaction_in_webhook,
    text_in_webhook,
)
from pidj_async.sandbox.postal import place_of
from pidj_async.sandbox.records import SentText, TextKind
from pidj_async.sandbox.replies import Refusal, not_found, refused
from pidj_async.sandbox.seed import ACCOUNT_TIMEZONE, GROUPS, SERIES, SURVEYS, ConsentSetting, Group, Series, Survey

__all__ = [
    "HELP_WORDS",
    "START_WORDS",
    "STOP_WORDS",
    "Contact",
    "Emit",
    "State",
    "Subscription",
    "Task",
    "User",
]

Emit = Callable[[dict[str, Any]], None]
"""Takes a webhook's body."""

STOP_WORDS: Final = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
"""A text of one of these words opts its sender out."""

START_WORDS: Final = frozenset({"START", "UNSTOP", "YES"})
"""A text of one of these words takes the opt-out back."""

HELP_WORDS: Final = frozenset({"HELP"})
"""A text of one of these words is answered."""

SSO_SECONDS: Final = 60.0
"""How long a sign-on URL works."""

_ADDRESSES: Final = ("home", "business")


@attrs.define
class Contact:
    """A contact. `values` holds every field that is not blank, by its name in the API; addresses too."""

    id: str
    values: dict[str, str] = attrs.field(repr=False)
    group_id: str | None = None


@attrs.define
class User:
    """A user. The password is not kept: nothing ever needs it."""

    id: str
    username: str
    values: dict[str, str] = attrs.field(repr=False)
    roles: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    paused: bool = False
    deleted: bool = False


@attrs.define
class Task:
    """A task."""

    id: str
    channel: str
    group_id: str | None
    values: dict[str, str] = attrs.field(repr=False)
    closed: bool = False


@attrs.frozen
class Subscription:
    """A contact's subscription to a series."""

    series_id: str
    contact_id: str
    group_id: str
    timezone: str


@attrs.frozen
class _SignOn:
    user_id: str
    next: str | None = attrs.field(repr=False)
    expires_at: float


class State:
    """One account.

    Args:
        emit: Called with the body of each webhook, in the order of what happened.
        site: What sign-on URLs begin with.
        clock: Seconds that never go backwards.
    """

    def __init__(
        self,
        emit: Emit = lambda _: None,
        *,
        site: str = "https://gopidj.com",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self.site = site
        self.groups: dict[str, Group] = {group.id: group for group in GROUPS}
        self.series: dict[str, Series] = {series.id: series for series in SERIES}
        self.surveys: dict[str, Survey] = {survey.id: survey for survey in SURVEYS}
        self.contacts: dict[str, Contact] = {}
        self.users: dict[str, User] = {}
        self.tasks: dict[str, Task] = {}
        self.texts: list[SentText] = []
        self.subscriptions: list[Subscription] = []
        self.opt_outs: dict[str, None] = {}  # in the order they came
        self._consents: dict[tuple[str, str], Literal["requested", "given"]] = {}
        self._deleted_contacts: dict[str, Contact] = {}
        self._id_by_phone: dict[str, str] = {}
        self._id_by_username: dict[str, str] = {}
        self._group_by_phone = {group.phone_number: group for group in GROUPS if group.phone_number}
        self._group_by_name = {group.name.casefold(): group for group in GROUPS}
        self._sign_ons: dict[str, _SignOn] = {}
        self._ids_given = 0

    # --------------------------------------------------------------------------------------------------------- texts

    def send_text(self, group: Group, to_number: str, text_body: str, kind: TextKind = "text") -> None:
        """Send a text from a group that `sending_group` has returned."""
        self._refuse_opted_out(to_number)
        self._record_text(group, to_number, text_body, kind)

    def sending_group(self, *, group_id: str | None = None, from_number: str | None = None) -> Group:
        """Find the group to send from, by its id or by its number.

        Raises:
            Refusal: If there is no such group, or it has no number.
        """
        if from_number is not None:
            by_phone = self._group_by_phone.get(from_number)
            if by_phone is None:
                message = "from_number is not an active number of one of your groups."
                raise refused(message)
            return by_phone
        group = self.groups.get(group_id or "")
        if group is None:
            noun = "Group"
            raise not_found(noun)
        if group.phone_number is None:
            message = "The group has no phone number; the message was not sent."
            raise refused(message)
        return group

    def _refuse_opted_out(self, phone_number: str) -> None:
        if phone_number in self.opt_outs:
            message = "The recipient has opted out."
            raise refused(message)

    def _record_text(self, group: Group, to_number: str, text_body: str, kind: TextKind) -> None:
        self.texts.append(
            SentText(
                from_number=group.phone_number or "",
                to_number=to_number,
                text_body=text_body,
                group_id=group.id,
                kind=kind,
            )
        )

    def receive_text(self, phone_from: str, message: str, group: Group) -> tuple[str, ...]:
        """Let a person text a group's number.

        Returns:
            The names of the events it raised.
        """
        contact = self.contact_by_phone(phone_from)
        text = text_in_webhook(message, phone_from, group, contact)
        about = {
            "contact": text["contact"],
            "group": text["group"],
        }
        raised = [self._raise("text-received", text=text)]
        word = message.strip().upper()
        if word in STOP_WORDS and phone_from not in self.opt_outs:
            self.opt_outs[phone_from] = None
            raised.append(self._raise("opt-out", **about, text=text))
        elif word in START_WORDS:
            asked = (contact.id, group.id) if contact is not None else ("", "")
            if word == "YES" and self._consents.get(asked) == "requested":
                self._consents[asked] = "given"
                raised.append(self._raise("consent-given", **about))
            if phone_from in self.opt_outs:
                del self.opt_outs[phone_from]
                raised.append(self._raise("opt-in", **about, text=text))
        elif word in HELP_WORDS:
            # The CTIA wants HELP answered whoever asks, also those who have opted out.
            body = f"{group.name}: reply STOP to get no more texts, START to get them again."
            self._record_text(group, phone_from, body, "auto-reply")
        return tuple(raised)

    def _raise(self, event: str, **body: Any) -> str:
        self._emit({"event": event, **body})
        return event

    # -------------------------------------------------------------------------------------------------------- groups

    def find_group(self, reference: str) -> Group:
        """Find a group by its id, case-sensitive, or by its full name, in any case.

        Raises:
            Refusal: If there is none.
        """
        group = self.groups.get(reference) or self._group_by_name.get(reference.casefold())
        if group is None:
            message = "There is no group of that name or id."
            raise refused(message)
        return group

    def group_by_number(self, phone_number: str) -> Group | None:
        """Find the group that has a number."""
        return self._group_by_phone.get(phone_number)

    # ------------------------------------------------------------------------------------------------------ contacts

    def contact(self, contact_id: str) -> Contact:
        """Find a contact.

        Raises:
            Refusal: If there is none.
        """
        contact = self.contacts.get(contact_id)
        if contact is None:
            noun = "Contact"
            raise not_found(noun)
        return contact

    def contact_by_phone(self, phone_number: str) -> Contact | None:
        """Find the contact that has a number."""
        contact_id = self._id_by_phone.get(phone_number)
        return None if contact_id is None else self.contacts[contact_id]

    def create_contact(self, given: Mapping[str, str | None]) -> tuple[Contact, bool]:
        """Create a contact, unless its number is on record.

        Returns:
            The contact that has the number, and whether it is new.
        """
        phone_number = given["phone_number"] or ""
        if existing := self.contact_by_phone(phone_number):
            return existing, False
        contact = Contact("", {"timezone": ACCOUNT_TIMEZONE})
        self._change_contact(contact, given)
        contact.id = self._new_id("co")
        self.contacts[contact.id] = contact
        self._id_by_phone[phone_number] = contact.id
        self._raise("contact-created", contact=contact_in_webhook(contact))
        return contact, True

    def update_contact(self, contact: Contact, given: Mapping[str, str | None]) -> None:
        """Change a contact's fields; ``None`` removes a value.

        Raises:
            Refusal: If the new number belongs to another contact, or the group does not exist.
        """
        old_number = contact.values.get("phone_number")
        new_number = given.get("phone_number", old_number)
        if new_number is not None and self._id_by_phone.get(new_number, contact.id) != contact.id:
            message = "Another contact has that phone number."
            raise refused(message)
        if not self._change_contact(contact, given):
            return
        if old_number is not None:
            del self._id_by_phone[old_number]
        if new_number is not None:
            self._id_by_phone[new_number] = contact.id
        self._raise("contact-updated", contact=contact_in_webhook(contact))

    def _change_contact(self, contact: Contact, given: Mapping[str, str | None]) -> bool:
        values = dict(contact.values)
        group_id = contact.group_id
        for name, value in given.items():
            if name == "group":
                group_id = None if value is None else self.find_group(value).id
            else:
                _put(values, name, value)
        for kind in _ADDRESSES:
            _fill_in_address(kind, values, given)
        if values == contact.values and group_id == contact.group_id:
            return False
        contact.values = values
        contact.group_id = group_id
        return True

    def delete_contact(self, contact: Contact) -> None:
        """Delete a contact. The API cannot bring it back; only `restore_contact` can, to raise the event for it."""
        del self.contacts[contact.id]
        if phone_number := contact.values.get("phone_number"):
            del self._id_by_phone[phone_number]
        self._deleted_contacts[contact.id] = contact
        self._raise("contact-deleted", contact=contact_in_webhook(contact))

    def restore_contact(self, contact_id: str) -> None:
        """Bring a deleted contact back, as somebody at Pidj might.

        Raises:
            Refusal: If there is no such deleted contact, or its number has been taken since.
        """
        contact = self._deleted_contacts.get(contact_id)
        if contact is None:
            noun = "Deleted contact"
            raise not_found(noun)
        phone_number = contact.values.get("phone_number")
        if phone_number in self._id_by_phone:
            message = "Another contact has that phone number."
            raise refused(message)
        del self._deleted_contacts[contact_id]
        self.contacts[contact_id] = contact
        if phone_number is not None:
            self._id_by_phone[phone_number] = contact_id
        self._raise("contact-restored", contact=contact_in_webhook(contact))

    # ------------------------------------------------------------------------------------------------------- consent

    def consent_not_needed(self, contact: Contact, group: Group) -> str | None:
        """Why a contact need not be asked for consent; ``None`` if they must be."""
        if group.consent is ConsentSetting.NOT_SET_UP:
            return "Consent is not set up for this group."
        if group.consent is ConsentSetting.EXEMPT:
            return "This group is exempt from consent."
        consent = self._consents.get((contact.id, group.id))
        return None if consent is None else f"Consent already {consent}."

    def send_consent_text(self, contact: Contact, group: Group) -> None:
        """Ask a contact for consent, if it is due.

        Raises:
            Refusal: If it is not, or if they cannot be texted.
        """
        if reason := self.consent_not_needed(contact, group):
            raise refused(reason)
        group = self.sending_group(group_id=group.id)
        body = f"{group.name} would like to text you. Reply YES to agree, STOP to decline."
        self.send_text(group, self._number_of(contact), body, "consent")
        self._consents[contact.id, group.id] = "requested"

    def _number_of(self, contact: Contact) -> str:
        phone_number = contact.values.get("phone_number")
        if phone_number is None:
            message = "The contact has no phone number."
            raise refused(message)
        return phone_number

    # ------------------------------------------------------------------------------------------------ series, surveys

    def subscribe(
        self, series_id: str, group: Group, timezone: str, *, contact_id: str | None, to_number: str | None
    ) -> None:
        """Subscribe somebody to a series; a number that is no contact yet becomes one.

        Raises:
            Refusal: If there is no such series or contact, or if they have opted out.
        """
        if series_id not in self.series:
            noun = "Series"
            raise not_found(noun)
        phone_number = self._recipient(contact_id, to_number)
        self._refuse_opted_out(phone_number)
        contact, _ = self.create_contact({"phone_number": phone_number})
        self.subscriptions.append(Subscription(series_id, contact.id, group.id, timezone))

    def initiate_survey(self, survey_id: str, group: Group, *, contact_id: str | None, to_number: str | None) -> None:
        """Send a survey's introduction and its first question.

        Raises:
            Refusal: If there is no such survey or contact, or if they have opted out.
        """
        survey = self.surveys.get(survey_id)
        if survey is None:
            noun = "Survey"
            raise not_found(noun)
        phone_number = self._recipient(contact_id, to_number)
        self.send_text(group, phone_number, survey.introduction, "survey")
        self.send_text(group, phone_number, survey.first_question, "survey")

    def _recipient(self, contact_id: str | None, to_number: str | None) -> str:
        if contact_id is not None:
            return self._number_of(self.contact(contact_id))
        return to_number or ""

    # --------------------------------------------------------------------------------------------------------- tasks

    def initiate_task(self, channel: str, group_id: str | None, values: Mapping[str, str]) -> Task:
        """Create a task.

        Raises:
            Refusal: If there is no such group.
        """
        if group_id is not None and group_id not in self.groups:
            noun = "Group"
            raise not_found(noun)
        task = Task(self._new_id("ci"), channel, group_id, dict(values))
        self.tasks[task.id] = task
        return task

    def close_task(self, task_id: str) -> None:
        """Close a task, as a user would.

        Raises:
            Refusal: If there is no such task, or it is closed.
        """
        task = self.tasks.get(task_id)
        if task is None:
            noun = "Task"
            raise not_found(noun)
        if task.closed:
            message = "The task is closed already."
            raise refused(message)
        task.closed = True
        contact = self.contact_by_phone(task.values.get("phone_number", ""))
        self._raise(
            "interaction-closed",
            interaction=interaction_in_webhook(task),
            contact=None if contact is None else contact_in_webhook(contact),
            group=None if task.group_id is None else group_in_webhook(self.groups[task.group_id]),
        )

    # --------------------------------------------------------------------------------------------------------- users

    def user(self, user_id: str, *, even_deleted: bool = False) -> User:
        """Find a user.

        Raises:
            Refusal: If there is none, or it is deleted.
        """
        user = self.users.get(user_id)
        if user is None or (user.deleted and not even_deleted):
            noun = "User"
            raise not_found(noun)
        return user

    def user_by_external_id(self, external_id: str) -> User:
        """Find a user by the id of another system. Of several, the first.

        Raises:
            Refusal: If there is none.
        """
        for user in self.users.values():
            if user.values.get("external_id") == external_id and not user.deleted:
                return user
        noun = "User"
        raise not_found(noun)

    def create_user(self, username: str, given: Mapping[str, Any]) -> User:
        """Create a user.

        Raises:
            Refusal: If the name is taken, or a group does not exist.
        """
        if username in self._id_by_username:
            message = "That username is already taken."
            # "Duplicate usernames will result in an error": the document's word, hence not "failure".
            raise Refusal(422, "error", message)
        user = User("", username, {"timezone": ACCOUNT_TIMEZONE})
        self.update_user(user, given)
        user.id = self._new_id("us")
        self.users[user.id] = user
        self._id_by_username[username] = user.id
        return user

    def update_user(self, user: User, given: Mapping[str, Any]) -> None:
        """Change a user's fields; ``None`` removes a value.

        Raises:
            Refusal: If a group does not exist.
        """
        references: Iterable[str] = given.get("groups") or ()
        group_ids = tuple(dict.fromkeys(self.find_group(reference).id for reference in references))
        for name, value in given.items():
            if name == "roles":
                user.roles = tuple(dict.fromkeys(value or ()))
            elif name == "groups":
                user.group_ids = group_ids
            else:
                _put(user.values, name, value)

    def create_sign_on_url(self, user: User, next_url: str | None) -> str:
        """Make a URL that signs a user in."""
        now = self._clock()
        while self._sign_ons and next(iter(self._sign_ons.values())).expires_at <= now:
            del self._sign_ons[next(iter(self._sign_ons))]
        token = secrets.token_urlsafe(24)
        self._sign_ons[token] = _SignOn(user.id, next_url, now + SSO_SECONDS)
        return f"{self.site}/sso/{token}"

    def sign_on(self, token: str) -> tuple[User, str | None]:
        """Say whom a sign-on URL signs in, and where the browser goes next.

        Raises:
            Refusal: If it is not known, or its time is over.
        """
        found = self._sign_ons.get(token)
        if found is None or found.expires_at <= self._clock():
            noun = "Sign-on"
            raise not_found(noun)
        return self.user(found.user_id), found.next

    # ------------------------------------------------------------------------------------------------------- the rest

    def snapshot(self) -> dict[str, Any]:
        """Everything but the texts, as plain JSON values."""
        return {
            "groups": [
                {
                    "id": group.id,
                    "name": group.name,
                    "phone_number": group.phone_number,
                    "color": group.color,
                    "consent": group.consent.value,
                }
                for group in self.groups.values()
            ],
            "series": [attrs.asdict(series) for series in self.series.values()],
            "surveys": [attrs.asdict(survey) for survey in self.surveys.values()],
            "contacts": [_flat(contact) for contact in self.contacts.values()],
            "users": [_flat(user) for user in self.users.values()],
            "tasks": [_flat(task) for task in self.tasks.values()],
            "subscriptions": [attrs.asdict(subscription) for subscription in self.subscriptions],
            "consents": [
                {"contact_id": contact_id, "group_id": group_id, "consent": consent}
                for (contact_id, group_id), consent in self._consents.items()
            ],
            "opt_outs": list(self.opt_outs),
            "texts": len(self.texts),
        }

    def _new_id(self, prefix: str) -> str:
        # Counted and hashed, not drawn: two runs of the same test see the same ids.
        self._ids_given += 1
        return f"{prefix}:{uuid.uuid5(_NAMESPACE, str(self._ids_given))}"


_NAMESPACE = uuid.UUID("6f0a5b0e-5d0c-5a44-9a52-6f1f5f3c9b11")


def _put(values: dict[str, str], name: str, value: str | None) -> None:
    if value is not None:
        values[name] = value
    elif name == "timezone":  # there is always one: the account's, if no other
        values[name] = ACCOUNT_TIMEZONE
    else:
        values.pop(name, None)


def _fill_in_address(kind: str, values: dict[str, str], given: Mapping[str, str | None]) -> None:
    """Given a street and a postal code, look up the rest; what was given with them stays."""
    postal_code = given.get(f"{kind}_postal")
    if postal_code is None or given.get(f"{kind}_street_1") is None:
        return
    for part, found in place_of(postal_code)._asdict().items():
        if f"{kind}_{part}" not in given:
            _put(values, f"{kind}_{part}", found)


def _flat(thing: Contact | User | Task) -> dict[str, Any]:
    flat = attrs.asdict(thing, filter=lambda attribute, _: attribute.name != "values")
    return {**flat, **thing.values}
