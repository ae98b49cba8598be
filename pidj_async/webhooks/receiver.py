"""From an HTTP request to an HTTP reply, without any HTTP server in it.

Pidj signs nothing, so whoever knows the URL can post. What makes an event authentic is a secret in the URL that is
given to Pidj. It may stand in three places, the better ones first:

- as HTTP Basic: ``https://pidj:SECRET@example.org/webhooks``. Access logs leave it out;
- as the last segment of the path: ``https://example.org/webhooks/SECRET``;
- in the query, as ``secret`` or ``token``: ``https://example.org/webhooks?secret=SECRET``. Access logs show it.

The answers, in the order in which they are decided:

====== ===========================================================================================================
status when
====== ===========================================================================================================
404    a `path` was set and this is another one
405    the method is not POST
401    the secret is missing or wrong (nothing of the body has been read by then)
415    the content type is one that never carries JSON, or the body is compressed
413    the body is larger than `max_body_bytes`, whether it says so beforehand or not
408    the body took longer than `body_timeout` seconds to arrive
400    the body is not an event
500    a handler failed; nothing says which or how
200    everything else, events unknown to this version included
====== ===========================================================================================================

**Why a failed handler is a 500.** Nothing has been stored, so the event exists nowhere else: a status that asks for
it again is the only way not to lose it. Whether Pidj does retry is not documented. Since a retry runs *all* of the
event's handlers again, a handler should be able to see an event twice. Never answered are 3xx and 410, which senders
take as a reason to stop.

**Which content types.** Pidj's is not documented, so the list is of what to refuse, not of what to take. JSON's own
types, anything ending in ``+json``, no type at all, and the labels that senders put on a JSON body out of carelessness
(``text/plain``, ``application/octet-stream``, ``application/x-www-form-urlencoded``: what PHP and curl send unless
told otherwise) are read as JSON; the rest, such as ``multipart/form-data`` and ``text/html``, is a 415.

A body without a length (chunked) is counted while it arrives, so there is no 411.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl

import attrs

from pidj_async.errors import ConfigurationError, InvalidPayloadError, UnauthorizedWebhookError
from pidj_async.webhooks.events import EVENT_TYPES
from pidj_async.webhooks.parsing import parse_event
from pidj_async.webhooks.shapes import ShapeLog, Shapes

if TYPE_CHECKING:
    from pidj_async.webhooks.adapters.asgi import ASGIApp
    from pidj_async.webhooks.dispatcher import Dispatcher

__all__ = ["Receiver", "ReceiverStats", "WebhookReply", "WebhookRequest"]

logger = logging.getLogger("pidj_async.webhooks")

_QUERY_NAMES: Final = frozenset({"secret", "token"})
_MAX_QUERY_FIELDS: Final = 50
_JSON_TYPES: Final = frozenset(
    {
        "",
        "application/json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    }
)

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def _lower_names(headers: Headers) -> tuple[tuple[str, str], ...]:
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return tuple((name.lower(), value) for name, value in pairs)


@attrs.frozen(kw_only=True)
class WebhookRequest:
    """An HTTP request, as an adapter hands it over.

    Its repr shows neither path, query nor headers: each of them may hold the secret.

    Attributes:
        method: ``"POST"``, one hopes.
        path: The whole path, percent-decoded, without the query.
        query: What stood after the ``?``, as it was.
        headers: Names in lower case with their values; a mapping or pairs may be given.
        body: The body. Empty while only the rest has arrived: see `Receiver.check`.
    """

    method: str
    path: str = attrs.field(repr=False)
    query: str = attrs.field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_lower_names, repr=False)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")

    def header(self, name: str) -> str:
        """Return a header's value, the first one if it was sent twice, ``""`` if it was not sent.

        Args:
            name: The header's name, in lower case.
        """
        return next((value for each, value in self.headers if each == name), "")


@attrs.frozen(kw_only=True)
class WebhookReply:
    """An HTTP reply, for an adapter to send.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case with their values.
        body: A small JSON object.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _reply(code: int, /, *headers: tuple[str, str], **payload: str) -> WebhookReply:
    body = json.dumps(payload).encode()
    return WebhookReply(
        status=code,
        headers=(("content-type", "application/json"), ("content-length", str(len(body))), *headers),
        body=body,
    )


@attrs.frozen(kw_only=True)
class ReceiverStats:
    """What a receiver has answered so far.

    Attributes:
        replies: How many replies of each status.
        events: How many events of each name that this version knows; the others are in `Receiver.shapes`.
        unhandled: How many events no handler was registered for.
    """

    replies: Mapping[int, int]
    events: Mapping[str, int]
    unhandled: int


class Receiver:
    """Takes Pidj's webhooks: checks who posts, reads the event, has it handled, says how it went.

    ::

        app = Receiver(dispatcher, secret="...").asgi()

    Args:
        dispatcher: Has the handlers.
        secret: What the webhook URL must contain, see the module's head for where. Several are all valid, so that
            one can be replaced without losing events. Anything that is not blank is accepted; good is what
            ``secrets.token_urlsafe()`` makes.
        insecure: Take events from anybody. Only for trying things out; excludes `secret`.
        path: If set, the only path that is answered (with or without one more segment, the secret); any other is a
            404. The whole path counts, including the prefix under which the app is mounted.
        max_body_bytes: Larger bodies are refused. Pidj's own are about 1,000 bytes.
        body_timeout: How many seconds a body may take to arrive, ``None`` for any time. It is up to the adapter, and
            the ones here do.

    Raises:
        ConfigurationError: There is no secret and `insecure` was not said (or both are there), a secret is blank or
            no text, `path` does not begin with ``/``, or a limit is not positive.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        secret: str | Iterable[str] | None = None,
        insecure: bool = False,
        path: str | None = None,
        max_body_bytes: int = 262_144,
        body_timeout: float | None = 10.0,
    ) -> None:
        if path is not None and not path.startswith("/"):
            msg = f"path must begin with a slash; got {path!r}"
            raise ConfigurationError(msg)
        if max_body_bytes < 1:
            msg = f"max_body_bytes must be positive; got {max_body_bytes!r}"
            raise ConfigurationError(msg)
        if body_timeout is not None and not body_timeout > 0:
            msg = f"body_timeout must be a positive number of seconds, or None; got {body_timeout!r}"
            raise ConfigurationError(msg)
        self.dispatcher = dispatcher
        self.max_body_bytes = max_body_bytes
        self.body_timeout = body_timeout
        self._guard = _Guard(_check_secrets(secret, insecure=insecure))
        self._path = None if path is None else path.rstrip("/")
        self._shapes = ShapeLog()
        self._replies: dict[int, int] = {}
        self._events: dict[str, int] = {}
        self._unhandled = 0

    def __repr__(self) -> str:
        return f"<Receiver of {self.dispatcher!r}, {self._guard!r}>"

    @property
    def stats(self) -> ReceiverStats:
        """What has been answered so far."""
        return ReceiverStats(replies=dict(self._replies), events=dict(self._events), unhandled=self._unhandled)

    @property
    def shapes(self) -> Shapes:
        """The unknown events and fields seen so far, with counts: how the undocumented bodies turn out to look."""
        return self._shapes.snapshot()

    def asgi(self) -> ASGIApp:
        """Return this receiver as an ASGI application, to be served by itself or mounted in another one."""
        from pidj_async.webhooks.adapters.asgi import asgi_app  # noqa: PLC0415  # adapters import this module

        return asgi_app(self)

    def authenticate(self, request: WebhookRequest) -> None:
        """Make sure that a request has the secret in it. Its body plays no part.

        Raises:
            UnauthorizedWebhookError: It has not. The error says how to send it, and not what was sent.
        """
        if not self._guard.admits(request):
            raise UnauthorizedWebhookError(_UNAUTHORIZED)

    def check(self, request: WebhookRequest) -> WebhookReply | None:
        """Decide on what is known before the body is read.

        Args:
            request: The request, its body still missing.

        Returns:
            The reply that ends the matter; or ``None``: read the body, at most `max_body_bytes` of it, and hand the
            whole request to `receive`.
        """
        refusal = self._refusal(request)
        return None if refusal is None else self._answer(refusal)

    def body_too_large(self) -> WebhookReply:
        """Return the reply to a body that turned out larger than `max_body_bytes`. Stop reading then."""
        return self._answer(_too_large(self.max_body_bytes))

    def body_too_slow(self) -> WebhookReply:
        """Return the reply to a body that took longer than `body_timeout`."""
        return self._answer(_reply(408, error="the body took too long"))

    async def receive(self, request: WebhookRequest) -> WebhookReply:
        """Check a whole request, and have its event handled.

        Args:
            request: The request with its body. Everything that `check` looks at is looked at again.

        Returns:
            The reply, after all handlers have run.
        """
        return self._answer(self._refusal(request) or await self._handle(request.body))

    async def _handle(self, body: bytes) -> WebhookReply:
        if len(body) > self.max_body_bytes:
            return _too_large(self.max_body_bytes)
        try:
            event = parse_event(body)
        except InvalidPayloadError as error:
            return _reply(400, error=str(error))
        self._shapes.add(event)
        if event.name in EVENT_TYPES:
            self._events[event.name] = self._events.get(event.name, 0) + 1
        report = await self.dispatcher.dispatch(event)
        if not report.handled:
            self._unhandled += 1
        return _reply(200, status="received") if report.ok else _reply(500, error="a handler failed")

    def _refusal(self, request: WebhookRequest) -> WebhookReply | None:  # noqa: PLR0911  # the table, row by row
        if self._path is not None and not _is_under(request.path, self._path, self._guard.segments):
            return _reply(404, error="nothing here")
        if request.method != "POST":
            return _reply(405, ("allow", "POST"), error="webhooks are posted")
        try:
            self.authenticate(request)
        except UnauthorizedWebhookError as error:
            return _reply(401, ("www-authenticate", 'Basic realm="webhooks", charset="UTF-8"'), error=str(error))
        if not _may_be_json(request.header("content-type")):
            return _reply(415, ("accept", "application/json"), error="the body must be JSON")
        if request.header("content-encoding").strip().lower() not in {"", "identity"}:
            return _reply(415, ("accept-encoding", "identity"), error="the body must not be compressed")
        if _announced_length(request.header("content-length")) > self.max_body_bytes:
            return _too_large(self.max_body_bytes)
        return None

    def _answer(self, reply: WebhookReply) -> WebhookReply:
        self._replies[reply.status] = self._replies.get(reply.status, 0) + 1
        if reply.status not in {200, 500}:  # the dispatcher has already said why it is a 500
            logger.info("refused a webhook: %d %s", reply.status, reply.body.decode())
        return reply


_UNAUTHORIZED: Final = "the secret is missing or wrong; it goes into the webhook URL, for instance https://pidj:SECRET@example.org/webhooks"


def _too_large(limit: int) -> WebhookReply:
    return _reply(413, error=f"the body is larger than {limit} bytes")


def _is_under(path: str, mount: str, segments: int) -> bool:
    """Say whether a path is the mount, or the mount and a secret of so many segments."""
    if path.rstrip("/") == mount:
        return True
    return path.startswith(f"{mount}/") and path[len(mount) :].count("/") <= segments


def _may_be_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence in _JSON_TYPES or essence.endswith("+json")


def _announced_length(content_length: str) -> int:
    digits = content_length.strip()
    # Anything that is no plain number is the server's to refuse. What is longer than 18 digits is too large anyway.
    return int(digits[:19]) if digits.isascii() and digits.isdigit() else 0


# --- the secret ---------------------------------------------------------------------------------------------------


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
    checked = []
    for each in several:
        if not isinstance(each, str):
            msg = f"a secret must be a text, not {type(each).__name__}"
            raise ConfigurationError(msg)
        if not each.strip():
            msg = "a secret is blank; is the setting that it comes from empty?"
            raise ConfigurationError(msg)
        checked.append(each)
    if not checked:
        msg = "secret is an empty list; pass at least one, or insecure=True to take events from anybody"
        raise ConfigurationError(msg)
    return tuple(checked)


class _Guard:
    """Knows the secrets and shows them to nobody."""

    def __init__(self, several: tuple[str, ...]) -> None:
        # Secrets are compared by their keyed hash: `hmac.compare_digest` hides where two values differ, but not that
        # their lengths do, and hashes are all of one length.
        self._key = secrets.token_bytes(32)
        self._digests = tuple(self._digest(_encode(each)) for each in several)
        # A server decodes the path before we see it, so a secret with slashes in it arrives as several segments.
        self._counts = sorted({each.count("/") + 1 for each in several})
        self.segments = max(self._counts, default=0)

    def __repr__(self) -> str:
        return f"{len(self._digests)} secrets" if self._digests else "insecure"

    def admits(self, request: WebhookRequest) -> bool:
        if not self._digests:
            return True
        found = False
        for candidate in self._candidates(request):
            digest = self._digest(candidate)
            for expected in self._digests:
                # Not ``any``: how long this takes must not depend on which of them matched.
                found |= hmac.compare_digest(digest, expected)
        return found

    def _candidates(self, request: WebhookRequest) -> Iterator[bytes]:
        yield from _basic_credentials(request.header("authorization"))
        path = request.path.split("/")
        for count in self._counts:
            yield _encode("/".join(path[-count:]))
        yield from _query_secrets(request.query)

    def _digest(self, value: bytes) -> bytes:
        return hmac.digest(self._key, value, "sha256")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _basic_credentials(authorization: str) -> tuple[bytes, ...]:
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return ()
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
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
