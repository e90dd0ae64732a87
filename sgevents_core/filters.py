"""Match: the events that a callback wants, as a value; how its conditions are read and tested.

`markers.match` attaches one to a function; the registrar makes one from its arguments.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from inspect import getattr_static
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sgevents_core.events import meta_of
from sgevents_core.origin import is_by, is_by_script

if TYPE_CHECKING:
    from sgevents_core.events import Event, Route

Texts: TypeAlias = str | Collection[str] | None
"""One text, or several of which any may match; None for any. `*` matches any characters."""
Project: TypeAlias = int | str | Mapping[str, Any]
"""A project by id, by name, or as the API gives it: `{"type": "Project", "id": 65}`."""
User: TypeAlias = int | str | Mapping[str, Any]
"""A person by id, by login or name, or as the API gives it: `{"type": "HumanUser", "id": 7}`."""
Values: TypeAlias = object
"""A value, or a list, tuple or set of which any value may match; `...` for any value."""
Where: TypeAlias = Callable[["Event"], object]
"""A condition in code: the event is wanted if it returns something true."""

_ROUTED: Final = frozenset({"entity_type", "attribute"})
"""The conditions that an event's route decides, besides those on projects given by their ids."""
"""The conditions, besides the type, that an event's route decides."""
_PLAIN_FILTER: Final = "Give a plain function: a filter is asked, and nothing awaits its answer."
_Condition: TypeAlias = tuple[str, Callable[["Event"], object]]


class WrongValueError(ValueError):
    """A value that a filter does not accept: what is wrong and what to do."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Match:
    """The events that a callback wants; every condition that is set has to hold."""

    event_type: tuple[str, ...] = ()
    """Patterns, one of which has to match; empty for any type. The next two work the same way."""
    entity_type: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    project: tuple[int | str, ...] = ()
    """Ids and names, one of which has to be the project's."""
    user: tuple[int | str, ...] = ()
    """Ids, logins and names, one of which has to be that of the person who did it."""
    script: tuple[str, ...] = ()
    """Patterns, one of which has to match the name of the script that did it, also by sudo."""
    in_create: bool | None = None
    """Whether the value has to be set while the record was created; None for either."""
    old_value: tuple[object, ...] = ()
    """Values, one of which has to be the old value or among the entities removed."""
    new_value: tuple[object, ...] = ()
    """Values, one of which has to be the new value or among the entities added."""
    where: Where | None = None
    """Called last, with the event."""
    not_script: str | None = None
    """A script whose events are not wanted: the plugin's own, with `ignore_own = true`."""
    _fits_type: Callable[[str | None], bool] = field(init=False, repr=False, compare=False)
    _fits_entity: Callable[[str | None], bool] = field(init=False, repr=False, compare=False)
    _fits_attribute: Callable[[str | None], bool] = field(init=False, repr=False, compare=False)
    _fits_project: Callable[[int | None], bool] = field(init=False, repr=False, compare=False)
    """Whether a project's id fits; any does if a project is given by its name."""
    _conditions: tuple[_Condition, ...] = field(init=False, repr=False, compare=False)
    _beyond_route: tuple[_Condition, ...] = field(init=False, repr=False, compare=False)
    """The conditions that neither the route nor a plugin's code decides."""
    is_decided_by_route: bool = field(init=False, repr=False, compare=False)
    """Whether it accepts every event whose route it accepts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fits_type", _fits(self.event_type))
        object.__setattr__(self, "_fits_entity", _fits(self.entity_type))
        object.__setattr__(self, "_fits_attribute", _fits(self.attribute))
        object.__setattr__(self, "_conditions", tuple(self._made_conditions()))
        has_names = any(isinstance(one, str) for one in self.project)
        fits_project = _fits_ids(() if has_names else self.project)
        object.__setattr__(self, "_fits_project", fits_project)
        decided_elsewhere = _ROUTED | ({"where"} if has_names else {"where", "project"})
        beyond = [one for one in self._conditions if one[0] not in decided_elsewhere]
        object.__setattr__(self, "_beyond_route", tuple(beyond))
        object.__setattr__(self, "is_decided_by_route", not beyond and self.where is None)

    def accepts_type(self, event_type: str) -> bool:
        """Return whether the filter can accept any event of `event_type`."""
        return self._fits_type(event_type)

    def accepts_route(self, route: Route) -> bool:
        """Return whether the filter can accept events of a route."""
        event_type, attribute, entity_type, project_id = route
        return (
            self._fits_type(event_type)
            and self._fits_attribute(attribute)
            and self._fits_entity(entity_type)
            and self._fits_project(project_id)
        )

    def accepts(self, event: Event) -> bool:
        """Return whether `event` is wanted; let errors of the filter's `where` propagate."""
        return self._fits_type(event.event_type) and self.accepts_rest(event)

    def accepts_rest(self, event: Event) -> bool:
        """Return whether `event`, whose type is known to be accepted, is wanted."""
        return all(holds(event) for _, holds in self._conditions)

    def may_accept(self, event: Event) -> bool:
        """Return whether `event`, whose type is accepted, is wanted if `where` agrees."""
        return all(name == "where" or holds(event) for name, holds in self._conditions)

    def may_accept_routed(self, event: Event) -> bool:
        """Return whether `event`, whose route is accepted, is wanted if `where` agrees."""
        for _, holds in self._beyond_route:  # noqa: SIM110 - half the time of all(...), per event
            if not holds(event):
                return False
        return True

    def why_not(self, event: Event) -> str | None:
        """Return the first condition that `event` does not meet, in words; None if it is wanted."""
        if not self.accepts_type(event.event_type):
            return f"event_type {event.event_type!r} is not {_either(self.event_type)}"
        for name, holds in self._conditions:
            try:
                if not holds(event):
                    return self._told(name, event)
            except Exception as error:
                return f"{name} raised {type(error).__name__}: {error}"
        return None

    def describe(self) -> str:
        """Return the filter for people: `entity_type=Task attribute=sg_status_list`."""
        parts = [
            f"{name}={'|'.join(str(value) for value in values)}"
            for name, values in self._named_values().items()
            if values
        ]
        if self.not_script is not None:
            parts.append(f"ignore_own={self.not_script}")
        if self.where is not None:
            parts.append(f"where={_name_of(self.where)}")
        return " ".join(parts) or "every event"

    def _named_values(self) -> dict[str, tuple[object, ...]]:
        return {
            "event_type": self.event_type,
            "entity_type": self.entity_type,
            "attribute": self.attribute,
            "project": self.project,
            "user": self.user,
            "script": self.script,
            "in_create": () if self.in_create is None else (self.in_create,),
            "old_value": tuple(map(_shown, self.old_value)),
            "new_value": tuple(map(_shown, self.new_value)),
        }

    def _made_conditions(self) -> list[_Condition]:
        fits_entity, fits_attribute = self._fits_entity, self._fits_attribute
        fits_script = _fits(self.script)
        made: list[tuple[object, str, Callable[[Event], object] | None]] = [
            (self.entity_type, "entity_type", lambda event: fits_entity(event.entity_type)),
            (self.attribute, "attribute", lambda event: fits_attribute(event.attribute)),
            (
                self.in_create is not None,
                "in_create",
                lambda event: event.in_create is self.in_create,
            ),
            (self.project, "project", _has_project(self.project)),
            (self.user, "user", lambda event: is_by(event, self.user)),
            (self.script, "script", lambda event: fits_script(event.script)),
            (self.not_script, "ignore_own", self._is_by_another),
            (self.old_value, "old_value", _has_among(self.old_value, "old_value", "removed")),
            (self.new_value, "new_value", _has_among(self.new_value, "new_value", "added")),
            (self.where, "where", self._is_agreed_to),
        ]
        return [(name, holds) for is_set, name, holds in made if is_set and holds]

    def _is_by_another(self, event: Event) -> bool:
        return self.not_script is None or not is_by_script(event, self.not_script)

    def _is_agreed_to(self, event: Event) -> object:
        answer = True if self.where is None else self.where(event)
        if isinstance(answer, Coroutine):  # which is true, whatever it would have answered
            answer.close()
            raise TypeError(f"where={_name_of(self.where)} returned a coroutine. {_PLAIN_FILTER}")
        return answer

    def _told(self, name: str, event: Event) -> str:
        if name == "where":
            return f"where={_name_of(self.where)} says no"
        if name == "ignore_own":
            return f"it was caused by the plugin's own script {self.not_script!r} (ignore_own)"
        found = event.script if name == "script" else _shown(getattr(event, name))
        return f"{name} {found!r} is not {_either(self._named_values()[name])}"


def made_match(
    *,
    event_type: Texts = None,
    entity_type: Texts = None,
    attribute: Texts = None,
    project: Project | Collection[Project] | None = None,
    user: User | Collection[User] | None = None,
    script: Texts = None,
    in_create: bool | None = None,
    old_value: Values = ...,
    new_value: Values = ...,
    where: Where | None = None,
) -> Match:
    """Make a Match from the values that `markers.match` and the registrar take.

    Raises:
        WrongValueError: A value is wrong.
    """
    if where is not None and not callable(where):
        raise WrongValueError(f"where={where!r} cannot be called", "Give a function of the event.")
    called = where if inspect.isroutine(where) else getattr_static(type(where), "__call__", None)
    if inspect.iscoroutinefunction(where) or inspect.iscoroutinefunction(called):
        raise WrongValueError(f"where={_name_of(where)} is async", _PLAIN_FILTER)
    if in_create is not None and not isinstance(in_create, bool):
        raise WrongValueError(f"in_create={in_create!r} is no bool", "Give True or False.")
    return Match(
        event_type=_texts("event_type", event_type, "Shotgun_Task_Change"),
        entity_type=_texts("entity_type", entity_type, "Task"),
        attribute=_texts("attribute", attribute, "sg_status_list"),
        project=_projects(project),
        user=_users(user),
        script=_texts("script", script, "publisher"),
        in_create=in_create,
        old_value=_values("old_value", old_value),
        new_value=_values("new_value", new_value),
        where=where,
    )


def refuse_unknown(given: Collection[str], others: Collection[str]) -> None:
    """Raise WrongValueError for the first of `given`, which is not the name of a condition.

    Args:
        given: Arguments that are not known.
        others: Valid arguments that are not conditions.
    """
    from sgevents_core.settings.spelling import nearest_name  # noqa: PLC0415 - seldom wanted

    known = [*inspect.signature(made_match).parameters, *others]
    for name in given:
        close = nearest_name(name, known)
        meant = f" (did you mean {close}?)" if close else ""
        raise WrongValueError(f"there is no argument {name}{meant}", f"Use {', '.join(known)}.")


def _texts(name: str, value: object, example: str) -> tuple[str, ...]:
    if value is None:
        return ()
    for text in _members(name, value):
        if not isinstance(text, str) or not text.strip():
            raise WrongValueError(
                f"{name}={text!r} is not a name", f'Give text such as "{example}".'
            )
    return tuple(str(text) for text in _members(name, value))


def _projects(value: object) -> tuple[int | str, ...]:
    if value is None:
        return ()
    return tuple(_project(project) for project in _members("project", value))


def _project(value: object) -> int | str:
    named = value.get("id", value.get("name")) if isinstance(value, Mapping) else value
    if isinstance(named, str) and named.strip():
        return named
    if isinstance(named, int) and not isinstance(named, bool):
        return named
    raise WrongValueError(f"project={value!r} is no project", "Give its id or its name.")


def _users(value: object) -> tuple[int | str, ...]:
    if value is None:
        return ()
    return tuple(_user(user) for user in _members("user", value))


def _user(value: object) -> int | str:
    named = value
    if isinstance(value, Mapping) and value.get("type", "HumanUser") == "HumanUser":
        named = value.get("id", value.get("login", value.get("name")))
    if isinstance(named, str) and named.strip():
        return named
    if isinstance(named, int) and not isinstance(named, bool):
        return named
    raise WrongValueError(
        f"user={value!r} is no person", "Give a login, a name or an id; of scripts, script=NAME."
    )


def _values(name: str, value: object) -> tuple[object, ...]:
    return () if isinstance(value, EllipsisType) else tuple(_members(name, value))


def _members(name: str, value: object) -> list[object]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        return [value]
    if not value:
        raise WrongValueError(f"{name} is empty and would never match", "Leave it out for any.")
    return list(value)


def _fits(patterns: tuple[str, ...]) -> Callable[[str | None], bool]:
    """Return a test of whether a text fits any of `patterns`; None fits only if all do."""
    if not patterns:
        return lambda _text: True
    if not any("*" in pattern for pattern in patterns):
        return frozenset(patterns).__contains__
    expressions = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    fullmatch = re.compile("|".join(expressions), re.DOTALL).fullmatch
    return lambda text: text is not None and fullmatch(text) is not None


def _fits_ids(ids: tuple[object, ...]) -> Callable[[int | None], bool]:
    """Return a test of whether an id is any of `ids`; without any, each one is."""
    return frozenset(ids).__contains__ if ids else lambda _id: True


def _has_project(projects: tuple[int | str, ...]) -> Callable[[Event], bool]:
    """Return a test of whether an event's project is any of `projects`, by id or by name."""
    ids = frozenset(one for one in projects if isinstance(one, int))
    names = frozenset(one for one in projects if isinstance(one, str))

    def has_project(event: Event) -> bool:
        if event.project_id in ids:
            return True
        project = event.project if names else None
        name = None if project is None else project.get("name")
        return isinstance(name, str) and name in names

    return has_project


def _has_among(
    wanted: tuple[object, ...], value_key: str, entities_key: str
) -> Callable[[Event], bool]:
    """Return a test of whether a value of an event, or an entity in a list, is any of `wanted`."""
    texts = frozenset(one for one in wanted if type(one) is str)

    def has_among(event: Event) -> bool:
        meta = meta_of(event)
        value = meta.get(value_key)
        if type(value) is str and len(texts) == len(wanted) and entities_key not in meta:
            return value in texts  # the most frequent comparison: a status with a status
        values = [value] if value_key in meta else []
        values += meta[entities_key] if isinstance(meta.get(entities_key), list) else []
        return any(_is_same(one, other) for one in wanted for other in values)

    return has_among


def _is_same(wanted: object, value: object) -> bool:
    if isinstance(wanted, Mapping) and isinstance(value, Mapping) and {"type", "id"} <= set(wanted):
        return bool(wanted["type"] == value.get("type") and wanted["id"] == value.get("id"))
    if isinstance(wanted, bool) is not isinstance(value, bool):
        return False  # a checkbox is not a number
    return wanted == value


def _either(values: tuple[object, ...]) -> str:
    return " or ".join(map(repr, values))


def _shown(value: object) -> object:
    """Return an entity as `Shot 12`, anything else unchanged."""
    if isinstance(value, Mapping) and "id" in value:
        return f"{value.get('name') or value.get('type', '')} {value['id']}".strip()
    return value


def _name_of(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
