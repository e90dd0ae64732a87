"""A process that goes on after a daemon ran in it, as tests of plugins do."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import ref

from drained import drain

from sgevents_core.sandbox import Sandbox


class _Cycle:
    """An object that only the collection of garbage can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_before_a_run_can_be_collected(tmp_path: Path) -> None:
    """The daemon lets collections pass over what was loaded, but only while it runs."""
    gc.disable()
    try:
        garbage = ref(_Cycle())
        with Sandbox(project=False) as site:
            drain(tmp_path, site, "")
        assert garbage() is not None
        gc.collect()
        assert garbage() is None
    finally:
        gc.enable()
