"""``UNSET``: one value, falsy, with a name of its own."""

from __future__ import annotations

import copy
import pickle

import pytest

from pidj_async import UNSET, Unset


def test_unset_is_the_only_one_of_its_type() -> None:
    """``is UNSET`` is therefore the whole question."""
    assert [UNSET] == list(Unset)


def test_unset_is_falsy() -> None:
    """``request.subject or "none"`` does what one hopes."""
    assert bool(UNSET) is False


def test_unset_is_neither_none_nor_blank() -> None:
    """The three things a field can be are three things."""
    assert len({UNSET, None, ""}) == 3


def test_unset_shows_as_its_name() -> None:
    """A repr or a log says UNSET, not the name of an enum."""
    assert ("UNSET", "UNSET", "UNSET") == (repr(UNSET), str(UNSET), f"{UNSET}")


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["copy", "deep", "pickle"]
)
def test_a_copy_of_unset_is_unset(again: object) -> None:
    """A request that was queued in another process still leaves its fields out."""
    assert callable(again)
    assert again(UNSET) is UNSET
