"""An asyncio SDK for Pidj, with a webhook receiver toolkit and a sandbox.

Everything here is imported when it is first used, so that ``import pidj_async`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pidj_async._unset import UNSET, Unset
    from pidj_async.bulk import Bulk
    from pidj_async.client import Pidj
    from pidj_async.errors import (
        APIError,
        AuthenticationError,
        ConfigurationError,
        InvalidPayloadError,
        InvalidRequestError,
        NotFoundError,
        NotSentError,
        OutcomeUnknownError,
        PermissionDeniedError,
        PidjError,
        RateLimitError,
        RefusedError,
        ResponseError,
        ServerError,
        TransportError,
        UnauthorizedWebhookError,
        WebhookError,
    )
    from pidj_async.outcomes import Outcome, OutcomeState
    from pidj_async.requests import SendText
    from pidj_async.retries import NO_RETRIES, RetryBudget, RetryPolicy
    from pidj_async.sandbox import Sandbox
    from pidj_async.sansio import Reply
    from pidj_async.streaming import Stream
    from pidj_async.transports import Progress, ReplyStream, StreamingTransport, Transport
    from pidj_async.transports.aiohttp import AiohttpTransport
    from pidj_async.transports.fast import FastTransport
    from pidj_async.transports.httpx import HttpxTransport

_HOMES = {
    "APIError": "errors",
    "AiohttpTransport": "transports.aiohttp",
    "AuthenticationError": "errors",
    "Bulk": "bulk",
    "ConfigurationError": "errors",
    "FastTransport": "transports.fast",
    "HttpxTransport": "transports.httpx",
    "InvalidPayloadError": "errors",
    "InvalidRequestError": "errors",
    "NO_RETRIES": "retries",
    "NotFoundError": "errors",
    "NotSentError": "errors",
    "Outcome": "outcomes",
    "OutcomeState": "outcomes",
    "OutcomeUnknownError": "errors",
    "PermissionDeniedError": "errors",
    "Pidj": "client",
    "PidjError": "errors",
    "Progress": "transports",
    "RateLimitError": "errors",
    "RefusedError": "errors",
    "Reply": "sansio",
    "ReplyStream": "transports",
    "ResponseError": "errors",
    "RetryBudget": "retries",
    "RetryPolicy": "retries",
    "Sandbox": "sandbox",
    "SendText": "requests",
    "ServerError": "errors",
    "Stream": "streaming",
    "StreamingTransport": "transports",
    "Transport": "transports",
    "TransportError": "errors",
    "UNSET": "_unset",
    "UnauthorizedWebhookError": "errors",
    "Unset": "_unset",
    "WebhookError": "errors",
}

__all__ = [
    "NO_RETRIES",
    "UNSET",
    "APIError",
    "AiohttpTransport",
    "AuthenticationError",
    "Bulk",
    "ConfigurationError",
    "FastTransport",
    "HttpxTransport",
    "InvalidPayloadError",
    "InvalidRequestError",
    "NotFoundError",
    "NotSentError",
    "Outcome",
    "OutcomeState",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "Pidj",
    "PidjError",
    "Progress",
    "RateLimitError",
    "RefusedError",
    "Reply",
    "ReplyStream",
    "ResponseError",
    "RetryBudget",
    "RetryPolicy",
    "Sandbox",
    "SendText",
    "ServerError",
    "Stream",
    "StreamingTransport",
    "Transport",
    "TransportError",
    "UnauthorizedWebhookError",
    "Unset",
    "WebhookError",
]


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg) from None
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
