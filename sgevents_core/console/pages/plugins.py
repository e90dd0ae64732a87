"""The plugins of a site: their order, their state and why, and what can be done about it."""

from __future__ import annotations

from typing import Final

from sgevents_core.console.page import Action, Form, NewRequest, Page, Visit


class PluginForm(Form, frozen=True, kw_only=True):
    """The plugin that an action is about."""

    plugin: str


def plan_pause(visit: Visit, form: PluginForm) -> list[NewRequest]:
    """Ask for a pause."""
    return [NewRequest(kind="pause", plugin=form.plugin)]


def plan_resume(visit: Visit, form: PluginForm) -> list[NewRequest]:
    """Ask for the end of a pause or a hold."""
    return [NewRequest(kind="resume", plugin=form.plugin)]


PAGES: Final[tuple[Page, ...]] = ()
ACTIONS: Final = (
    Action(
        path="plugins/pause",
        summary="Pause a plugin until it is resumed; it loses nothing.",
        form_type=PluginForm,
        plan=plan_pause,
    ),
    Action(
        path="plugins/resume",
        summary="Let a paused or held plugin continue.",
        form_type=PluginForm,
        plan=plan_resume,
    ),
)
