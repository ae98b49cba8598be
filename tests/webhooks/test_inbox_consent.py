"""What an event means for the suppression list, and what is kept of a request's headers. Nothing is stored here."""

from __future__ import annotations

import json

import pytest

from pidj_async._masking import REDACTED
from pidj_async.webhooks import ConsentGiven, OptedIn, OptedOut, TextReceived, WebhookRequest
from pidj_async.webhooks.events import Contact, Event, Text
from pidj_async.webhooks.inbox.consent import Consent, consent_of, keyword_of
from pidj_async.webhooks.inbox.headers import kept_headers

MARIA = "+18885553333"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("STOP", "opt-out"),
        (" stop. ", "opt-out"),
        ("Stop!!!", "opt-out"),
        ("S T O P", "opt-out"),
        ("STOP ALL", "opt-out"),
        ("stopall", "opt-out"),
        ("Unsubscribe", "opt-out"),
        ("CANCEL", "opt-out"),
        ("end", "opt-out"),
        ("Quit\n", "opt-out"),
        ("REVOKE", "opt-out"),
        ("Opt-Out", "opt-out"),
        ("“STOP”", "opt-out"),
        ("STOP 🛑", "opt-out"),
        ("ＳＴＯＰ", "opt-out"),
        ("START", "opt-in"),
        ("unstop.", "opt-in"),
        ("please stop", None),
        ("Stop it", None),
        ("the end", None),
        ("Yes", None),
        ("stop" + " " * 100, None),
        ("", None),
        ("🛑", None),
    ],
)
def test_words(message: str, kind: str | None) -> None:
    """Only a message that says nothing else counts, however it is written."""
    assert keyword_of(message) == kind


@pytest.mark.parametrize(
    ("event", "consent"),
    [
        (
            OptedOut(contact=Contact(phone_number=MARIA)),
            Consent(kind="opt-out", phone_number=MARIA, source="opt-out"),
        ),
        (OptedOut(phone="888-555-3333"), Consent(kind="opt-out", phone_number=MARIA, source="opt-out")),
        (OptedOut(phone="12345"), Consent(kind="opt-out", phone_number=None, source="opt-out")),
        (OptedIn(), Consent(kind="opt-in", phone_number=None, source="opt-in")),
        (
            TextReceived(text=Text(message="Stop", phone_from=MARIA)),
            Consent(kind="opt-out", phone_number=MARIA, source="text"),
        ),
        (
            TextReceived(text=Text(message="start", phone_from=MARIA)),
            Consent(kind="opt-in", phone_number=MARIA, source="text"),
        ),
        (TextReceived(text=Text(message="Hi", phone_from=MARIA)), None),
        (TextReceived(), None),
        # Pidj's "consent given" says that somebody may be texted, and not that an opt-out is taken back.
        (ConsentGiven(contact=Contact(phone_number=MARIA)), None),
    ],
)
def test_events(event: Event, consent: Consent | None) -> None:
    """Pidj's two events, and texts of one word."""
    assert consent_of(event) == consent
    assert MARIA not in repr(consent)


SECRET = "correct-horse-battery"


def kept(path: str = "/", query: str = "", **headers: str) -> dict[str, str]:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    loaded: dict[str, str] = json.loads(
        kept_headers(WebhookRequest(method="POST", path=path, query=query, headers=pairs))
    )
    return loaded


def test_harmless_headers_are_kept() -> None:
    """They tell what Pidj sends."""
    headers = {"content_type": "application/json", "user_agent": "Pidj/1.0", "x_forwarded_for": "203.0.113.9"}
    assert kept(**headers) == {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy_Authorization",
        "Cookie",
        "X_Auth_Token",
        "X_Api_Key",
        "X_Secret",
        "X_Original_URL",
        "X_Forwarded_Uri",
        "X_Rewrite_Path",
        "Referer",
    ],
)
def test_headers_that_may_open_a_door_are_not(name: str) -> None:
    """Their names are, so that one knows that they came."""
    assert kept(**{name: SECRET}) == {name.lower().replace("_", "-"): REDACTED}


@pytest.mark.parametrize("place", [{"path": f"/hooks/{SECRET}"}, {"query": f"secret={SECRET}"}])
@pytest.mark.parametrize("value", [SECRET, f"GET /hooks/{SECRET}?a=1", SECRET.replace("-", "%2D")])
def test_a_part_of_the_url_is_not_kept_wherever_it_stands(place: dict[str, str], value: str) -> None:
    """Proxies repeat the URL in headers of all kinds of names."""
    assert kept(x_trace=value, **place) == {"x-trace": REDACTED}


def test_a_header_that_came_twice_and_a_long_one() -> None:
    """Values of the same name are joined, long ones cut."""
    pairs = [("via", "a"), ("Via", "b"), ("x-long", "x" * 5_000)]
    loaded = json.loads(kept_headers(WebhookRequest(method="POST", path="/", headers=pairs)))
    assert loaded == {"via": "a, b", "x-long": "x" * 1_000}
