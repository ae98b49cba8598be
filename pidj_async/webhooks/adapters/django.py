"""A `Receiver` as a Django view, async for ASGI servers and sync for WSGI servers.

::

    view = django_async_view(receiver)
    urlpatterns = [path("webhooks", view), path("webhooks/<path:secret>", view)]

Both are exempt from the protection against forged forms. Behind ASGI, Django has the whole body before a view runs, so
the server or proxy in front has to limit its size and its time; `Receiver.max_body_bytes` is then a limit for what is
handled. Behind WSGI, the body is counted and timed while it arrives.

Django has no lifespan either, in which an inbox's events could be handled: behind ASGI, serve
``asgi_lifespan(get_asgi_application(), receiver)`` (`pidj_async.webhooks.adapters.asgi`) instead of Django's own
application. The sync view needs nothing of the kind.

The sync view's handlers run on the process's shared event loop, see `pidj_async.webhooks.adapters.portal`. Whatever the
view, handlers that are a plain ``def`` run in worker threads, each with a database connection of its own, which Django
does not look after outside of requests: such a handler calls ``django.db.close_old_connections()``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from pidj_async.webhooks.adapters._reading import PIECE_BYTES, answer, answer_blocking
from pidj_async.webhooks.adapters.asgi import asgi_request
from pidj_async.webhooks.adapters.wsgi import wsgi_connection, wsgi_reader, wsgi_request

if TYPE_CHECKING:
    from pidj_async.webhooks.http import WebhookReply, WebhookRequest
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["django_async_view", "django_view"]


def django_async_view(receiver: Receiver) -> Callable[..., Awaitable[HttpResponse]]:
    """Make an async Django view of a receiver. Its handlers run on the loop of the server.

    Behind WSGI Django gives every request a loop of its own, where what belongs to a loop breaks: take `django_view`.

    Args:
        receiver: Makes all the decisions.
    """

    async def pidj_webhooks(request: HttpRequest, **_url_arguments: object) -> HttpResponse:
        async def read() -> tuple[bytes, bool]:
            piece = request.read(PIECE_BYTES)
            return piece, bool(piece)

        reply, _ = await answer(receiver, _translated(request), read)
        return _response(reply)

    return csrf_exempt(pidj_webhooks)


def django_view(receiver: Receiver) -> Callable[..., HttpResponse]:
    """Make a sync Django view of a receiver.

    Args:
        receiver: Makes all the decisions.
    """

    def pidj_webhooks(request: HttpRequest, **_url_arguments: object) -> HttpResponse:
        environ: dict[str, Any] = getattr(request, "environ", {})
        # Django reads nothing of a chunked body behind WSGI.
        read = request.read if not environ or environ.get("CONTENT_LENGTH") else wsgi_reader(environ)
        return _response(answer_blocking(receiver, _translated(request), read, wsgi_connection(environ)))

    return csrf_exempt(pidj_webhooks)


def _translated(request: HttpRequest) -> WebhookRequest:
    # One of the two is there: Django's request classes have no common name for what a server handed over.
    given: Any = request
    return asgi_request(given.scope) if hasattr(given, "scope") else wsgi_request(given.environ)


def _response(reply: WebhookReply) -> HttpResponse:
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
