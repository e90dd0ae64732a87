"""`sgevents pause`, `resume` and `skip`: what a person does about a plugin that is in trouble."""

from __future__ import annotations

from pathlib import Path

import click

from sgevents_core.cli.asking import Wanted, ask, load, timeout_option
from sgevents_core.cli.root import config_option


@click.command()
@click.argument("plugin")
@click.option("--reason", default="", help="Why, for others who look at the status.")
@timeout_option
@config_option
@click.pass_context
def pause(ctx: click.Context, plugin: str, reason: str, timeout: float, config: Path) -> None:
    """Hand PLUGIN no events until it is resumed.

    It loses none: it goes on where it stopped. All other plugins go on meanwhile.
    """
    wanted = Wanted(kind="pause", plugin=plugin, label=plugin, detail={"reason": reason})
    ctx.exit(ask(load(config), [wanted], timeout))


@click.command()
@click.argument("plugin")
@timeout_option
@config_option
@click.pass_context
def resume(ctx: click.Context, plugin: str, timeout: float, config: Path) -> None:
    """Let PLUGIN, which is paused or held, go on.

    It goes on where it was paused; where it is held, it is called again at once. It catches up on
    its own, without holding anyone else, and then goes with the others again.
    """
    ctx.exit(ask(load(config), [Wanted(kind="resume", plugin=plugin, label=plugin)], timeout))


@click.command()
@click.argument("plugin")
@click.argument("event", type=click.IntRange(min=1))
@timeout_option
@config_option
@click.pass_context
def skip(ctx: click.Context, plugin: str, event: int, timeout: float, config: Path) -> None:
    """Let PLUGIN, held or paused at EVENT, go on behind it.

    PLUGIN is not called for EVENT any more, and a note is kept that somebody skipped it. If it does
    not stand at EVENT, nothing is changed.
    """
    wanted = Wanted(kind="skip", plugin=plugin, label=plugin, detail={"event_id": event})
    ctx.exit(ask(load(config), [wanted], timeout))
