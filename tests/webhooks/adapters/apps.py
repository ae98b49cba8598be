"""The same receivers, mounted in every framework: ``/webhooks``, ``/hasty``, ``/near``, ``/proxied`` and ``/stored``.

What the handlers see is appended to the file that ``PIDJ_TEST_EVENTS`` names, so that it does not matter in which
process they run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pidj_async.store import Store
from pidj_async.webhooks import Dispatcher, Inbox, OptedOut, Receiver, TextReceived, redact_access_log

SECRET = "correct-horse-battery+Staple/9"
LIMIT = 4_096
FAILURE = "as the test wants it"

OPTIONS: dict[str, dict[str, Any]] = {
    "webhooks": {},
    "hasty": {"body_timeout": 0.2},
    "near": {"allow_from": "127.0.0.0/8"},
    "proxied": {"allow_from": ["203.0.113.0/24"], "trusted_proxies": 1},
}


def remember(event: OptedOut) -> None:
    with Path(os.environ["PIDJ_TEST_EVENTS"]).open("a") as events:
        events.write(json.dumps(event.raw) + "\n")


async def fail(_event: TextReceived) -> None:
    raise RuntimeError(FAILURE)


def receivers() -> dict[str, Receiver]:
    made = {}
    for name, options in OPTIONS.items():
        dispatcher = Dispatcher()
        dispatcher.on(OptedOut)(remember)
        dispatcher.on(TextReceived)(fail)
        made[name] = Receiver(dispatcher, secret=[SECRET, "an-older-one"], max_body_bytes=LIMIT, **options)
        redact_access_log(made[name])
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(remember)
    inbox = Inbox(Store(f"sqlite:///{os.environ['PIDJ_TEST_EVENTS']}.db"))
    made["stored"] = Receiver(dispatcher, secret=SECRET, inbox=inbox)
    return made


def starlette() -> Any:
    from starlette.applications import Starlette

    from pidj_async.webhooks.adapters.starlette import starlette_routes

    made = receivers()
    return Starlette(
        routes=[route for name, each in made.items() for route in starlette_routes(each, f"/{name}")],
        lifespan=lambda _app: made["stored"].lifespan(),
    )


def fastapi() -> Any:
    from fastapi import FastAPI

    from pidj_async.webhooks.adapters.fastapi import fastapi_router

    app = FastAPI()
    for name, each in receivers().items():
        app.include_router(fastapi_router(each, f"/{name}"))
    return app


def litestar() -> Any:
    from litestar import Litestar, asgi

    made = receivers()
    return Litestar(
        [asgi(f"/{name}", is_mount=True, copy_scope=True)(each.asgi()) for name, each in made.items()],
        lifespan=[lambda _app: made["stored"].lifespan()],
    )


def quart() -> Any:
    from hypercorn.middleware import DispatcherMiddleware
    from quart import Quart

    from pidj_async.webhooks.adapters.asgi import asgi_lifespan

    made = receivers()
    mounts: dict[str, Any] = {f"/{name}": each.asgi() for name, each in made.items()}
    return asgi_lifespan(DispatcherMiddleware({**mounts, "": Quart("quart")}), made["stored"])


def aiohttp() -> Any:
    from aiohttp import web

    from pidj_async.webhooks.adapters.aiohttp import aiohttp_handler, aiohttp_lifespan

    made = receivers()
    app = web.Application()
    for name, each in made.items():
        handler = aiohttp_handler(each)
        app.router.add_post(f"/{name}", handler)
        app.router.add_post(f"/{name}/{{secret:.+}}", handler)
    app.cleanup_ctx.append(aiohttp_lifespan(made["stored"]))
    return app


def wsgi() -> Any:
    from werkzeug.exceptions import NotFound
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(NotFound(), {f"/{name}": each.wsgi() for name, each in receivers().items()})


def flask() -> Any:
    from flask import Flask

    from pidj_async.webhooks.adapters.flask import flask_view

    app = Flask("flask_app")
    for name, each in receivers().items():
        view = flask_view(each)
        app.add_url_rule(f"/{name}", name, view)
        app.add_url_rule(f"/{name}/<path:secret>", name, view)
    return app


def flask_that_reads_first() -> Any:
    from flask import request

    app = flask()
    app.before_request(lambda: None if isinstance(request.get_data(), bytes) else "no body")
    return app


def flask_with_mounts() -> Any:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(Flask("flask_app"), {f"/{name}": each.wsgi() for name, each in receivers().items()})


def _set_up_django(make_view: Callable[[Receiver], Any], *middleware: str) -> Receiver:
    import django
    from django.conf import settings
    from django.urls import path

    urls: Any = ModuleType("urls_of_the_test")
    urls.urlpatterns = []
    made = receivers()
    for name, each in made.items():
        view = make_view(each)
        urls.urlpatterns += [path(name, view), path(f"{name}/<path:secret>", view)]
    sys.modules[urls.__name__] = urls
    settings.configure(
        ROOT_URLCONF=urls.__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="x",
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            *middleware,
        ],
        LOGGING_CONFIG=None,
    )
    django.setup(set_prefix=False)
    return made["stored"]


def read_first(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        assert isinstance(request.body, bytes)
        return get_response(request)

    return middleware


def django_async() -> Any:
    from django.core.asgi import get_asgi_application

    from pidj_async.webhooks.adapters.asgi import asgi_lifespan
    from pidj_async.webhooks.adapters.django import django_async_view

    stored = _set_up_django(django_async_view)
    return asgi_lifespan(get_asgi_application(), stored)


def django_sync_on_asgi() -> Any:
    from django.core.asgi import get_asgi_application

    from pidj_async.webhooks.adapters.django import django_view

    _set_up_django(django_view)
    return get_asgi_application()


def django_wsgi() -> Any:
    from django.core.wsgi import get_wsgi_application

    from pidj_async.webhooks.adapters.django import django_view

    _set_up_django(django_view)
    return get_wsgi_application()


def django_wsgi_that_reads_first() -> Any:
    from django.core.wsgi import get_wsgi_application

    from pidj_async.webhooks.adapters.django import django_view

    _set_up_django(django_view, f"{__name__}.read_first")
    return get_wsgi_application()
