"""A good value for every field of every request, and requests made of them."""

from __future__ import annotations

from typing import Any

from pidj_async import requests
from pidj_async._fields import Request, fields_of

__all__ = ["PASSWORD", "PHONE", "REQUESTS", "complete", "minimal", "sample"]

PHONE = "+18885552222"
PASSWORD = "Tr0ub4dor&3"

REQUESTS: tuple[type[Request[Any]], ...] = tuple(getattr(requests, name) for name in requests.__all__)

_SAMPLES: dict[str, Any] = {
    "to_number": PHONE,
    "from_number": "+447911123456",
    "phone_number": PHONE,
    "text_body": "Your table is ready.",
    "truncate": True,
    "channel": "ticket",
    "subject": "Leak",
    "topic": "Water under the sink, see https://example.com/1",
    "name": "Jo Doe",
    "email_address": "jo@example.com",
    "username": "jo",
    "password": PASSWORD,
    "first_name": "Jo",
    "last_name": "Doe",
    "business_name": "Doe & Daughters",
    "display_name": "Jo D.",
    "roles": ("admin", "agent"),
    "groups": ("Sales", "gr:3f1c"),
    "group": "Sales",
    "timezone": "America/Denver",
    "external_id": "A-17",
    "next": "https://example.com/after?to=1",
    "user_id": "us:1a2b",
    "user_uuid": "us:1a2b",
    "contact_id": "co:5e6f",
    "group_id": "gr:3f1c",
    "series_id": "ts:7d8e",
    "survey_id": "sv:9c0b",
    "street_1": "1 Main Street",
    "street_2": "Floor 2",
    "city": "Denver",
    "state": "CO",
    "postal": "80202",
    "country": "US",
}


def sample(name: str) -> Any:
    """A value that the field takes."""
    return _SAMPLES[name.removeprefix("home_").removeprefix("business_") if name != "business_name" else name]


def _second_choices(cls: type[Request[Any]]) -> set[str]:
    return {second for _, second in cls.exactly_one_of}


def minimal(cls: type[Request[Any]], **changes: Any) -> Any:
    """The request with as few fields as it takes."""
    needed = {first for first, _ in cls.exactly_one_of}
    needed |= {field.name for field in fields_of(cls) if field.required}
    return cls(**{**{name: sample(name) for name in needed}, **changes})


def complete(cls: type[Request[Any]], **changes: Any) -> Any:
    """The request with as many fields as it takes: of two that exclude each other, the first."""
    names = {field.name for field in fields_of(cls)} - _second_choices(cls)
    return cls(**{**{name: sample(name) for name in names}, **changes})
