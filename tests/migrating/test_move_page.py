"""The page on moving over, followed command by command on a site."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from doc_pages import DOCS
from old_studio import OldStudio
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox

PAGE = (DOCS / "how-to" / "move-from-the-classic-daemon.md").read_text("utf-8")
KEY = "only-a-demo-key"
PLUGIN = """
import os

WANTED = {{"Studio_Tried": None, "Studio_Switched": None}}

def registerCallbacks(reg):
    reg.registerCallback({script!r}, os.environ["SGEVENTS_TEST_KEY"], note, WANTED)

def note(sg, logger, event, args):
    with open({calls!r}, "a") as calls:
        calls.write("%d classic:plugins/notify note 1\\n" % event["id"])
    sg.create("Shot", {{"code": str(event["id"]), "project": {{"type": "Project", "id": 1}}}})
"""


class Reader:
    """Somebody who types what the page says, with the paths of a studio.

    Args:
        studio: The studio.
        daemon: Its daemon.
    """

    def __init__(self, studio: OldStudio, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.paths = {
            "/etc/shotgunEventDaemon.conf": str(studio.conf),
            "/var/log/shotgunEventDaemon": str(studio.folder),
            "/studio/plugins": str(studio.folder / "plugins"),
        }
        self.commands = re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)

    def type(self, part: str, more: str = "") -> str:
        """Type the block that has a part; return what it prints."""
        (block,) = [block for block in self.commands if part in block]
        self.commands.remove(block)
        for written, path in self.paths.items():
            block = block.replace(written, path)
        block = re.sub(r"^ *sgevents ", f"{sys.executable} -m sgevents_core ", block, flags=re.M)
        ran = subprocess.run(
            ["sh", "-ec", block.rstrip() + more],
            cwd=self.daemon.folder,
            env=self.daemon.environment(),
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site."""
    with Sandbox(api_key=KEY) as running:
        yield running


def test_the_page_leads_over_and_back(studio: OldStudio, site: Sandbox) -> None:
    """Every command of the page works, in its order, and the plugin gets each event once."""
    daemon = RunningDaemon(studio.folder, site)
    reader = Reader(studio, daemon)
    text = PLUGIN.format(script=site.script_name, calls=str(daemon.calls))
    studio.write("plugins/notify.py", text)
    shotgun = f"server: {site.url}\nname: {site.script_name}\nkey: %(SGEVENTS_TEST_KEY)s\n"
    studio.write_conf(shotgun=shotgun, paths=str(studio.folder / "plugins"))
    begin = site.event("Studio_Begin")
    studio.write_id(notify=(begin, []), folder="plugins")

    assert "should load, 1 callback" in reader.type("migrate --check")
    assert "imported the positions" in reader.type("sgevents migrate /etc")
    assert "All is well." in reader.type("sgevents check")
    tried = site.event("Studio_Tried")
    shown = reader.type("--dry-run", more=" --drain 2>&1").replace('\\"', '"')
    wanted = f'event {tried} classic:plugins/notify note: would create Shot {{"code": "{tried}"'
    assert wanted in shown
    assert site.find("Shot", [["code", "is", str(tried)]]) == []
    daemon.calls.unlink()

    studio.write_id(notify=(tried, []), folder="plugins")
    switched = site.event("Studio_Switched")
    assert f"continues after event {tried}" in reader.type("--import-id")
    reader.type("sgevents run\n", more=" --drain")
    assert [noted.event_id for noted in daemon.noted()] == [switched]
    assert len(site.find("Shot", [["code", "is", str(switched)]])) == 1

    assert "Wrote" in reader.type("--export-id")
    position = studio.positions(studio.folder / "shotgunEventDaemon.id", "plugins")["notify"]
    assert position[0] >= switched
    assert "is a plugin package now" in reader.type("migrate plugin")
    assert reader.commands == [], "no command of the page is left"
