"""Tracebacks of a process that died begin where the plugin does."""

from __future__ import annotations

from pathlib import Path

import sgevents_core
from sgevents_core.crashes.plugin_frames import keep_plugin_frames

OURS = Path(sgevents_core.__file__).parent
LAST = (
    f'  File "{OURS}/plugins/guarding.py", line 57, in _bordered\n    result = call()\n',
    '  File "/venv/site-packages/importlib_metadata/__init__.py", line 237, in load\n',
    '  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed\n',
    '  File "/studio/notes.py", line 4, in <module>\n    os._exit(3)\n',
    f'  File "{OURS}/calling/store.py", line 9, in __setitem__\n    write()\n',
)


def test_frames_that_led_to_the_plugin_are_left_out() -> None:
    """What the plugin called stays, also where that is ours."""
    assert keep_plugin_frames("".join(LAST)) == "".join(LAST[3:])


def test_most_recent_call_may_come_first() -> None:
    """As faulthandler writes it, below the thread's own line."""
    head = "Timeout (0:01:00)!\nThread 0x00007f8f35840b80 (most recent call first):\n"
    assert keep_plugin_frames(head + "".join(LAST[::-1])) == head + "".join(LAST[:2:-1])


def test_traceback_without_a_plugin_stays_as_it_is() -> None:
    """Then the fault may be ours, and all of it is wanted."""
    assert keep_plugin_frames("".join(LAST[:3])) == "".join(LAST[:3])
    assert keep_plugin_frames("") == ""
