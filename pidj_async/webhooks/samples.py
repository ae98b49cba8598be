"""A realistic body for each of Pidj's nine events, to be sent, changed and tested with.

Five of them follow the vendor's document. The bodies of ``interaction-closed``, ``consent-given``, ``opt-out`` and
``opt-in`` are **inferred**: the document does not show them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pidj_async._masking import shorten
from pidj_async.errors import InvalidRequestError
from pidj_async.webhooks.events import EVENT_TYPES

__all__ = ["sample"]

_CONTACT: dict[str, Any] = {
    "uuid": "co:5e1cf9c0-2d5b-5c1e-9a44-0d3f6b1f7a21",
    "first_name": "Maria",
    "last_name": "Alvarez",
    "business_name": "Alvarez Bakery",
    "display_name": "Maria Alvarez",
    "email_address": "maria@example.com",
    "phone": "+18885553333",
    "phone_office": "+18885554444",
    "phone_fax": None,
    "timezone": "America/Denver",
    "tags": ["Wholesale", "Spanish"],
    "external_id": "crm-1042",
}
_GROUP: dict[str, Any] = {
    "uuid": "gr:7c0a4f7e-6a0f-5b8e-8a5d-64e0f1c9b312",
    "name": "Front desk",
    "phone": "+18885552222",
}
_INTERACTION: dict[str, Any] = {"uuid": "ci:0b9f5a0c-31f4-5a53-b7a0-95d9a1c06e55", "channel": "text"}


def _text(message: str) -> dict[str, Any]:
    return {
        "message": message,
        "phone_to": _GROUP["phone"],
        "phone_from": _CONTACT["phone"],
        "group": _GROUP,
        "contact": _CONTACT,
    }


_BODIES: dict[str, dict[str, Any]] = {
    "contact-created": {"contact": _CONTACT},
    "contact-updated": {"contact": _CONTACT},
    "contact-deleted": {"contact": _CONTACT},
    "contact-restored": {"contact": _CONTACT},
    "text-received": {"text": _text("Do you still have rye bread on Saturday?")},
    "interaction-closed": {"interaction": _INTERACTION, "contact": _CONTACT, "group": _GROUP},
    "consent-given": {"contact": _CONTACT, "group": _GROUP},
    "opt-out": {"contact": _CONTACT, "group": _GROUP, "text": _text("STOP")},
    "opt-in": {"contact": _CONTACT, "group": _GROUP, "text": _text("START")},
}


def sample(name: str, /, **overrides: Any) -> dict[str, Any]:
    """Make the body of an event, as Pidj would post it once it is encoded as JSON.

    ::

        sample("text-received", text={"message": "STOP", "contact": None})

    Args:
        name: The event's name on the wire.
        overrides: Fields of the body, with the wire's names. An object is merged into the one that is there, level
            by level; anything else, ``None`` included, takes its place. New fields may be given as well.

    Returns:
        A new dict, yours to change.

    Raises:
        InvalidRequestError: Pidj has no event of that name.
    """
    if name not in _BODIES:
        field, problem = "name", f"must be one of {', '.join(EVENT_TYPES)}"
        raise InvalidRequestError(field, problem, value=shorten(name))
    # By way of JSON and not of `copy.deepcopy`, which would keep one contact in two places one and the same object.
    body: dict[str, Any] = json.loads(json.dumps(_BODIES[name]))
    return _merge({"event": name, **body}, overrides)


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for key, change in changes.items():
        current = base.get(key)
        if isinstance(current, dict) and isinstance(change, Mapping):
            _merge(current, change)
        else:
            base[key] = copy.deepcopy(change)
    return base
