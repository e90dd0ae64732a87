"""What a page is made of: its query, its view, its actions, and the visit that reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

if TYPE_CHECKING:
    from sgevents_core.console.sites import ConsoleSite
    from sgevents_core.state.requests import ReplayEvent

LONGEST_REASON: Final = 2_000
"""The most characters of a reason: each of 10,000 requests of an action records it."""
Role: TypeAlias = Literal["viewer", "operator"]


@dataclass(frozen=True, slots=True)
class Person:
    """The person at the browser.

    Args:
        name: The name that requests are recorded under.
        role: `viewer` reads; `operator` also makes requests.
    """

    name: str
    role: Role

    @property
    def is_operator(self) -> bool:
        """Whether the person may change something."""
        return self.role == "operator"


@dataclass(frozen=True, slots=True)
class Visit:
    """One reading of a page.

    Args:
        site: The site whose page it is.
        person: The person who reads it.
        now: The time, in seconds since 1970.
        zone: The studio's time zone; None for that of this machine.
    """

    site: ConsoleSite
    person: Person
    now: float
    zone: tzinfo | None = None


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a page; its fields are the parameters after the `?`."""


class View(Struct, frozen=True, kw_only=True):
    """The data of a page, for the template and as JSON."""


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of an action's form."""

    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""
    """Why, for others; recorded with the requests."""


class NoQuery(Query, frozen=True, kw_only=True):
    """The query of a page without parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a site, and the same data as JSON.

    Args:
        path: Its path below `/sites/SITE/`; empty for the first page.
        title: Its title.
        summary: What it shows, in a sentence, for the API's description.
        template: The name of its template; empty for data that only scripts and programs read.
        view_type: The type of its view.
        read: Reads the view; runs in a thread of its own.
        query_type: The type of its query.
        in_navigation: Whether the navigation lists it.
        tab: The path of the page that the navigation shows as current; by default, its own.
        shared_for: Seconds for which equal visits share one view; 0 for never.
    """

    path: str
    title: str
    summary: str
    view_type: type[View]
    read: Callable[[Visit, Any], View]
    template: str = ""
    query_type: type[Query] = NoQuery
    in_navigation: bool = True
    tab: str = ""
    shared_for: float = 0.0

    @property
    def name(self) -> str:
        """The name of the page's routes, also its path in the API."""
        return self.path or "overview"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """One request to record in a person's name.

    Args:
        kind: The kind; see `state.requests.Request`.
        plugin: The plugin concerned; empty for the feed.
        detail: Further values.
        events: The events to replay.
    """

    kind: str
    plugin: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[ReplayEvent] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A change that an operator may ask for.

    Args:
        path: Its path below `/sites/SITE/`.
        summary: What it asks for, in a sentence.
        form_type: The type of its form.
        plan: Returns the requests to record; raises `PageMissing` if there is no such record.
        without_requests: What the person is told if there are none, since the plan did it all.
    """

    path: str
    summary: str
    form_type: type[Form]
    plan: Callable[[Visit, Any], Sequence[NewRequest]]
    without_requests: str = ""

    @property
    def name(self) -> str:
        """The name of the action's routes."""
        return self.path.replace("/", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRoute:
    """A route without sign-in, which has to know by itself who calls.

    Args:
        path: Its full path.
        methods: The methods it answers.
        answer: Answers a call; `call.app.state.sites` has the sites.
    """

    path: str
    methods: Sequence[str]
    answer: Callable[[HttpRequest], Awaitable[Response]]


def utc_time(seconds: float | None) -> datetime | None:
    """Return a time in seconds since 1970 as a view has it; None for 0 and None."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc)


LARGEST_FORM: Final = 1_000_000
"""The largest body of a posted form, in bytes."""
