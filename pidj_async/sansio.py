"""Requests and replies without I/O: pure functions over the rows of the table.

`build_request` says what to send, `parse_response` what a reply means. There is no clock, no network and no chance in
here, so the same inputs always give the same answer.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote_plus, urlsplit

import attrs

from pidj_async._drafts import draft_of
from pidj_async._endpoint import Endpoint
from pidj_async._fields import Request
from pidj_async._masking import REDACTED, mask_phone_numbers_in, redact, shorten, shorten_names
from pidj_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RefusedError,
    ResponseError,
    ServerError,
)
from pidj_async.wire import (
    MissingFieldError,
    another_shape,
    decode_json,
    documented,
    encode_path,
    structure,
)

__all__ = [
    "DEFAULT_BASE_URL",
    "Reply",
    "WireRequest",
    "WireResponse",
    "basic_authorization",
    "build_request",
    "check_base_url",
    "is_loopback",
    "items_decoder",
    "no_json",
    "parse_response",
    "parse_result",
    "says_no",
]

R = TypeVar("R")

DEFAULT_BASE_URL: Final = "https://gopidj.com/api/2020"
"""The vendor's address, with the API version in it."""

Headers = Sequence[tuple[str, str]]

_REFUSALS = frozenset({"error", "failure"})


def _header_names(headers: Headers) -> str:
    return f"<{shorten_names((name for name, _ in headers), 200)}>"


def _names(value: Mapping[str, Any]) -> str:
    return f"<{shorten_names(value, 200)}>"


def _size(content: bytes) -> str:
    return f"<{len(content)} bytes>"


@attrs.frozen(kw_only=True)
class WireRequest:
    """A request as it goes out.

    Attributes:
        method: The HTTP verb.
        url: The whole URL, encoded.
        headers: Names and values, the authorization among them; never shown.
        content: The form, encoded. Empty if the call has none.
        endpoint: The name of the table's row, for logs.
    """

    method: str
    url: str = attrs.field(repr=lambda value: repr(mask_phone_numbers_in(value)))
    headers: Headers = attrs.field(repr=_header_names)
    content: bytes = attrs.field(repr=_size)
    endpoint: str


_DraftWireRequest: Any = draft_of(WireRequest)


@attrs.frozen(kw_only=True)
class WireResponse:
    """A reply as it came in, its body whole and decompressed.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case; of a repeated header the last.
        content: The body.
    """

    status_code: int
    headers: Mapping[str, str] = attrs.field(repr=_names)
    content: bytes = attrs.field(repr=_size)


@attrs.frozen(kw_only=True)
class Reply(Generic[R]):
    """A successful call's result, with everything that came with it.

    Attributes:
        result: What the call returns.
        status_code: The HTTP status.
        envelope: The whole decoded reply, unknown fields included.
        headers: The reply's headers, names in lower case.
        attempts: How many times the request was tried, the first included.
    """

    result: R
    status_code: int
    envelope: Mapping[str, Any] = attrs.field(repr=_names)
    headers: Mapping[str, str] = attrs.field(repr=_names)
    attempts: int = 1


# ---------------------------------------------------------------------------------------------------------- outbound


def check_base_url(base_url: str) -> str:
    """Return a base URL without its trailing slash, once it is known to be safe to send credentials to.

    Raises:
        ConfigurationError: If it is not absolute, carries credentials, a query or a fragment, or is not https and
            not on loopback.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        msg = f"base_url must be an absolute http or https URL such as {DEFAULT_BASE_URL}"
        raise ConfigurationError(msg)
    if "@" in parts.netloc or "?" in base_url or "#" in base_url:  # also an empty query: the path would be in it
        msg = "base_url must have no credentials, query or fragment; pass account_key and token by themselves"
        raise ConfigurationError(msg)
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        msg = "base_url must be printable ASCII; encode what is not"
        raise ConfigurationError(msg)
    if parts.scheme == "http" and not is_loopback(host):
        msg = f"base_url must be https: over http the token would travel to {host} in the clear"
        raise ConfigurationError(msg)
    return base_url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name or number."""
    if host in {"localhost", "::1"}:
        return True
    quads = host.split(".")
    return (
        len(quads) == 4
        and quads[0] == "127"
        and all(quad.isdecimal() and len(quad) < 4 and int(quad) < 256 for quad in quads)
    )


def basic_authorization(account_key: str, token: str) -> str:
    """The value of the ``Authorization`` header: HTTP Basic, the only authentication Pidj has."""
    return "Basic " + base64.b64encode(f"{account_key}:{token}".encode()).decode()


def build_request(
    row: Endpoint[R], value: Request[R], *, base_url: str = DEFAULT_BASE_URL, headers: Headers = ()
) -> WireRequest:
    """Say what to send for a request.

    Args:
        row: The table's row.
        value: The request.
        base_url: Without a trailing slash.
        headers: What every request of the client carries (authorization, user agent).
    """
    path = row.path
    if row.path_fields:
        path = path.format_map({name: encode_path(getattr(value, name)) for name in row.path_fields})
    content = row.encode_form(value)
    if row.method in _WITH_FORM:
        headers = (*headers, _FORM)
    wire = _DraftWireRequest()  # one is made for every call
    wire.method, wire.url, wire.headers, wire.content, wire.endpoint = (
        row.method,
        base_url + path,
        headers,
        content,
        row.name,
    )
    wire.__class__ = WireRequest
    made: WireRequest = wire
    return made


# The vendor lists the content type as required, so it goes with every POST and PUT, also with an empty form.
_WITH_FORM = frozenset({"POST", "PUT"})
_FORM = ("Content-Type", "application/x-www-form-urlencoded")


# ----------------------------------------------------------------------------------------------------------- inbound


def parse_response(
    row: Endpoint[R],
    response: WireResponse,
    *,
    request: Request[R] | None = None,
    secrets: Iterable[str] = (),
    now: datetime | None = None,
) -> Reply[R]:
    """Say what a reply means. The HTTP status and the envelope's ``status`` both decide.

    Args:
        row: The row of the request.
        response: The reply.
        request: What it replies to. Its secrets are taken out of an error, and its numbers and texts are masked in the
            error's words, in case the reply repeats them.
        secrets: More strings that no error may contain, even if the reply does.
        now: The time to reckon a ``Retry-After`` date from, if the reply has no ``Date`` of its own.

    Raises:
        APIError: One of its subclasses: Pidj said no.
        ResponseError: The reply is not what the API promises.
    """
    status_code = response.status_code
    if 300 <= status_code < 400:
        msg = f"{row.name}: HTTP {status_code}, a redirect; the API has none, and credentials are not carried elsewhere"
        raise ResponseError(msg, status_code=status_code)
    if status_code < 200:
        msg = f"{row.name}: HTTP {status_code} is no final reply"
        raise ResponseError(msg, status_code=status_code)
    try:
        envelope: Any = decode_json(response.content)
    except ValueError:
        envelope = None
        if status_code < 300:
            size = len(response.content)
            raise no_json(row, status_code, response.headers, size, request=request, secrets=secrets) from None
    if not isinstance(envelope, dict):
        if status_code < 300:
            msg = f"{row.name}: HTTP {status_code}, but the body is a JSON {_json_type(envelope)}, not an object"
            raise ResponseError(msg, status_code=status_code)
        envelope = {}
    # Without a status the code is all that is left to say it: the vendor promises that it equals the HTTP status.
    coded = not isinstance(envelope.get("status"), str) and (_integer(envelope.get("code")) or 0) >= 400
    if status_code >= 400 or says_no(envelope) or coded:
        raise _api_error(row, response, envelope, request, secrets=_secrets_of(row, request, secrets), now=now)
    return Reply(
        result=_read_result(row, envelope, status_code),
        status_code=status_code,
        envelope=envelope,
        headers=response.headers,
    )


def parse_result(
    row: Endpoint[R],
    response: WireResponse,
    *,
    request: Request[R] | None = None,
    secrets: Iterable[str] = (),
    now: datetime | None = None,
) -> R:
    """Say what a reply means, for callers who want nothing but the result of `parse_response`.

    A reply that is as it should be takes a quicker way, if msgspec is installed.

    Args:
        row: See `parse_response`.
        response: See `parse_response`.
        request: See `parse_response`.
        secrets: See `parse_response`.
        now: See `parse_response`.

    Raises:
        APIError: One of its subclasses: Pidj said no.
        ResponseError: The reply is not what the API promises.
    """
    decode: Callable[[bytes], R] | None = _reply_decoder(row)
    if decode is not None and 200 <= response.status_code < 300:
        try:
            return decode(response.content)
        except another_shape():
            pass  # and not the other way here, or else this error, which may quote the body, would be its context
    return parse_response(row, response, request=request, secrets=secrets, now=now).result


@cache
def _reply_decoder(row: Endpoint[R]) -> Callable[[bytes], R] | None:
    quick = documented()
    if quick is None:
        return None
    decoder: Callable[[bytes], R] = quick.reply_decoder(row.model, row.envelope, row.renames, many=row.many)
    return decoder


@cache
def items_decoder(row: Endpoint[tuple[R, ...]]) -> Callable[[bytes], list[R]] | None:
    """What decodes an array of a row's results quickly, or raises `another_shape`; ``None`` without msgspec."""
    quick = documented()
    if quick is None:
        return None
    decoder: Callable[[bytes], list[R]] = quick.items_decoder(row.model, row.renames)
    return decoder


def says_no(envelope: Mapping[str, Any]) -> bool:
    """Whether a reply's status is that of a refusal."""
    status = envelope.get("status")
    return isinstance(status, str) and status.lower() in _REFUSALS


def no_json(
    row: Endpoint[Any],
    status_code: int,
    headers: Mapping[str, str],
    size: int,
    *,
    request: Request[Any] | None,
    secrets: Iterable[str],
) -> ResponseError:
    """The error for a body that should be JSON; `size` is in bytes, the rest as for `parse_response`."""
    kind = headers.get("content-type", "no content type")
    kind = shorten(redact(kind, _secrets_of(row, request, secrets)), 40)
    msg = f"{row.name}: HTTP {status_code}, but the body is not JSON ({kind}, {size} bytes)"
    return ResponseError(msg, status_code=status_code)


def _read_result(row: Endpoint[Any], envelope: Mapping[str, Any], status_code: int) -> Any:
    wrong = f"{row.name}: HTTP {status_code}, but the reply is not of the promised shape: "
    content: Any = envelope
    if row.envelope is not None:
        if row.envelope not in envelope:
            msg = f"{wrong}it lacks {row.envelope!r}"
            raise ResponseError(msg, status_code=status_code)
        content = envelope[row.envelope]
    elif "status" not in envelope and "message" not in envelope and "code" not in envelope:
        msg = f"{wrong}it has neither a status nor a message"
        raise ResponseError(msg, status_code=status_code)
    kind = "an array of objects" if row.many else "an object"
    items = _items(content) if row.many else [content]
    if items is None or not all(isinstance(item, dict) for item in items):
        msg = f"{wrong}{row.envelope!r} is a JSON {_json_type(content)}, not {kind}"
        raise ResponseError(msg, status_code=status_code)
    try:
        read = tuple(structure(item, row.model, row.renames, envelope=row.envelope is None) for item in items)
    except MissingFieldError as error:
        raise ResponseError(wrong + str(error), status_code=status_code) from None
    return read if row.many else read[0]


def _items(content: Any) -> list[Any] | None:
    if isinstance(content, dict):  # PHP writes an array with gaps as an object
        return list(content.values())
    if content is None:
        return []
    return content if isinstance(content, list) else None


def _api_error(
    row: Endpoint[Any],
    response: WireResponse,
    envelope: Mapping[str, Any],
    request: Request[Any] | None,
    *,
    secrets: frozenset[str],
    now: datetime | None,
) -> APIError:
    status_code = response.status_code
    code = _integer(envelope.get("code"))
    status = envelope.get("status")
    status = redact(status, secrets) if isinstance(status, str) else None
    if row.secret_reply and status not in {"error", "failure", "success"}:
        status = None
    message = envelope.get("message")
    message = redact(message, secrets) if isinstance(message, str) and not row.secret_reply else None
    # A 2xx that is refused is refused, whatever its code, except for the two that mean "not now" and "something broke":
    # taking those for a refusal would give up on a text that could be sent, or call one unsent that may have been.
    decisive = code if status_code < 300 and code is not None and (code == 429 or code >= 500) else status_code
    said = f"HTTP {status_code}"
    if status:
        said += f", status {shorten(mask_phone_numbers_in(status), 40)}"
    if code is not None and code != status_code:
        said += f", code {code}"
    if message:
        said += f": {shorten(_masked(message, row, request), 300)}"
    details: dict[str, Any] = {
        "status_code": status_code,
        "code": code,
        "status": status,
        "message": message,
        "body": REDACTED if row.secret_reply else _redacted(envelope, secrets),
    }
    if decisive == 401:
        return AuthenticationError(f"{row.name}: {said} (are the account key and the token right?)", **details)
    if decisive == 403:
        return PermissionDeniedError(f"{row.name}: {said}", **details)
    if decisive == 404:
        return NotFoundError(f"{row.name}: {said}", **details)
    if decisive == 429:
        return RateLimitError(f"{row.name}: {said}", retry_after=_retry_after(response.headers, now), **details)
    if decisive >= 500:
        return ServerError(f"{row.name}: {said}", retry_after=_retry_after(response.headers, now), **details)
    return RefusedError(f"{row.name}: {said}", **details)


def _secrets_of(row: Endpoint[Any], request: Request[Any] | None, secrets: Iterable[str]) -> frozenset[str]:
    """What no error may contain, also as a form writes it."""
    found = set(secrets)
    if request is not None:
        values = (getattr(request, field.name) for field in row.form_fields if field.kind.secret)
        found.update(value for value in values if isinstance(value, str))
    return frozenset(found | {quote_plus(secret) for secret in found})


_SHORTEST_QUOTE = 4  # a shorter text than this cannot be told from the vendor's own words


def _masked(message: str, row: Endpoint[Any], request: Request[Any] | None) -> str:
    """The vendor's words, fit for a log: they may quote whom we texted, and what."""
    for field in row.fields() if request is not None else ():
        value = getattr(request, field.name)
        if field.kind.private and isinstance(value, str) and len(value) >= _SHORTEST_QUOTE:
            shown = field.kind.show(value).strip("'")
            # From the longest spelling to the one that is a part of it.
            for written in (quote_plus(value), value, value.removeprefix("+")):
                if written.isalpha():  # a single word stands in other words too: "text" in "context"
                    message = re.sub(rf"\b{written}\b", shown, message)
                else:
                    message = message.replace(written, shown)
    return mask_phone_numbers_in(message)


_DEEPEST = 50  # no promised reply is deeper than 4, and whoever prints or copies a body recurses into it


def _redacted(value: Any, secrets: frozenset[str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if not isinstance(value, (dict, list)):
        return value
    if depth == _DEEPEST:
        return "[nested too deep]"
    if isinstance(value, dict):
        return {redact(key, secrets): _redacted(one, secrets, depth + 1) for key, one in value.items()}
    return [_redacted(one, secrets, depth + 1) for one in value]


def _integer(value: Any) -> int | None:
    """The envelope's ``code``, which may come as text."""
    if isinstance(value, str) and len(value) < 9 and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**8:
        return value
    return None


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """``Retry-After`` in seconds (RFC 9110, section 10.2.3: a number of seconds or a date); None if it is neither."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        then = _http_date(value)
        # The server's own clock first: only the difference matters, and ours may be wrong.
        start = _http_date(headers.get("date", "")) or now
        if then is None or start is None:
            return None
        seconds = (then - start).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _http_date(value: str) -> datetime | None:
    try:
        then = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return then if then.tzinfo else then.replace(tzinfo=UTC)


def _json_type(value: Any) -> str:
    names: dict[type, str] = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else names.get(type(value), "object")
