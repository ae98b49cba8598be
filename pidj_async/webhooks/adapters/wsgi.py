"""A `Receiver` as a WSGI application: gunicorn, uWSGI, mod_wsgi and waitress, or mounted in Flask and others.

Handlers run on the process's shared event loop, see `pidj_async.webhooks.adapters.portal`. A body that stops halfway is
a 408 on gunicorn, which shows its socket; elsewhere the server's own timeout has to end it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pidj_async.webhooks.adapters._reading import answer_blocking
from pidj_async.webhooks.http import WebhookRequest

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

    from pidj_async.webhooks.receiver import Receiver

__all__ = ["wsgi_app", "wsgi_connection", "wsgi_reader", "wsgi_request"]


def wsgi_app(receiver: Receiver) -> WSGIApplication:
    """Make a WSGI application of a receiver.

    Args:
        receiver: Makes all the decisions.
    """

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = wsgi_request(environ)
        reply = answer_blocking(receiver, request, wsgi_reader(environ), wsgi_connection(environ))
        start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(reply.headers))
        return [] if request.method == "HEAD" else [reply.body]

    return app


def wsgi_request(environ: dict[str, Any]) -> WebhookRequest:
    """Translate a WSGI environment into a request without its body."""
    headers = [(name[5:].replace("_", "-"), value) for name, value in environ.items() if name.startswith("HTTP_")]
    headers += [(name.replace("_", "-"), environ.get(name, "")) for name in ("CONTENT_TYPE", "CONTENT_LENGTH")]
    return WebhookRequest(
        method=environ["REQUEST_METHOD"],
        path=_text(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")),
        query=_text(environ.get("QUERY_STRING", "")),
        headers=headers,
        client_host=environ.get("REMOTE_ADDR"),
    )


def wsgi_reader(environ: dict[str, Any]) -> Callable[[int], bytes]:
    """Return what reads the body: never more than was announced, since not every server has an end there."""
    read: Callable[[int], bytes] = environ["wsgi.input"].read
    announced = environ.get("CONTENT_LENGTH") or ""
    if not announced.isdecimal():  # chunked; where the server does not mark the end of that, there is nothing to read
        return read if environ.get("wsgi.input_terminated") else lambda _size: b""
    left = int(announced)

    def read_announced(size: int) -> bytes:
        nonlocal left
        piece = read(min(size, left)) if left else b""
        left -= len(piece)
        return piece

    return read_announced


def wsgi_connection(environ: dict[str, Any]) -> object:
    """Return the socket behind a request, if the server shows it and survives a timeout on it, as gunicorn does."""
    return environ.get("gunicorn.socket")


def _text(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "replace")  # PEP 3333: bytes in the guise of a text
