"""What calls return: frozen values that tell no number and no secret."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, get_type_hints

import attrs
import docstring_parser
import pytest

from pidj_async import models
from pidj_async.models import (
    ConsentCheck,
    Contact,
    CreatedContact,
    Group,
    Model,
    PauseState,
    Series,
    SsoUrl,
    Survey,
    User,
)
from pidj_async.wire import structure
from tests.valid import PHONE

MODELS: tuple[type[Model], ...] = tuple(getattr(models, name) for name in models.__all__)
VALUES: dict[Any, Any] = {str: "x", str | None: "x", bool: True, bool | None: True, tuple[str, ...]: ("x", "y")}


def filled(cls: type[Model], extra: dict[str, Any] | None = None) -> Model:
    """A model with a value in every attribute, read as a reply is."""
    hints = get_type_hints(cls)
    names = [field.name for field in attrs.fields(cls) if field.name != "extra"]
    return structure({**{name: VALUES[hints[name]] for name in names}, **(extra or {})}, cls)


@pytest.mark.parametrize("extra", [{}, {"new": [1, {"a": None}]}], ids=["known", "extra"])
@pytest.mark.parametrize("cls", MODELS)
def test_a_result_is_a_value(cls: type[Model], extra: dict[str, Any]) -> None:
    """Equal if its fields are, fit to be a key, and itself again after pickling or copying."""
    result = filled(cls, extra)

    assert result == filled(cls, extra)
    assert 1 == len({result, filled(cls, extra)})
    for again in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert (result, hash(result), repr(result)) == (again, hash(again), repr(again))
        assert type(result.extra) is type(again.extra)


@pytest.mark.parametrize("cls", MODELS)
def test_a_result_is_frozen(cls: type[Model]) -> None:
    """Nothing that was read can be changed."""
    result: Any = filled(cls)
    for field in attrs.fields(cls):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(result, field.name, None)


def test_what_is_extra_makes_a_difference() -> None:
    """Two replies that differ are not equal."""
    assert filled(Contact) != filled(Contact, {"new": 1})


@pytest.mark.parametrize("cls", MODELS)
def test_results_are_made_by_keyword(cls: type[Model]) -> None:
    """The vendor adds fields; a position would mean something else one day."""
    kinds = {one.kind for one in inspect.signature(cls).parameters.values()}

    assert {inspect.Parameter.KEYWORD_ONLY} == kinds


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (
            Group(group_id="gr:1", name="Sales", phone_number=PHONE),
            "Group(extra={}, group_id='gr:1', name='Sales', phone_number='+188******22', color=None)",
        ),
        (SsoUrl(url="https://example.com/?session=1"), "SsoUrl(extra={})"),
        (ConsentCheck(needed=False), "ConsentCheck(extra={}, needed=False, message=None)"),
        (
            CreatedContact(id="co:1", extra={"b": PHONE, "a": 1}),
            "CreatedContact(extra=<a, b>, id='co:1', message=None)",
        ),
        (PauseState(extra={PHONE: 1, "a\nb": 2}), "PauseState(extra=<+188******22, a\\nb>, paused=None, status=None)"),
    ],
)
def test_a_repr_masks(result: Model, shown: str) -> None:
    """Numbers masked, a URL that signs somebody in not at all, of the rest the names."""
    assert shown == repr(result)


@pytest.mark.parametrize("cls", [Contact, User])
def test_every_number_of_a_person_is_masked(cls: type[Model]) -> None:
    """Office and fax too."""
    names = [field.name for field in attrs.fields(cls) if field.name.startswith("phone_")]
    person = structure(dict.fromkeys(names, PHONE), cls)

    assert len(names) == repr(person).count("'+188******22'")
    assert PHONE not in repr(person)


@pytest.mark.parametrize(("cls", "name"), [(Group, "group_id"), (Series, "series_id"), (Survey, "survey_id")])
def test_the_ids_of_lists_have_a_short_name_too(cls: Any, name: str) -> None:
    """Whatever has an id has it as ``id``."""
    assert "x" == cls(**{name: "x"}).id


@pytest.mark.parametrize("cls", MODELS)
def test_the_documentation_names_no_attribute_that_is_not_there(cls: type[Model]) -> None:
    """Attributes in docstrings are attributes."""
    documented = {one.arg_name for one in docstring_parser.parse(cls.__doc__ or "").params}

    assert documented <= {field.name for field in attrs.fields(cls)}


def test_contacts_and_users_have_the_vendors_fields() -> None:
    """Typed a second time."""
    both = "first_name last_name business_name display_name email_address phone_number tags external_id".split()

    assert {"extra", "id", "phone_office", "phone_fax", "timezone", *both} == {
        one.name for one in attrs.fields(Contact)
    }
    assert {"extra", "username", "roles", *both} == {one.name for one in attrs.fields(User)}


def test_every_model_is_exported() -> None:
    """Nothing that a call returns is private."""
    defined = {name for name, one in vars(models).items() if isinstance(one, type) and issubclass(one, Model)}

    assert defined == set(models.__all__)
