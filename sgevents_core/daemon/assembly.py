"""How the parts of a running daemon are put together: everything, and the feed."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from functools import partial

from sgevents_core.crashes.recovering import collect_lane_names
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.daemon.following import SiteFollowing
from sgevents_core.daemon.lane_taking import LaneTaking
from sgevents_core.daemon.options import RunOptions
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.resources import Resources
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.hosts.spread import FEED, lane_work
from sgevents_core.hosts.work import Work
from sgevents_core.observe.liveness import Liveness
from sgevents_core.plugins.load_watching import PluginWatch
from sgevents_core.plugins.loading import Loaded
from sgevents_core.requests.inbox import Inbox
from sgevents_core.scripts import Scripts
from sgevents_core.settings import DEFAULT_LANE
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import Feed
from sgevents_core.site.health import SiteHealth
from sgevents_core.site.notices import BacklogTimedOut, Notice
from sgevents_core.site.script_lookup import ScriptLookup


class Assembly:
    """Puts the parts of one run together, on a state that the process has locked.

    Args:
        options: The daemon's options.
        resources: What is open.
        loaded: The loaded plugins.
        work: What the process is to work at.
        running_files: What the process runs, for other hosts.

    `lane_taking` takes lanes and gives them up.
    """

    def __init__(
        self,
        options: RunOptions,
        resources: Resources,
        loaded: Loaded,
        work: Work,
        running_files: RunningFiles,
    ) -> None:
        self._settings = options.settings
        self._resources = resources
        self._state = resources.state_writer
        self._loaded = loaded
        self._work = work
        self._site_health = SiteHealth()
        self._script_names = Scripts(self._state.scripts())
        self.lane_taking = LaneTaking(
            options,
            resources,
            loaded,
            work,
            running_files,
            site_health=self._site_health,
            script_names=self._script_names,
        )

    def assemble(self, watch: PluginWatch | None, changed_plugins: Collection[str] = ()) -> Parts:
        """Take what the process is to work at now, and return all parts, not started.

        Args:
            watch: Watches the plugins' code.
            changed_plugins: Those whose code has changed, so that they resume after an error.

        Raises:
            LoadingStopped: The watch was stopped.
        """
        parts = self._make_parts()
        self.lane_taking.note_changed(changed_plugins)
        self._resources.children.connect(parts.services, self._script_names)
        wanted = self._work.wanted()
        all_lanes = collect_lane_names(self._settings, self._loaded, self._state)
        lane_names = [name for name in all_lanes if lane_work(name) in wanted]
        try:
            self.lane_taking.take_loaded_lanes(parts, lane_names, watch)
        except BaseException:
            parts.close_unstarted()
            raise
        if FEED in wanted:
            parts.following.prepare()
        return parts

    def _make_parts(self) -> Parts:
        """Return the parts without any lane."""
        lanes: list[Lane] = []
        call_counts = self._resources.monitoring.call_counts
        announcer = Announcer(failure_observers=[counts.note_failure for counts in call_counts])
        self._site_health.on_change(partial(_wake_lanes, lanes))
        liveness = Liveness([])
        following = SiteFollowing(partial(self._make_feed, lanes, announcer), liveness)
        lane_writer = self._resources.home.lane_writer()
        progress_syncer = ProgressSyncer(lane_writer, self._resources.presence)
        return Parts(
            plugins=[],
            services={},
            held_lanes={},
            announcer=announcer,
            lanes=lanes,
            lane_threads={},
            following=following,
            inbox=Inbox(
                self._settings.state.path,
                lanes,
                following,
                self._find_recorded_lane if self._work.is_shared else None,
            ),
            progress_syncer=progress_syncer,
            children=self._resources.children,
            liveness=liveness,
            syncer_thread=threading.Thread(target=progress_syncer.run, name="syncing"),
            work=self._work,
        )

    def _find_recorded_lane(self, plugin_name: str) -> str:
        """Return the lane of a plugin that is not loaded; of an unknown one, any lane."""
        record = self._state.plugins().get(plugin_name)
        return DEFAULT_LANE if record is None else record.lane

    def _make_feed(self, lanes: Sequence[Lane], announcer: Announcer) -> Feed:
        feed_writer = self._resources.home.feed_writer()
        feed_writer.take_feed()
        script_lookup = ScriptLookup(
            self._script_names, self._settings.script_names, feed_writer.keep_scripts
        )
        return Feed(
            EventLog(self._settings.site, self._settings.feed.fields, script_lookup),
            feed_writer,
            self._settings.feed,
            on_growth=partial(_wake_lanes, lanes),
            on_notice=partial(_announce_timeout, announcer),
            site_health=self._site_health,
            catch_up_process=None if self._work.is_shared else self._resources.feed_process,
        )


def _wake_lanes(lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        lane.wake()


def _announce_timeout(announcer: Announcer, notice: Notice) -> None:
    if isinstance(notice, BacklogTimedOut):
        noticed_at = datetime.fromtimestamp(time.time() - notice.age, timezone.utc)
        announcer.timed_out(notice.first, notice.last, noticed_at, notice.ids)
