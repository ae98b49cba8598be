"""What one would pick instead: aiohttp by hand, and the asynchronous SDKs of other services.

Each is set up to be as fast as its documentation lets it be: one session, as many connections as the concurrency says,
no retries, and a patient timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from benchmarks.dialects import SLACK_TOKEN, TWILIO_ACCOUNT
from benchmarks.texts import AUTHORIZATION, GROUP_ID, SENDER, TEXT, TOKEN, Dose

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "AIOHTTP",
    "PACKAGES",
    "SLACK",
    "TELNYX",
    "TWILIO",
    "Drive",
    "by_hand",
    "crew",
    "missing",
    "slack",
    "telnyx",
    "twilio",
]

Send = Callable[[str], Awaitable[object]]
Drive = Callable[[Dose], Awaitable[None]]

AIOHTTP: Final = "aiohttp.ClientSession"
TWILIO: Final = "Twilio SDK, asynchronous"
TELNYX: Final = "Telnyx SDK, asynchronous"
SLACK: Final = "Slack SDK, asynchronous"

PACKAGES: Mapping[str, str] = MappingProxyType(
    {AIOHTTP: "aiohttp", TWILIO: "twilio", TELNYX: "telnyx", SLACK: "slack_sdk"}
)
"""What has to be importable, besides this package."""

_PATIENCE: Final = 120.0  # seconds: a thousand at once outlast the usual ones


def missing(contender: str) -> str | None:
    """The package that a contender lacks here, if any."""
    package = PACKAGES.get(contender)
    return package if package is not None and find_spec(package) is None else None


def crew(send: Send, concurrency: int) -> Drive:
    """Make a function that sends a dose with as many tasks as the concurrency says."""

    async def work(dose: Dose) -> None:
        for number in dose:
            await send(number)

    async def drive(dose: Dose) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work(dose))

    return drive


def _session(concurrency: int, **options: Any) -> aiohttp.ClientSession:
    import aiohttp  # noqa: PLC0415  each process imports what it measures, and nothing else

    connector = aiohttp.TCPConnector(limit=concurrency)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_PATIENCE), **options)


@asynccontextmanager
async def by_hand(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    """The loop that one writes over aiohttp."""
    url = f"{base_url}/send"
    async with _session(concurrency, headers={"Authorization": AUTHORIZATION}) as session:

        async def send(number: str) -> object:
            data = {"to_number": number, "text_body": TEXT, "group_id": GROUP_ID}
            async with session.post(url, data=data) as response:
                response.raise_for_status()
                return await response.json()

        yield crew(send, concurrency)


@asynccontextmanager
async def twilio(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    """Twilio's, over aiohttp."""
    from twilio.http.async_http_client import AsyncTwilioHttpClient  # noqa: PLC0415  as above
    from twilio.rest import Client  # noqa: PLC0415

    http = AsyncTwilioHttpClient(pool_connections=False, timeout=_PATIENCE)
    async with _session(concurrency) as http.session:
        client = Client(TWILIO_ACCOUNT, TOKEN, http_client=http)
        client.api.base_url = _origin(base_url)

        async def send(number: str) -> object:
            return await client.messages.create_async(to=number, from_=SENDER, body=TEXT)

        yield crew(send, concurrency)


@asynccontextmanager
async def telnyx(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    """Telnyx's, over httpx."""
    import httpx  # noqa: PLC0415  as above
    from telnyx import AsyncTelnyx, DefaultAsyncHttpxClient  # noqa: PLC0415

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with AsyncTelnyx(
        api_key=TOKEN,
        base_url=f"{_origin(base_url)}/v2",
        max_retries=0,
        timeout=_PATIENCE,
        http_client=DefaultAsyncHttpxClient(limits=limits, timeout=_PATIENCE),
    ) as client:

        async def send(number: str) -> object:
            return await client.messages.send(to=number, from_=SENDER, text=TEXT)

        yield crew(send, concurrency)


@asynccontextmanager
async def slack(base_url: str, concurrency: int) -> AsyncGenerator[Drive, None]:
    """Slack's, over aiohttp."""
    from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415  as above

    async with _session(concurrency) as session:
        client = AsyncWebClient(
            SLACK_TOKEN, base_url=f"{_origin(base_url)}/api/", session=session, timeout=int(_PATIENCE)
        )

        async def send(number: str) -> object:
            return await client.chat_postMessage(channel=number, text=TEXT)

        yield crew(send, concurrency)


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"
