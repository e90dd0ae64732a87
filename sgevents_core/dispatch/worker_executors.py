"""The executors of a divided lane: one for each worker and plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from sgevents_core.calling.making import Executor, LaneThread
from sgevents_core.dispatch.lane_plugin import LanePlugin

MakeExecutor: TypeAlias = Callable[[LanePlugin, int], Executor]
"""Makes the executor for a plugin's calls in a worker, by the worker's number from 1."""


_NO_WORKER: Final = LaneThread()
"""The executor of a plugin in a strand that no worker serves."""


class WorkerExecutors:
    """An executor for each worker and plugin, made when it is first needed.

    Args:
        lane_plugins: The lane's plugins as a whole, in call order.
        make_executor: Makes an executor.
        wake: Called when a call that had been given up has returned.
    """

    def __init__(
        self,
        lane_plugins: Sequence[LanePlugin],
        make_executor: MakeExecutor,
        wake: Callable[[], None],
    ) -> None:
        self._lane_plugins = lane_plugins
        self._make_executor = make_executor
        self._wake = wake
        self._executors: dict[tuple[int, int], Executor] = {}
        self._idle: list[Executor] = []
        """Executors that hung, and make no more calls."""

    def lend(self, strand_plugins: Sequence[LanePlugin], worker_number: int) -> None:
        """Make the plugins' calls in a strand where its worker makes calls.

        A plugin that hangs in the strand keeps the executor it hangs in.
        """
        for plugin_index, strand_plugin in enumerate(strand_plugins):
            if strand_plugin.hung is None:
                strand_plugin.executor = self.executor_for(plugin_index, worker_number)

    def take_back(self, strand_plugins: Sequence[LanePlugin]) -> None:
        """End the use of a worker's executors in a strand, except of those that hang in it.

        The worker goes on to other strands: if a call hangs there, it does not hang here.
        """
        for strand_plugin in strand_plugins:
            if strand_plugin.hung is None:
                strand_plugin.executor = _NO_WORKER

    def executor_for(self, plugin_index: int, worker_number: int) -> Executor:
        """Return a worker's executor for the calls of a plugin, by the plugin's index."""
        key = (plugin_index, worker_number)
        executor = self._executors.get(key)
        if executor is None:
            executor = self._make_executor(self._lane_plugins[plugin_index], worker_number)
            executor.returned = self._wake
            self._executors[key] = executor
        return executor

    def let_hang(self, strand_plugin: LanePlugin) -> None:
        """Leave to a strand the executor that hangs in its call; its worker gets another.

        The call keeps its slot of the plugin's concurrency until it returns.
        """
        executor, admission = strand_plugin.executor, strand_plugin.admission
        for key, other in list(self._executors.items()):
            if other is executor:
                self._executors.pop(key, None)
        if admission is not None:
            admission.keep()
        pending = [admission]  # emptied by the first thread to note the return

        def note_return() -> None:
            try:
                slot = pending.pop()
            except IndexError:
                return
            if slot is not None:
                slot.give_back_kept()
            self._idle.append(executor)
            self._wake()

        executor.returned = note_return
        if executor.hung is None:  # it returned before anybody listened
            note_return()

    def close_idle(self) -> None:
        """Close executors that hung and have returned; never in a thread of theirs."""
        while self._idle:
            self._idle.pop().close()

    def all(self) -> list[Executor]:
        """Return the executors in which no strand hangs."""
        return [*self._idle, *self._executors.values()]
