"""A `Receiver` as Starlette routes.

::

    app = Starlette(routes=[*starlette_routes(receiver, "/webhooks"), ...])

Unlike a mounted application, a route is found without a slash at its end. Routes have no lifespan: a receiver with an
inbox needs ``lifespan=lambda app: receiver.lifespan()`` as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from pidj_async.webhooks.adapters.asgi import asgi_app

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from pidj_async.webhooks.receiver import Receiver

__all__ = ["starlette_routes"]


def starlette_routes(receiver: Receiver, path: str = "/webhooks") -> list[Route]:
    """Make Starlette routes of a receiver.

    Args:
        receiver: Makes all the decisions, also on methods.
        path: Where it is reached.

    Returns:
        Two routes, `path` and `path` with the secret behind it. Only the first can be looked up by name; it is
        ``"pidj_webhooks"``.
    """
    endpoint = _Endpoint(receiver)
    return [
        Route(path, endpoint, name="pidj_webhooks"),
        Route(path.rstrip("/") + "/{secret:path}", endpoint, include_in_schema=False),
    ]


class _Endpoint:
    # An object, because Starlette takes a function for one that wants a Request.
    def __init__(self, receiver: Receiver) -> None:
        self._app = asgi_app(receiver)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
