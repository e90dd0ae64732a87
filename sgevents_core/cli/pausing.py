"""`sgevents pause`, `resume` and `skip`: commands for a plugin in trouble."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.completing import complete_plugin_name
from sgevents_core.cli.new_requests import (
    NewRequest,
    load_state_settings,
    make_requests,
    request_options,
)
from sgevents_core.cli.root import config_option


@click.command()
@click.argument("plugin", shell_complete=complete_plugin_name)
@request_options
@config_option
@click.pass_context
def pause(ctx: click.Context, *, plugin: str, timeout: float, reason: str, config: Path) -> None:
    """Pause a plugin until it is resumed.

    It loses no events: it continues where it stopped. All other plugins continue meanwhile.
    """
    new_request = NewRequest(kind="pause", plugin=plugin, label=plugin)
    ctx.exit(make_requests(load_state_settings(config), [new_request], timeout, reason))


@click.command()
@click.argument("plugin", shell_complete=complete_plugin_name)
@request_options
@config_option
@click.pass_context
def resume(ctx: click.Context, *, plugin: str, timeout: float, reason: str, config: Path) -> None:
    """Let a paused or held plugin continue.

    A paused plugin continues where it stopped; a held one is called again at once. It catches up by
    itself, without delaying others, and then rejoins its lane.
    """
    ctx.exit(
        make_requests(
            load_state_settings(config),
            [NewRequest(kind="resume", plugin=plugin, label=plugin)],
            timeout,
            reason,
        )
    )


@click.command()
@click.argument("plugin", shell_complete=complete_plugin_name)
@click.argument("event", type=click.IntRange(min=1))
@request_options
@config_option
@click.pass_context
def skip(
    ctx: click.Context, *, plugin: str, event: int, timeout: float, reason: str, config: Path
) -> None:
    """Let a plugin continue after the event it stopped at.

    PLUGIN is not called for EVENT again, and the skip is recorded. If it is not at EVENT, nothing
    changes.
    """
    new_request = NewRequest(kind="skip", plugin=plugin, label=plugin, detail={"event_id": event})
    ctx.exit(make_requests(load_state_settings(config), [new_request], timeout, reason))
