"""`sgevents pause`, `resume` and `skip`: what a person does about a plugin that is in trouble."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.asking import Wanted, ask, load, request_options
from sgevents_core.cli.root import config_option


@click.command()
@click.argument("plugin")
@request_options
@config_option
@click.pass_context
def pause(ctx: click.Context, *, plugin: str, timeout: float, reason: str, config: Path) -> None:
    """Hand a plugin no events until it is resumed.

    It loses none: it goes on where it stopped. All other plugins go on meanwhile.
    """
    wanted = Wanted(kind="pause", plugin=plugin, label=plugin)
    ctx.exit(ask(load(config), [wanted], timeout, reason))


@click.command()
@click.argument("plugin")
@request_options
@config_option
@click.pass_context
def resume(ctx: click.Context, *, plugin: str, timeout: float, reason: str, config: Path) -> None:
    """Let a paused or held plugin continue.

    It goes on where it was paused; where it is held, it is called again at once. It catches up on
    its own, without holding anyone else, and then goes with the others again.
    """
    ctx.exit(
        ask(load(config), [Wanted(kind="resume", plugin=plugin, label=plugin)], timeout, reason)
    )


@click.command()
@click.argument("plugin")
@click.argument("event", type=click.IntRange(min=1))
@request_options
@config_option
@click.pass_context
def skip(
    ctx: click.Context, *, plugin: str, event: int, timeout: float, reason: str, config: Path
) -> None:
    """Let a plugin continue behind the event it stopped at.

    PLUGIN is not called for EVENT any more, and a note is kept that somebody skipped it. If it does
    not stand at EVENT, nothing is changed.
    """
    wanted = Wanted(kind="skip", plugin=plugin, label=plugin, detail={"event_id": event})
    ctx.exit(ask(load(config), [wanted], timeout, reason))
