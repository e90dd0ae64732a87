"""The pages, one module each; the order here is the order of the navigation."""

from __future__ import annotations

from typing import Final

from sgevents_core.console.hooks import HOOK_PATH, answer_hook
from sgevents_core.console.page import Action, OpenRoute, Page
from sgevents_core.console.pages import (
    charts,
    events,
    failures,
    letter_actions,
    log,
    one_event,
    one_plugin,
    overview,
    people_requests,
    plugins,
)

PAGES: Final[tuple[Page, ...]] = (
    *overview.PAGES,
    *charts.PAGES,
    *events.PAGES,
    *one_event.PAGES,
    *failures.PAGES,
    *letter_actions.PAGES,
    *log.PAGES,
    *plugins.PAGES,
    *one_plugin.PAGES,
    *people_requests.PAGES,
)
ACTIONS: Final[tuple[Action, ...]] = (
    *plugins.ACTIONS,
    *one_event.ACTIONS,
    *letter_actions.ACTIONS,
    *log.ACTIONS,
)
ROUTES: Final[tuple[OpenRoute, ...]] = (
    OpenRoute(path=HOOK_PATH, methods=("POST",), answer=answer_hook),
)
