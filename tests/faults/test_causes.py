"""The word for why a text failed is right for what really happened on the wire, whichever engine carried it."""

from __future__ import annotations

import pytest

from pidj_async.errors import PidjError
from pidj_async.outcomes import cause_of

from .catalogue import FAULTS, Fault
from .test_faults import EVERY_ENGINE, Engine, client_of, make

pytestmark = pytest.mark.anyio

CAUSES = {
    "dns_failure": {"dns"},
    "refused": {"connection-refused"},
    "connect_timeout": {"connect-timeout"},
    "tls_expired": {"tls"},
    "tls_wrong_host": {"tls"},
    "tls_handshake_cut": {"tls", "connect-error"},  # as the TLS library, or the socket, was the first to notice
    "tls_handshake_hangs": {"connect-timeout"},
    "accept_then_close": {"connection-lost", "not-sent"},  # uvloop may notice before the first byte
    "reset_before_headers": {"connection-lost"},
    "reset_mid_headers": {"connection-lost"},
    "reset_mid_body": {"connection-lost"},
    "headers_dribbled": {"timeout"},
    "body_dribbled": {"timeout"},
    "hang": {"read-timeout"},
    "429_without_retry_after": {"http-429"},
    "500": {"http-500"},
    "502_html": {"http-502"},
    "503_retry_after": {"http-503"},
    "200_html": {"unreadable-reply"},
    "gzip_bomb": {"unreadable-reply"},
    "bad_chunking": {"unreadable-reply", "connection-lost"},  # aiohttp tells no difference from a body cut off
    "redirect_302": {"http-302"},
}


@pytest.mark.parametrize(("engine", "anyio_backend"), EVERY_ENGINE)
@pytest.mark.parametrize("fault", [one for one in FAULTS if one.name in CAUSES], ids=lambda one: one.name)
async def test_the_cause_of_a_real_failure(fault: Fault, engine: Engine) -> None:
    """A text meets the fault, and its error's cause is the word for it."""
    with fault.start() as lab:
        options = dict(fault.transport)
        async with client_of(lab, engine=engine, deadline=fault.deadline, transport=options) as pidj:
            with pytest.raises(PidjError) as caught:
                await make("messages.send", pidj)

    assert cause_of(caught.value) in CAUSES[fault.name]


def test_every_fault_named_here_is_in_the_catalogue() -> None:
    """None of the words above is left untested because a fault was renamed."""
    assert set() == CAUSES.keys() - {fault.name for fault in FAULTS}
