"""What the package exports, and that asking for little loads little."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from pidj_async import webhooks

MODULES = sorted({"adapters", "adapters.asgi", "dependencies", "filters", *webhooks._HOME_OF.values()})


@pytest.mark.parametrize("module", ["", *MODULES])
def test_all_lists_what_there_is_in_order(module: str) -> None:
    """Each module's ``__all__`` holds existing names, each once."""
    loaded = importlib.import_module(f"pidj_async.webhooks.{module}".rstrip("."))
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


def test_every_name_is_where_it_is_said_to_be() -> None:
    """The package's names are the modules' own objects, and ``dir()`` shows them before they are used."""
    for name in webhooks.__all__:
        homes = [importlib.import_module(f"pidj_async.webhooks.{module}") for module in MODULES]
        assert any(getattr(home, name, None) is getattr(webhooks, name) for home in homes if name in home.__all__)
    assert set(webhooks.__all__) <= set(dir(webhooks))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match=r"'pidj_async\.webhooks' has no attribute 'TextSent'"):
        _ = webhooks.TextSent


def test_parsing_loads_neither_client_nor_server() -> None:
    """Whoever only parses events pays for no HTTP client, event loop or converter; nothing here loads the client."""
    code = (
        "import sys; from pidj_async.webhooks import parse_event, sample; import json;"
        "parse_event(json.dumps(sample('opt-out')));"
        "print([n for n in ('httpx', 'anyio', 'asyncio', 'cattrs', 'starlette') if n in sys.modules]);"
        "import pidj_async.webhooks.adapters.asgi as a; from pidj_async.webhooks import *;"
        "print([n for n in ('httpx', 'cattrs', 'starlette', 'pidj_async.client', 'pidj_async.endpoints',"
        " 'pidj_async.sansio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n") == ["[]", "[]", ""]
