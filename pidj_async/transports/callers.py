"""The other engine: the caller's own ``httpx.AsyncClient``, with its proxies, certificates and limits.

Its pool is httpx's, so it slows down as concurrency grows. Its authentication, cookies and redirects are left out: a
request goes exactly where it was meant to, with exactly the credentials it was built with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx

from pidj_async.errors import PidjError, ResponseError
from pidj_async.sansio import WireResponse
from pidj_async.transports.body import ACCEPT_ENCODING, BodyReader
from pidj_async.transports.failures import Tracer, is_cut_off, transport_error

if TYPE_CHECKING:
    from pidj_async.sansio import WireRequest
    from pidj_async.transports.base import Progress

__all__ = ["CallersClient"]


class CallersClient:
    """Sends requests through a client that somebody else made, and will close."""

    def __init__(self, client: httpx.AsyncClient, *, max_response_bytes: int) -> None:
        self._client = client
        self._max_response_bytes = max_response_bytes
        #: Whether this client has ever traced; only then does the absence of an event mean anything.
        self._traces = False

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        tracer = Tracer(progress)
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=[*request.headers, ("Accept-Encoding", ACCEPT_ENCODING)],
            content=request.content or None,
            extensions={"timeout": self._client.timeout.as_dict(), "trace": tracer},
        )
        response: httpx.Response | None = None
        try:
            response = await self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            content = await self._read(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return WireResponse(status_code=response.status_code, headers=headers, content=content)
        except ResponseError as error:
            msg = f"{request.endpoint}: {error}"
            raise ResponseError(msg, status_code=error.status_code) from None
        except httpx.RemoteProtocolError as error:
            if response is not None and not is_cut_off(error):
                msg = f"{request.endpoint}: HTTP {response.status_code}, but the body is not framed as HTTP prescribes"
                raise ResponseError(msg, status_code=response.status_code) from None
            raise self._failure(error, request, outgoing, progress, tracer) from None
        except Exception as error:
            raise self._failure(error, request, outgoing, progress, tracer) from error
        finally:
            self._traces = self._traces or tracer.seen
            if response is not None:
                with anyio.CancelScope(shield=True):
                    await response.aclose()

    async def aclose(self) -> None:
        """Leave the client open: who made it closes it."""

    async def _read(self, response: httpx.Response) -> bytes:
        body = BodyReader(
            status_code=response.status_code,
            encoding=response.headers.get("content-encoding", ""),
            declared=response.headers.get("content-length", ""),
            limit=self._max_response_bytes,
        )
        chunks = response.aiter_raw()
        try:
            async for chunk in chunks:
                body.feed(chunk)
        except ResponseError:
            await response.aclose()
            try:
                async for _ in chunks:
                    pass
            except Exception:  # noqa: BLE001, S110  the reply is given up: how it ends says nothing
                pass
            raise
        return body.finish()

    def _failure(
        self, error: Exception, request: WireRequest, outgoing: httpx.Request, progress: Progress, tracer: Tracer
    ) -> PidjError:
        # A request that never got to send (a mock, a transport of the caller's) proves nothing by its silence.
        progress.request_started = progress.request_started or not (self._traces or tracer.seen)
        return transport_error(
            error,
            host=outgoing.url.netloc.decode(),
            request_started=progress.request_started,
            traced=self._traces or tracer.seen,
            call=request.endpoint,
        )
