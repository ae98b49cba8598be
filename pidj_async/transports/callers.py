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
from pidj_async.transports.body import ACCEPT_ENCODING, BodyReader, RequestBody, too_large
from pidj_async.transports.failures import Tracer, Witness, is_cut_off, transport_error

if TYPE_CHECKING:
    from pidj_async.sansio import WireRequest
    from pidj_async.transports.base import Progress

__all__ = ["CallersClient"]


class CallersClient:
    """Sends requests through a client that somebody else made, and will close."""

    def __init__(self, client: httpx.AsyncClient, *, max_response_bytes: int) -> None:
        self._client = client
        self._max_response_bytes = max_response_bytes
        self._witness = Witness(traces=False)

    async def send(self, request: WireRequest, progress: Progress) -> WireResponse:
        """See `Transport.send`."""
        url = httpx.URL(request.url)
        headers = [("Host", url.netloc.decode()), *request.headers, ("Accept-Encoding", ACCEPT_ENCODING)]
        if request.content or request.method in {"POST", "PUT"}:
            headers.append(("Content-Length", str(len(request.content))))
        outgoing = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=_Body(request.content),
            extensions={"timeout": self._client.timeout.as_dict(), "trace": Tracer(progress, self._witness)},
        )
        response: httpx.Response | None = None
        try:
            response = await self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            content = await self._read(response)
            return WireResponse(
                status_code=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                content=content,
            )
        except ResponseError as error:
            msg = f"{request.endpoint}: {error}"
            raise ResponseError(msg, status_code=error.status_code) from None
        except httpx.RemoteProtocolError as error:
            if response is not None and not is_cut_off(error):
                msg = f"{request.endpoint}: HTTP {response.status_code}, but the body is not framed as HTTP prescribes"
                raise ResponseError(msg, status_code=response.status_code) from None
            raise self._failure(error, request, outgoing, progress) from None
        except Exception as error:
            raise self._failure(error, request, outgoing, progress) from error
        finally:
            if response is not None:
                with anyio.CancelScope(shield=True):
                    await response.aclose()

    async def aclose(self) -> None:
        """Leave the client open: who made it closes it."""

    async def _read(self, response: httpx.Response) -> bytes:
        if response.is_stream_consumed:
            # A mocked reply comes whole and decompressed.
            if len(response.content) > self._max_response_bytes:
                raise too_large(response.status_code, self._max_response_bytes)
            return response.content
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
        self, error: Exception, request: WireRequest, outgoing: httpx.Request, progress: Progress
    ) -> PidjError:
        return transport_error(
            error,
            host=outgoing.url.netloc.decode(),
            progress=progress,
            witness=self._witness,
            call=request.endpoint,
        )


class _Body(RequestBody, httpx.AsyncByteStream):
    """A request's body, as httpx wants it."""

    async def aclose(self) -> None:
        """There is nothing to close."""
