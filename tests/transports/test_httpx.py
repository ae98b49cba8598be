"""`HttpxTransport`: its connections, its limits, and how it tells "not sent" from "unknown"."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
import respx

from pidj_async import (
    NO_RETRIES,
    ConfigurationError,
    HttpxTransport,
    NotSentError,
    OutcomeUnknownError,
    Pidj,
    PidjError,
    ResponseError,
    SendText,
)
from tests.recorder import Recorder

pytestmark = pytest.mark.anyio

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


def client(transport: HttpxTransport, base_url: str = "https://pidj.invalid/api/2020") -> Pidj:
    return Pidj(account_key="k", token="t", base_url=base_url, transport=transport, retry=NO_RETRIES)


async def failure(pidj: Pidj) -> PidjError:
    with pytest.raises(PidjError) as raised:
        await pidj.execute(TEXT)
    return raised.value


# ------------------------------------------------------------------------------------------------ a caller's own client


async def test_a_callers_client_is_used_and_left_open() -> None:
    """Its connections carry the request; its authentication, cookies and redirects stay out of it."""
    redirect = (302, {"Location": "https://elsewhere.invalid/", "Set-Cookie": "a=b"}, b"")
    with Recorder(lambda _: redirect) as recorder:
        async with httpx.AsyncClient(auth=("other", "credentials"), cookies={"c": "d"}, follow_redirects=True) as own:
            async with HttpxTransport(own) as transport:
                error = await failure(client(transport, recorder.base_url))
            assert not own.is_closed

    assert isinstance(error, ResponseError)
    assert "redirect" in str(error)
    assert recorder.requests[0].headers["authorization"] == "Basic azp0"
    assert "cookie" not in recorder.requests[0].headers
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("options", [{"read_timeout": 1.0}, {"proxy": "http://localhost:1"}, {"max_connections": 3}])
async def test_a_callers_client_brings_its_own_limits(options: dict[str, Any]) -> None:
    """An option that would be ignored is refused."""
    async with httpx.AsyncClient() as own:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            HttpxTransport(own, **options)


async def test_a_transport_that_does_not_trace_proves_nothing() -> None:
    """httpx-aiohttp reports a lost connection as ConnectTimeout: without a trace that is "unknown"."""

    def handler(request: httpx.Request) -> httpx.Response:
        msg = "lost, in truth"
        raise httpx.ConnectTimeout(msg, request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as own:
        error = await failure(client(HttpxTransport(own)))

    assert isinstance(error, OutcomeUnknownError)


@pytest.mark.parametrize(("limit", "error"), [(1_000, None), (10, ResponseError)])
async def test_a_mocked_client_of_the_callers_answers(limit: int, error: type[PidjError] | None) -> None:
    """Httpx's MockTransport hands over whole replies; the limit holds for them too."""
    mock = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "success", "message": "mocked"}))
    async with httpx.AsyncClient(transport=mock) as own:
        pidj = client(HttpxTransport(own, max_response_bytes=limit))
        if error is None:
            assert (await pidj.execute(TEXT)).message == "mocked"
        else:
            assert type(await failure(pidj)) is error


async def test_a_refused_connection_of_a_callers_client_is_not_sent() -> None:
    """Httpx's own transport traces, so here the proof holds."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with httpx.AsyncClient() as own:
        error = await failure(client(HttpxTransport(own), f"http://127.0.0.1:{port}"))

    assert isinstance(error, NotSentError)


# ------------------------------------------------------------------------------------------------------------- respx


@respx.mock
async def test_respx_mocks_the_default_transport() -> None:
    """People's tests go on working: respx sees our requests as httpx's."""
    route = respx.post("https://gopidj.com/api/2020/send").respond(json={"status": "success", "message": "mocked"})

    async with Pidj(account_key="k", token="t") as pidj:
        sent = await pidj.execute(TEXT)

    assert sent.message == "mocked"
    assert route.calls.last.request.content == b"to_number=%2B18885553333&text_body=Hi&group_id=gr%3A1"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectError, NotSentError),
        (httpx.ConnectTimeout, NotSentError),
        (httpx.PoolTimeout, NotSentError),
        (httpx.ReadTimeout, OutcomeUnknownError),
        (httpx.ReadError, OutcomeUnknownError),
        (httpx.WriteError, OutcomeUnknownError),
        (httpx.RemoteProtocolError, OutcomeUnknownError),
        (RuntimeError, OutcomeUnknownError),
    ],
)
async def test_a_mocked_failure_means_what_the_real_one_does(
    raised: type[Exception], expected: type[PidjError]
) -> None:
    """The kind of error is the second witness: a mocked ReadTimeout comes without any trace."""
    with respx.mock:
        respx.post("https://gopidj.com/api/2020/send").mock(side_effect=raised("mocked"))
        async with Pidj(account_key="k", token="t", retry=NO_RETRIES) as pidj:
            error = await failure(pidj)

    assert type(error) is expected
