"""A `Receiver` as a Flask view.

::

    view = flask_view(receiver)
    app.add_url_rule("/webhooks", view_func=view)
    app.add_url_rule("/webhooks/<path:secret>", view_func=view)  # only if the secret stands in the path

Handlers run on the process's shared event loop, see `pidj_async.webhooks.adapters.portal`, and outside of Flask's
contexts: one that needs the application enters ``app.app_context()`` itself. Flask-WTF's protection against forged
forms has to let the view pass: ``csrf.exempt(view)``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Request, Response, request

from pidj_async.webhooks.adapters._reading import answer_blocking
from pidj_async.webhooks.adapters.wsgi import wsgi_connection, wsgi_request

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["flask_view"]


def flask_view(receiver: Receiver) -> Callable[..., Response]:
    """Make a Flask view of a receiver. Unless the rule says otherwise, it is for POST, and Flask answers the others.

    Args:
        receiver: Makes all the decisions.
    """

    def pidj_webhooks(**_url_arguments: object) -> Response:
        request.max_content_length = receiver.max_body_bytes + 1  # the receiver's limit, and not the application's
        environ = request.environ
        reply = answer_blocking(receiver, wsgi_request(environ), _reader(request), wsgi_connection(environ))
        return Response(reply.body, reply.status, list(reply.headers))

    pidj_webhooks.methods = ["POST"]  # type: ignore[attr-defined]  # `add_url_rule` looks for it
    return pidj_webhooks


def _reader(incoming: Request) -> Callable[[int], bytes]:
    # A hook may have read the body before us. Then the stream is at its end, and the body is in the request's cache.
    cached: io.BytesIO | None = None

    def read(size: int) -> bytes:
        nonlocal cached
        piece = incoming.stream.read(size) if cached is None else b""
        if piece:
            return piece
        cached = cached or io.BytesIO(incoming.get_data())
        return cached.read(size)

    return read
