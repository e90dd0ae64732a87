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

ENDS_WITHIN: Final = 5.0
"""Seconds that plugins' threads and `atexit` functions may take once everything else has ended."""
TOLD_WITHIN: Final = 2.0
"""Seconds that reporting them may take."""
_sleep: Final = time.sleep


def end_within(seconds: float, code: int, log: Callable[[], AbstractContextManager[None]]) -> None:
    """End the process within some seconds from now, whatever its threads are doing.

    Args:
        seconds: How long plugins' threads and `atexit` functions may take.
        code: The exit code.
        log: Opens the log again, to report what was not waited for.
    """
    args = (seconds, code, log)
    threading.Thread(target=_end_late, args=args, name="end", daemon=True).start()
    # A second limit that needs no Python thread: none runs while plugins' objects are destroyed.
    faulthandler.dump_traceback_later(3 * seconds, exit=True)


def _end_late(seconds: float, code: int, log: Callable[[], AbstractContextManager[None]]) -> None:
    _sleep(seconds)
    telling = threading.Thread(target=_tell, args=(log,), name="tells the end", daemon=True)
    with suppress(RuntimeError):  # there are too many threads
        telling.start()
        telling.join(TOLD_WITHIN)  # a plugin may keep the lock of `logging` for ever
    end_at_once(code)


def _tell(log: Callable[[], AbstractContextManager[None]]) -> None:
    with suppress(Exception), log():
        names = left_behind()
        logging.getLogger("sgevents.daemon").warning(
            "Ended without waiting any longer for what plugins have left behind: %s",
            f"threads {', '.join(names)}" if names else "functions registered with atexit",
            extra={"action": "daemon.left_behind", "threads": names},
        )


def left_behind() -> list[str]:
    """Return the names of the threads that Python waits for at exit."""
    main = threading.main_thread()
    return [one.name for one in threading.enumerate() if not one.daemon and one is not main]
