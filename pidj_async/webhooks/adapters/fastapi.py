"""A `Receiver` as a FastAPI router that shows in the OpenAPI document.

::

    app.include_router(fastapi_router(receiver, "/webhooks"))

Unlike a mounted application, a route is found without a slash at its end, and the receiver's lifespan, in which the
events of its inbox are handled, becomes a part of the application's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from pidj_async.webhooks.adapters.asgi import ASGIApp, asgi_app
from pidj_async.webhooks.events import EVENT_TYPES
from pidj_async.webhooks.samples import sample

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from pidj_async.webhooks.receiver import Receiver

__all__ = ["fastapi_router"]


def fastapi_router(receiver: Receiver, path: str = "/webhooks") -> APIRouter:
    """Make a FastAPI router of a receiver.

    Args:
        receiver: Makes all the decisions.
        path: Where it is reached.

    Returns:
        A router with `path`, and with `path` and the secret behind it, which the OpenAPI document leaves out.
    """
    app = asgi_app(receiver)

    async def pidj_webhooks() -> Response:
        return _Delegate(app)

    router = APIRouter(tags=["webhooks"], lifespan=lambda _app: receiver.lifespan())
    for each in (path, path.rstrip("/") + "/{secret:path}"):
        router.add_api_route(
            each,
            pidj_webhooks,
            methods=["POST"],
            summary="Receive an event of Pidj",
            description="Pidj posts here what happens: texts, opt-outs, changed contacts.",
            response_model=None,
            responses=_RESPONSES,
            openapi_extra={"requestBody": _REQUEST_BODY},
            include_in_schema=each == path,
        )
    return router


class _Delegate(Response):
    """Leaves the whole request to another application, its body unread."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _json(description: str, field: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: _json("The event was taken, also when nobody wanted it or nobody knows it", "status"),
    400: _json("The body is not an event", "error"),
    401: _json("The secret is missing or wrong", "error"),
    403: _json("The address may not post", "error"),
    404: _json("The receiver was made for another path", "error"),
    408: _json("The body took too long", "error"),
    413: _json("The body is too large", "error"),
    415: _json("The body is of a type that never carries JSON, or compressed", "error"),
    500: _json("A handler failed", "error"),
    503: _json("The event could not be stored; to be sent again", "error"),
}
_REQUEST_BODY: Final = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "title": "PidjEvent",
                "description": "Which other fields there are depends on the event; there may be more than shown.",
                "type": "object",
                "properties": {"event": {"type": "string", "examples": sorted(EVENT_TYPES)}},
                "required": ["event"],
                "additionalProperties": True,
            },
            "examples": {name: {"value": sample(name)} for name in sorted(EVENT_TYPES)},
        }
    },
}
