"""What narrows a handler down, besides the class of its events.

=============  ================================================================  =======================================
filter         lets an event through if                                          on events that have
=============  ================================================================  =======================================
``keyword=``   its whole message is one of these words, see `normalize_keyword`  a ``message``
``regex=``     the pattern is found in its message (``search``: anchor it)       a ``message``
``group=``     it came in through one of these groups, by id or by name          a ``group``
``tag=``       its contact has one of these tags                                 a ``contact``
``when=``      the function says so                                              anything
=============  ================================================================  =======================================

Several filters must all let it through; several values of one filter are alternatives. Names of groups and tags are
compared without regard to case and spacing, ids exactly. They are tried in the order of the table, so that ``when=``
is only asked about events that have passed the others.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, cast

import attrs

from pidj_async.errors import ConfigurationError
from pidj_async.webhooks.events import EVENT_TYPES, Contact, Event, Group
from pidj_async.webhooks.keywords import normalize_keyword

__all__ = ["Filters", "make_filters"]

Verdict = re.Match[str] | bool

# Which attribute of an event a filter looks at. All the others, `when`, look at what they like.
_LOOKS_AT: Final = {"keyword": "message", "regex": "message", "group": "group", "tag": "contact"}
_GROUP_ID: Final = "gr:"  # how the id of every group begins


@attrs.frozen(kw_only=True, eq=False)
class Filters:
    """One registration's filters, checked and prepared.

    Attributes:
        keywords: Normalised; empty for any message.
        regex: To be searched for in the message.
        group_ids: Compared exactly.
        group_names: Folded; with `group_ids`, empty for any group.
        tags: Folded; empty for any contact.
        when: The user's own predicate.
    """

    keywords: frozenset[str] = frozenset()
    regex: re.Pattern[str] | None = None
    group_ids: frozenset[str] = frozenset()
    group_names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    when: Callable[[Any], bool | Awaitable[bool]] | None = None

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Which filters there are, by the names of their arguments."""
        present = {
            "keyword": self.keywords,
            "regex": self.regex,
            "group": self.group_ids or self.group_names,
            "tag": self.tags,
            "when": self.when,
        }
        return tuple(name for name, value in present.items() if value)

    def unfit_for(self, event_types: Iterable[type[Event]]) -> str | None:
        """Say why these filters could not work for some class of event, or ``None`` if they can for all of them."""
        for event_type in event_types:
            for name in self.names:
                attribute = _LOOKS_AT.get(name)
                if attribute is not None and not hasattr(event_type, attribute):
                    return f"{name}= cannot work for {event_type.__name__}, which has no {attribute}"
        return None

    def never_passed_by(self, event_types: Iterable[type[Event]]) -> str | None:
        """Say which class has no event that could pass; milder than `unfit_for`: some of `Event`'s may."""
        for event_type in event_types:
            concrete = [each for each in EVENT_TYPES.values() if issubclass(each, event_type)] or [event_type]
            problems = [self.unfit_for([each]) for each in concrete]
            if all(problems):
                return problems[0]
        return None

    async def admit(self, event: Event) -> Verdict:
        """Decide on one event.

        Args:
            event: An event of a class that these filters are fit for; any other is not let through.

        Returns:
            The match, if there is a `regex` and the event is let through; otherwise whether it is.
        """
        verdict = self._looks_right(event)
        if verdict and self.when is not None:
            answer = self.when(event)
            if inspect.isawaitable(answer):
                answer = await answer
            if not answer:
                return False
        return verdict

    def _looks_right(self, event: Event) -> Verdict:
        found: Verdict = True
        if self.keywords and normalize_keyword(getattr(event, "message", "")) not in self.keywords:
            return False
        if self.regex is not None:
            found = self.regex.search(getattr(event, "message", "")) or False
        if found and (self.group_ids or self.group_names) and not self._is_ours(_group_of(event)):
            return False
        if found and self.tags:
            contact = _contact_of(event)
            if contact is None or self.tags.isdisjoint(map(_fold, contact.tags)):
                return False
        return found

    def _is_ours(self, group: Group | None) -> bool:
        if group is None:
            return False
        return group.id in self.group_ids or (group.name is not None and _fold(group.name) in self.group_names)


def make_filters(
    *,
    keyword: object = None,
    regex: object = None,
    group: object = None,
    tag: object = None,
    when: object = None,
) -> Filters:
    """Check the arguments of a registration.

    Raises:
        TypeError: A filter is of the wrong type.
        ConfigurationError: A filter is blank or an empty list, or `regex` is no valid pattern.
    """
    groups = frozenset(_texts("group", group))
    ids = frozenset(each for each in groups if each.startswith(_GROUP_ID))
    if when is not None and not callable(when):
        msg = f"when= takes a function of the event, got {when!r}"
        raise TypeError(msg)
    return Filters(
        keywords=frozenset(map(normalize_keyword, _texts("keyword", keyword))),
        regex=_pattern(regex),
        group_ids=ids,
        group_names=frozenset(map(_fold, groups - ids)),
        tags=frozenset(map(_fold, _texts("tag", tag))),
        when=cast("Callable[[Any], bool | Awaitable[bool]] | None", when),
    )


def _texts(name: str, value: object) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        msg = f"{name}= takes a text or several, got {value!r}"
        raise TypeError(msg)
    several = [value] if isinstance(value, str) else list(value)
    if not several:
        msg = f"{name}= is an empty list, so that no event would ever match; leave it out for any {name}"
        raise ConfigurationError(msg)
    for each in several:
        if not isinstance(each, str):
            msg = f"{name}= takes a text or several, got {each!r}"
            raise TypeError(msg)
        # Also of invisible characters only, which `str.strip` would leave.
        if not normalize_keyword(each):
            msg = f"{name}= is blank; leave it out for any {name}"
            raise ConfigurationError(msg)
        yield each


def _pattern(value: object) -> re.Pattern[str] | None:
    if value is None:
        return None
    pattern = value.pattern if isinstance(value, re.Pattern) else value
    if not isinstance(pattern, str):
        msg = f"regex= takes a pattern of text, compiled or not, got {value!r}"
        raise TypeError(msg)
    if isinstance(value, re.Pattern):
        return value
    try:
        return re.compile(pattern)
    except re.error as error:
        msg = f"regex={pattern!r} is not a valid pattern: {error}"
        raise ConfigurationError(msg) from error


def _fold(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _group_of(event: Event) -> Group | None:
    """Find the group wherever the undocumented bodies may have it; a text's is its ``group`` anyway."""
    group: Group | None = _first("group", event)
    return group


def _contact_of(event: Event) -> Contact | None:
    """Find the person; in the same order in which `InferredEvent.phone_number` looks."""
    contact: Contact | None = _first("contact", event)
    return contact


def _first(name: str, event: Event) -> Any:
    holders = (event, getattr(event, "text", None), getattr(event, "interaction", None))
    return next((found for holder in holders if (found := getattr(holder, name, None)) is not None), None)
