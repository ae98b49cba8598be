"""Routes of Starlette and FastAPI in process: names, paths, and what the OpenAPI document says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette

from pidj_async.webhooks import EVENT_TYPES, Dispatcher, OptedOut, Receiver, sample
from pidj_async.webhooks.adapters.fastapi import fastapi_router
from pidj_async.webhooks.adapters.starlette import starlette_routes

SECRET = "correct-horse-battery"
BODY = json.dumps(sample("opt-out")).encode()


@pytest.fixture
def receiver() -> Receiver:
    """A receiver that wants its whole path to be right."""
    return Receiver(Dispatcher(), secret=SECRET, path="/api/hooks")


async def statuses(app: Any, *paths: str) -> list[int]:
    """Post to each of the paths, without following redirects."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", auth=("pidj", SECRET)) as client:
        return [(await client.post(path, content=BODY)).status_code for path in paths]


PATHS = ("/api/hooks", f"/api/hooks/{SECRET}", "/api/other")


@pytest.mark.anyio
async def test_starlette_routes_are_found_with_and_without_a_secret(receiver: Receiver) -> None:
    """Without a redirect to a slash; by name, too."""
    app = Starlette(routes=starlette_routes(receiver, "/api/hooks"))
    assert [200, 200, 404] == await statuses(app, *PATHS)
    assert "/api/hooks" == app.url_path_for("pidj_webhooks")


@pytest.mark.anyio
async def test_a_fastapi_router_can_be_included(receiver: Receiver) -> None:
    """Under a prefix, inside another router; the receiver sees the whole path."""
    app = FastAPI()
    api = APIRouter(prefix="/api")
    api.include_router(fastapi_router(receiver, "/hooks"))
    app.include_router(api)
    assert [200, 200, 404] == await statuses(app, *PATHS)


@pytest.mark.anyio
@pytest.mark.parametrize("make", ["starlette", "fastapi"])
async def test_the_root_can_be_the_address(make: str) -> None:
    """``/``, and the secret behind it."""
    receiver = Receiver(Dispatcher(), secret=SECRET)
    app: Any = Starlette(routes=starlette_routes(receiver, "/")) if make == "starlette" else FastAPI()
    if make == "fastapi":
        app.include_router(fastapi_router(receiver, "/"))
    assert [200, 200] == await statuses(app, "/", f"/{SECRET}")


def test_openapi_shows_the_body_and_every_answer(receiver: Receiver) -> None:
    """One operation, with an example of each event; the address with the secret in it is left out."""
    app = FastAPI()
    app.include_router(fastapi_router(receiver, "/hooks"))
    document = app.openapi()
    assert ["/hooks"] == list(document["paths"])
    operation = document["paths"]["/hooks"]["post"]
    body = operation["requestBody"]
    assert body["required"] is True
    content = body["content"]["application/json"]
    assert {name: name for name in EVENT_TYPES} == {
        name: each["value"]["event"] for name, each in content["examples"].items()
    }
    assert sample("opt-out")["group"] == content["examples"]["opt-out"]["value"]["group"]
    assert ["event"] == content["schema"]["required"]
    assert ["200", "400", "401", "403", "404", "408", "413", "415", "500", "503"] == sorted(operation["responses"])
    assert ["webhooks"] == operation["tags"]
    for status, response in operation["responses"].items():
        field = "status" if status == "200" else "error"
        assert [field] == response["content"]["application/json"]["schema"]["required"]


@pytest.mark.anyio
async def test_the_answers_are_as_they_are_documented() -> None:
    """A refusal comes from the receiver and not from FastAPI, and its body has the field of the document."""
    seen: list[OptedOut] = []
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(seen.append)
    app = FastAPI()
    app.include_router(fastapi_router(Receiver(dispatcher, secret=SECRET), "/hooks"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        replies = [
            await client.post(f"/hooks/{SECRET}", content=BODY),
            await client.post("/hooks", content=BODY),
            await client.post(f"/hooks/{SECRET}", content=b"["),
        ]
    assert [200, 401, 400] == [reply.status_code for reply in replies]
    assert [{"status"}, {"error"}, {"error"}] == [set(reply.json()) for reply in replies]
    assert [sample("opt-out")] == [event.raw for event in seen]
