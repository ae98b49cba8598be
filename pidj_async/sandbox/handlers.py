"""What the sandbox does for each row of the table: exactly one function per row, found by the row's name.

A handler gets the world and what was given (the path's values and the form's fields, checked), and returns what the
call returns, named as the row's model names it; the row's own envelope is put around it elsewhere. A row without a
handler stops this module from being imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pidj_async.endpoints import BY_NAME
from pidj_async.sandbox.payloads import (
    contact_in_api,
    group_in_api,
    series_in_api,
    survey_in_api,
    user_in_api,
)
from pidj_async.sandbox.replies import not_found
from pidj_async.sandbox.seed import Group
from pidj_async.sandbox.state import State

__all__ = ["HANDLERS", "Given", "Handler"]

Given = Mapping[str, Any]
"""A call's arguments by name. ``None`` is a value to remove; what was left out is not there."""

Handler = Callable[[State, Given], Any]
"""Carries out a call, or raises `pidj_async.sandbox.replies.Refusal`."""

_handlers: dict[str, Handler] = {}


def _handles(name: str) -> Callable[[Handler], Handler]:
    if name not in BY_NAME:
        msg = f"the table has no row {name!r}"
        raise TypeError(msg)
    if name in _handlers:
        msg = f"{name} has two handlers"
        raise TypeError(msg)

    def register(handler: Handler) -> Handler:
        _handlers[name] = handler
        return handler

    return register


def _group(state: State, given: Given) -> Group:
    return state.sending_group(group_id=given.get("group_id"), from_number=given.get("from_number"))


# ----------------------------------------------------------------------------------------------------- texts and tasks


@_handles("messages.send")
def _send_text(state: State, given: Given) -> Any:
    state.send_text(_group(state, given), given["to_number"], given["text_body"])
    return {"message": "Text sent."}


@_handles("tasks.initiate")
def _initiate_task(state: State, given: Given) -> Any:
    values = {name: value for name, value in given.items() if name not in {"channel", "group_id"}}
    return {"id": state.initiate_task(given["channel"], given.get("group_id"), values).id}


# --------------------------------------------------------------------------------------------------------------- users


@_handles("users.get")
def _get_user(state: State, given: Given) -> Any:
    return user_in_api(state.user(given["user_id"]))


@_handles("users.create")
def _create_user(state: State, given: Given) -> Any:
    user = state.create_user(given["username"], _without(given, "username", "password"))
    return {"id": user.id, "message": "User created."}


@_handles("users.update")
def _update_user(state: State, given: Given) -> Any:
    state.update_user(state.user(given["user_id"]), _without(given, "user_id", "password"))


@_handles("users.delete")
def _delete_user(state: State, given: Given) -> Any:
    state.user(given["user_id"]).deleted = True


@_handles("users.recover")
def _recover_user(state: State, given: Given) -> Any:
    state.user(given["user_id"], even_deleted=True).deleted = False


@_handles("users.pause")
def _pause_user(state: State, given: Given) -> Any:
    state.user(given["user_id"]).paused = True
    return {"paused": True}


@_handles("users.unpause")
def _unpause_user(state: State, given: Given) -> Any:
    # The vendor's sample shows true here; its table says that true means paused, and the table makes sense.
    state.user(given["user_id"]).paused = False
    return {"paused": False}


@_handles("sso.create_url")
def _create_sso_url(state: State, given: Given) -> Any:
    external_id = given.get("external_id")
    user = state.user(given["user_uuid"]) if external_id is None else state.user_by_external_id(external_id)
    return {"url": state.create_sign_on_url(user, given.get("next"))}


# ------------------------------------------------------------------------------------------------------------ contacts


@_handles("contacts.get")
def _get_contact(state: State, given: Given) -> Any:
    return contact_in_api(state.contact(given["contact_id"]))


@_handles("contacts.get_by_phone")
def _get_contact_by_phone(state: State, given: Given) -> Any:
    contact = state.contact_by_phone(given["phone_number"])
    if contact is None:
        noun = "Contact"
        raise not_found(noun)
    return contact_in_api(contact)


@_handles("contacts.create")
def _create_contact(state: State, given: Given) -> Any:
    contact, is_new = state.create_contact(given)
    return {"id": contact.id, "message": "Contact created." if is_new else "Contact already exists."}


@_handles("contacts.update")
def _update_contact(state: State, given: Given) -> Any:
    state.update_contact(state.contact(given["contact_id"]), _without(given, "contact_id"))


@_handles("contacts.delete")
def _delete_contact(state: State, given: Given) -> Any:
    state.delete_contact(state.contact(given["contact_id"]))


@_handles("contacts.send_consent_text")
def _send_consent_text(state: State, given: Given) -> Any:
    contact = state.contact(given["contact_id"])
    state.send_consent_text(contact, _existing_group(state, given))


@_handles("contacts.check_consent")
def _check_consent(state: State, given: Given) -> Any:
    contact = state.contact(given["contact_id"])
    reason = state.consent_not_needed(contact, _existing_group(state, given))
    return {"needed": True} if reason is None else {"needed": False, "message": reason}


@_handles("contacts.list")
def _list_contacts(state: State, _: Given) -> Any:
    return [contact_in_api(contact) for contact in state.contacts.values()]


# ------------------------------------------------------------------------------------------- groups, series and surveys


@_handles("groups.list")
def _list_groups(state: State, _: Given) -> Any:
    return [group_in_api(group) for group in state.groups.values()]


@_handles("series.subscribe")
def _subscribe_to_series(state: State, given: Given) -> Any:
    state.subscribe(
        given["series_id"],
        _group(state, given),
        given["timezone"],
        contact_id=given.get("contact_id"),
        to_number=given.get("to_number"),
    )
    return {"message": "Series subscribe."}


@_handles("series.list")
def _list_series(state: State, _: Given) -> Any:
    return [series_in_api(series) for series in state.series.values()]


@_handles("surveys.initiate")
def _initiate_survey(state: State, given: Given) -> Any:
    state.initiate_survey(
        given["survey_id"],
        _group(state, given),
        contact_id=given.get("contact_id"),
        to_number=given.get("to_number"),
    )
    return {"message": "Survey initiated."}


@_handles("surveys.list")
def _list_surveys(state: State, _: Given) -> Any:
    return [survey_in_api(survey) for survey in state.surveys.values()]


# --------------------------------------------------------------------------------------------------------- the account


@_handles("check_authorization")
def _check_authorization(_state: State, _given: Given) -> Any:
    return {"message": "Authorization successful."}


def _without(given: Given, *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _existing_group(state: State, given: Given) -> Group:
    group = state.groups.get(given["group_id"])
    if group is None:
        noun = "Group"
        raise not_found(noun)
    return group


HANDLERS: Final = MappingProxyType(_handlers)
"""The handler of every row, by the row's name."""

if _missing := BY_NAME.keys() - _handlers.keys():
    _msg = f"rows without a handler: {', '.join(sorted(_missing))}"
    raise TypeError(_msg)
