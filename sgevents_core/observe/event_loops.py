"""The event loops in which `async def` callbacks run: one for each thread that makes calls.

A loop runs one call at a time, and lives as long as its thread.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any, Final

from sgevents_core.errors import CallbackTimeout, LoopInLoopError
from sgevents_core.observe.current_call import current_call
from sgevents_core.printable import counted

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("sgevents.dispatch")

_MAX_AWAITED: Final = 100
"""The most coroutines followed to see where a call waits."""
_CLOSING_TASK: Final = "async_generator_athrow"
"""The type of what closes an async generator, for which asyncio makes a task of its own."""


def running_in_loop(function: Callable[..., Any]) -> Callable[..., object]:
    """Return a plain function that runs the coroutine of an async one in its thread's loop."""

    def call_async(*args: object) -> object:
        return _thread_loop().run(function(*args))

    return call_async


def cancel_call(thread_id: int, within: str) -> bool:
    """Cancel the async call that runs in a thread; return False if none runs there.

    Args:
        thread_id: The thread's ident.
        within: The time limit that it has exceeded, for people.
    """
    call_loop = _loops_at_work.get(thread_id)
    if call_loop is None:
        return False
    call_loop.cancel(within)
    return True


class CallLoop:
    """The event loop of one thread, opened by its first async call."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - most plugins never use it

        self._asyncio = asyncio
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[object] | None = None
        self._timeout: CallbackTimeout | None = None

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be shutting down
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Run a coroutine, and end the tasks that it has left; return its result.

        Raises:
            CallbackTimeout: It was cancelled because its time was over, and has ended.
            LoopInLoopError: This thread runs an event loop already.
        """
        if self._asyncio._get_running_loop() is not None:
            coroutine.close()
            raise LoopInLoopError
        thread_id, self._timeout = threading.get_ident(), None
        task = self._task = self._loop.create_task(coroutine)
        _loops_at_work[thread_id] = self
        try:
            self._run_task(task)
            if self._timeout is None:
                return task.result()
            raise self._timeout from (None if task.cancelled() else task.exception())
        finally:
            try:
                self._end_leftovers()
            finally:
                del _loops_at_work[thread_id]
                self._task = None

    def cancel(self, within: str) -> None:
        """Cancel the running call; from any thread."""
        self._loop.call_soon_threadsafe(self._cancel_task, self._task, within)

    def _run_task(self, task: asyncio.Task[object]) -> None:
        """Run the loop until a task is done; `run_until_complete` would raise its error here."""
        task.add_done_callback(self._stop_loop)
        try:
            self._loop.run_forever()
        except BaseException:
            if not task.done():  # a signal has interrupted the loop
                task.remove_done_callback(self._stop_loop)
                raise

    def _stop_loop(self, task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if not isinstance(error, SystemExit | KeyboardInterrupt):  # these have ended it already
            self._loop.stop()

    def _cancel_task(self, task: asyncio.Task[object] | None, within: str) -> None:
        if task is None or task is not self._task or task.done():
            return
        self._timeout = CallbackTimeout(within=within, stack=_format_awaited(task.get_coro()))
        task.cancel()

    def _end_leftovers(self) -> None:
        """Cancel the tasks that a call has left, and wait until they have ended."""
        self._loop.run_until_complete(self._asyncio.sleep(0))  # generators left open begin to close
        leftover_tasks = self._asyncio.all_tasks(self._loop)
        if not leftover_tasks:
            return
        own_tasks = [
            task for task in leftover_tasks if type(task.get_coro()).__name__ != _CLOSING_TASK
        ]
        for task in own_tasks:
            task.cancel()
        self._loop.run_until_complete(self._asyncio.gather(*leftover_tasks, return_exceptions=True))
        if own_tasks:
            _report_leftovers(own_tasks)


def _report_leftovers(tasks: list[asyncio.Task[Any]]) -> None:
    call = current_call()
    if call is None:  # nobody's call: a test of the loop itself
        return
    names = sorted({getattr(task.get_coro(), "__qualname__", "a task") for task in tasks})
    logger.warning(
        "%s of plugin %s has left %s running, cancelled now: %s. Await them in the callback",
        call.callback,
        call.plugin,
        counted(len(tasks), "task"),
        ", ".join(names),
        extra={
            "action": "callback.left_tasks",
            "plugin": call.plugin,
            "callback": call.callback,
            "event_id": call.event_id,
        },
    )


def _format_awaited(coroutine: object) -> str:
    """Return where a coroutine waits, through the coroutines that it awaits."""
    frames: list[tuple[FrameType, int]] = []
    while isinstance(coroutine, CoroutineType) and len(frames) < _MAX_AWAITED:
        if coroutine.cr_frame is not None:
            frames.append((coroutine.cr_frame, coroutine.cr_frame.f_lineno))
        coroutine = coroutine.cr_await
    stack_summary = traceback.StackSummary.extract(iter(frames))
    return "".join(["Where it waited (most recent call last):\n", *stack_summary.format()])


class _ThreadLoop(threading.local):
    """This thread's loop; it is closed when the thread ends."""

    call_loop: CallLoop | None = None


_this_thread: Final = _ThreadLoop()
_loops_at_work: Final[dict[int, CallLoop]] = {}
"""The loops in which a call runs, by the ident of their threads."""


def _thread_loop() -> CallLoop:
    call_loop = _this_thread.call_loop
    if call_loop is None:
        call_loop = _this_thread.call_loop = CallLoop()
    return call_loop
