"""A `Receiver` as an AWS Lambda function, behind API Gateway (REST or HTTP) or at a function URL.

::

    handler = lambda_handler(receiver)

The handlers run on the process's shared event loop, see `pidj_async.webhooks.adapters.portal`: what was opened there
for one invocation is still good in the next one of the same process. Between two invocations AWS freezes the process,
so nothing may be left to run after the reply. An inbox's events are stored here, and handled elsewhere: its receiver
needs ``run_inbox=False``.

Bodies arrive complete, so that their time and, before the function runs, their size are AWS's business (10 MB at API
Gateway, 6 MB at a function URL).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

import attrs

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.adapters.portal import shared_portal
from pidj_async.webhooks.http import WebhookRequest

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["lambda_handler"]


def lambda_handler(receiver: Receiver) -> Callable[[Mapping[str, Any], object], dict[str, Any]]:
    """Make an AWS Lambda function of a receiver.

    Args:
        receiver: Makes all the decisions.

    Returns:
        The function, to be named as the handler. It takes events of payload format 1.0 and 2.0, and raises `ValueError`
        for what is no HTTP request.

    Raises:
        ConfigurationError: The receiver would have its inbox's events handled in this process.
    """
    if receiver.runs_inbox:
        msg = (
            "nothing runs between two invocations: pass run_inbox=False, and have the inbox's events handled elsewhere"
        )
        raise ConfigurationError(msg)

    def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
        request = _translated(event)
        reply = receiver.check(request)
        if reply is None:
            body = event.get("body") or ""
            raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
            reply = shared_portal().call(receiver.receive, attrs.evolve(request, body=raw))
        return {
            "statusCode": reply.status,
            "headers": dict(reply.headers),
            "body": reply.body.decode(),
            "isBase64Encoded": False,
        }

    return handler


def _translated(event: Mapping[str, Any]) -> WebhookRequest:
    context = event.get("requestContext") or {}
    if "http" in context:  # 2.0: HTTP APIs and function URLs; repeated headers are joined with commas
        return WebhookRequest(
            method=context["http"]["method"],
            path=unquote(event["rawPath"]),
            query=event.get("rawQueryString") or "",
            headers=event.get("headers") or {},
            client_host=context["http"].get("sourceIp"),
        )
    if "httpMethod" in event:  # 1.0: REST APIs, or HTTP APIs that were told so
        return WebhookRequest(
            method=event["httpMethod"],
            path=unquote(event["path"]),
            query=urlencode(_pairs(event, "queryStringParameters", "multiValueQueryStringParameters")),
            headers=_pairs(event, "headers", "multiValueHeaders"),
            client_host=(context.get("identity") or {}).get("sourceIp"),
        )
    msg = "this is no HTTP request of API Gateway or of a function URL (payload format 1.0 or 2.0)"
    raise ValueError(msg)


def _pairs(event: Mapping[str, Any], single: str, multiple: str) -> list[tuple[str, str]]:
    # `multiple` has everything that `single` has, of which only the last value was kept; either may be null.
    several = event.get(multiple) or {name: [value] for name, value in (event.get(single) or {}).items()}
    return [(name, value) for name, values in several.items() for value in values]
