"""The frames of threads, which the daemon reads to say where a call hangs."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

from waiting import PATIENCE

from sgevents_core.observe.thread_frames import collects_garbage, current_frames

SCRIPT = """
import gc, os, threading, time
from sgevents_core.observe.thread_frames import current_frames

def wait(depth):
    if depth:
        wait(depth - 1)
    threading.Event().wait()

def start_threads():
    while True:
        threading.Thread(target=int).start()

for _ in range(20):
    threading.Thread(target=wait, args=(5,), daemon=True).start()
threading.Thread(target=start_threads, daemon=True).start()
gc.callbacks.append(lambda *_: time.sleep(0.001))  # another thread runs
gc.set_threshold(1)
for _ in range(20):
    current_frames()
os._exit(0)
"""


def test_a_garbage_collection_does_not_lock_the_process() -> None:
    """Python would wait for ever if it collected garbage while it looks at the threads."""
    command = [sys.executable, "-c", SCRIPT]
    assert subprocess.run(command, timeout=PATIENCE, check=False).returncode == 0


def test_collecting_goes_on_as_before() -> None:
    """Whether it was on or off."""
    assert threading.get_ident() in current_frames()
    assert collects_garbage()
    gc.disable()
    try:
        current_frames()
        assert not collects_garbage()
    finally:
        gc.enable()
