"""Requests and replies without I/O: what is sent, and what an answer means."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pidj_async import models
from pidj_async._endpoint import Endpoint
from pidj_async._fields import Request
from pidj_async.endpoints import BY_NAME, TABLE, endpoint_of
from pidj_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RefusedError,
    ResponseError,
    ServerError,
)
from pidj_async.requests import (
    CheckConsent,
    CreateSsoUrl,
    CreateUser,
    GetContactByPhone,
    InitiateTask,
    SendText,
    UpdateContact,
)
from pidj_async.sansio import (
    DEFAULT_BASE_URL,
    Reply,
    WireRequest,
    WireResponse,
    basic_authorization,
    build_request,
    check_base_url,
    is_loopback,
    parse_response,
)
from tests.valid import PASSWORD, PHONE, complete

TOKEN = "t0ken-nobody-may-see"
AUTHORIZATION = basic_authorization("key", TOKEN)
SECRETS = (TOKEN, AUTHORIZATION, AUTHORIZATION.removeprefix("Basic "))
FORM = ("Content-Type", "application/x-www-form-urlencoded")
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

SEND = BY_NAME["messages.send"]
CONTACTS = BY_NAME["contacts.list"]

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def response(status_code: int, body: Any = b"", **headers: str) -> WireResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireResponse(status_code=status_code, headers=names, content=content)


def parse(row: Endpoint[Any], status_code: int, body: Any = b"", **headers: str) -> Reply[Any]:
    return parse_response(row, response(status_code, body, **headers), secrets=SECRETS, now=NOW)


def refusal(
    row: Endpoint[Any], status_code: int, body: Any = b"", *, request: Request[Any] | None = None, **headers: str
) -> Any:
    with pytest.raises((APIError, ResponseError)) as raised:
        parse_response(row, response(status_code, body, **headers), request=request, secrets=SECRETS, now=NOW)
    return raised.value


def build(request: Request[Any], **options: Any) -> WireRequest:
    return build_request(endpoint_of(request), request, **options)


# ------------------------------------------------------------------------------------------------------------ requests


def test_a_text_goes_out_as_a_form() -> None:
    """Verb, URL, headers and body, and the row's name for the log."""
    request = SendText(to_number=PHONE, text_body="Hi", group_id="gr:1")
    wire = build(request, headers=[("Authorization", AUTHORIZATION)])

    assert wire == WireRequest(
        method="POST",
        url="https://gopidj.com/api/2020/send",
        headers=(("Authorization", AUTHORIZATION), FORM),
        content=b"to_number=%2B18885552222&text_body=Hi&group_id=gr%3A1",
        endpoint="messages.send",
    )


def test_ids_go_into_the_path() -> None:
    """And a call without a form has no body and no content type."""
    wire = build(CheckConsent("co:1", "gr:2"), base_url="http://127.0.0.1:8000/api")

    assert "http://127.0.0.1:8000/api/contact/co:1/gr:2/check-consent" == wire.url
    assert ("GET", (), b"") == (wire.method, wire.headers, wire.content)


def test_a_plus_in_a_path_is_encoded() -> None:
    """As the vendor asks for."""
    assert build(GetContactByPhone(PHONE)).url.endswith("/contact/by-phone/%2B18885552222")


@each_row
def test_a_content_type_goes_with_every_post_and_put(row: Endpoint[Any]) -> None:
    """The vendor lists it as required, also where there is nothing to send."""
    wire = build(complete(row.request))

    assert (row.method in {"POST", "PUT"}) is (FORM in wire.headers)
    assert row.has_body is bool(wire.content)
    assert (row.method, row.name) == (wire.method, wire.endpoint)
    assert wire.url.startswith(DEFAULT_BASE_URL + "/")


def test_an_update_of_nothing_has_an_empty_form() -> None:
    """It changes nothing, and is still a PUT."""
    assert ((FORM,), b"") == (build(UpdateContact("co:1")).headers, build(UpdateContact("co:1")).content)


def test_the_same_request_is_always_the_same_bytes() -> None:
    """There is no chance in here."""
    assert build(complete(CreateUser)) == build(complete(CreateUser))


def test_a_repr_of_a_request_tells_no_secret_no_number_and_no_text() -> None:
    """Headers by name, the body by size, a number in the path masked."""
    text = build(SendText(to_number=PHONE, text_body="Hi", group_id="gr:1"), headers=[("Authorization", AUTHORIZATION)])
    by_phone = build(GetContactByPhone(PHONE))

    assert (
        "WireRequest(method='POST', url='https://gopidj.com/api/2020/send', headers=<Authorization, Content-Type>, "
        "content=<53 bytes>, endpoint='messages.send')"
    ) == repr(text)
    assert "url='https://gopidj.com/api/2020/contact/by-phone/+188******22'" in repr(by_phone)


def test_a_repr_of_a_reply_tells_names_and_sizes() -> None:
    """What is in it is reachable, and not in a log."""
    arrived = response(200, {"code": 200, "status": "success", "contact": {"phone_number": PHONE}}, x_note="private")
    reply = parse_response(BY_NAME["contacts.get"], arrived)

    assert "WireResponse(status_code=200, headers=<x-note>, content=<79 bytes>)" == repr(arrived)
    assert repr(reply).endswith("envelope=<code, status, contact>, headers=<x-note>, attempts=1)")
    assert PHONE not in repr(reply)
    assert "private" not in repr(reply)


def test_names_in_a_reply_cannot_break_a_log_line() -> None:
    """Whoever writes the field names writes one line at most."""
    reply = parse(SEND, 200, {"status": "success", "a\nb": 1, PHONE: 2}, **{"x\ny": "1"})

    assert repr(reply).isprintable()
    assert PHONE not in repr(reply)


# ------------------------------------------------------------------------------------------------------------ base URL


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
        ("https://api.gopidj.com/api/2020/", "https://api.gopidj.com/api/2020"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("HTTPS://example.com/", "HTTPS://example.com"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.1.2.3:1/x", "http://127.1.2.3:1/x"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_base_url_is_kept_without_its_trailing_slash(given_: str, kept: str) -> None:
    """With https anywhere, with http only on this machine."""
    assert kept == check_base_url(given_)


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("", "absolute http or https"),
        ("gopidj.com/api/2020", "absolute http or https"),
        ("/api/2020", "absolute http or https"),
        ("ftp://gopidj.com", "absolute http or https"),
        ("https://", "absolute http or https"),
        ("https://:443", "absolute http or https"),
        ("https://[::1", "absolute http or https"),
        ("https://example.com:0", "absolute http or https"),
        ("https://example.com:99999", "absolute http or https"),
        ("https://example.com:port", "absolute http or https"),
        ("https://key:token@example.com", "no credentials"),
        ("https://@example.com", "no credentials"),
        ("https://example.com/?a=1", "no credentials, query or fragment"),
        ("https://example.com?", "no credentials, query or fragment"),
        ("https://example.com#a", "no credentials, query or fragment"),
        ("https://example.com#", "no credentials, query or fragment"),
        ("https://exämple.com", "printable ASCII"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://example.com/a\nb", "printable ASCII"),
        (" https://example.com", "absolute http or https|printable ASCII"),
        ("http://gopidj.com/api/2020", "must be https: over http the token would travel to gopidj.com in the clear"),
        ("http://localhost.example.com", "must be https"),
        ("http://127.0.0.1.example.com", "must be https"),
        ("http://127.0.0.256", "must be https"),
        ("http://127.0.0." + "1" * 5_000, "must be https"),
        ("http://0.0.0.0", "must be https"),
        ("http://10.0.0.1", "must be https"),
    ],
)
def test_a_base_url_that_is_not_safe_is_refused(base_url: str, reason: str) -> None:
    """Before any credential leaves."""
    with pytest.raises(ConfigurationError, match=reason):
        check_base_url(base_url)


def test_a_refused_base_url_does_not_show_its_credentials() -> None:
    """Somebody put them where they do not belong; the message repeats them not."""
    with pytest.raises(ConfigurationError) as raised:
        check_base_url(f"https://key:{TOKEN}@example.com")

    assert TOKEN not in str(raised.value)


@given(st.text(st.characters()) | st.text(st.sampled_from("htps:/[]@?#.1270 \n\\"), max_size=30))
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    """And what is taken can be continued with a path."""
    try:
        kept = check_base_url(text)
    except ConfigurationError:
        return
    assert not kept.endswith("/")
    assert kept.isascii()
    assert "?" not in kept


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("::1", True), ("127.0.0.1", True), ("127.255.255.255", True), ("127.0.0", False),
     ("127.0.0.x", False), ("128.0.0.1", False), ("", False), ("example.com", False)],
)  # fmt: skip
def test_this_machine_is_known_by_name_or_number(host: str, loopback: bool) -> None:  # noqa: FBT001
    """No name is looked up: who answers for it is not ours to say."""
    assert loopback is is_loopback(host)


def test_basic_authorization() -> None:
    """HTTP Basic: the account key is the user, the token the password, both in UTF-8."""
    scheme, _, encoded = basic_authorization("kéy", "to:ken").partition(" ")

    assert ("Basic", "kéy:to:ken") == (scheme, base64.b64decode(encoded).decode())


# ------------------------------------------------------------------------------------------------------------- success

REPLIES: dict[str, tuple[dict[str, Any], Any]] = {
    "messages.send": ({"message": "Text sent."}, models.TextSent(status="success", message="Text sent.")),
    "tasks.initiate": ({"task": "ci:1"}, models.CreatedTask(id="ci:1")),
    "users.get": ({"user": {"username": "jo", "roles": ["admin"]}}, models.User(username="jo", roles=("admin",))),
    "users.create": ({"id": "us:1", "message": "m"}, models.CreatedUser(id="us:1", message="m")),
    "users.update": ({}, models.Confirmation(status="success")),
    "users.delete": ({}, models.Confirmation(status="success")),
    "users.recover": ({}, models.Confirmation(status="success")),
    "users.pause": ({"paused": True}, models.PauseState(paused=True, status="success")),
    "users.unpause": ({"paused": "0"}, models.PauseState(paused=False, status="success")),
    "sso.create_url": ({"url": "https://gopidj.com/s/1"}, models.SsoUrl(url="https://gopidj.com/s/1")),
    "contacts.get": ({"contact": {"id": "co:1"}}, models.Contact(id="co:1")),
    "contacts.get_by_phone": ({"contact": {"id": "co:1", "new": 1}}, models.Contact(id="co:1", extra={"new": 1})),
    "contacts.create": ({"id": "co:1"}, models.CreatedContact(id="co:1")),
    "contacts.update": ({"message": "m"}, models.Confirmation(status="success", message="m")),
    "contacts.delete": ({"new": 1}, models.Confirmation(status="success", extra={"new": 1})),
    "contacts.send_consent_text": ({}, models.Confirmation(status="success")),
    "contacts.check_consent": ({"needed": False, "message": "m"}, models.ConsentCheck(needed=False, message="m")),
    "contacts.list": ({"contacts": [{"id": "co:1"}]}, (models.Contact(id="co:1"),)),
    "groups.list": ({"groups": [{"group_id": "gr:1"}]}, (models.Group(group_id="gr:1"),)),
    "series.subscribe": ({"message": "m"}, models.Confirmation(status="success", message="m")),
    "series.list": ({"series": [{"series_id": "ts:1"}]}, (models.Series(series_id="ts:1"),)),
    "surveys.initiate": ({"message": "m"}, models.Confirmation(status="success", message="m")),
    "surveys.list": ({"surveys": [{"survey_id": "sv:1"}]}, (models.Survey(survey_id="sv:1"),)),
    "check_authorization": ({"message": "m"}, models.Confirmation(status="success", message="m")),
}


@each_row
def test_a_successful_reply_is_read(row: Endpoint[Any]) -> None:
    """From its place in the envelope into the row's model, with all that came along."""
    body, result = REPLIES[row.name]
    envelope = {"code": 200, "status": "success", **body}

    assert Reply(result=result, status_code=200, envelope=envelope, headers={"date": "today"}, attempts=1) == parse(
        row, 200, envelope, date="today"
    )


@pytest.mark.parametrize("status_code", [200, 201, 202, 299])
@pytest.mark.parametrize("status", ["success", "SUCCESS", "queued", None, 1])
def test_an_unknown_status_is_no_refusal(status_code: int, status: Any) -> None:
    """Only "error" and "failure" are; a word added since is handed on."""
    reply = parse(SEND, status_code, {"status": status, "message": "m"})

    assert (status_code, "m") == (reply.status_code, reply.result.message)
    assert (None if status is None else str(status)) == reply.result.status


@pytest.mark.parametrize(
    ("contacts", "count"),
    [([], 0), (None, 0), ({}, 0), ([{}], 1), ({"0": {"id": "co:1"}, "2": {"id": "co:2"}}, 2)],
)
def test_an_array_is_read_from_what_php_makes_of_it(contacts: Any, count: int) -> None:
    """With gaps it comes as an object, without content as null."""
    assert count == len(parse(CONTACTS, 200, {"status": "success", "contacts": contacts}).result)


# ------------------------------------------------------------------------------------------------------------ refusals

REFUSALS: list[tuple[int, dict[str, Any], type[APIError]]] = [
    (400, {}, RefusedError),
    (401, {}, AuthenticationError),
    (402, {}, RefusedError),
    (403, {}, PermissionDeniedError),
    (404, {}, NotFoundError),
    (409, {}, RefusedError),
    (422, {"status": "success"}, RefusedError),
    (429, {}, RateLimitError),
    (499, {"code": 500}, RefusedError),
    (404, {"code": 429}, NotFoundError),
    (500, {}, ServerError),
    (503, {"code": 429, "status": "error"}, ServerError),
    (599, {"status": "success"}, ServerError),
    (200, {"status": "error"}, RefusedError),
    (200, {"status": "failure"}, RefusedError),
    (200, {"status": "Failure"}, RefusedError),
    (201, {"status": "ERROR", "code": 200}, RefusedError),
    (200, {"status": "error", "code": 401}, RefusedError),
    (200, {"status": "error", "code": 404}, RefusedError),
    (200, {"status": "error", "code": 429}, RateLimitError),
    (200, {"status": "error", "code": "429"}, RateLimitError),
    (200, {"status": "error", "code": 500}, ServerError),
    (200, {"status": "error", "code": "503"}, ServerError),
]


@pytest.mark.parametrize(("status_code", "body", "kind"), REFUSALS)
@pytest.mark.parametrize("row", [SEND, CONTACTS, BY_NAME["sso.create_url"]], ids=lambda row: row.name)
def test_the_http_status_and_the_envelope_both_decide(
    row: Endpoint[Any], status_code: int, body: dict[str, Any], kind: type[APIError]
) -> None:
    """A 200 can be a refusal, and no word in the envelope makes a 4xx a success."""
    error = refusal(row, status_code, body)

    assert kind is type(error)
    assert (status_code, body.get("status") if row is SEND else error.status) == (error.status_code, error.status)


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b"null", b'"no"', b'{"code":', b"\xff"])
@pytest.mark.parametrize(
    ("status_code", "kind"),
    [(401, AuthenticationError), (404, NotFoundError), (429, RateLimitError), (502, ServerError)],
)
def test_an_error_needs_no_envelope(status_code: int, kind: type[APIError], body: bytes) -> None:
    """A gateway's page is an error of its status all the same."""
    error = refusal(SEND, status_code, body)

    assert kind is type(error)
    assert (None, None, None, {}) == (error.code, error.status, error.message, error.body)


@pytest.mark.parametrize(
    ("status_code", "body", "text"),
    [
        (400, {}, "messages.send: HTTP 400"),
        (400, {"code": 400, "status": "error"}, "messages.send: HTTP 400, status 'error'"),
        (400, {"status": "failure", "message": "No."}, "messages.send: HTTP 400, status 'failure': 'No.'"),
        (
            200,
            {"code": 422, "status": "error", "message": "No group."},
            "messages.send: HTTP 200, status 'error', code 422: 'No group.'",
        ),
        (401, {"message": "Who?"}, "messages.send: HTTP 401: 'Who?' (are the account key and the token right?)"),
        (404, {"message": "a\nb"}, "messages.send: HTTP 404: 'a\\nb'"),
        (500, {"message": ["x"], "status": 5, "code": True}, "messages.send: HTTP 500"),
    ],
)
def test_an_error_says_what_the_vendor_said(status_code: int, body: dict[str, Any], text: str) -> None:
    """In one line, with the call's name in front."""
    assert text == str(refusal(SEND, status_code, body))


def test_a_long_message_is_cut_in_the_text_and_whole_in_the_attribute() -> None:
    """A log line stays a line."""
    error = refusal(SEND, 400, {"message": "x" * 10_000})

    assert len(str(error)) < 400
    assert "x" * 10_000 == error.message


@pytest.mark.parametrize(
    ("code", "read"),
    [(404, 404), ("404", 404), (" 404 ", 404), (404.0, None), ("4o4", None), (True, None), (None, None), ([404], None),
     (10**4_000, None), ("9" * 4_000, None), (-1, -1)],
    ids=range(11),
)  # fmt: skip
def test_the_code_may_come_as_text(code: Any, read: int | None) -> None:
    """What is no status at all is left out; the body still has it."""
    error = refusal(SEND, 404, {"code": code})

    assert read == error.code
    assert code == error.body["code"]
    assert len(str(error)) < 100


# ------------------------------------------------------------------------------------------------------- wrong replies


@pytest.mark.parametrize("status_code", [300, 301, 302, 304, 307, 308, 399])
def test_a_redirect_is_not_followed(status_code: int) -> None:
    """Credentials are not carried elsewhere."""
    error = refusal(SEND, status_code, {"status": "success", "message": "m"}, location="https://evil.example/?" + TOKEN)

    assert (ResponseError, status_code) == (type(error), error.status_code)
    assert f"messages.send: HTTP {status_code}, a redirect; the API has none" in str(error)
    assert "evil" not in str(error)


@pytest.mark.parametrize("status_code", [-1, 0, 100, 101, 103, 199])
def test_what_is_no_final_reply_is_refused(status_code: int) -> None:
    """A transport that hands one on has not read to the end."""
    assert f"messages.send: HTTP {status_code} is no final reply" == str(refusal(SEND, status_code))


SHAPE = "the reply is not of the promised shape: "
WRONG: list[tuple[str, Any, str]] = [
    ("messages.send", b"", "the body is not JSON ('no content type', 0 bytes)"),
    ("messages.send", b"<html>", "the body is not JSON ('no content type', 6 bytes)"),
    ("messages.send", b'{"status": "succ', "the body is not JSON ('no content type', 16 bytes)"),
    ("messages.send", b"[" * 100_000, "the body is not JSON ('no content type', 100000 bytes)"),
    ("messages.send", b'{"code":' + b"9" * 5_000 + b"}", "the body is not JSON ('no content type', 5009 bytes)"),
    ("messages.send", [], "the body is a JSON array, not an object"),
    ("messages.send", None, "the body is a JSON null, not an object"),
    ("messages.send", "ok", "the body is a JSON string, not an object"),
    ("messages.send", 1, "the body is a JSON number, not an object"),
    ("messages.send", True, "the body is a JSON boolean, not an object"),
    ("messages.send", {}, SHAPE + "it has neither a status nor a message"),
    ("messages.send", {"ok": 1}, SHAPE + "it has neither a status nor a message"),
    ("tasks.initiate", {"status": "success"}, SHAPE + "it lacks task"),
    ("tasks.initiate", {"status": "success", "task": None}, SHAPE + "it lacks task"),
    ("tasks.initiate", {"status": "success", "task": {}}, SHAPE + "it lacks task"),
    ("users.create", {"status": "success"}, SHAPE + "it lacks id"),
    ("sso.create_url", {"status": "success"}, SHAPE + "it lacks url"),
    ("contacts.check_consent", {"status": "success"}, SHAPE + "it lacks needed"),
    ("contacts.get", {"status": "success"}, SHAPE + "it lacks 'contact'"),
    ("contacts.get", {"contact": None}, SHAPE + "'contact' is a JSON null, not an object"),
    ("contacts.get", {"contact": []}, SHAPE + "'contact' is a JSON array, not an object"),
    ("contacts.list", {"status": "success"}, SHAPE + "it lacks 'contacts'"),
    ("contacts.list", {"contacts": "x"},
     SHAPE + "'contacts' is a JSON string, not an array of objects"),
    ("contacts.list", {"contacts": [{}, None]},
     SHAPE + "'contacts' is a JSON array, not an array of objects"),
    ("contacts.list", {"contacts": {"id": "co:1"}},
     SHAPE + "'contacts' is a JSON object, not an array of objects"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "problem"), WRONG, ids=range(len(WRONG)))
def test_a_2xx_that_cannot_be_read_says_what_is_wrong(name: str, body: Any, problem: str) -> None:
    """It names the call and what is wrong, and repeats nothing of the body."""
    error = refusal(BY_NAME[name], 200, body)

    assert (ResponseError, 200) == (type(error), error.status_code)
    assert f"{name}: HTTP 200, but {problem}" == str(error)


def test_html_is_recognised_by_what_it_says_it_is() -> None:
    """The content type is the quickest hint at a gateway."""
    error = refusal(SEND, 200, b"<html></html>", content_type="text/html; charset=utf-8")

    assert "messages.send: HTTP 200, but the body is not JSON ('text/html; charset=utf-8', 13 bytes)" == str(error)


@pytest.mark.parametrize("depth", [10, 49, 50, 51, 300, 600, 900, 5_000])
@pytest.mark.parametrize("status_code", [200, 400, 500])
@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_deep_nesting_is_survived(status_code: int, depth: int, opening: bytes, closing: bytes) -> None:
    """Any depth, in a success or an error; what an error keeps of it can be copied, pickled and printed."""
    body = b'{"status":"success","x":' + opening * depth + b"1" + closing * depth + b"}"
    try:
        reply = parse(SEND, status_code, body)
    except (APIError, ResponseError) as raised:
        error = raised
    else:
        assert (200, {"x"}) == (reply.status_code, set(reply.result.extra))
        return

    assert status_code == error.status_code
    assert repr(vars(copy.deepcopy(error))) == repr(vars(pickle.loads(pickle.dumps(error))))


# ------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("status_code", [200, 400, 401, 500])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_the_reply_repeats_is_in_no_error(status_code: int, secret: str) -> None:
    """Neither in its words nor in its attributes: keys, values, at any depth."""
    body = {
        "status": "error" if status_code == 200 else f"x{secret}",
        "message": f"No account for {secret}.",
        "debug": {secret: [{"header": f"Authorization: {secret}"}]},
    }
    error = refusal(SEND, status_code, body)

    assert "No account for [redacted]." == error.message
    assert {"[redacted]": [{"header": "Authorization: [redacted]"}]} == error.body["debug"]
    assert secret not in f"{error}{error!r}{vars(error)}"


@pytest.mark.parametrize("password", [PASSWORD, 'it\'s \\ "quoted"\t!', "pass word&more=1", "密码密码密码", "x" * 200])
@pytest.mark.parametrize("place", ["status", "message", "content-type"])
def test_a_password_that_the_reply_repeats_is_in_no_error(password: str, place: str) -> None:
    """However it is written, and wherever the text is cut."""
    request = CreateUser(username="jo", password=password)
    row = endpoint_of(request)
    for written in {password, quote_plus(password)}:
        text = "." * 20 + written
        error = (
            refusal(row, 200, b"<html>", request=request, content_type=text)
            if place == "content-type"
            else refusal(row, 400, {place: text}, request=request)
        )
        for shown in (f"{error}{error!r}", str(vars(error))):
            assert written not in shown
            assert repr(written)[1:-1] not in shown
            assert written[:15] not in shown


def test_a_sso_url_is_in_no_error() -> None:
    """The reply is a secret as a whole."""
    url = "https://gopidj.com/sso/s3cr3t"
    for body in ({"status": "error", "message": f"see {url}", "url": url}, {"status": url, "code": 400}):
        error = refusal(BY_NAME["sso.create_url"], 400, body, request=CreateSsoUrl(external_id="7"))

        assert "s3cr3t" not in f"{error}{error!r}{vars(error)}"
        assert ("[redacted]", None) == (error.body, error.message)


def test_a_sso_url_is_in_no_repr() -> None:
    """Nor is it where the call succeeds."""
    reply = parse(BY_NAME["sso.create_url"], 200, {"status": "success", "url": "https://gopidj.com/sso/s3cr3t"})

    assert "s3cr3t" not in repr(reply)
    assert "https://gopidj.com/sso/s3cr3t" == reply.result.url


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"{PHONE} has opted out.", "+188******22 has opted out."),
        ("18885552222 has opted out.", "+188******22 has opted out."),
        ("to_number=%2B18885552222", "to_number=+188******22"),
        ("to18885552222x", "to+188******22x"),
        ("+447911123456 is not yours.", "+447*******56 is not yours."),
        ("Refused: Your results are in.", "Refused: <20 characters>"),
        ("text_body=Your+results+are+in.&x=1", "text_body=<20 characters>&x=1"),
        ("group gr:1 has no number", "group gr:1 has no number"),
    ],
)
def test_numbers_and_texts_that_the_vendor_quotes_are_masked(message: str, shown: str) -> None:
    """Whom we texted, and what, in whatever spelling; in the error's words, not in its attribute."""
    request = SendText(to_number=PHONE, text_body="Your results are in.", from_number="+447911123456")
    error = refusal(SEND, 400, {"message": message}, request=request)

    assert f"messages.send: HTTP 400: {shown!r}" == str(error)
    assert message == error.message


@pytest.mark.parametrize(
    ("text_body", "shown"),
    [("Hi", "This text was refused"), ("text", "This <4 characters> was refused"), ("fuse", "This text was refused")],
)
def test_a_short_text_does_not_garble_the_vendors_words(text_body: str, shown: str) -> None:
    """It is masked where it stands as a word, and not inside of others."""
    request = SendText(to_number=PHONE, text_body=text_body, group_id="gr:1")

    assert f"messages.send: HTTP 400: {shown!r}" == str(
        refusal(SEND, 400, {"message": "This text was refused"}, request=request)
    )


def test_fields_that_were_left_out_are_not_looked_for() -> None:
    """A request with hardly a field is as good as any."""
    error = refusal(BY_NAME["tasks.initiate"], 400, {"message": "No."}, request=InitiateTask(channel="ticket"))

    assert "tasks.initiate: HTTP 400: 'No.'" == str(error)


# --------------------------------------------------------------------------------------------------------- retry after


LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "1e300"}, 1e300),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "-inf"}, None),
        ({"retry_after": "9" * 5_000}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Mon, 99 Foo 2026 12:00:00 GMT"}, None),
        ({"retry_after": http_date(30)}, 30.0),
        ({"retry_after": http_date(-30)}, 0.0),
        ({"retry_after": http_date(30), "date": http_date(10)}, 20.0),
        ({"retry_after": http_date(30), "date": http_date(-3_600)}, 3_630.0),
        ({"retry_after": http_date(30), "date": "yesterday"}, 30.0),
        ({"retry_after": "Mon, 23 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry_after": "Mon, 23 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, (LAST - NOW).total_seconds()),
        ({"retry_after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0),
    ],
    ids=range(23),
)  # fmt: skip
@pytest.mark.parametrize("status_code", [429, 500, 503])
def test_retry_after(status_code: int, headers: dict[str, str], wait: float | None) -> None:
    """Seconds or a date, reckoned by the server's own clock if it tells the time; what is neither is nothing."""
    with pytest.raises((RateLimitError, ServerError)) as raised:
        parse(SEND, status_code, **headers)

    error: Any = raised.value
    assert wait == error.retry_after


def test_a_date_without_any_clock_is_nothing() -> None:
    """With neither a ``Date`` nor the time, there is nothing to reckon from."""
    with pytest.raises(RateLimitError) as raised:
        parse_response(SEND, response(429, retry_after=http_date(30)))

    assert raised.value.retry_after is None


# ---------------------------------------------------------------------------------------------------------- properties

SECRET = "XYZZY-PLUGH-0451"
texts = st.text(st.characters(), max_size=20)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.tuples(texts, st.just(SECRET), texts).map("".join)
    | st.sampled_from(["error", "failure", "success", "Error", 200, 429, 500, "500"])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=6
)
keys = st.sampled_from(
    ["code", "status", "message", "id", "task", "user", "contact", "contacts", "groups", "series", "surveys", "url",
     "needed", "paused", SECRET]
)  # fmt: skip
bodies = (
    st.binary(max_size=200)
    | st.builds(json.dumps, values).map(str.encode)
    | st.builds(json.dumps, st.dictionaries(keys, values, max_size=6)).map(str.encode)
)
status_codes = st.integers(-1, 1_000) | st.sampled_from([200, 200, 200, 400, 401, 403, 404, 429, 500, 503])
header_values = texts | st.just(SECRET) | st.from_regex(r"\A[0-9:, GMTJanFeb+-]*\Z") | st.floats().map(str)
header_sets = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "location", "x-other"]), header_values, max_size=4
)


def check_any_reply(row: Endpoint[Any], arrived: WireResponse) -> None:
    request: Request[Any] = complete(row.request)
    secrets = [*SECRETS, SECRET]
    if "password" in {field.name for field in row.fields()}:
        request = complete(row.request, password=secrets.pop())
    try:
        reply = parse_response(row, arrived, request=request, secrets=secrets, now=NOW)
    except (APIError, ResponseError) as error:
        check_error(row, arrived, error)
        return
    assert 200 <= reply.status_code < 300
    assert str(reply.envelope.get("status")).lower() not in {"error", "failure"}
    results = reply.result if row.many else (reply.result,)
    assert {row.model} >= {type(result) for result in results}


def check_error(row: Endpoint[Any], arrived: WireResponse, error: APIError | ResponseError) -> None:
    assert arrived.status_code == error.status_code
    assert SECRET not in f"{error}{error!r}{vars(error)}"
    assert str(error).startswith(f"{row.name}: HTTP {arrived.status_code}")
    assert str(error).isprintable()
    assert len(str(error)) < 600
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


@each_row
@given(status_code=status_codes, headers=header_sets, content=bodies)
@example(status_code=200, headers={}, content=b'{"status": "error", "code": 1e999}')
@example(status_code=429, headers={"retry-after": "Mon, 23 Nov 2026 12:00:30 +99999999"}, content=b"")
def test_any_reply_is_a_result_or_one_of_two_errors(
    row: Endpoint[Any], status_code: int, headers: dict[str, str], content: bytes
) -> None:
    """Any bytes, any JSON, any status, any headers, for any row; and no secret in any error."""
    check_any_reply(row, WireResponse(status_code=status_code, headers=headers, content=content))


@given(status_code=status_codes, headers=header_sets, content=bodies)
def test_the_same_reply_always_means_the_same(status_code: int, headers: dict[str, str], content: bytes) -> None:
    """There is no clock and no chance in here."""
    arrived = WireResponse(status_code=status_code, headers=headers, content=content)
    said = []
    for _ in range(2):
        try:
            said.append(repr(parse_response(SEND, arrived, now=NOW)))
        except (APIError, ResponseError) as error:
            said.append(f"{error!r}{vars(error)}")

    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("code", "error"), [(400, RefusedError), ("404", RefusedError), (429, RateLimitError), (500, ServerError)]
)
def test_without_a_status_the_code_decides(code: Any, error: type[APIError]) -> None:
    """A 200 whose body says 500 and nothing else is no accepted text."""
    assert type(refusal(SEND, 200, {"code": code, "message": "no"})) is error
    assert parse(SEND, 200, {"code": 200, "message": "Text sent."}).result.message == "Text sent."
