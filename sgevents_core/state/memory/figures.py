"""Figures per minute and hour of a state in memory; see `state.call_figures`."""

from __future__ import annotations

from sgevents_core.state.call_figures import KEPT_FOR, MinuteFigures, Span
from sgevents_core.state.memory.tables import Tables


def write_figures(tables: Tables, figures: MinuteFigures, current_time: float) -> None:
    """Add figures to those of the same minutes and hours, under the caller's lock."""
    for span, kept_for in KEPT_FOR.items():
        _add_figures(tables, span, figures)
        oldest_kept = current_time - kept_for
        for call_key in list(tables.call_figures):
            if call_key[0] == span and call_key[1] < oldest_kept:
                del tables.call_figures[call_key]
        for feed_key in list(tables.feed_figures):
            if feed_key[0] == span and feed_key[1] < oldest_kept:
                del tables.feed_figures[feed_key]


def _add_figures(tables: Tables, span: Span, figures: MinuteFigures) -> None:
    for call_figure in figures.calls:
        moved = call_figure._replace(starts_at=call_figure.starts_at // span * span)
        call_key = (span, *moved[:3])
        recorded = tables.call_figures.get(call_key)
        tables.call_figures[call_key] = moved if recorded is None else recorded.plus(moved)
    for feed_figure in figures.feed:
        moved_feed = feed_figure._replace(starts_at=feed_figure.starts_at // span * span)
        feed_key = (span, moved_feed.starts_at)
        recorded_feed = tables.feed_figures.get(feed_key)
        tables.feed_figures[feed_key] = (
            moved_feed if recorded_feed is None else recorded_feed.plus(moved_feed)
        )
