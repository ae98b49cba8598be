"""The endpoint table: every call of the Pidj API (version 2020), each once.

The rules of this table:

1. A verb, a path or an envelope key stands here and nowhere else. The client's methods, the sandbox's routes, the
   mocks, the command line and the reference are made from these rows.
2. ``safe_to_repeat`` says whether a request whose outcome is unknown may be sent again. When in doubt it is False: a
   second text, task, user, subscription or survey cannot be taken back. Creating a contact is safe because the vendor
   promises that an existing number changes nothing, and asking for consent because it promises to ask only when due.
3. A row's name is its place in code: ``contacts.get`` is ``pidj.contacts.get``.
4. Order: as in the vendor's document.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, TypeVar

import attrs

from pidj_async import models, requests
from pidj_async._endpoint import Endpoint
from pidj_async._fields import Request

__all__ = ["BY_NAME", "TABLE", "endpoint_of", "streamed"]

R = TypeVar("R")

TABLE: Final[tuple[Endpoint[Any], ...]] = (
    # ----------------------------------------------------------------------------------------------------- messages
    Endpoint(
        name="messages.send",
        method="POST",
        path="/send",
        request=requests.SendText,
        model=models.TextSent,
        safe_to_repeat=False,
    ),
    # -------------------------------------------------------------------------------------------------------- tasks
    Endpoint(
        name="tasks.initiate",
        method="POST",
        path="/task/initiate",
        request=requests.InitiateTask,
        model=models.CreatedTask,
        renames={"id": "task"},
        safe_to_repeat=False,
    ),
    # -------------------------------------------------------------------------------------------------------- users
    Endpoint(
        name="users.get",
        method="GET",
        path="/user/{user_id}",
        request=requests.GetUser,
        model=models.User,
        envelope="user",
        safe_to_repeat=True,
    ),
    Endpoint(
        name="users.create",
        method="POST",
        path="/user",
        request=requests.CreateUser,
        model=models.CreatedUser,
        safe_to_repeat=False,
    ),
    Endpoint(
        name="users.update",
        method="PUT",
        path="/user/{user_id}",
        request=requests.UpdateUser,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="users.delete",
        method="DELETE",
        path="/user/{user_id}",
        request=requests.DeleteUser,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="users.recover",
        method="PUT",
        path="/user/{user_id}/recover",
        request=requests.RecoverUser,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="users.pause",
        method="POST",
        path="/user/{user_id}/pause",
        request=requests.PauseUser,
        model=models.PauseState,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="users.unpause",
        method="POST",
        path="/user/{user_id}/unpause",
        request=requests.UnpauseUser,
        model=models.PauseState,
        safe_to_repeat=True,
    ),
    # ---------------------------------------------------------------------------------------------------------- sso
    Endpoint(
        name="sso.create_url",
        method="POST",
        path="/sso/url",
        request=requests.CreateSsoUrl,
        model=models.SsoUrl,
        safe_to_repeat=True,
        secret_reply=True,
    ),
    # ----------------------------------------------------------------------------------------------------- contacts
    Endpoint(
        name="contacts.get",
        method="GET",
        path="/contact/{contact_id}",
        request=requests.GetContact,
        model=models.Contact,
        envelope="contact",
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.get_by_phone",
        method="GET",
        path="/contact/by-phone/{phone_number}",
        request=requests.GetContactByPhone,
        model=models.Contact,
        envelope="contact",
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.create",
        method="POST",
        path="/contact",
        request=requests.CreateContact,
        model=models.CreatedContact,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.update",
        method="PUT",
        path="/contact/{contact_id}",
        request=requests.UpdateContact,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.delete",
        method="DELETE",
        path="/contact/{contact_id}",
        request=requests.DeleteContact,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.send_consent_text",
        method="POST",
        path="/contact/send-consent-text",
        request=requests.SendConsentText,
        model=models.Confirmation,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.check_consent",
        method="GET",
        path="/contact/{contact_id}/{group_id}/check-consent",
        request=requests.CheckConsent,
        model=models.ConsentCheck,
        safe_to_repeat=True,
    ),
    Endpoint(
        name="contacts.list",
        method="GET",
        path="/contacts",
        request=requests.ListContacts,
        model=models.Contact,
        envelope="contacts",
        many=True,
        streamed=True,
        safe_to_repeat=True,
    ),
    # ------------------------------------------------------------------------------------------------------- groups
    Endpoint(
        name="groups.list",
        method="GET",
        path="/groups",
        request=requests.ListGroups,
        model=models.Group,
        envelope="groups",
        many=True,
        safe_to_repeat=True,
    ),
    # ------------------------------------------------------------------------------------------------------- series
    Endpoint(
        name="series.subscribe",
        method="POST",
        path="/series/subscribe",
        request=requests.SubscribeToSeries,
        model=models.Confirmation,
        safe_to_repeat=False,
    ),
    Endpoint(
        name="series.list",
        method="GET",
        path="/series",
        request=requests.ListSeries,
        model=models.Series,
        envelope="series",
        many=True,
        safe_to_repeat=True,
    ),
    # ------------------------------------------------------------------------------------------------------ surveys
    Endpoint(
        name="surveys.initiate",
        method="POST",
        path="/survey/initiate",
        request=requests.InitiateSurvey,
        model=models.Confirmation,
        safe_to_repeat=False,
    ),
    Endpoint(
        name="surveys.list",
        method="GET",
        path="/surveys",
        request=requests.ListSurveys,
        model=models.Survey,
        envelope="surveys",
        many=True,
        safe_to_repeat=True,
    ),
    # -------------------------------------------------------------------------------------------------- the account
    Endpoint(
        name="check_authorization",
        method="GET",
        path="/authorization-check",
        request=requests.CheckAuthorization,
        model=models.Confirmation,
        safe_to_repeat=True,
        also=("POST",),
    ),
)

BY_NAME: Final = MappingProxyType({row.name: row for row in TABLE})
"""The rows by their names."""

_BY_REQUEST: Final = {row.request: row for row in TABLE}


def endpoint_of(request: Request[R]) -> Endpoint[R]:
    """Return the row that a request belongs to.

    Raises:
        TypeError: If it is not an instance of one of the classes in `pidj_async.requests`.
    """
    try:
        return _BY_REQUEST[type(request)]
    except KeyError:
        msg = f"{type(request).__name__} is no request of the Pidj API; see pidj_async.requests"
        raise TypeError(msg) from None


_STREAMED: Final = {row: attrs.evolve(row, name=f"{row.namespace}.stream") for row in TABLE if row.many}


def streamed(row: Endpoint[R]) -> Endpoint[R]:
    """Return a row that has many results under the name of the method that streams them, for errors and logs."""
    return _STREAMED[row]
