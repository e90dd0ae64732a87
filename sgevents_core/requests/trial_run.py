"""A trial run: a daemon on a copy of the state, whose plugins show what they would write.

The state itself, its daemon and its log stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from sgevents_core.observe.current_call import current_call
from sgevents_core.requests.dry_run import DryServices
from sgevents_core.settings import MetricsSettings, Settings
from sgevents_core.state.opening import open_state, open_storage

logger = logging.getLogger("sgevents.requests")


@contextmanager
def trial_settings(settings: Settings) -> Iterator[Settings]:
    """Provide the settings of a trial run, whose state is removed at the end.

    Callbacks run in threads: those of a worker process could not be kept from writing.

    Args:
        settings: The configuration.

    Raises:
        StateError: The state cannot be read.
    """
    with TemporaryDirectory(prefix="sgevents-trial-") as folder_name:
        folder = Path(folder_name)
        if open_state(settings.state.path).is_made():
            storage = open_storage(settings.state.path)
            storage.back_up(folder / storage.files[0])
        lanes = {
            name: replace(lane, executor="thread", max_rss=None)
            for name, lane in settings.lanes.items()
        }
        level = settings.log.level if settings.log.level == "debug" else "info"
        yield replace(
            settings,
            state=replace(settings.state, path=folder),
            lanes=lanes,
            log=replace(settings.log, level=level, file=None, per_plugin=False),
            metrics=MetricsSettings(),  # the daemon itself may listen there
            alerts=(),
        )


class TrialServices(DryServices):
    """The services of plugins in a trial run, whose client logs writes instead of making them."""

    @staticmethod
    def print_line(text: str) -> None:
        """Log a change that is not made, with the call that would make it."""
        call = current_call()
        extra: dict[str, object] = {"action": "trial.write"}
        if call is None:
            logger.info("%s", text.strip(), extra=extra)
            return
        callback = call.callback.removeprefix(f"{call.plugin}:")
        event = "" if call.event_id is None else f"event {call.event_id} "
        extra |= {"plugin": call.plugin, "callback": callback, "event_id": call.event_id}
        logger.info("%s%s %s: %s", event, call.plugin, callback, text.strip(), extra=extra)
