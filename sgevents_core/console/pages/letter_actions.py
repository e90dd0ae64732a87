"""Retrying and dismissing dead letters: one, a selection or a group, with a preview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from sgevents_core.console.page import Action, Form, NewRequest, Page, Query, View, Visit
from sgevents_core.console.pages.failures import (
    LARGEST_NUMBER,
    LongText,
    given_conditions,
    letter_choice,
)
from sgevents_core.console.problems import PageMissing
from sgevents_core.reading.overview import read_overview
from sgevents_core.state.letters import Letter, letter_requests
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Letters

MOST_LETTERS: Final = 10_000
"""The most dead letters that one action is about."""
_MOST_LINES: Final = 200
LetterNumber = Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]
LetterAction: TypeAlias = Literal["retry", "dismiss"]


class LettersForm(Form, frozen=True, kw_only=True):
    """The dead letters that an action is about: by number, or by what they have in common."""

    letters: tuple[LetterNumber, ...] = ()
    plugin: LongText = ""
    callback: LongText = ""
    error: LongText = ""


class PreviewQuery(Query, frozen=True, kw_only=True):
    """A choice of dead letters, and what is to be done with them."""

    action: LetterAction
    letters: tuple[LetterNumber, ...] = ()
    plugin: LongText = ""
    callback: LongText = ""
    error: LongText = ""


class PreviewLine(View, frozen=True, kw_only=True):
    """What an action would do with one callback."""

    plugin: str
    callback: str
    letters: int
    state: str
    """The plugin's state."""
    reason: str


class PreviewView(View, frozen=True, kw_only=True):
    """What an action would do, before it is asked for."""

    action: LetterAction
    letters: list[int]
    """The numbers, if the letters were chosen one by one."""
    query: dict[str, str]
    """The conditions, if they were not."""
    calls: int
    """The dead letters that it is about: as many calls for a retry."""
    limit: int
    """The most that one action is about."""
    lines: list[PreviewLine]
    lines_left: int
    is_running: bool
    """Whether a daemon is running that would carry it out at once."""


def read_preview(visit: Visit, query: PreviewQuery) -> PreviewView:
    """Read what an action would do."""
    form = LettersForm(
        letters=query.letters, plugin=query.plugin, callback=query.callback, error=query.error
    )
    chosen = _letters_of(visit, form)
    settings = visit.site.settings
    enabled = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(visit.site.state_folder, enabled)
    plugins = {plugin.name: plugin for plugin in overview.plugins} if overview else {}
    counts = Counter((letter.failure.plugin, letter.failure.callback) for letter in chosen)
    lines = [
        PreviewLine(
            plugin=plugin,
            callback=callback,
            letters=count,
            state=plugins[plugin].state if plugin in plugins else "unknown",
            reason=plugins[plugin].reason if plugin in plugins else "",
        )
        for (plugin, callback), count in sorted(counts.items())
    ]
    return PreviewView(
        action=query.action,
        letters=list(query.letters),
        query=given_conditions(query.plugin, query.callback, query.error),
        calls=len(chosen),
        limit=MOST_LETTERS,
        lines=lines[:_MOST_LINES],
        lines_left=max(len(lines) - _MOST_LINES, 0),
        is_running=overview is not None and overview.pid is not None,
    )


def plan_retry(visit: Visit, form: LettersForm) -> list[NewRequest]:
    """Ask for another call for each dead letter."""
    return _plan("retry", visit, form)


def plan_dismiss(visit: Visit, form: LettersForm) -> list[NewRequest]:
    """Ask for dead letters to be dropped for good."""
    return _plan("dismiss", visit, form)


def _plan(action: LetterAction, visit: Visit, form: LettersForm) -> list[NewRequest]:
    chosen = _letters_of(visit, form)
    if not chosen:
        raise PageMissing("There are no such dead letters, or no longer.")
    return [
        NewRequest(kind=action, plugin=plugin, detail=detail)
        for plugin, detail in letter_requests(action, chosen)
    ]


def _letters_of(visit: Visit, form: LettersForm) -> list[Letter]:
    """Return the chosen dead letters that are not settled, at most `MOST_LETTERS`.

    Without a number or a condition there are none: all that there are must not be chosen by
    mistake.
    """
    state = open_state(visit.site.state_folder)
    if not (form.letters or form.plugin or form.callback or form.error) or not state.is_made():
        return []
    with closing(state.letters()) as letters:
        if form.letters:
            return _letters_by_number(letters, form.letters)
        choice = letter_choice(form.plugin, form.callback, form.error)
        return [*letters.listed(choice, 0, MOST_LETTERS)]


def _letters_by_number(letters: Letters, numbers: Sequence[int]) -> list[Letter]:
    listed_letters = (
        letters.get(letter_number) for letter_number in dict.fromkeys(numbers[:MOST_LETTERS])
    )
    return [letter for letter in listed_letters if letter is not None and letter.dead]


PAGES: Final = (
    Page(
        path="failures-preview",
        title="Preview",
        summary="Show what a retry or dismissal of dead letters would do.",
        template="failures_preview.html",
        view_type=PreviewView,
        query_type=PreviewQuery,
        read=read_preview,
        in_navigation=False,
        tab="failures",
    ),
)
ACTIONS: Final = (
    Action(
        path="failures/retry",
        summary="Call the callbacks of dead letters once more, each for its event or its batch.",
        form_type=LettersForm,
        plan=plan_retry,
    ),
    Action(
        path="failures/dismiss",
        summary="Drop dead letters for good.",
        form_type=LettersForm,
        plan=plan_dismiss,
    ),
)
