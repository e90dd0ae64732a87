"""The way of an event through the code, as CONTRIBUTING.md tells it."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT

WALK = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("follow one event:")[1]
WALK = WALK.split("Decisions (")[0]
MODULE = re.compile(r"`((?:\w+/)+\w+\.py)`")
FUNCTION = re.compile(r"`(?:\w+\.)?(\w+)`")


@pytest.mark.parametrize("module", dict.fromkeys(MODULE.findall(WALK)))
def test_modules_on_the_way_are_there(module: str) -> None:
    """A module that was renamed or split is found here."""
    assert (ROOT / "sgevents_core" / module).is_file()


def test_functions_on_the_way_are_there() -> None:
    """Each function of a step is defined in a module of that step, or of one before."""
    sources = ""
    for line in WALK.splitlines():
        for module in MODULE.findall(line):
            sources += (ROOT / "sgevents_core" / module).read_text("utf-8")
        for function in FUNCTION.findall(line):
            is_defined = re.search(rf"\b(def {function}\(|{function}: )", sources)
            assert is_defined, f"{function} is in no module named up to here: {line}"
