"""A plugin's own writes in a daemon: by a script's id, whatever the site shows or refuses."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from drained import drain
from installed_packages import Packages

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox

ANSWERS = """
    import pathlib
    from sgevents_core import hookimpl, match

    SEEN = pathlib.Path({seen!r})

    @hookimpl
    @match(entity_type="Shot", attribute="description")
    def on_change(event, ctx):
        with SEEN.open("a") as file:
            file.write(f"{{event.new_value}} by {{event.script}}\\n")
        text = f"{{event.new_value}}, answered"
        ctx.sg.update("Shot", event.entity_id, {{"description": text}})
"""
NAME, KEY = "roll up", "demo-key"
TABLE = f"""
[plugins.answers]
enabled = true
ignore_own = true
script_name = "{NAME}"
api_key = "{KEY}"
"""


@pytest.fixture
def seen(packages: Packages, tmp_path: Path) -> Path:
    """Install a plugin that answers what it is called for; return what it was called for."""
    file = tmp_path / "seen.txt"
    packages.install_module("answers", ANSWERS.format(seen=str(file)))
    return file


def said(site: Sandbox, text: str, user: str = "ada") -> None:
    """Let somebody write something on a shot."""
    shots = site.find("Shot", [["code", "is", "sh999"]])
    shot = shots[0] if shots else site.create("Shot", {"code": "sh999"}, user=user)
    site.update("Shot", shot["id"], {"description": text}, user=user)


def drained(tmp_path: Path, site: Sandbox) -> None:
    """Run a daemon until nothing comes any more: an answer's own event is for the next run."""
    for _ in range(3):
        drain(tmp_path, site, TABLE)


def test_names_are_known_from_the_run_before_where_scripts_cannot_be_read(
    seen: Path, site: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An odd version tells nothing; the state does. The daemon goes on and says so."""
    site.add_script(NAME, KEY, "of the farm")
    said(site, "one")
    drained(tmp_path, site)
    site.faults.add("status", status=500, entity_type="ApiUser")
    said(site, "two")
    with caplog.at_level(logging.WARNING, logger="sgevents"):
        drained(tmp_path, site)
    assert seen.read_text().splitlines() == ["one by None", "two by None"]
    assert "scripts of the site cannot be read" in caplog.text


def test_what_rows_show_decides_where_no_run_has_known_better(
    seen: Path, site: Sandbox, tmp_path: Path
) -> None:
    """Name and version of the usual kind are enough to keep a loop from arising."""
    site.add_script(NAME, KEY)
    site.faults.add("status", status=500, entity_type="ApiUser")
    said(site, "one")
    drained(tmp_path, site)
    assert seen.read_text().splitlines() == ["one by None"]


def test_others_of_a_like_name_are_no_plugin(seen: Path, site: Sandbox, tmp_path: Path) -> None:
    """A person of the script's name, and scripts whose names begin or go on alike."""
    site.add_script(NAME, KEY, "of the farm")
    site.add_script("roll", "other-key", "up of the farm")
    site.add_script("roll up of", "third-key", "the farm")
    site.create("HumanUser", {"name": NAME, "login": "rollup", "firstname": NAME})
    for number, user in enumerate(("rollup", "roll", "roll up of", NAME)):
        said(site, str(number), user)
    drained(tmp_path, site)
    assert seen.read_text().splitlines() == ["0 by None", "1 by roll", "2 by roll up of"]


def test_commands_know_the_names_too(seen: Path, site: Sandbox, tmp_path: Path) -> None:
    """`explain` and a dry run see the script that the daemon has seen, with no site at hand."""
    site.add_script(NAME, KEY, "of the farm")
    said(site, "one", NAME)
    drained(tmp_path, site)
    changes = [row["id"] for row in site.event_rows() if row["attribute_name"] == "description"]
    config = ["--config", str(tmp_path / "sgevents.toml")]
    with site.outage():
        shown = CliRunner().invoke(sgevents, ["explain", str(changes[-1]), "--json", *config])
    (line,) = json.loads(shown.stdout)["callbacks"]
    assert "it was caused by the plugin's own script 'roll up' (ignore_own)" in line["why_not"]
    assert not seen.exists()
    replay = ["replay", str(changes[-1]), "--plugin", "answers", "--dry-run", *config]
    told = CliRunner().invoke(sgevents, replay, env=dict(os.environ))
    assert told.exit_code == 0, told.output
    assert "would update" not in told.output
