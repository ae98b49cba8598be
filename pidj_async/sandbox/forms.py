"""Reading a form the way Pidj does, by the fields of the table's row.

The rules, each from the vendor's document unless it says otherwise:

1. Parameters come as ``application/x-www-form-urlencoded``; other bodies are refused (415, ours).
2. An omitted field says nothing. A blank one removes the value in a PUT; in a POST it is as if omitted (ours).
3. ``text_body`` and ``topic`` are cut off; a state or country that is none is discarded; HTML in a topic is not shown.
4. Anything else of the wrong form is refused (400): the document only says "must".
5. Fields that the row does not have are ignored, and of a field given twice the last counts, as PHP does (ours).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from pidj_async._endpoint import Endpoint
from pidj_async._fields import (
    CountryKind,
    CuttableTextKind,
    FieldInfo,
    Kind,
    ListKind,
    PhoneNumberKind,
    StateKind,
    TopicKind,
    UrlKind,
    fields_of,
)
from pidj_async.errors import InvalidRequestError
from pidj_async.sandbox.replies import Refusal, malformed

__all__ = ["parse_form", "read_fields", "read_path"]

FORM: Final = "application/x-www-form-urlencoded"

_MAX_FIELDS = 200
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_DISCARDED: Final = object()


def parse_form(content_type: str, body: bytes) -> dict[str, str]:
    """Take a request's body apart.

    Args:
        content_type: The header's value; may be empty if the body is.
        body: The body.

    Raises:
        Refusal: If it is no form, or not encoded as one.
    """
    if content_type.partition(";")[0].strip().lower() != FORM and (body or content_type):
        raise Refusal(415, "error", f"Parameters must be passed as {FORM}.")
    if not body:
        return {}
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        )
    except ValueError:  # UnicodeDecodeError is one; so is what parse_qsl raises for too many fields
        message = "The form is not properly encoded."
        raise malformed(message) from None


def read_fields(row: Endpoint[Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Check a form's fields by their kinds.

    Args:
        row: The table's row.
        form: The names and values as they came.

    Returns:
        What was given: text, a tuple for lists, or ``None`` for a value to remove.

    Raises:
        Refusal: If a field is missing, contradicts another, or has the wrong form.
    """
    given: dict[str, Any] = {}
    for field in row.form_fields:
        raw = form.get(field.name)
        if raw is None:
            continue
        if not raw or raw.isspace():
            if row.method == "PUT":
                _hold_clearable(field)
                given[field.name] = None
            continue
        value = _read(field.name, field.kind, raw)
        if value is not _DISCARDED:
            given[field.name] = value
    if missing := [field.name for field in row.form_fields if field.required and field.name not in given]:
        message = f"Missing: {', '.join(missing)}."
        raise malformed(message)
    for one, other in row.request.exactly_one_of:
        if (one in given) == (other in given):
            message = f"Give exactly one of {one} and {other}."
            raise malformed(message)
    return given


def read_path(row: Endpoint[Any], values: Mapping[str, str]) -> dict[str, str]:
    """Check what stands in the path. An id of the wrong kind is simply the id of nothing.

    Args:
        row: The table's row.
        values: The path's values, decoded.

    Raises:
        Refusal: If a phone number is not in E.164; commonly its plus was not encoded.
    """
    for field in fields_of(row.request):
        if field.name in values and isinstance(field.kind, PhoneNumberKind):
            _read(field.name, field.kind, values[field.name])
    return dict(values)


def _hold_clearable(field: FieldInfo) -> None:
    if not field.clearable:
        message = f"{field.name} cannot be blank."
        raise malformed(message)


def _read(name: str, kind: Kind, raw: str) -> Any:
    try:
        if isinstance(kind, CuttableTextKind):
            return (_TAG.sub("", raw) if isinstance(kind, TopicKind) else raw)[: kind.max_length]
        if isinstance(kind, ListKind):
            parts = tuple(part.strip() for part in raw.split("|") if part.strip())
            return kind.check(name, parts) if parts else _DISCARDED
        if isinstance(kind, UrlKind):
            return kind.check(name, base64.b64decode(raw, validate=True).decode())
        return kind.check(name, raw)
    except (binascii.Error, UnicodeDecodeError):
        message = f"{name} must be Base64 encoded."
        raise malformed(message) from None
    except InvalidRequestError as error:
        if isinstance(kind, (StateKind, CountryKind)):
            return _DISCARDED
        message = f"{name} {error.problem}."
        raise malformed(message) from None
