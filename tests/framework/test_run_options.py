"""`run --safe-mode` and `--disable`: out of trouble, with nothing lost."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from drained import drain
from installed_packages import Packages

from sgevents_core.cli.root import sgevents
from sgevents_core.reading.overview import read_overview
from sgevents_core.sandbox import Sandbox

NOTES = """
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        ctx.logger.warning("got %d", event.id)
"""
TABLES = "[plugins.one]\nenabled = true\nstart = 1\n[plugins.two]\nenabled = true\nstart = 1\n"


@pytest.fixture
def site() -> Sandbox:
    """A site without events of its own."""
    return Sandbox(project=False)


@pytest.fixture(autouse=True)
def _installed(packages: Packages) -> None:
    for name in ("one", "two"):
        packages.install_module(name, NOTES)


def got(caplog: pytest.LogCaptureFixture, plugin: str) -> list[str]:
    """Return what a plugin has got so far."""
    return [
        record.getMessage().removeprefix("got ")
        for record in caplog.records
        if record.name == f"sgevents.plugin.{plugin}"
    ]


def test_a_plugin_that_is_left_out_goes_on_where_it_was(
    site: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events wait for it, the others run; it is told in the log."""
    caplog.set_level(logging.WARNING, logger="sgevents")
    with site:
        events = [str(site.event("Studio_Done")) for _ in range(3)]
        drain(tmp_path, site, TABLES)
        events += [str(site.event("Studio_Done")) for _ in range(3)]
        drain(tmp_path, site, TABLES, without=["two"])
        assert (got(caplog, "one"), got(caplog, "two")) == (events, events[:3])
        assert "Plugin two is left out of this run; its events wait for it" in caplog.text
        events.append(str(site.event("Studio_Done")))
        drain(tmp_path, site, TABLES)
    assert (got(caplog, "one"), got(caplog, "two")) == (events, events)


def test_a_new_plugin_that_is_left_out_waits_as_well(
    site: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is enabled, so what comes meanwhile is its own."""
    caplog.set_level(logging.WARNING, logger="sgevents")
    with site:
        drain(tmp_path, site, TABLES, without=["one", "two"])
        event = str(site.event("Studio_Done"))
        drain(tmp_path, site, TABLES, without=["one", "two"])
        drain(tmp_path, site, TABLES)
    assert got(caplog, "one") == got(caplog, "two") == [event]


def run(*arguments: str) -> object:
    """Run `sgevents run --drain` with arguments; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        sgevents.main(["run", "--drain", *arguments], prog_name="sgevents")
    return ended.value.code


def test_safe_mode_imports_no_plugin_and_fills_the_journal(
    site: Sandbox, tmp_path: Path, packages: Packages, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even one that ends the process when it is imported."""
    packages.install_module("deadly", "import os\nos._exit(3)")
    with site:
        event = site.event("Studio_Done")
        drain(tmp_path, site, TABLES, without=["one", "two"])
        config = tmp_path / "sgevents.toml"
        config.write_text(config.read_text() + "[plugins.deadly]\nenabled = true\n")
        event = site.event("Studio_Done")
        assert run("--safe-mode", "--config", str(config)) == 0
    found = read_overview(tmp_path / "state", frozenset({"one"}))
    assert found is not None
    assert found.feed is not None
    assert (found.events, found.feed.newest_id) == (2, event)
    assert next(one for one in found.plugins if one.name == "one").behind == 2


def test_disable_names_plugins_and_knows_typing_errors(
    site: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several may be named; a name that is not there is a mistake."""
    with site:
        site.event("Studio_Done")
        drain(tmp_path, site, TABLES)
        config = str(tmp_path / "sgevents.toml")
        site.event("Studio_Done")
        assert run("--disable", "one", "--disable", "two", "-c", config) == 0
        assert run("--disable", "onee", "-c", config) == 2
    assert "has no plugin 'onee'. Did you mean one?" in capsys.readouterr().err
