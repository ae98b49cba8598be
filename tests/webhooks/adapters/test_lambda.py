"""AWS Lambda: events in the shapes that API Gateway (payload formats 1.0 and 2.0) and function URLs document."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import anyio.lowlevel
import pytest

from pidj_async.webhooks import Dispatcher, OptedOut, Receiver, TextReceived, sample
from pidj_async.webhooks.adapters.aws_lambda import lambda_handler

SECRET = "correct horse+battery"
BODY = json.dumps(sample("opt-out"))
BASIC = "Basic " + base64.b64encode(f"pidj:{SECRET}".encode()).decode()

REST_API: dict[str, Any] = {
    "version": "1.0",
    "resource": "/webhooks",
    "path": "/webhooks",
    "httpMethod": "POST",
    "headers": {"Authorization": BASIC, "Content-Type": "application/json", "Via": "second"},
    "multiValueHeaders": {
        "Authorization": [BASIC],
        "Content-Type": ["application/json"],
        "Via": ["first", "second"],
    },
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "id",
        "httpMethod": "POST",
        "identity": {"sourceIp": "203.0.113.9", "userAgent": "Pidj"},
        "path": "/prod/webhooks",
        "protocol": "HTTP/1.1",
        "requestId": "id=",
        "resourcePath": "/webhooks",
        "stage": "prod",
    },
    "body": BODY,
    "isBase64Encoded": False,
}
HTTP_API: dict[str, Any] = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/webhooks",
    "rawQueryString": "",
    "headers": {"authorization": BASIC, "content-type": "application/json", "via": "first,second"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "api-id",
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "http": {
            "method": "POST",
            "path": "/webhooks",
            "protocol": "HTTP/1.1",
            "sourceIp": "203.0.113.9",
            "userAgent": "Pidj",
        },
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "timeEpoch": 1583348638390,
    },
    "body": BODY,
    "isBase64Encoded": False,
}
FUNCTION_URL: dict[str, Any] = {
    **HTTP_API,
    "requestContext": {
        **HTTP_API["requestContext"],
        "accountId": "anonymous",
        "domainName": "id.lambda-url.us-west-2.on.aws",
    },
    "body": base64.b64encode(BODY.encode()).decode(),
    "isBase64Encoded": True,
}
SHAPES = {"REST API": REST_API, "HTTP API": HTTP_API, "function URL": FUNCTION_URL}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def seen() -> list[OptedOut]:
    """What the handler has seen."""
    return []


@pytest.fixture
def dispatcher(seen: list[OptedOut]) -> Dispatcher:
    """One handler that remembers, and one that fails."""
    dispatcher = Dispatcher()

    @dispatcher.on(OptedOut)
    async def remember(event: OptedOut) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    @dispatcher.on(TextReceived)
    async def fail(_event: TextReceived) -> None:
        raise RuntimeError

    return dispatcher


def changed(shape: str, **changes: Any) -> dict[str, Any]:
    """An event of a shape, with another method, path, query, headers or body."""
    event = copy.deepcopy(SHAPES[shape])
    if "headers" in changes:
        event["headers"] = changes["headers"]
        event.pop("multiValueHeaders", None)
    if "path" in changes:
        event["path" if shape == "REST API" else "rawPath"] = changes["path"]
    if "method" in changes:
        event["httpMethod"] = event["requestContext"].setdefault("http", {})["method"] = changes["method"]
        if shape == "REST API":
            del event["requestContext"]["http"]
    if "query" in changes:
        event["rawQueryString"] = "&".join(f"{name}={value}" for name, value in changes["query"].items())
        event["queryStringParameters"] = changes["query"]
    if "body" in changes:
        event["body"], event["isBase64Encoded"] = changes["body"], False
    return event


@each_shape
def test_an_event_is_handled(shape: str, dispatcher: Dispatcher, seen: list[OptedOut]) -> None:
    """As AWS hands it over, and answered in the shape that AWS understands."""
    handler = lambda_handler(Receiver(dispatcher, secret=SECRET))
    assert {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "content-length": "22"},
        "body": '{"status": "received"}',
        "isBase64Encoded": False,
    } == handler(SHAPES[shape], None)
    assert [sample("opt-out")] == [event.raw for event in seen]
    json.dumps(handler(SHAPES[shape], None))  # the runtime's own last step


@each_shape
def test_the_secret_is_found_in_each_of_its_places(shape: str, dispatcher: Dispatcher, seen: list[OptedOut]) -> None:
    """In path and query decoded once; wrong or missing it is a 401."""
    handler = lambda_handler(Receiver(dispatcher, secret=SECRET))
    query = SECRET if shape == "REST API" else "correct%20horse%2Bbattery"  # a REST API decodes it
    events = [
        changed(shape, headers={}, path="/webhooks/correct%20horse+battery"),
        changed(shape, headers=None, path="/webhooks/correct horse+battery"),
        changed(shape, headers={"x": "y"}, query={"a": "1", "secret": query}),
        changed(shape, headers={}),
        changed(shape, headers={}, path="/webhooks/guess"),
        changed(shape, headers={}, query={"secret": "guess"}),
    ]
    assert [200, 200, 200, 401, 401, 401] == [handler(event, None)["statusCode"] for event in events]
    assert 3 == len(seen)


@each_shape
def test_what_cannot_be_taken_is_refused(shape: str, dispatcher: Dispatcher, seen: list[OptedOut]) -> None:
    """Methods, sizes, bodies, networks: decided as anywhere else."""
    handler = lambda_handler(Receiver(dispatcher, secret=SECRET, max_body_bytes=2_000, allow_from="203.0.113.0/24"))
    elsewhere = lambda_handler(Receiver(dispatcher, secret=SECRET, allow_from="198.51.100.0/24"))
    answers = [
        handler(changed(shape, method="GET"), None),
        handler(changed(shape, body=None), None),
        handler(changed(shape, body="{"), None),
        handler(changed(shape, body=BODY + " " * 2_000), None),
        handler(changed(shape, body=json.dumps(sample("text-received"))), None),
        handler(changed(shape, body="\ud800"), None),
        elsewhere(SHAPES[shape], None),
    ]
    assert [405, 400, 400, 413, 500, 400, 403] == [answer["statusCode"] for answer in answers]
    assert "POST" == answers[0]["headers"]["allow"]
    assert seen == []


def test_repeated_headers_and_parameters_are_all_seen(dispatcher: Dispatcher) -> None:
    """A REST API keeps only the last one in the single form; the list counts, so that no proxy's entry is lost."""
    event = changed("REST API", query={"secret": "guess"})
    event["multiValueQueryStringParameters"] = {"secret": [SECRET, "guess"]}
    event["headers"] = {"X-Forwarded-For": "198.51.100.9"}
    event["multiValueHeaders"] = {"X-Forwarded-For": ["203.0.113.9", "198.51.100.9"]}
    receiver = Receiver(dispatcher, secret=SECRET, allow_from="203.0.113.0/24", trusted_proxies=2)
    assert 200 == lambda_handler(receiver)(event, None)["statusCode"]


@pytest.mark.parametrize(
    "event", [{}, {"Records": []}, {"version": "2.0", "requestContext": {}}, {"requestContext": None}]
)
def test_what_is_no_request_is_an_error(event: dict[str, Any], dispatcher: Dispatcher) -> None:
    """The function is wired to something else, which AWS's log should say."""
    with pytest.raises(ValueError, match="no HTTP request of API Gateway"):
        lambda_handler(Receiver(dispatcher, secret=SECRET))(event, None)
