"""A Pidj of your own, for tests: stateful, over a real socket on this machine, with webhooks.

::

    from pidj_async import Pidj
    from pidj_async.sandbox import Sandbox

    async with Sandbox() as sandbox:
        async with Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token=sandbox.token) as pidj:
            await pidj.messages.send(to_number="+18885553333", text_body="Hi", group_id=sandbox.group_id)
        assert sandbox.texts[0].text_body == "Hi"

It needs the extra ``sandbox``. What it knows when it starts is in `pidj_async.sandbox.seed`. Where the vendor's
document is silent, `pidj_async.sandbox.state` says what the sandbox does. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pidj_async.sandbox.records import Attempt, Delivery, SentText
    from pidj_async.sandbox.seed import (
        EXEMPT_GROUP_ID,
        GROUP_ID,
        GROUP_NUMBER,
        NUMBERLESS_GROUP_ID,
        PLAIN_GROUP_ID,
        PLAIN_GROUP_NUMBER,
        SERIES_ID,
        SURVEY_ID,
    )
    from pidj_async.sandbox.server import Sandbox

__all__ = [
    "EXEMPT_GROUP_ID",
    "GROUP_ID",
    "GROUP_NUMBER",
    "NUMBERLESS_GROUP_ID",
    "PLAIN_GROUP_ID",
    "PLAIN_GROUP_NUMBER",
    "SERIES_ID",
    "SURVEY_ID",
    "Attempt",
    "Delivery",
    "Sandbox",
    "SentText",
]

_HOMES = {"records": ("Attempt", "Delivery", "SentText"), "server": ("Sandbox",)}
_HOME_OF = dict.fromkeys(__all__, "seed") | {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
