"""The client's methods, made from the endpoint table by ``tools/generate_resources.py``: do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pidj_async import requests
from pidj_async._unset import UNSET, Unset
from pidj_async.bulk import SendsMany
from pidj_async.streaming import Stream

if TYPE_CHECKING:
    from pidj_async._fields import Role
    from pidj_async.client import Pidj
    from pidj_async.models import (
        Confirmation,
        ConsentCheck,
        Contact,
        CreatedContact,
        CreatedTask,
        CreatedUser,
        Group,
        PauseState,
        Series,
        SsoUrl,
        Survey,
        TextSent,
        User,
    )

__all__ = ["Contacts", "Groups", "Messages", "RootCalls", "SeriesCalls", "Sso", "Surveys", "Tasks", "Users"]


class _Calls:
    # No __slots__: people replace a method with a mock in their tests.

    def __init__(self, client: Pidj) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class RootCalls(_Calls):
    """The calls that stand on the client itself."""

    async def check_authorization(self) -> Confirmation:
        """Verify the account key and the token. Wrong ones raise `AuthenticationError`.

        Raises:
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.CheckAuthorization())


class Messages(SendsMany, _Calls):
    """The calls under ``pidj.messages``."""

    async def send(
        self,
        *,
        to_number: str,
        text_body: str,
        from_number: str | Unset = UNSET,
        group_id: str | Unset = UNSET,
        truncate: bool = False,
    ) -> TextSent:
        """Send one text message from one of your groups.

        Give either `from_number` or `group_id`. Pidj answers as soon as it has taken the text; it reports no delivery.

        Args:
            to_number: Whom to text, in E.164.
            text_body: What to say, at most 1,600 characters. `pidj_async.sms.analyze` tells how many segments it
                takes.
            from_number: The number to send from, in E.164; it must belong to one of your groups.
            group_id: The group to send from (``gr:…``); it must have a phone number.
            truncate: Send the first 1,600 characters of a longer text instead of refusing it.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.SendText(
                to_number=to_number, text_body=text_body, from_number=from_number, group_id=group_id, truncate=truncate
            )
        )


class Tasks(_Calls):
    """The calls under ``pidj.tasks``."""

    async def initiate(
        self,
        *,
        channel: Literal["ticket"],
        group_id: str | Unset = UNSET,
        subject: str | Unset = UNSET,
        topic: str | Unset = UNSET,
        name: str | Unset = UNSET,
        email_address: str | Unset = UNSET,
        phone_number: str | Unset = UNSET,
        truncate: bool = False,
    ) -> CreatedTask:
        """Create a task and queue it for a group's users.

        Args:
            channel: The kind of interaction. Pidj knows only ``"ticket"`` today.
            group_id: The group to assign it to (``gr:…``). Recommended: it decides which users see the task.
            subject: A short summary, shown in the lists. Recommended.
            topic: The description, at most 3,200 characters and no HTML; URLs become links. Recommended.
            name: A name to show with it, also in reports.
            email_address: An e-mail address to show with it.
            phone_number: A phone number to show with it, in E.164.
            truncate: Send the first 3,200 characters of a longer topic instead of refusing it.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.InitiateTask(
                channel=channel,
                group_id=group_id,
                subject=subject,
                topic=topic,
                name=name,
                email_address=email_address,
                phone_number=phone_number,
                truncate=truncate,
            )
        )


class Users(_Calls):
    """The calls under ``pidj.users``."""

    async def get(self, user_id: str) -> User:
        """Fetch a user.

        Args:
            user_id: The user (``us:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.GetUser(user_id))

    async def create(
        self,
        *,
        username: str,
        password: str,
        phone_number: str | Unset = UNSET,
        email_address: str | Unset = UNSET,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        roles: Sequence[Role] | Unset = UNSET,
        groups: Sequence[str] | Unset = UNSET,
        timezone: str | Unset = UNSET,
        external_id: str | Unset = UNSET,
    ) -> CreatedUser:
        """Create a user.

        A user name that is taken is refused, and nothing is created. Without a role the user cannot log in.

        Args:
            username: A unique name to log in with; an e-mail address will do.
            password: The password. It is never shown in a repr, a log or an error.
            phone_number: The user's number, in E.164.
            email_address: The user's e-mail address.
            first_name: First name.
            last_name: Last name.
            roles: Any of ``"admin"``, ``"manager"``, ``"agent"``.
            groups: The groups to give access to, each by its full name or its id (``gr:…``).
            timezone: An IANA time zone, case-sensitive. The account's if left out.
            external_id: The id of the user in your own system.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.CreateUser(
                username=username,
                password=password,
                phone_number=phone_number,
                email_address=email_address,
                first_name=first_name,
                last_name=last_name,
                roles=roles,
                groups=groups,
                timezone=timezone,
                external_id=external_id,
            )
        )

    async def update(
        self,
        user_id: str,
        *,
        password: str | Unset = UNSET,
        phone_number: str | None | Unset = UNSET,
        email_address: str | None | Unset = UNSET,
        first_name: str | None | Unset = UNSET,
        last_name: str | None | Unset = UNSET,
        roles: Sequence[Role] | None | Unset = UNSET,
        groups: Sequence[str] | None | Unset = UNSET,
        timezone: str | None | Unset = UNSET,
        external_id: str | None | Unset = UNSET,
    ) -> Confirmation:
        """Change some of a user's fields. ``None`` clears a field; a field that is left out stays as it is.

        Args:
            user_id: The user (``us:…``).
            password: A new password. It is never shown, and cannot be cleared.
            phone_number: The user's number, in E.164.
            email_address: The user's e-mail address.
            first_name: First name.
            last_name: Last name.
            roles: Any of ``"admin"``, ``"manager"``, ``"agent"``; they replace the present ones.
            groups: The groups to give access to, each by its full name or its id (``gr:…``).
            timezone: An IANA time zone, case-sensitive.
            external_id: The id of the user in your own system.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.UpdateUser(
                user_id,
                password=password,
                phone_number=phone_number,
                email_address=email_address,
                first_name=first_name,
                last_name=last_name,
                roles=roles,
                groups=groups,
                timezone=timezone,
                external_id=external_id,
            )
        )

    async def delete(self, user_id: str) -> Confirmation:
        """Delete a user. `users.recover` brings it back.

        Args:
            user_id: The user (``us:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.DeleteUser(user_id))

    async def recover(self, user_id: str) -> Confirmation:
        """Bring back a deleted user.

        Args:
            user_id: The user (``us:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.RecoverUser(user_id))

    async def pause(self, user_id: str) -> PauseState:
        """Stop new conversations from being assigned to a user; the active ones go on.

        Args:
            user_id: The user (``us:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.PauseUser(user_id))

    async def unpause(self, user_id: str) -> PauseState:
        """Let conversations be assigned to a paused user again.

        Args:
            user_id: The user (``us:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.UnpauseUser(user_id))


class Sso(_Calls):
    """The calls under ``pidj.sso``."""

    async def create_url(
        self, *, user_uuid: str | Unset = UNSET, external_id: str | Unset = UNSET, next: str | Unset = UNSET
    ) -> SsoUrl:
        """Make a URL that signs a user in. It works for 60 seconds, for whoever has it: treat it as a secret.

        Give either `user_uuid` or `external_id`.

        Args:
            user_uuid: The user (``us:…``).
            external_id: The id of the user in your own system, as it is stored in Pidj.
            next: The absolute http(s) URL to go to after signing in. The page that was called, if left out.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.CreateSsoUrl(user_uuid=user_uuid, external_id=external_id, next=next)
        )


class Contacts(_Calls):
    """The calls under ``pidj.contacts``."""

    async def get(self, contact_id: str) -> Contact:
        """Fetch a contact.

        Args:
            contact_id: The contact (``co:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.GetContact(contact_id))

    async def get_by_phone(self, phone_number: str) -> Contact:
        """Fetch the contact that has a phone number.

        Args:
            phone_number: The number, in E.164.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.GetContactByPhone(phone_number))

    async def create(
        self,
        *,
        phone_number: str,
        email_address: str | Unset = UNSET,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        business_name: str | Unset = UNSET,
        display_name: str | Unset = UNSET,
        group: str | Unset = UNSET,
        timezone: str | Unset = UNSET,
        external_id: str | Unset = UNSET,
        home_street_1: str | Unset = UNSET,
        home_street_2: str | Unset = UNSET,
        home_city: str | Unset = UNSET,
        home_state: str | Unset = UNSET,
        home_postal: str | Unset = UNSET,
        home_country: str | Unset = UNSET,
        business_street_1: str | Unset = UNSET,
        business_street_2: str | Unset = UNSET,
        business_city: str | Unset = UNSET,
        business_state: str | Unset = UNSET,
        business_postal: str | Unset = UNSET,
        business_country: str | Unset = UNSET,
    ) -> CreatedContact:
        """Create a contact, unless its phone number is on record already: then nothing changes.

        Args:
            phone_number: The contact's number, in E.164.
            email_address: The contact's e-mail address.
            first_name: First name.
            last_name: Last name.
            business_name: The name of the contact's business.
            display_name: What to call the contact, if not by first and last name.
            group: The group to assign the contact to, by its full name or its id (``gr:…``).
            timezone: An IANA time zone, case-sensitive. The account's if left out.
            external_id: The id of the contact in your own system.
            home_street_1: Home address: street, at most 200 characters. With the postal code given too, Pidj looks
                up the rest.
            home_street_2: Home address: second line, at most 200 characters.
            home_city: Home address: city, at most 200 characters.
            home_state: Home address: the two letters of a US state or territory.
            home_postal: Home address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
            home_country: Home address: ISO 3166-1 alpha-2 or alpha-3 code.
            business_street_1: Business address: street, at most 200 characters. With the postal code given too,
                Pidj looks up the rest.
            business_street_2: Business address: second line, at most 200 characters.
            business_city: Business address: city, at most 200 characters.
            business_state: Business address: the two letters of a US state or territory.
            business_postal: Business address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian
                code.
            business_country: Business address: ISO 3166-1 alpha-2 or alpha-3 code.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.CreateContact(
                phone_number=phone_number,
                email_address=email_address,
                first_name=first_name,
                last_name=last_name,
                business_name=business_name,
                display_name=display_name,
                group=group,
                timezone=timezone,
                external_id=external_id,
                home_street_1=home_street_1,
                home_street_2=home_street_2,
                home_city=home_city,
                home_state=home_state,
                home_postal=home_postal,
                home_country=home_country,
                business_street_1=business_street_1,
                business_street_2=business_street_2,
                business_city=business_city,
                business_state=business_state,
                business_postal=business_postal,
                business_country=business_country,
            )
        )

    async def update(
        self,
        contact_id: str,
        *,
        phone_number: str | None | Unset = UNSET,
        email_address: str | None | Unset = UNSET,
        first_name: str | None | Unset = UNSET,
        last_name: str | None | Unset = UNSET,
        business_name: str | None | Unset = UNSET,
        display_name: str | None | Unset = UNSET,
        group: str | None | Unset = UNSET,
        timezone: str | None | Unset = UNSET,
        home_street_1: str | None | Unset = UNSET,
        home_street_2: str | None | Unset = UNSET,
        home_city: str | None | Unset = UNSET,
        home_state: str | None | Unset = UNSET,
        home_postal: str | None | Unset = UNSET,
        home_country: str | None | Unset = UNSET,
        business_street_1: str | None | Unset = UNSET,
        business_street_2: str | None | Unset = UNSET,
        business_city: str | None | Unset = UNSET,
        business_state: str | None | Unset = UNSET,
        business_postal: str | None | Unset = UNSET,
        business_country: str | None | Unset = UNSET,
    ) -> Confirmation:
        """Change some of a contact's fields. ``None`` clears a field; a field that is left out stays as it is.

        Args:
            contact_id: The contact (``co:…``).
            phone_number: The contact's number, in E.164.
            email_address: The contact's e-mail address.
            first_name: First name.
            last_name: Last name.
            business_name: The name of the contact's business.
            display_name: What to call the contact, if not by first and last name.
            group: The group to assign the contact to, by its full name or its id (``gr:…``).
            timezone: An IANA time zone, case-sensitive.
            home_street_1: Home address: street, at most 200 characters. With the postal code given too, Pidj looks
                up the rest.
            home_street_2: Home address: second line, at most 200 characters.
            home_city: Home address: city, at most 200 characters.
            home_state: Home address: the two letters of a US state or territory.
            home_postal: Home address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian code.
            home_country: Home address: ISO 3166-1 alpha-2 or alpha-3 code.
            business_street_1: Business address: street, at most 200 characters. With the postal code given too,
                Pidj looks up the rest.
            business_street_2: Business address: second line, at most 200 characters.
            business_city: Business address: city, at most 200 characters.
            business_state: Business address: the two letters of a US state or territory.
            business_postal: Business address: ZIP code (5 digits, or ZIP+4), or a British, Canadian or Australian
                code.
            business_country: Business address: ISO 3166-1 alpha-2 or alpha-3 code.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.UpdateContact(
                contact_id,
                phone_number=phone_number,
                email_address=email_address,
                first_name=first_name,
                last_name=last_name,
                business_name=business_name,
                display_name=display_name,
                group=group,
                timezone=timezone,
                home_street_1=home_street_1,
                home_street_2=home_street_2,
                home_city=home_city,
                home_state=home_state,
                home_postal=home_postal,
                home_country=home_country,
                business_street_1=business_street_1,
                business_street_2=business_street_2,
                business_city=business_city,
                business_state=business_state,
                business_postal=business_postal,
                business_country=business_country,
            )
        )

    async def delete(self, contact_id: str) -> Confirmation:
        """Delete a contact for good: contacts cannot be brought back.

        Args:
            contact_id: The contact (``co:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.DeleteContact(contact_id))

    async def send_consent_text(self, contact_id: str, group_id: str) -> Confirmation:
        """Ask a contact by text for consent to be texted.

        Safe to call at any time: Pidj sends the question only when it is due, and refuses otherwise (consent is not set
        up, the group is exempt, the contact has been asked already).

        Args:
            contact_id: The contact (``co:…``).
            group_id: The group that wants to text (``gr:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.SendConsentText(contact_id, group_id))

    async def check_consent(self, contact_id: str, group_id: str) -> ConsentCheck:
        """Tell whether a contact must still consent before a group may text them.

        Args:
            contact_id: The contact (``co:…``).
            group_id: The group that wants to text (``gr:…``).

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.CheckConsent(contact_id, group_id))

    async def list(self) -> tuple[Contact, ...]:
        """Fetch all active contacts. Pidj has no pages: the whole account comes in one reply.

        Raises:
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.ListContacts())

    def stream(self) -> Stream[Contact]:
        """Iterate over what `list` returns, while the reply is still arriving.

        ::

            async for one in pidj.contacts.stream():
                print(one.id)

        However many there are, only some are in memory at a time. It raises what `list` raises, while it is
        iterated over. What fails before the first result is tried again, as with every call; what fails after it is
        raised, so that nothing is handed over twice. A reply that ends too early is an error, never a short list. The
        client's ``deadline`` bounds the wait for each result.

        Returns:
            What to iterate over. Left before its end it closes its connection: at once, if used as ``async with``.

        Raises:
            ConfigurationError: If the client's transport cannot stream.
        """
        return self._client.stream(requests.ListContacts())


class Groups(_Calls):
    """The calls under ``pidj.groups``."""

    async def list(self) -> tuple[Group, ...]:
        """Fetch all active groups.

        Raises:
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.ListGroups())


class SeriesCalls(_Calls):
    """The calls under ``pidj.series``."""

    async def subscribe(
        self,
        series_id: str,
        *,
        timezone: str,
        contact_id: str | Unset = UNSET,
        to_number: str | Unset = UNSET,
        from_number: str | Unset = UNSET,
        group_id: str | Unset = UNSET,
    ) -> Confirmation:
        """Subscribe a contact or a phone number to a series. It takes effect at once.

        Give either `contact_id` or `to_number`, and either `from_number` or `group_id`. A number that is no contact yet
        becomes one.

        Args:
            series_id: The series (``ts:…``).
            timezone: The IANA time zone in which the series' dates and times are reckoned, case-sensitive.
            contact_id: Whom to subscribe (``co:…``).
            to_number: Whom to subscribe, in E.164.
            from_number: The number to send from, in E.164; it must belong to one of your groups.
            group_id: The group to send from (``gr:…``); it must have a phone number.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.SubscribeToSeries(
                series_id,
                timezone=timezone,
                contact_id=contact_id,
                to_number=to_number,
                from_number=from_number,
                group_id=group_id,
            )
        )

    async def list(self) -> tuple[Series, ...]:
        """Fetch all active series.

        Raises:
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.ListSeries())


class Surveys(_Calls):
    """The calls under ``pidj.surveys``."""

    async def initiate(
        self,
        survey_id: str,
        *,
        contact_id: str | Unset = UNSET,
        to_number: str | Unset = UNSET,
        from_number: str | Unset = UNSET,
        group_id: str | Unset = UNSET,
    ) -> Confirmation:
        """Send a survey's introduction and first question to a contact or a phone number, at once.

        Give either `contact_id` or `to_number`, and either `from_number` or `group_id`.

        Args:
            survey_id: The survey (``sv:…``).
            contact_id: Whom to ask (``co:…``).
            to_number: Whom to ask, in E.164.
            from_number: The number to send from, in E.164; it must belong to one of your groups.
            group_id: The group to send from (``gr:…``); it must have a phone number.

        Raises:
            InvalidRequestError: A value that Pidj would refuse, discard or cut off; before any I/O.
            APIError: Pidj said no; see the subclasses.
            NotSentError: Proven: nothing left this machine.
            OutcomeUnknownError: It may have been acted on. It is not tried again: it is not safe to repeat.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(
            requests.InitiateSurvey(
                survey_id, contact_id=contact_id, to_number=to_number, from_number=from_number, group_id=group_id
            )
        )

    async def list(self) -> tuple[Survey, ...]:
        """Fetch all active surveys.

        Raises:
            APIError: Pidj said no; see the subclasses.
            TransportError: No usable reply, also after trying again.
            ResponseError: The reply is not what the API promises.
        """
        return await self._client.execute(requests.ListSurveys())
