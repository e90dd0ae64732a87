"""A feed in its thread, with a real site and a real journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_site import OddSite
from site_records import settings
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import FeedSettings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.handing_over import CatchUpProcess
from sgevents_core.site.notices import Notice
from sgevents_core.state.entries import Entry
from sgevents_core.state.opening import open_state


class Running:
    """A feed in its thread, and a reader of what it writes.

    Args:
        site: The site.
        folder: The state's folder.
        key: The script's key.
        catch_up_process: Follows the log while the feed is far behind; None to do so in its thread.
        feed: Other settings of the feed than the usual ones.
    """

    def __init__(
        self,
        site: Sandbox | OddSite,
        folder: Path,
        key: str = "demo-key",
        catch_up_process: CatchUpProcess | None = None,
        **feed: Any,
    ) -> None:
        self.notices: list[Notice] = []
        self._changed = threading.Event()
        self.folder = folder
        self.state = open_state(folder).feed_writer()
        self.reader = open_state(folder).reader()
        where = settings(site.url, key=key, timeout=5.0)
        self.feed = Feed(
            EventLog(where),
            self.state,
            feed_settings(**feed),
            self._changed.set,
            self._tell,
            catch_up_process=catch_up_process,
        )
        self.thread = threading.Thread(target=self.feed.run)
        self.thread.start()

    def _tell(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._changed.set()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self._changed.wait(0.005)
            self._changed.clear()

    def entries(self) -> list[Entry]:
        """What is in the journal."""
        return self.reader.read(0, 100_000)

    def ids(self) -> list[int]:
        """The ids in the journal, in its order."""
        return [entry.event_id for entry in self.entries()]

    def until_complete(self, site: Sandbox) -> None:
        """Wait until all that shows on the site is in the journal."""
        self.until(lambda: sorted(self.ids()) == site.log.visible_ids())

    def close(self) -> None:
        """End it."""
        self.feed.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        self.reader.close()


def feed_settings(**feed: Any) -> FeedSettings:
    """The settings of a feed that starts with the log and asks often."""
    return FeedSettings(**{"start": 1, "poll_interval": 0.02, "idle_interval": 0.04, **feed})


Start = Callable[..., Running]


def logged(caplog: pytest.LogCaptureFixture, action: str) -> list[logging.LogRecord]:
    """The records logged under an action."""
    return [record for record in caplog.records if vars(record).get("action") == action]


def events(site: Sandbox, number: int) -> list[int]:
    """Write so many events to the log, and return their ids."""
    return [site.event("Studio_Row", description=f"row {place}") for place in range(number)]
