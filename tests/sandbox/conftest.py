"""One sandbox serves a whole run; each test gets it as good as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pidj_async.sandbox import Sandbox
from tests.sandbox.calling import Api


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(account_key="sandbox", token="sandbox", webhook_backoff=0.001) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.webhook_url = None
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    with Api(sandbox) as api:
        yield api
