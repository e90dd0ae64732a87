"""What plugin authors import, and what later versions may change without breaking them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import sgevents_core
from sgevents_core import Context, Event, Registrar, Retry, hookimpl, match
from sgevents_core.plugins.signatures import hook_adapter, wanted_arguments


def test_authors_import_everything_from_one_place() -> None:
    """Under the names of the documentation."""
    details = {"Attention", "BacklogTimeout", "CallbackFailure", "DeadLetter", "PluginPause"}
    names = {"Context", "Event", "Registrar", "Retry", "hookimpl", "match"} | details
    assert names <= set(sgevents_core.__all__)
    assert all((Context, Event, Registrar, Retry, hookimpl, match))


@pytest.mark.parametrize("after", [None, 5, 0.25, "5s"])
def test_retry_says_why_and_when(after: Any) -> None:
    """Also after it came from another process."""
    error = pickle.loads(pickle.dumps(Retry("not there yet", after=after)))
    assert (str(error), error.reason, error.after) == ("not there yet", "not there yet", after)
    assert (Retry().reason, Retry().after) == ("", None)


def test_a_hook_can_gain_arguments_without_breaking_a_plugin() -> None:
    """An implementation keeps getting what it names, wherever the new argument stands."""
    arguments = ("first", "details", "ctx", "last")

    def old(ctx: object, details: object) -> tuple[object, ...]:
        return (ctx, details)

    adapter = hook_adapter(old, wanted_arguments(old, "dead_lettered", arguments), arguments)
    assert adapter("a", "details", "ctx", "z") == ("ctx", "details")
