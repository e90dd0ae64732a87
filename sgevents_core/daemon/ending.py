"""The end of a daemon's process, bounded in time whatever plugins left behind.

Python would wait for ever for non-daemon threads and for functions registered with `atexit`.
"""

from __future__ import annotations

import faulthandler
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

from sgevents_core.daemon.restarting import end_at_once

END_TIMEOUT: Final = 5.0
"""Seconds that plugins' threads and `atexit` functions may take once everything else has ended."""
REPORT_TIMEOUT: Final = 2.0
"""Seconds that the report of these threads and functions may take."""
_sleep: Final = time.sleep


def end_within(
    seconds: float, exit_code: int, open_log: Callable[[], AbstractContextManager[None]]
) -> None:
    """End the process within some seconds from now, whatever its threads are doing.

    Args:
        seconds: How long plugins' threads and `atexit` functions may take.
        exit_code: The exit code.
        open_log: Opens the log again, to report the threads that were not waited for.
    """
    end_arguments = (seconds, exit_code, open_log)
    threading.Thread(target=_end_late, args=end_arguments, name="end", daemon=True).start()
    # A second limit that needs no Python thread: none runs while plugins' objects are destroyed.
    faulthandler.dump_traceback_later(3 * seconds, exit=True)


def _end_late(
    seconds: float, exit_code: int, open_log: Callable[[], AbstractContextManager[None]]
) -> None:
    _sleep(seconds)
    report_thread = threading.Thread(
        target=_report_left_behind, args=(open_log,), name="reports the end", daemon=True
    )
    with suppress(RuntimeError):  # there are too many threads
        report_thread.start()
        report_thread.join(REPORT_TIMEOUT)  # a plugin may keep the lock of `logging` for ever
    end_at_once(exit_code)


def _report_left_behind(open_log: Callable[[], AbstractContextManager[None]]) -> None:
    with suppress(Exception), open_log():
        thread_names = left_behind()
        logging.getLogger("sgevents.daemon").warning(
            "Ended without waiting any longer for what plugins have left behind: %s",
            f"threads {', '.join(thread_names)}"
            if thread_names
            else "functions registered with atexit",
            extra={"action": "daemon.left_behind", "threads": thread_names},
        )


def left_behind() -> list[str]:
    """Return the names of the threads that Python waits for at exit."""
    main_thread = threading.main_thread()
    return [
        thread.name
        for thread in threading.enumerate()
        if not thread.daemon and thread is not main_thread
    ]
