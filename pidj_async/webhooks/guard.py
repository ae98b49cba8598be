"""Who may post: secrets in the webhook URL, networks, and logs that give neither secret away.

Pidj signs nothing, so whoever knows the URL can post. `new_secret` makes a secret, `webhook_url` the URL to give to
Pidj, `Receiver` asks for it, and `redact_access_log` keeps it out of the logs of the server in front.

**Networks.** ``Receiver(allow_from=[...])`` takes posts from these networks only. Which address a request comes from is
decided by ``trusted_proxies``, the number of proxies of your own that stand between the internet and this program:

- 0: the address at the other end of the connection, and no header is looked at;
- N: each of your proxies appends the address that it was called from, so the client is the **N-th entry from the
  right** of ``X-Forwarded-For`` or of ``Forwarded`` (RFC 7239). What stands to the left of it was sent by the client
  and proves nothing. With both headers there, they have to agree: your proxies write only one of them, and the other
  one may be forged.

A request without that entry, or with one that is no address, is refused. The count must be right: with 1 where there is
no proxy, a client chooses its address. A server that has already put the client's address in the place of the
connection's (uvicorn does for proxies on the same machine, see its ``--forwarded-allow-ips``) needs 0.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
import secrets
import string
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from pidj_async._masking import REDACTED
from pidj_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pidj_async.webhooks.http import WebhookRequest
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["ACCESS_LOGGERS", "Guard", "RedactSecrets", "new_secret", "redact_access_log", "webhook_url"]

ACCESS_LOGGERS: Final = (
    "aiohttp.access",
    "django.request",
    "django.server",
    "gunicorn.access",
    "gunicorn.error",
    "hypercorn.access",
    "hypercorn.error",
    "uvicorn.access",
    "uvicorn.error",
    "werkzeug",
)
"""The loggers to which servers and frameworks write paths and queries."""

_QUERY_NAMES: Final = frozenset({"secret", "token"})
_MAX_QUERY_FIELDS: Final = 50
_SECRET_LETTERS: Final = string.ascii_letters + string.digits
_SECRET_LENGTH: Final = 32

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def new_secret() -> str:
    """Make a secret for the webhook URL.

    Returns:
        32 letters and digits, 190 bits of chance. Nothing in it needs encoding in any part of a URL, and a double click
        selects all of it.
    """
    return "".join(secrets.choice(_SECRET_LETTERS) for _ in range(_SECRET_LENGTH))


def webhook_url(base: str, secret: str, style: Literal["basic", "path", "query"] = "basic") -> str:
    """Return the URL to give to Pidj.

    Args:
        base: Where the receiver is reached, such as ``"https://example.org/webhooks"``.
        secret: The secret, as it is given to `Receiver`.
        style: Where the secret goes. ``"basic"``: before the host, the best place, since access logs leave it out.
            ``"path"``: as its last segment. ``"query"``: as ``secret=``.

    Returns:
        The URL. It has the secret in it, so it is to be kept as one.

    Raises:
        ConfigurationError: `base` is not the ``http`` or ``https`` URL of a host, or has a user name, a password or a
            fragment in it; or the secret is blank, or there is no such style.
    """
    _check_secret(secret)
    problem = "base must be the URL of a host, such as https://example.org/webhooks"
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        raise ConfigurationError(problem) from None
    if not usable:
        raise ConfigurationError(problem)
    if "@" in parts.netloc or parts.fragment:
        # Not shown: what stands there may be the secret in use.
        msg = f"base must have no user name, password or fragment; the one on {parts.hostname!r} has"
        raise ConfigurationError(msg)
    quoted = quote(secret.encode(), safe="")
    match style:
        case "basic":
            parts = parts._replace(netloc=f"pidj:{quoted}@{parts.netloc}")
        case "path":
            parts = parts._replace(path=f"{parts.path.rstrip('/')}/{quoted}")
        case "query":
            parts = parts._replace(query="&".join(filter(None, (parts.query, f"secret={quoted}"))))
        case _:
            msg = f"style must be 'basic', 'path' or 'query'; got {style!r}"
            raise ConfigurationError(msg)
    return urlunsplit(parts)


# --- who gets in --------------------------------------------------------------------------------------------------


class Guard:
    """Knows the secrets and the networks, and shows the secrets to nobody.

    Args:
        secret: See `Receiver`.
        insecure: See `Receiver`.
        allow_from: See `Receiver`.
        trusted_proxies: See `Receiver`.

    Raises:
        ConfigurationError: See `Receiver`.
    """

    def __init__(
        self,
        secret: str | Iterable[str] | None,
        *,
        insecure: bool = False,
        allow_from: str | Network | Iterable[str | Network] | None = None,
        trusted_proxies: int = 0,
    ) -> None:
        several = _check_secrets(secret, insecure=insecure)
        # `hmac.compare_digest` hides where two values differ, but not that their lengths do. So all are made as long as
        # the longest secret, with their lengths in front.
        encoded = tuple(map(_encode, several))
        self._width = max(map(len, encoded), default=0)
        self._secrets = tuple(map(self._padded, encoded))
        # A server decodes the path before we see it, so a secret with slashes in it arrives as several segments.
        self._counts = sorted({each.count("/") + 1 for each in several})
        self._networks = None if allow_from is None else _check_networks(allow_from)
        self._proxies = _check_proxies(trusted_proxies, networks=self._networks)
        self.segments = max(self._counts, default=0)
        """How many segments of a path the longest secret takes."""
        self.log_filter = RedactSecrets(several)
        """Takes the secrets out of log records."""

    def __repr__(self) -> str:
        shown = f"{len(self._secrets)} secrets" if self._secrets else "insecure"
        return shown if self._networks is None else f"{shown}, {len(self._networks)} networks"

    def admits(self, request: WebhookRequest) -> bool:
        """Say whether a request has one of the secrets in it. How long that takes does not depend on which."""
        if not self._secrets:
            return True
        found = False
        for candidate in self._candidates(request):
            padded = self._padded(candidate)
            for expected in self._secrets:
                # Not ``any``: how long this takes must not depend on which of them matched.
                found |= hmac.compare_digest(padded, expected)
        return found

    def allows(self, request: WebhookRequest) -> bool:
        """Say whether a request comes from one of the networks, if they matter."""
        if self._networks is None:
            return True
        address = self.client_address(request)
        return address is not None and any(address in network for network in self._networks)

    def client_address(self, request: WebhookRequest) -> Address | None:
        """Return the address that a request comes from, ``None`` if nothing trustworthy says it."""
        if not self._proxies:
            return _address(request.client_host or "")
        lists = [entries(values) for name, entries in _FORWARDING if (values := _values(request, name))]
        found = {_address(each[-self._proxies]) if len(each) >= self._proxies else None for each in lists}
        return found.pop() if len(found) == 1 else None

    def _candidates(self, request: WebhookRequest) -> list[bytes]:
        path = request.path
        found = [*_basic_credentials(request.header("authorization")), *self._path_secrets(path)]
        if path.endswith("/"):  # some frameworks put a slash at the end of every path
            found += self._path_secrets(path.rstrip("/"))
        if request.query:
            found += _query_secrets(request.query)
        return found

    def _path_secrets(self, path: str) -> list[bytes]:
        return [_encode("/".join(path.rsplit("/", count)[-count:])) for count in self._counts]

    def _padded(self, value: bytes) -> bytes:
        return len(value).to_bytes(8) + value[: self._width].ljust(self._width, b"\0")


def _check_secrets(secret: object, *, insecure: bool) -> tuple[str, ...]:
    if secret is None:
        if insecure:
            return ()
        msg = "Receiver needs a secret: without one, anybody who finds the URL can post events. Pass secret=..."
        raise ConfigurationError(msg + ", or insecure=True if that is what you want")
    if insecure:
        msg = "secret and insecure=True contradict each other; leave one of them out"
        raise ConfigurationError(msg)
    several = secret if isinstance(secret, Iterable) and not isinstance(secret, (str, bytes)) else (secret,)
    checked = tuple(map(_check_secret, several))
    if not checked:
        msg = "secret is an empty list; pass at least one, or insecure=True to take events from anybody"
        raise ConfigurationError(msg)
    return checked


def _check_secret(secret: object) -> str:
    if not isinstance(secret, str):
        msg = f"a secret must be a text, not {type(secret).__name__}"
        raise ConfigurationError(msg)
    if not secret.strip():
        msg = "a secret is blank; is the setting that it comes from empty?"
        raise ConfigurationError(msg)
    if any("\ud800" <= letter <= "\udfff" for letter in secret):
        msg = "a secret has a lone surrogate in it, which no URL can hold"
        raise ConfigurationError(msg)
    return secret


def _check_networks(allow_from: object) -> tuple[Network, ...]:
    # A network can be iterated: over its addresses.
    one = isinstance(allow_from, (str, bytes, IPv4Network, IPv6Network)) or not isinstance(allow_from, Iterable)
    several: Iterable[object] = (allow_from,) if one else cast("Iterable[object]", allow_from)
    networks = tuple(map(_check_network, several))
    if not networks:
        msg = "allow_from is empty, so that nobody could post; leave it out to take events from any network"
        raise ConfigurationError(msg)
    return networks


def _check_network(network: object) -> Network:
    if isinstance(network, (IPv4Network, IPv6Network)):
        return network
    reason: object = f"it is {type(network).__name__}"
    if isinstance(network, str):  # of an int or bytes `ip_network` would make something unexpected
        try:
            return ip_network(network)
        except ValueError as error:
            reason = error
    msg = f"allow_from takes networks such as '203.0.113.0/24' or '2001:db8::/32', not {network!r}: {reason}"
    raise ConfigurationError(msg)


def _check_proxies(trusted_proxies: object, *, networks: object) -> int:
    if not isinstance(trusted_proxies, int) or isinstance(trusted_proxies, bool) or trusted_proxies < 0:
        msg = f"trusted_proxies must be how many proxies of yours a request passes, 0 or more; got {trusted_proxies!r}"
        raise ConfigurationError(msg)
    if trusted_proxies and networks is None:
        msg = "trusted_proxies only says how to find the address for allow_from; pass allow_from, too, or leave it out"
        raise ConfigurationError(msg)
    return trusted_proxies


# --- where the secret stands --------------------------------------------------------------------------------------


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _basic_credentials(authorization: str) -> tuple[bytes, ...]:
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        user, _, password = binascii.a2b_base64(encoded.strip(), strict_mode=True).partition(b":")
    except ValueError:
        return ()
    return user, password


def _query_secrets(query: str) -> Iterator[bytes]:
    # A plus sign is a space in a form, and itself wherever somebody pasted a secret without encoding it.
    for spelling in (query, query.replace("+", "%2B")):
        try:
            pairs = parse_qsl(spelling, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
        except ValueError:  # too many fields
            return
        yield from (_encode(value) for name, value in pairs if name in _QUERY_NAMES)


# --- where a request comes from -----------------------------------------------------------------------------------


def _values(request: WebhookRequest, name: str) -> list[str]:
    return [value for each, value in request.headers if each == name]


def _address(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 203.0.113.9:443
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket that listens to both versions shows IPv4 addresses as ::ffff:203.0.113.9.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _forwarded_for(values: list[str]) -> list[str]:
    """Return the entries of all X-Forwarded-For headers, which are one list (RFC 9110, section 5.3)."""
    return ",".join(values).split(",")


_FORWARDED_PAIR: Final = re.compile(r"""[ \t]*([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s",;]*)[ \t]*(?:([,;])|\Z)""")


def _forwarded(values: list[str]) -> list[str]:
    """Return the ``for`` of each element of all Forwarded headers; nothing at all if one of them is ill-formed.

    A quotation mark that a client has left open would swallow what a proxy adds behind it, so nothing is mended here.
    """
    found: list[str] = []
    for value in values:
        at, entry = 0, ""
        while at < len(value):
            pair = _FORWARDED_PAIR.match(value, at)
            if pair is None or (pair[3] and pair.end() == len(value)):
                return []
            if pair[1].lower() == "for":
                entry = pair[2][1:-1] if pair[2].startswith('"') else pair[2]
            if pair[3] != ";":
                found.append(entry)
                entry = ""
            at = pair.end()
    return found


_FORWARDING: Final = (("x-forwarded-for", _forwarded_for), ("forwarded", _forwarded))


# --- logs ---------------------------------------------------------------------------------------------------------


def redact_access_log(receiver: Receiver, *loggers: str | logging.Logger) -> RedactSecrets:
    """Keep a receiver's secrets out of the logs of the server and the framework around it.

    A secret in the path or the query is a part of what a server logs of every request. Call this where the application
    is made, in the process that serves it; it does not matter whether the server has set up its logging by then.

    Args:
        receiver: Knows the secrets.
        loggers: Loggers or their names; without any, all of `ACCESS_LOGGERS`.

    Returns:
        The filter, for handlers of your own (``handler.addFilter``). Added twice, it works once.
    """
    for each in loggers or ACCESS_LOGGERS:
        (logging.getLogger(each) if isinstance(each, str) else each).addFilter(receiver.log_filter)
    return receiver.log_filter


_SHORT: Final = 4  # shorter secrets are parts of other words, too
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))
_NAMED: Final = re.compile(rf"""((?:^|[?&;\s"'])(?:{"|".join(sorted(_QUERY_NAMES))})=)[^&;#\s"']+""")
_BASIC: Final = re.compile(r"\b([Bb][Aa][Ss][Ii][Cc] +)([A-Za-z0-9+/]+=*)")


class RedactSecrets(logging.Filter):
    """Takes secrets out of log records: the known ones anywhere, others where secrets stand.

    Known ones are found however they are spelled in a path or a query: percent-encoded or not, or not quite. Others,
    such as a wrong guess or one that was replaced, are found in ``secret=`` and ``token=`` and in HTTP Basic
    credentials. The message, its arguments and extra fields are changed; a traceback is not.

    Args:
        secrets: The known ones. Nothing shows them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        # The longest first: of a secret that begins like another one, nothing may be left over.
        patterns = [_spellings(each) for each in sorted(set(secrets), key=len, reverse=True)]
        self._known = re.compile("|".join(patterns)) if patterns else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _BASIC.sub(_redact_basic, _NAMED.sub(rf"\1{REDACTED}", text))

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the secrets out of a record. Every record passes."""
        record.msg = self.redact_value(record.msg)
        if isinstance(record.args, Mapping):
            record.args = _RedactedMapping(record.args, self)
        elif record.args:
            record.args = tuple(map(self.redact_value, record.args))
        for name in vars(record).keys() - _STANDARD:
            value = getattr(record, name)
            if isinstance(value, str):
                setattr(record, name, self.redact(value))
            elif isinstance(value, dict):
                setattr(record, name, {key: self.redact_value(each) for key, each in value.items()})
        return True

    def redact_value(self, value: Any) -> Any:
        """Return a value without secrets: itself, unless there is a secret in what it looks like."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        shown = str(value)
        redacted = self.redact(shown)
        return value if redacted == shown else redacted


class _RedactedMapping(Mapping[str, Any]):
    """What a server gives to ``%(name)s``, without secrets.

    Servers have mappings of their own there, which make up a value for any name, so they are asked and not copied.
    """

    def __init__(self, inner: Mapping[str, Any], redactor: RedactSecrets) -> None:
        self._inner = inner
        self._redactor = redactor

    def __getitem__(self, name: str) -> Any:
        return self._redactor.redact_value(self._inner[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


def _spellings(secret: str) -> str:
    """Return a pattern for all the ways in which a server may write a secret."""
    pattern = "".join(map(_letter_spellings, secret))
    return pattern if len(secret) >= _SHORT else rf"(?<![\w%]){pattern}(?!\w)"


def _letter_spellings(letter: str) -> str:
    encoded = letter.encode()
    # What is longer comes first: of a percent sign that was encoded, nothing may be left over.
    ways = ["(?i:" + "".join(f"%{byte:02x}" for byte in encoded) + ")", re.escape(letter)]
    if not letter.isascii():  # read as Latin-1, as WSGI does, or escaped, as some formatters do
        ways.append(re.escape(encoded.decode("latin-1")))
        ways.append("(?i:" + "".join(rf"\\x{byte:02x}" for byte in encoded) + ")")
    if letter in " +":  # a plus sign is a space in a form
        ways += [r"\+", " "]
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _redact_basic(found: re.Match[str]) -> str:
    # "Basic" is also a word: only what decodes to a user and a password goes.
    try:
        credentials = base64.b64decode(found[2], validate=True)
    except ValueError:
        return found[0]
    return f"{found[1]}{REDACTED}" if b":" in credentials else found[0]
