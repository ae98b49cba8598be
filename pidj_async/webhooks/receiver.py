"""From an HTTP request to an HTTP reply, without any HTTP server in it.

Pidj signs nothing, so whoever knows the URL can post. What makes an event authentic is a secret in the URL that is
given to Pidj. It may stand in three places, the better ones first:

- as HTTP Basic: ``https://pidj:SECRET@example.org/webhooks``. Access logs leave it out;
- as the last segment of the path: ``https://example.org/webhooks/SECRET``;
- in the query, as ``secret`` or ``token``: ``https://example.org/webhooks?secret=SECRET``. Access logs show it.

`pidj_async.webhooks.guard` makes secrets and URLs, keeps secrets out of logs, and says how networks are told apart.

The answers, in the order in which they are decided:

====== ===========================================================================================================
status when
====== ===========================================================================================================
404    a `path` was set and this is another one
405    the method is not POST
403    `allow_from` was set, and the address is in none of these networks or cannot be told
401    the secret is missing or wrong (nothing of the body has been read by then)
415    the content type is one that never carries JSON, or the body is compressed
413    the body is larger than `max_body_bytes`, whether it says so beforehand or not
408    the body took longer than `body_timeout` seconds to arrive
400    the body is not an event
503    with an inbox: the event could not be stored; ``Retry-After`` says when to send it again
500    without an inbox: a handler failed; nothing says which or how
200    everything else, events unknown to this version included
====== ===========================================================================================================

**Why a failed handler is a 500.** Without an inbox nothing has been stored, so the event exists nowhere else: a status
that asks for it again is the only way not to lose it. Whether Pidj does retry is not documented. Since a retry runs
*all* of the event's handlers again, a handler should be able to see an event twice. Never answered are 3xx and 410,
which senders take as a reason to stop. With an inbox (`pidj_async.webhooks.inbox`) the answer is a 200 as soon as the
event is stored, and handlers run afterwards; then 503 is the only answer that asks for the event again.

**Which content types.** Pidj's is not documented, so the list is of what to refuse, not of what to take. JSON's own
types, anything ending in ``+json``, no type at all, and the labels that senders put on a JSON body out of carelessness
(``text/plain``, ``application/octet-stream``, ``application/x-www-form-urlencoded``: what PHP and curl send unless
told otherwise) are read as JSON; the rest, such as ``multipart/form-data`` and ``text/html``, is a 415.

A body without a length (chunked) is counted while it arrives, so there is no 411.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from pidj_async.errors import ConfigurationError, InvalidPayloadError, PidjError, UnauthorizedWebhookError
from pidj_async.webhooks.events import EVENT_TYPES, Event
from pidj_async.webhooks.guard import Guard, RedactSecrets
from pidj_async.webhooks.http import WebhookReply, WebhookRequest, json_reply
from pidj_async.webhooks.inbox.headers import kept_headers
from pidj_async.webhooks.parsing import parse_event
from pidj_async.webhooks.shapes import ShapeLog, Shapes

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from pidj_async.webhooks.adapters.asgi import ASGIApp
    from pidj_async.webhooks.dispatcher import Dispatcher
    from pidj_async.webhooks.inbox import Inbox

__all__ = ["Receiver", "ReceiverStats"]

logger = logging.getLogger("pidj_async.webhooks")

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
            `pidj_async.webhooks.guard.new_secret` makes.
        insecure: Take events without a secret. Only for trying things out; excludes `secret`.
        allow_from: The networks from which events may come, such as ``["203.0.113.0/24", "2001:db8::/32"]``; all of
            them if left out.
        trusted_proxies: How many proxies of your own a request passes, which is how `allow_from` finds the client's
            address: see `pidj_async.webhooks.guard`.
        path: If set, the only path that is answered (with or without one more segment, the secret); any other is a
            404. The whole path counts, including the prefix under which the app is mounted.
        max_body_bytes: Larger bodies are refused. Pidj's own are about 1,000 bytes.
        body_timeout: How many seconds a body may take to arrive, ``None`` for any time. It is up to the adapter, and
            the ones here do.
        inbox: Where events are stored before they are acknowledged. Without one, they are acknowledged after all
            handlers have run.
        run_inbox: Have the inbox's events handled in this process, by `lifespan`. Without it, another process sees to
            them: ``pidj worker``, or whatever calls `Inbox.run`.

    Raises:
        ConfigurationError: There is no secret and `insecure` was not said (or both are there), a secret is blank or
            no text, `allow_from` is empty or has something else than networks in it, `trusted_proxies` is negative or
            has no `allow_from` to serve, `path` does not begin with ``/``, or a limit is not positive.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        secret: str | Iterable[str] | None = None,
        insecure: bool = False,
        allow_from: str | IPv4Network | IPv6Network | Iterable[str | IPv4Network | IPv6Network] | None = None,
        trusted_proxies: int = 0,
        path: str | None = None,
        max_body_bytes: int = 262_144,
        body_timeout: float | None = 10.0,
        inbox: Inbox | None = None,
        run_inbox: bool = True,
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
        self.inbox = inbox
        self._run_inbox = run_inbox
        self._handling = False
        self._guard = Guard(secret, insecure=insecure, allow_from=allow_from, trusted_proxies=trusted_proxies)
        self._path = None if path is None else path.rstrip("/")
        self._shapes = ShapeLog()
        self._lock = threading.Lock()  # WSGI servers answer from several threads
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

    @property
    def runs_inbox(self) -> bool:
        """Whether it has an inbox whose events `lifespan` has handled."""
        return self.inbox is not None and self._run_inbox

    @property
    def log_filter(self) -> RedactSecrets:
        """Takes the secrets out of log records; `redact_access_log` puts it where it belongs."""
        return self._guard.log_filter

    def asgi(self) -> ASGIApp:
        """Return this receiver as an ASGI application, to be served by itself or mounted in another one."""
        from pidj_async.webhooks.adapters.asgi import asgi_app  # noqa: PLC0415  # adapters import this module

        return asgi_app(self)

    def wsgi(self) -> WSGIApplication:
        """Return this receiver as a WSGI application, to be served by itself or mounted in another one."""
        from pidj_async.webhooks.adapters.wsgi import wsgi_app  # noqa: PLC0415  # adapters import this module

        return wsgi_app(self)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Have the inbox's events handled for as long as this is open; without an inbox, nothing.

        A server that speaks ASGI's lifespan protocol opens it for `asgi` by itself. An application that is *mounted* in
        another one is not told of the lifespan, so the outer one has to open this::

            app = Starlette(routes=[Mount("/webhooks", receiver.asgi())], lifespan=lambda app: receiver.lifespan())

        Leaving it finishes the events at hand, which takes up to the inbox's `grace`, and closes the store's
        connections; should the store be used again, it opens itself.

        Raises:
            StoreError: The store cannot be opened.
            ConfigurationError: Its tables are not of this version.
        """
        if self.inbox is None:
            yield
            return
        await self.inbox.store.open()
        try:
            if not self._run_inbox:
                yield
                return
            async with anyio.create_task_group() as group:
                self._handling = True
                group.start_soon(self.inbox.run, self.dispatcher, name="pidj_async inbox")
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            first, *others = errors.exceptions
            if others:
                raise
            raise first from None  # a task group wraps what it raises
        finally:
            await self.inbox.store.aclose()

    def authenticate(self, request: WebhookRequest) -> None:
        """Make sure that a request comes from where it may and has the secret in it. Its body plays no part.

        Raises:
            UnauthorizedWebhookError: It does not, or it has not. The error says what to do, and not what was sent.
        """
        if not self._guard.allows(request):
            raise UnauthorizedWebhookError(_FORBIDDEN)
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
        return self._answer(json_reply(408, error="the body took too long"))

    def body_cut_off(self) -> WebhookReply:
        """Return the reply to a body that ended before its announced length, where a reply is still possible."""
        return self._answer(json_reply(400, error="the body was cut off"))

    async def receive(self, request: WebhookRequest) -> WebhookReply:
        """Check a whole request, and have its event handled.

        Args:
            request: The request with its body. Everything that `check` looks at is looked at again.

        Returns:
            The reply, after all handlers have run; or, with an inbox, after the event has been stored.
        """
        return self.check(request) or await self.receive_checked(request, request.body)

    async def receive_checked(self, request: WebhookRequest, body: bytes) -> WebhookReply:
        """Have the event of a request handled that `check` has let through; for adapters, which call that first.

        Args:
            request: The same request.
            body: What was read of its body since then: all of it.

        Returns:
            As `receive` does.
        """
        if len(body) > self.max_body_bytes:
            return self.body_too_large()
        try:
            event = parse_event(body)
        except InvalidPayloadError as error:
            return self._answer(json_reply(400, error=str(error)))
        self._shapes.add(event)
        if event.name in EVENT_TYPES:
            self._events[event.name] = self._events.get(event.name, 0) + 1
        if self.inbox is None:
            return self._answer(await self._dispatch(event))
        self._warn_if_nothing_handles()
        try:
            # Nothing between here and the inbox: of all that waits for the disk there is one for each connection.
            await self.inbox.put(body, headers=kept_headers(request), event=event)
        except PidjError as error:
            logger.error("a webhook could not be stored: %s", error)  # noqa: TRY400  the cause may quote the body
            again = ("retry-after", str(self.inbox.retry_after))
            return self._answer(json_reply(503, again, error="the event could not be stored"))
        return self._answer(_STORED)

    async def _dispatch(self, event: Event) -> WebhookReply:
        report = await self.dispatcher.dispatch(event)
        if not report.handled:
            self._unhandled += 1
        return _RECEIVED if report.ok else json_reply(500, error="a handler failed")

    def _warn_if_nothing_handles(self) -> None:
        if self._run_inbox and not self._handling:
            self._handling = True  # said once
            logger.warning(
                "events are being stored, and nothing here handles them: the application around this receiver must "
                "open receiver.lifespan(); or say run_inbox=False, if another process runs the inbox"
            )

    def _refusal(self, request: WebhookRequest) -> WebhookReply | None:  # noqa: PLR0911  # the table, row by row
        if self._path is not None and not _is_under(request.path, self._path, self._guard.segments):
            return json_reply(404, error="nothing here")
        if request.method != "POST":
            return json_reply(405, ("allow", "POST"), error="webhooks are posted")
        if not self._guard.allows(request):
            logger.info("a webhook from %s, where none may come from", self._guard.client_address(request) or "nowhere")
            return json_reply(403, error=_FORBIDDEN)
        if not self._guard.admits(request):
            return json_reply(401, ("www-authenticate", 'Basic realm="webhooks", charset="UTF-8"'), error=_UNAUTHORIZED)
        if not _may_be_json(request.header("content-type")):
            return json_reply(415, ("accept", "application/json"), error="the body must be JSON")
        if request.header("content-encoding").strip().lower() not in {"", "identity"}:
            return json_reply(415, ("accept-encoding", "identity"), error="the body must not be compressed")
        if _announced_length(request.header("content-length")) > self.max_body_bytes:
            return _too_large(self.max_body_bytes)
        return None

    def _answer(self, reply: WebhookReply) -> WebhookReply:
        with self._lock:
            self._replies[reply.status] = self._replies.get(reply.status, 0) + 1
        if reply.status not in {200, 500, 503}:  # why it is one of these has been said already
            logger.info("refused a webhook: %d %s", reply.status, reply.body.decode())
        return reply


_RECEIVED: Final = json_reply(200, status="received")
_STORED: Final = json_reply(200, status="stored")
_FORBIDDEN: Final = "this address may not post webhooks"
_UNAUTHORIZED: Final = "the secret is missing or wrong; it goes into the webhook URL, for instance https://pidj:SECRET@example.org/webhooks"


def _too_large(limit: int) -> WebhookReply:
    return json_reply(413, error=f"the body is larger than {limit} bytes")


def _is_under(path: str, mount: str, segments: int) -> bool:
    """Say whether a path is the mount, or the mount and a secret of so many segments."""
    path = path.rstrip("/")
    if path == mount:
        return True
    return path.startswith(f"{mount}/") and path[len(mount) :].count("/") <= segments


def _may_be_json(content_type: str) -> bool:
    if content_type in _JSON_TYPES:
        return True
    essence = content_type.partition(";")[0].strip().lower()
    return essence in _JSON_TYPES or essence.endswith("+json")


def _announced_length(content_length: str) -> int:
    digits = content_length.strip()
    # Anything that is no plain number is the server's to refuse. What is longer than 18 digits is too large anyway.
    return int(digits[:19]) if digits.isascii() and digits.isdigit() else 0
