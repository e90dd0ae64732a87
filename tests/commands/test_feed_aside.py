"""Events set aside: told until a person forgets them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from commanding import installed_here
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.opening import open_state


def test_told_everywhere_until_forgotten(tmp_path: Path) -> None:
    """`status`, `check`, `state check` and `feed aside` name them; `forget` clears the list."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("alpha")
        daemon.write_config()
        with installed_here(daemon) as sgevents:
            assert daemon.drain() == 0
            assert sgevents("feed", "aside").text == "Nothing is set aside.\n"
            assert sgevents("feed", "aside", "forget").text == "feed: nothing is set aside\n"
            with closing(open_state(tmp_path / "state").writer()) as state:
                for number in range(7):
                    state.set_aside(number, "its entry cannot be read", "journal", 1.8e9)
            status = sgevents("status").text
            assert "7 events are set aside: event 0, event 1, event 2, event 3, event 4" in status
            assert "and 2 more" in status
            assert "sgevents feed aside" in status
            found = sgevents("status", "--json").json["set_aside"]
            assert (found[6]["event"], found[6]["where"]) == ("6", "journal")
            assert found[6]["at"] == "2027-01-15T08:00:00.000+00:00"
            for command in (("check",), ("state", "check")):
                said = sgevents(*command)
                assert said.code == 0, said
                assert "event 4 is set aside: its entry cannot be read" in said.text
                assert "2 more events are set aside" in said.text
            shown = sgevents("feed", "aside").text
            assert "event 6: its entry cannot be read (journal, 2027-01-15" in shown
            assert sgevents("feed", "aside", "--json").json == {"version": 1, "set_aside": found}
            said = sgevents("feed", "aside", "forget")
            assert said.code == 0, said
            assert "7 events are no longer on record" in said.text
            assert sgevents("status", "--json").json["set_aside"] == []
