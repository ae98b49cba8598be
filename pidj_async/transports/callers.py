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
from pidj_async.transports.failures import Tracer, Witness, meaning_of
from pidj_async.transports.streaming import BodyStream, drain

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
        outgoing = self._outgoing(request, progress)
        response: httpx.Response | None = None
        try:
            response = await self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            content = await self._read(response)
            return WireResponse(status_code=response.status_code, headers=_headers_of(response), content=content)
        except Exception as error:  # noqa: BLE001  raised as what it means
            meaning = self._meaning(error, request, outgoing, progress, response)
            raise meaning from meaning.__cause__
        finally:
            if response is not None:
                with anyio.CancelScope(shield=True):
                    await response.aclose()

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> BodyStream:
        """See `StreamingTransport.stream`."""
        outgoing = self._outgoing(request, progress)
        try:
            response = await self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
        except Exception as error:  # noqa: BLE001  raised as what it means
            meaning = self._meaning(error, request, outgoing, progress, None)
            raise meaning from meaning.__cause__
        headers = _headers_of(response)
        if response.is_stream_consumed:
            # A mocked reply comes whole and decompressed.
            headers.pop("content-encoding", None)
            chunks = response.aiter_bytes()
        else:
            chunks = response.aiter_raw()

        async def close(clean: bool) -> None:  # noqa: FBT001  as `BodyStream` calls it
            await response.aclose()
            if not clean:
                await drain(chunks)

        return BodyStream(
            status_code=response.status_code,
            headers=headers,
            chunks=chunks,
            limit=max_bytes,
            meaning=lambda error: self._meaning(error, request, outgoing, progress, response),
            close=close,
        )

    async def aclose(self) -> None:
        """Leave the client open: who made it closes it."""

    def _outgoing(self, request: WireRequest, progress: Progress) -> httpx.Request:
        url = httpx.URL(request.url)
        headers = [("Host", url.netloc.decode()), *request.headers, ("Accept-Encoding", ACCEPT_ENCODING)]
        if request.content or request.method in {"POST", "PUT"}:
            headers.append(("Content-Length", str(len(request.content))))
        return httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=_Body(request.content),
            extensions={"timeout": self._client.timeout.as_dict(), "trace": Tracer(progress, self._witness)},
        )

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
            await drain(chunks)
            raise
        return body.finish()

    def _meaning(
        self,
        error: Exception,
        request: WireRequest,
        outgoing: httpx.Request,
        progress: Progress,
        response: httpx.Response | None,
    ) -> PidjError:
        return meaning_of(
            error,
            host=outgoing.url.netloc.decode(),
            progress=progress,
            witness=self._witness,
            call=request.endpoint,
            status_code=None if response is None else response.status_code,
        )


def _headers_of(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


class _Body(RequestBody, httpx.AsyncByteStream):
    """A request's body, as httpx wants it."""

    async def aclose(self) -> None:
        """There is nothing to close."""
