"""What holds for every call: credentials, encodings, envelopes, and how the sandbox says no."""

from __future__ import annotations

import base64

import httpx
import pytest

from pidj_async.endpoints import TABLE
from pidj_async.sandbox import GROUP_ID, Sandbox
from tests.sandbox.calling import MARIA, Api

FORM = "application/x-www-form-urlencoded"


def basic(account_key: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{account_key}:{token}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        basic("sandbox", "wrong"),
        basic("wrong", "sandbox"),
        basic("sandbox", ""),
        "Bearer sandbox",
        "Basic",
        "Basic !",
    ],
)
@pytest.mark.parametrize("path", ["/send", "/contacts", "/nowhere"])
def test_wrong_credentials(api: Api, sandbox: Sandbox, authorization: str | None, path: str) -> None:
    """Anything but the right pair is a 401, also where there is nothing, and nothing is done."""
    headers = {} if authorization is None else {"Authorization": authorization}
    data = {"to_number": MARIA, "text_body": "Hello", "group_id": GROUP_ID}
    response = httpx.post(api.base_url + path, headers=headers, data=data, trust_env=False)
    assert {"code": 401, "status": "error", "message": "Authorization failed."} == response.json()
    assert 401 == response.status_code
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert [] == sandbox.texts


def test_scheme_in_any_case(api: Api) -> None:
    """The scheme's name is not case-sensitive (RFC 9110, section 11.1)."""
    headers = {"Authorization": basic("sandbox", "sandbox").replace("Basic", "bASIC")}
    assert 200 == httpx.get(api.base_url + "/groups", headers=headers, trust_env=False).status_code


@pytest.mark.parametrize("path", ["/", "/nowhere", "/send/", "/contact/co:1/more", "/user"])
def test_unknown_route(api: Api, path: str) -> None:
    """An unknown path is a 404 in the vendor's envelope; one that has other verbs only, a 405."""
    expected = (405, "error", "Method Not Allowed.") if path == "/user" else (404, "error", "Not Found.")
    assert expected == api.refused("GET", path)


def test_unknown_route_outside(api: Api) -> None:
    """Another version of the API is not there."""
    response = api.client.get(f"{api.url}/api/2021/contacts")
    assert (404, 404) == (response.status_code, response.json()["code"])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_wrong_verb(api: Api, row: object) -> None:
    """A verb that no row has for a path is refused, and the reply says which there are."""
    path, method = getattr(row, "path"), getattr(row, "method")  # noqa: B009  ids= wants a plain parameter
    response = api.client.request("PATCH", api.base_url + path.replace("{", "").replace("}", ""))
    assert 405 == response.status_code == response.json()["code"]
    assert method in response.headers["allow"].split(", ")


def test_static_path_first(api: Api) -> None:
    """`send-consent-text` is a call, not the id of a contact."""
    assert (405, "error", "Method Not Allowed.") == api.refused("GET", "/contact/send-consent-text")
    assert (400, "failure", "Missing: contact_id, group_id.") == api.refused("POST", "/contact/send-consent-text")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_only_forms(api: Api, sandbox: Sandbox, content_type: str) -> None:
    """Parameters must be form-encoded, whatever they look like."""
    body = f"to_number=%2B18885553333&text_body=Hi&group_id={GROUP_ID}"
    headers = {"Content-Type": content_type} if content_type else {}
    response = api.client.post(api.base_url + "/send", content=body, headers=headers)
    expected = {"code": 415, "status": "error", "message": f"Parameters must be passed as {FORM}."}
    assert expected == response.json()
    assert [] == sandbox.texts


def test_form_with_charset(api: Api) -> None:
    """A charset beside the content type does no harm."""
    body = f"to_number=%2B18885553333&text_body=Gr%C3%BC%C3%9Fe&group_id={GROUP_ID}"
    response = api.client.post(api.base_url + "/send", content=body, headers={"Content-Type": f"{FORM}; charset=UTF-8"})
    assert 200 == response.status_code


@pytest.mark.parametrize("body", [b"text_body=%FF", b"text_body=\xc3\xbc", b"&".join([b"a=1"] * 300)])
def test_broken_forms(api: Api, body: bytes) -> None:
    """What is not UTF-8, not ASCII on the wire, or has hundreds of fields, is refused."""
    response = api.client.post(api.base_url + "/send", content=body, headers={"Content-Type": FORM})
    expected = {"code": 400, "status": "failure", "message": "The form is not properly encoded."}
    assert expected == response.json()


def test_too_large(api: Api) -> None:
    """More than a megabyte is refused, and the connection goes on."""
    response = api.client.post(api.base_url + "/send", content=b"a" * 1_100_000, headers={"Content-Type": FORM})
    assert (413, 413) == (response.status_code, response.json()["code"])
    assert 200 == api("GET", "/groups")["code"]


def test_last_value_counts(api: Api, sandbox: Sandbox) -> None:
    """Of a field given twice the last counts, and unknown fields are ignored."""
    body = f"to_number=%2B18885553333&text_body=One&text_body=Two&group_id={GROUP_ID}&shoe_size=9"
    api.client.post(api.base_url + "/send", content=body, headers={"Content-Type": FORM})
    assert ["Two"] == [text.text_body for text in sandbox.texts]


def test_a_call_without_body(api: Api) -> None:
    """A POST that takes no parameters needs no content type."""
    user_id = api.create_user()
    response = api.client.post(f"{api.base_url}/user/{user_id}/pause")
    assert "content-type" not in response.request.headers
    assert 200 == response.status_code


def test_php_json(api: Api) -> None:
    """Replies are written as PHP writes them: compact, ASCII, slashes escaped."""
    contact_id = api.create_contact(first_name="José")
    text = api.client.get(f"{api.base_url}/contact/{contact_id}").text
    assert text.startswith('{"code":200,"status":"success","contact":{"id":"co:')
    assert '"first_name":"Jos\\u00e9"' in text
    assert '"timezone":"America\\/Denver"' in text


def test_ids_are_case_sensitive(api: Api) -> None:
    """An id in other letters is the id of nothing."""
    contact_id = api.create_contact()
    shouted = "co:" + contact_id[3:].upper()
    assert 404 == api.refused("GET", f"/contact/{shouted}")[0]


def test_encoded_slash_reaches_nothing_else(api: Api) -> None:
    """An id with a slash in it is no other path."""
    assert 404 == api.refused("GET", "/contact/co%3A1%2Fcheck-consent")[0]
