"""What importing the package and asking for its version may load, and what not."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"click", "importlib_metadata", "msgspec", "pluggy", "shotgun_api3", "sqlite3"}

LIGHT_USES = {
    "importing the package": "import sgevents_core",
    "asking for values": "from sgevents_core import Event, Retry, SgEventsError, __version__",
    "sgevents --version": (
        "sys.argv = ['sgevents', '--version']; from sgevents_core.cli import main; main()"
    ),
}


@pytest.mark.parametrize("use", LIGHT_USES.values(), ids=LIGHT_USES)
def test_light_uses_load_nothing_heavy(use: str) -> None:
    """Importing the package and asking for its version load none of the libraries behind it."""
    script = f"import sys; {use}; print(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stderr.split())
    assert "sgevents_core" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_names_are_found_without_being_loaded() -> None:
    """What authors import is listed before it is loaded, and a wrong name is an AttributeError."""
    script = (
        "import sys, sgevents_core; assert set(sgevents_core.__all__) <= set(dir(sgevents_core)); "
        "assert 'sgevents_core.markers' not in sys.modules; sgevents_core.hookimp"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "AttributeError: module 'sgevents_core' has no attribute 'hookimp'" in run.stderr
