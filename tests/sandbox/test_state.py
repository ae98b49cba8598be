"""The world by itself: invariants over any sequence of what can happen, keywords, places."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from pidj_async.sandbox.postal import Place, place_of
from pidj_async.sandbox.replies import Refusal
from pidj_async.sandbox.seed import GROUP_ID
from pidj_async.sandbox.state import START_WORDS, STOP_WORDS, State

MARIA = "+18885553333"

numbers = st.sampled_from([f"+1888555000{digit}" for digit in range(4)])
names = st.sampled_from(["Ada", "Grace", None])


class World(RuleBasedStateMachine):
    """Contacts, users and opt-outs against the simplest model of them: what a reader of the document would expect."""

    contacts = Bundle("contacts")
    deleted = Bundle("deleted")
    users = Bundle("users")

    @initialize()
    def begin(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.state = State(self.events.append)
        self.number_of: dict[str, str | None] = {}
        self.gone: dict[str, str | None] = {}
        self.names: dict[str, str] = {}
        self.opted_out: set[str] = set()
        self.sent = 0

    @rule(target=contacts, number=numbers)
    def create_contact(self, number: str) -> str:
        contact, is_new = self.state.create_contact({"phone_number": number})
        assert is_new == (number not in self.number_of.values())
        if is_new:
            assert contact.id not in self.number_of.keys() | self.gone.keys()
        self.number_of[contact.id] = number
        return contact.id

    @rule(contact_id=contacts, number=st.none() | numbers, name=names)
    def update_contact(self, contact_id: str, number: str | None, name: str | None) -> None:
        if contact_id not in self.number_of:
            return
        others = {number for other, number in self.number_of.items() if other != contact_id}
        contact = self.state.contact(contact_id)
        before = dict(contact.values)
        told = len(self.events)
        try:
            self.state.update_contact(contact, {"phone_number": number, "first_name": name})
        except Refusal:
            assert number in others - {None}
            assert before == contact.values
        else:
            assert number not in others - {None}
            self.number_of[contact_id] = number
            assert name == contact.values.get("first_name")
            assert (before != contact.values) == (len(self.events) == told + 1)

    @rule(target=deleted, contact_id=consumes(contacts))
    def delete_contact(self, contact_id: str) -> str:
        if contact_id in self.number_of:
            self.state.delete_contact(self.state.contact(contact_id))
            self.gone[contact_id] = self.number_of.pop(contact_id)
        return contact_id

    @rule(contact_id=deleted)
    def restore_contact(self, contact_id: str) -> None:
        possible = contact_id in self.gone and (
            self.gone[contact_id] is None or self.gone[contact_id] not in self.number_of.values()
        )
        try:
            self.state.restore_contact(contact_id)
        except Refusal:
            assert not possible
        else:
            assert possible
            self.number_of[contact_id] = self.gone.pop(contact_id)

    @rule(target=users, name=st.sampled_from(["ada", "grace"]))
    def create_user(self, name: str) -> str | None:
        try:
            user = self.state.create_user(name, {})
        except Refusal:
            assert name in self.names.values()
            return None
        assert name not in self.names.values()
        self.names[user.id] = name
        return user.id

    @rule(user_id=users, deleted=st.booleans())
    def delete_or_recover_user(self, user_id: str | None, deleted: bool) -> None:  # noqa: FBT001
        if user_id is not None:
            user = self.state.user(user_id, even_deleted=True)
            user.deleted = deleted
            assert self.names[user_id] == user.username
            with suppress(Refusal):
                assert self.state.user(user_id) is user
                assert not deleted

    @rule(number=numbers, word=st.sampled_from(["stop", "Start", "yes", "hello", "please stop"]))
    def receive(self, number: str, word: str) -> None:
        raised = self.state.receive_text(number, word, self.state.groups[GROUP_ID])
        expected = ["text-received"]
        if word == "stop" and number not in self.opted_out:
            self.opted_out.add(number)
            expected.append("opt-out")
        elif word in {"Start", "yes"} and number in self.opted_out:
            self.opted_out.remove(number)
            expected.append("opt-in")
        assert tuple(expected) == raised

    @rule(number=numbers)
    def send(self, number: str) -> None:
        try:
            self.state.send_text(self.state.groups[GROUP_ID], number, "Hello")
        except Refusal:
            assert number in self.opted_out
        else:
            assert number not in self.opted_out
            self.sent += 1

    @invariant()
    def world_is_as_expected(self) -> None:
        assert self.number_of == {one.id: one.values.get("phone_number") for one in self.state.contacts.values()}
        for contact_id, number in self.number_of.items():
            if number is not None:
                found = self.state.contact_by_phone(number)
                assert found is not None
                assert contact_id == found.id
        for number in self.gone.values():
            if number is not None and number not in self.number_of.values():
                assert self.state.contact_by_phone(number) is None
        assert self.opted_out == set(self.state.opt_outs)
        assert self.sent == len(self.state.texts)


TestWorld = World.TestCase


@pytest.mark.parametrize("word", sorted(STOP_WORDS))
def test_stop_words(word: str) -> None:
    """Each of the keywords opts its sender out, in any case and with blanks around it, but only alone."""
    state = State()
    group = state.groups[GROUP_ID]
    assert ("text-received",) == state.receive_text(MARIA, f"do not {word}", group)
    assert ("text-received", "opt-out") == state.receive_text(MARIA, f" {word.lower()}\n", group)
    assert [MARIA] == list(state.opt_outs)


@pytest.mark.parametrize("word", sorted(START_WORDS))
def test_start_words(word: str) -> None:
    """Each of the keywords takes an opt-out back; without one it is a text like any other."""
    state = State()
    group = state.groups[GROUP_ID]
    assert ("text-received",) == state.receive_text(MARIA, word, group)
    state.receive_text(MARIA, "STOP", group)
    assert ("text-received", "opt-in") == state.receive_text(MARIA, word.capitalize(), group)
    assert {} == state.opt_outs


def test_help() -> None:
    """HELP is answered, also to somebody who has opted out."""
    state = State()
    group = state.groups[GROUP_ID]
    state.receive_text(MARIA, "STOP", group)
    assert ("text-received",) == state.receive_text(MARIA, "help", group)
    assert [("auto-reply", MARIA)] == [(text.kind, text.to_number) for text in state.texts]
    assert "STOP" in state.texts[0].text_body


def test_yes_answers_both() -> None:
    """YES after a request and an opt-out gives consent and opts in."""
    state = State()
    group = state.groups[GROUP_ID]
    contact, _ = state.create_contact({"phone_number": MARIA})
    state.send_consent_text(contact, group)
    state.receive_text(MARIA, "STOP", group)
    assert ("text-received", "consent-given", "opt-in") == state.receive_text(MARIA, "YES", group)


def test_sign_on_expires() -> None:
    """A sign-on URL works for 60 seconds, and is forgotten afterwards."""
    now = 0.0
    state = State(clock=lambda: now)
    user = state.create_user("maria", {})
    token = state.create_sign_on_url(user, None).rpartition("/")[2]
    now = 59.9
    assert (user, None) == state.sign_on(token)
    now = 60.0
    with pytest.raises(Refusal, match="Sign-on not found"):
        state.sign_on(token)
    later = state.create_sign_on_url(user, "https://example.com/").rpartition("/")[2]
    assert [later] == list(state._sign_ons)


def test_sign_on_of_a_deleted_user() -> None:
    """A user who is deleted meanwhile is not signed in."""
    state = State()
    user = state.create_user("maria", {})
    token = state.create_sign_on_url(user, None).rpartition("/")[2]
    user.deleted = True
    with pytest.raises(Refusal, match="User not found"):
        state.sign_on(token)


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("84101", Place("Salt Lake City", "UT", "US")),
        ("84101-1234", Place("Salt Lake City", "UT", "US")),
        ("73301", Place("Anytown", "TX", "US")),
        ("k1a 0b1", Place("Ottawa", None, "CA")),
        ("V6B 1A1", Place("Anytown", None, "CA")),
        ("SW1A 1AA", Place("London", None, "GB")),
        ("M1 1AE", Place("Anytown", None, "GB")),
        ("2000", Place("Sydney", None, "AU")),
        ("3000", Place("Anytown", None, "AU")),
    ],
)
def test_places(code: str, place: Place) -> None:
    """A postal code always leads to the same place, in the country that writes its codes that way."""
    assert place == place_of(code)
