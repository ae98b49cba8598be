"""A `Receiver` as an aiohttp handler.

::

    handler = aiohttp_handler(receiver)
    app.router.add_post("/webhooks", handler)
    app.router.add_post("/webhooks/{secret:.+}", handler)  # only if the secret stands in the path
    app.cleanup_ctx.append(aiohttp_lifespan(receiver))  # only with an inbox
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from pidj_async.webhooks.adapters._reading import ClientGoneError, answer
from pidj_async.webhooks.http import WebhookRequest

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["aiohttp_handler", "aiohttp_lifespan"]


def aiohttp_handler(receiver: Receiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make an aiohttp handler of a receiver.

    The limits are the receiver's: ``client_max_size`` plays no part.

    Args:
        receiver: Makes all the decisions.
    """

    async def pidj_webhooks(request: web.Request) -> web.Response:
        async def read() -> tuple[bytes, bool]:
            try:
                piece = await request.content.readany()
            except (ConnectionError, web.RequestPayloadError) as error:  # cut off, or its chunks are none
                raise ClientGoneError from error
            return piece, not request.content.at_eof()

        incoming = WebhookRequest(
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            headers=request.headers.items(),
            client_host=request.remote,
        )
        try:
            reply, _ = await answer(receiver, incoming, read)  # aiohttp itself throws away what is left unread
        except ClientGoneError:
            reply = receiver.body_cut_off()
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)

    return pidj_webhooks


def aiohttp_lifespan(receiver: Receiver) -> Callable[[web.Application], AsyncIterator[None]]:
    """Make a cleanup context that opens a receiver's lifespan, so that its inbox's events are handled.

    Args:
        receiver: Has an inbox whose events are to be handled in this process.
    """

    async def pidj_inbox(_app: web.Application) -> AsyncIterator[None]:
        async with receiver.lifespan():
            yield

    return pidj_inbox
