"""The figures of a running daemon as families of Prometheus; the only module that has the library.

Names and units follow Prometheus' conventions. Every label takes its values from the configuration,
from the plugins that run, or from a short list, so that none grows without bound.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sgevents_core import __version__
from sgevents_core.errors import StateError
from sgevents_core.metrics.call_counts import BUCKETS, CallbackCounts, CallbackName, CallCounts
from sgevents_core.metrics.labels import label_value
from sgevents_core.metrics.sizes import StateSizes
from sgevents_core.metrics.watched import WatchedParts, feed_lag, unready_reason
from sgevents_core.protocols import AttentionKind
from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview, read_overview
from sgevents_core.settings import Settings
from sgevents_core.site.feed import Feed
from sgevents_core.state.attention import attention_needs

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PLUGIN_STATES: Final = (
    *("active", "catching up", "held", "paused", "disabled", "not started", "not loaded"),
)
"""The states that an overview gives to plugins."""
_BUCKET_BOUNDS: Final = (*map(str, BUCKETS), "+Inf")
_Key = TypeVar("_Key")


class DaemonFigures(Collector):
    """The figures of one daemon, read anew at each collection.

    Args:
        settings: The configuration.
        call_counts: The counts of the calls.
        find_parts: Returns the parts of the run; None while it starts.
    """

    def __init__(
        self,
        settings: Settings,
        call_counts: CallCounts,
        find_parts: Callable[[], WatchedParts | None],
    ) -> None:
        self._settings = settings
        self._call_counts = call_counts
        self._find_parts = find_parts
        self._enabled_plugins = frozenset(
            name for name, table in settings.plugins.items() if table.enabled
        )
        self._state_sizes = StateSizes(settings.state.path)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the state need not be readable when this is registered."""
        return ()

    def exposition(self) -> bytes:
        """Return the figures as Prometheus' text format."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        parts = self._find_parts()
        build_labels = {"version": __version__, "python": platform.python_version()}
        yield _info_family("sgevents_build", "The versions that run.", build_labels)
        ready_within = self._settings.metrics.ready_within
        is_ready = not unready_reason(parts, ready_within)
        yield _gauge_family("sgevents_ready", "Whether the daemon follows its site.", is_ready)
        yield from self._state_sizes.families()
        if parts is None:
            return
        help_text = "Whether the daemon can write to the state."
        yield _gauge_family("sgevents_state_writable", help_text, parts.state_trouble() is None)
        feed = parts.find_feed()
        if feed is not None:
            yield from _feed_families(feed)
        yield from self._running_plugin_families(parts)
        yield from self._overview_families(parts)

    def _running_plugin_families(self, parts: WatchedParts) -> Iterator[Metric]:
        running_plugins = {plugin.name: plugin for plugin in list(parts.plugins)}
        yield from _call_families(self._call_counts.by_callback(running_plugins))
        plugin_infos = InfoMetricFamily(
            "sgevents_plugin",
            "The plugins that run, with their distributions and versions.",
            labels=["plugin", "lane"],
        )
        for plugin in running_plugins.values():
            version_labels = {"distribution": plugin.distribution, "version": plugin.version or ""}
            plugin_infos.add_metric(
                [label_value(plugin.name), label_value(plugin.lane)],
                {key: label_value(value) for key, value in version_labels.items()},
            )
        yield plugin_infos
        running_services = {
            plugin_name: parts.services[plugin_name]
            for plugin_name in running_plugins
            if plugin_name in parts.services
        }
        yield _counter_families(
            "sgevents_plugin_api_calls",
            "Calls to the site that a plugin made.",
            {
                plugin_name: plugin_services.contact.call_count
                for plugin_name, plugin_services in running_services.items()
            },
            ("plugin",),
        )
        yield _gauge_families(
            "sgevents_plugin_store_bytes",
            "The size of a plugin's store, as JSON.",
            {
                plugin_name: plugin_services.store.size()
                for plugin_name, plugin_services in running_services.items()
            },
            ("plugin",),
        )

    def _overview_families(self, parts: WatchedParts) -> Iterator[Metric]:
        """Yield what the state says; only whether it can be read, if it cannot."""
        try:
            overview = read_overview(self._settings.state.path, self._enabled_plugins)
        except StateError:
            overview = None
        family_name, help_text = "sgevents_state_readable", "Whether the state can be read."
        yield _gauge_family(family_name, help_text, overview is not None)
        if overview is None:
            return
        journal_end = overview.journal_end
        yield _gauge_family("sgevents_journal_events", "Events in the journal.", overview.events)
        yield from _lane_families(parts, journal_end)
        if overview.feed is not None:
            yield from _id_families(overview.feed)
        yield _gauge_family(
            "sgevents_feed_set_aside_events",
            "Events that cannot be stored or read, and were set aside.",
            len(overview.set_aside),
        )
        enabled_plugins = [
            plugin for plugin in overview.plugins if plugin.name in self._enabled_plugins
        ]
        yield from _plugin_families(enabled_plugins)
        yield _attention_family(overview)


def _feed_families(feed: Feed) -> Iterator[Metric]:
    feed_counts, lag_seconds, feed_state = feed.counts, feed_lag(feed), feed.state
    if lag_seconds is not None:
        help_text = "Seconds since the feed had every event that the site showed."
        yield _gauge_family("sgevents_feed_lag_seconds", help_text, lag_seconds)
    if feed_state is not None and feed_state.anchor_id is not None:
        help_text = "When the newest event was created, on the site's clock, in seconds since 1970."
        yield _gauge_family(
            "sgevents_feed_newest_event_timestamp_seconds", help_text, feed_state.anchor_at
        )
    help_text = "Calls to the site that the feed made, by purpose."
    yield _counter_families("sgevents_feed_polls", help_text, feed_counts.polls, ("kind",))
    help_text = "Calls of the feed that failed, by kind of failure."
    yield _counter_families("sgevents_feed_errors", help_text, feed_counts.errors, ("kind",))
    yield _counter_family("sgevents_feed_events", "Events that the feed took.", feed_counts.rows)
    help_text = "Events that came after one with a higher id."
    yield _counter_family("sgevents_feed_late_events", help_text, feed_counts.late_rows)
    help_text = "Whether the feed's last call to the site was answered."
    yield _gauge_family("sgevents_site_up", help_text, feed.site_trouble is None)


def _id_families(feed: FeedOverview) -> Iterator[Metric]:
    yield _gauge_families(
        "sgevents_feed_missing_ids",
        "Ids that were not seen: still waited for, or given up until an audit finds them.",
        {"waited for": feed.waiting, "given up": feed.given_up},
        ("standing",),
    )
    help_text = "Events that came late by the thousand, and await a decision."
    yield _gauge_family("sgevents_feed_parked_events", help_text, feed.parked)
    help_text = "Whether the site's event log went backwards."
    yield _gauge_family("sgevents_feed_rewound", help_text, bool(feed.rewound))
    help_text = (
        "When an audit last showed that nothing is missing, on the site's clock; 0 for never."
    )
    yield _gauge_family("sgevents_feed_proved_timestamp_seconds", help_text, feed.proved_at)


def _call_families(counts_by_callback: Mapping[CallbackName, CallbackCounts]) -> Iterator[Metric]:
    label_names = ("plugin", "callback")
    durations = HistogramMetricFamily(
        "sgevents_callback_duration_seconds",
        "How long calls of callbacks took.",
        labels=label_names,
    )
    call_totals = {}
    for callback_name, callback_counts in counts_by_callback.items():
        bucket_sums = list(accumulate(callback_counts.buckets))
        call_totals[callback_name] = bucket_sums[-1]
        durations.add_metric(
            [label_value(name_part) for name_part in callback_name],
            list(zip(_BUCKET_BOUNDS, bucket_sums, strict=True)),
            callback_counts.seconds,
        )
    yield _counter_families(
        "sgevents_callback_calls", "Calls of callbacks.", call_totals, label_names
    )
    failure_totals = {
        callback_name: callback_counts.failures
        for callback_name, callback_counts in counts_by_callback.items()
    }
    help_text = "Calls of callbacks that raised, or were given up."
    yield _counter_families("sgevents_callback_failures", help_text, failure_totals, label_names)
    letter_totals = {
        callback_name: callback_counts.dead_letters
        for callback_name, callback_counts in counts_by_callback.items()
    }
    help_text = "Dead letters that a callback has left; a batch leaves one."
    yield _counter_families("sgevents_callback_dead_letters", help_text, letter_totals, label_names)
    yield durations


def _lane_families(parts: WatchedParts, journal_end: int) -> Iterator[Metric]:
    lanes, label_names = list(parts.lanes), ("lane",)
    queue_lengths = {lane.name: lane.queue_length(journal_end) for lane in lanes}
    yield _gauge_families(
        "sgevents_lane_queue_events", "Events that wait for a lane.", queue_lengths, label_names
    )
    worker_counts = {lane.name: lane.workers for lane in lanes}
    yield _gauge_families("sgevents_lane_workers", "Workers of a lane.", worker_counts, label_names)
    busy_counts = {lane.name: min(len(lane.running_calls()), lane.workers) for lane in lanes}
    help_text = "Workers of a lane that are in a call."
    yield _gauge_families("sgevents_lane_busy_workers", help_text, busy_counts, label_names)
    restart_counts = {
        lane_name: lane_workers.restart_count
        for lane_name, lane_workers in list(parts.workers.items())
    }
    help_text = "Worker processes of a lane that were replaced."
    yield _counter_families("sgevents_lane_worker_restarts", help_text, restart_counts, label_names)


def _plugin_families(plugins: Iterable[PluginOverview]) -> Iterator[Metric]:
    plugins_by_name, label_names = {plugin.name: plugin for plugin in plugins}, ("plugin",)
    help_text = "Events in the journal that a plugin has not finished."
    lag_events = {plugin_name: plugin.behind for plugin_name, plugin in plugins_by_name.items()}
    yield _gauge_families("sgevents_plugin_lag_events", help_text, lag_events, label_names)
    help_text = "The age of the oldest event that a plugin has not finished; 0 without one."
    lag_seconds = {plugin_name: plugin.behind_s for plugin_name, plugin in plugins_by_name.items()}
    yield _gauge_families("sgevents_plugin_lag_seconds", help_text, lag_seconds, label_names)
    help_text = "The dead letters of a plugin."
    letter_counts = {
        plugin_name: plugin.dead_letters for plugin_name, plugin in plugins_by_name.items()
    }
    yield _gauge_families("sgevents_plugin_dead_letters", help_text, letter_counts, label_names)
    help_text = "Calls that the callbacks of a plugin have put off."
    deferred_counts = {
        plugin_name: plugin.deferred for plugin_name, plugin in plugins_by_name.items()
    }
    yield _gauge_families("sgevents_plugin_deferred_calls", help_text, deferred_counts, label_names)
    help_text = "Events that wait for a plugin in batches."
    batched_counts = {
        plugin_name: plugin.batched for plugin_name, plugin in plugins_by_name.items()
    }
    yield _gauge_families("sgevents_plugin_batched_events", help_text, batched_counts, label_names)
    help_text = "Events in a row that a plugin failed on."
    failure_counts = {
        plugin_name: plugin.failures for plugin_name, plugin in plugins_by_name.items()
    }
    yield _gauge_families(
        "sgevents_plugin_failures_in_a_row", help_text, failure_counts, label_names
    )
    state_flags = {
        (plugin_name, state_name): plugin.state == state_name
        for plugin_name, plugin in plugins_by_name.items()
        for state_name in PLUGIN_STATES
    }
    help_text = "1 for the state that an enabled plugin is in, 0 for all others."
    yield _gauge_families("sgevents_plugin_state", help_text, state_flags, ("plugin", "state"))


def _attention_family(overview: Overview) -> Metric:
    need_counts = dict.fromkeys(get_args(AttentionKind), 0)
    for need in attention_needs(overview.pulse, overview.feed_trouble, time.time()):
        need_counts[need.kind] += 1
    help_text = "Conditions that need a person, by kind; `sgevents status` says what to do."
    return _gauge_families("sgevents_attention_needed", help_text, need_counts, ("kind",))


def _gauge_family(family_name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(family_name, help_text, value=float(value))


def _counter_family(family_name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(family_name, help_text, value=float(value))


def _info_family(family_name: str, help_text: str, label_values: dict[str, str]) -> Metric:
    return InfoMetricFamily(family_name, help_text, value=label_values)


def _gauge_families(
    family_name: str,
    help_text: str,
    values_by_key: Mapping[_Key, float],
    label_names: tuple[str, ...],
) -> Metric:
    family = GaugeMetricFamily(family_name, help_text, labels=label_names)
    for key, value in values_by_key.items():
        family.add_metric(_label_values(key), float(value))
    return family


def _counter_families(
    family_name: str,
    help_text: str,
    values_by_key: Mapping[_Key, float],
    label_names: tuple[str, ...],
) -> Metric:
    family = CounterMetricFamily(family_name, help_text, labels=label_names)
    for key, value in values_by_key.items():
        family.add_metric(_label_values(key), float(value))
    return family


def _label_values(key: object) -> list[str]:
    """Return the label values of a key, which is one name or several."""
    return [label_value(str(name)) for name in (key if isinstance(key, tuple) else (key,))]
