"""What all tests share: both event loops, and how hard to try.

``PIDJ_TEST_PROFILE=soak`` gives every property twenty times the examples and runs the tests marked ``soak``, which are
skipped otherwise.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from .stores import postgresql, store_url

__all__ = ["postgresql", "store_url"]  # fixtures for all tests

SOAK = "soak"
PROFILE = os.environ.get("PIDJ_TEST_PROFILE", "default")

# Deadlines measure the machine, not the code.
settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(SOAK, settings.get_profile("default"), max_examples=2_000)
settings.load_profile(PROFILE)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop that an async test runs on: each one runs on both."""
    backend: str = request.param
    return backend


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers: with ``--strict-markers``, an unknown one is an error. And let Ctrl-C mean what it means."""
    # A shell's background jobs ignore it, and so would whatever these tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", f"{SOAK}: takes minutes; runs only with PIDJ_TEST_PROFILE={SOAK}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what takes minutes, unless it was asked for."""
    if PROFILE != SOAK:
        for item in items:
            if item.get_closest_marker(SOAK):
                item.add_marker(pytest.mark.skip(reason=f"runs with PIDJ_TEST_PROFILE={SOAK}"))
