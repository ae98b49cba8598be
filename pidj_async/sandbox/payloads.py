"""How contacts, users, groups and texts look on the wire: in the API's replies, and in webhooks.

The two differ, as the vendor's document has it: a webhook says ``uuid`` and ``phone`` where the API says ``id`` and
``phone_number``, and its ``display_name`` is the whole name if the contact has no nickname. A text that is not there is
``""``; the office and fax numbers and the external id are ``null`` then, as in the vendor's samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pidj_async.sandbox.seed import Group, Series, Survey
    from pidj_async.sandbox.state import Contact, Task, User

__all__ = [
    "contact_in_api",
    "contact_in_webhook",
    "group_in_api",
    "group_in_webhook",
    "interaction_in_webhook",
    "series_in_api",
    "survey_in_api",
    "text_in_webhook",
    "user_in_api",
]


def contact_in_api(contact: Contact) -> dict[str, Any]:
    """A contact in a reply. The vendor's sample shows no addresses and no group, so neither does this."""
    get = contact.values.get
    return {
        "id": contact.id,
        "first_name": get("first_name", ""),
        "last_name": get("last_name", ""),
        "business_name": get("business_name", ""),
        "display_name": get("display_name", ""),
        "email_address": get("email_address", ""),
        "phone_number": get("phone_number", ""),
        "phone_office": None,
        "phone_fax": None,
        "timezone": get("timezone", ""),
        "tags": [],
        "external_id": get("external_id"),
    }


def contact_in_webhook(contact: Contact) -> dict[str, Any]:
    """A contact in a webhook."""
    shown = contact_in_api(contact)
    whole_name = f"{shown['first_name']} {shown['last_name']}".strip()
    return {
        "uuid": shown["id"],
        "first_name": shown["first_name"],
        "last_name": shown["last_name"],
        "business_name": shown["business_name"],
        "display_name": shown["display_name"] or whole_name,
        "email_address": shown["email_address"],
        "phone": shown["phone_number"],
        "phone_office": shown["phone_office"],
        "phone_fax": shown["phone_fax"],
        "timezone": shown["timezone"],
        "tags": shown["tags"],
        "external_id": shown["external_id"],
    }


def user_in_api(user: User) -> dict[str, Any]:
    """A user in a reply. It carries no id, and no time zone."""
    get = user.values.get
    return {
        "first_name": get("first_name", ""),
        "last_name": get("last_name", ""),
        "business_name": "",
        "display_name": "",
        "email_address": get("email_address", ""),
        "phone_number": get("phone_number", ""),
        "tags": [],
        "username": user.username,
        "roles": list(user.roles),
        "external_id": get("external_id", ""),
    }


def group_in_api(group: Group) -> dict[str, Any]:
    """A group in the list of groups."""
    return {
        "name": group.name,
        "group_id": group.id,
        "phone_number": group.phone_number,
        "color": group.color,
    }


def group_in_webhook(group: Group) -> dict[str, Any]:
    """A group in a webhook."""
    return {"uuid": group.id, "name": group.name, "phone": group.phone_number}


def series_in_api(series: Series) -> dict[str, Any]:
    """A series in the list of series."""
    return {"name": series.name, "series_id": series.id, "groups": list(series.group_ids)}


def survey_in_api(survey: Survey) -> dict[str, Any]:
    """A survey in the list of surveys."""
    return {"name": survey.name, "survey_id": survey.id}


def text_in_webhook(message: str, phone_from: str, group: Group, contact: Contact | None) -> dict[str, Any]:
    """A text in a webhook."""
    return {
        "message": message,
        "phone_to": group.phone_number,
        "phone_from": phone_from,
        "group": group_in_webhook(group),
        "contact": None if contact is None else contact_in_webhook(contact),
    }


def interaction_in_webhook(task: Task) -> dict[str, Any]:
    """A task in a webhook. **Inferred**: the vendor's document shows none."""
    return {"uuid": task.id, "channel": task.channel, "subject": task.values.get("subject", "")}
