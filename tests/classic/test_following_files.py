"""Files of classic plugins that change, come and go while the daemon runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from classic_files import ClassicStudio, paths_text
from commanding import Commands
from mail_server import MailServer
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.classic.helper_files import REPORTED_FILES, report_helper_files
from sgevents_core.sandbox import Sandbox


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site without records and events."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site, with one classic folder."""
    made = RunningDaemon(tmp_path, site)
    made.log = paths_text(["studio"])
    return made


def calls_of(daemon: RunningDaemon, plugin: str) -> list[int]:
    """Return the events that a classic plugin got, in order."""
    return [
        noted.event_id for noted in daemon.noted() if noted.plugin == f"classic:studio/{plugin}"
    ]


def wait_for_calls(daemon: RunningDaemon, plugin: str, events: list[int]) -> None:
    """Wait until a classic plugin got exactly these events."""
    wait_until(lambda: calls_of(daemon, plugin) == events, what=f"{plugin} has {events}")


def wait_for_records(daemon: RunningDaemon, action: str, number: int) -> None:
    """Wait until a number of records with an action were written."""
    wait_until(lambda: sum(record["action"] == action for record in daemon.told()) == number)


def test_a_paused_plugin_resumes_when_its_file_changes(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """At the very callback that failed: what had succeeded for the event is not called again."""
    studio.write_noting("studio/other.py", deed="args")
    text = f"""
        def registerCallbacks(reg):
            for callback in (first, second, third):
                reg.registerCallback("studio", "studio-demo-key", callback)

        def note(event, name):
            with open({str(studio.calls)!r}, "a") as calls:
                calls.write("%s classic:studio/%s note 1\\n" % (event["id"], name))

        def first(sg, logger, event, args): note(event, "first")
        def second(sg, logger, event, args): DEED; note(event, "second")
        def third(sg, logger, event, args): note(event, "third")
    """
    studio.write("studio/fails.py", text.replace("DEED", "1 / 0"))
    first = site.event("Shotgun_Task_New")
    with daemon.running() as process:
        wait_until(lambda: daemon.output.exists() and daemon.tells("plugin.paused"))
        second = site.event("Shotgun_Task_New")
        wait_for_calls(daemon, "other", [first, second])
        assert calls_of(daemon, "first") == [first]
        studio.write("studio/fails.py", text.replace("DEED", "pass"))
        wait_for_calls(daemon, "third", [first, second])
        third = site.event("Shotgun_Task_New")
        wait_for_calls(daemon, "third", [first, second, third])
        assert daemon.stop(process) == 0
    assert calls_of(daemon, "first") == calls_of(daemon, "second") == [first, second, third]
    assert calls_of(daemon, "other") == [first, second, third]
    assert daemon.output.read_text().count("Traceback") == 1


def test_a_file_that_was_corrected_while_no_daemon_ran_resumes_its_plugin(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """A start with the file as it was changes nothing, nor does it for what a person has paused."""
    path = studio.write_noting("studio/fails.py", deed="1 / 0")
    other = studio.write_noting("studio/other.py")
    events = [site.event("Shotgun_Task_New")]
    assert daemon.drain() == 0
    assert Commands(daemon)("pause", "classic:studio/other").code == 0
    assert daemon.drain() == 0
    assert calls_of(daemon, "fails") == events
    path.write_text(path.read_text().replace("1 / 0", "pass"))
    other.write_text(f"{other.read_text()}# changed\n")
    events.append(site.event("Shotgun_Task_New"))
    assert daemon.drain() == 0
    assert calls_of(daemon, "fails") == [events[0], *events]
    assert calls_of(daemon, "other") == events[:1]


def test_a_file_is_picked_up_and_dropped(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """One that comes back continues where it was; the state of the others in memory is kept."""
    studio.write_noting("studio/stays.py", args="[]", deed="args.append(1); logger.info(len(args))")
    events = [site.event("Shotgun_Task_New")]
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        wait_for_calls(daemon, "stays", events)
        path = studio.write_noting("studio/comes.py")
        wait_for_records(daemon, "lane.replaced", 1)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "comes", events[1:])
        listed = Commands(daemon)("plugins", "list").text
        assert "has not loaded it" not in listed
        assert "the daemon" not in listed
        text = path.read_text()
        path.unlink()
        wait_for_records(daemon, "lane.replaced", 2)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "stays", events)
        assert calls_of(daemon, "comes") == events[1:2]
        path.write_text(text)
        wait_for_calls(daemon, "comes", events[1:])
        assert daemon.stop(process) == 0
    counted = [one["message"] for one in daemon.told() if one.get("logger") == "plugin.stays.note"]
    assert counted == ["1", "2", "3"]


def test_a_file_that_does_not_load_changes_nothing_until_it_does(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """It is reported with its line; the plugin goes on with the code that it has."""
    path = studio.write_noting("studio/edited.py")
    text = path.read_text()
    events = [site.event("Shotgun_Task_New")]
    broken = ["def registerCallbacks(reg:\n", "", "raise SystemExit(1)  # registerCallbacks\n"]
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        for number, content in enumerate(broken, 1):
            path.write_text(content)
            wait_for_records(daemon, "classic.not_loaded", number)
            events.append(site.event("Shotgun_Task_New"))
            wait_for_calls(daemon, "edited", events)
        path.write_text(text.replace("edited note", "edited again"))
        wait_until(lambda: daemon.tells("lane.replaced"))
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "edited", events)
        assert daemon.stop(process) == 0
    assert [noted.callback for noted in daemon.noted()] == ["note"] * 4 + ["again"]
    reasons = [one["message"] for one in daemon.told() if one["action"] == "classic.not_loaded"]
    assert "edited.py:1: '(' was never closed" in reasons[0]
    assert "has no function registerCallbacks" in reasons[1]
    assert "SystemExit: 1" in reasons[2]


def test_worker_processes_take_up_changes(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """Those of the lane are replaced between two calls; a file that does not load keeps its old."""
    daemon.log += '[[groups]]\nname = "studio"\nlane = "apart"\n'
    daemon.log += '[lanes.apart]\nexecutor = "process"\n'
    path = studio.write_noting("studio/edited.py")
    events = [site.event("Shotgun_Task_New")]
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        text = path.read_text()
        path.write_text(text.replace("edited note", "edited again"))
        wait_for_records(daemon, "lane.replaced", 1)
        studio.write_noting("studio/added.py")
        wait_for_records(daemon, "lane.replaced", 2)
        path.write_text(f"(\n{path.read_text()}")
        wait_for_records(daemon, "classic.not_loaded", 1)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "edited", events)
        wait_for_calls(daemon, "added", events[1:])
        path.write_text("raise ValueError  # registerCallbacks\n")
        wait_for_records(daemon, "classic.not_loaded", 2)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "edited", events)
        path.write_text(text)
        wait_for_records(daemon, "lane.replaced", 3)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "edited", events)
        assert daemon.stop(process) == 0
    edited = [noted.callback for noted in daemon.noted() if noted.plugin.endswith("edited")]
    assert edited == ["note", "again", "again", "note"]


def test_an_import_that_hangs_prints_or_forks_is_its_own_affair(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """The others get their events meanwhile; the file is loaded once it has been corrected."""
    daemon.log += '[plugins."classic:studio/odd"]\nload_timeout = "300ms"\n'
    studio.write_noting("studio/works.py")
    text = studio.write_noting("studio/odd.py").read_text()
    deeds = [
        "import time\ntime.sleep(600)\n",
        "while True: pass\n",
        "import os\nprint('hello')\nif os.fork(): os.wait()\nraise ValueError\n",
    ]
    events = [site.event("Shotgun_Task_New")]
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        for number, deed in enumerate(deeds, 1):
            studio.write("studio/odd.py", f"{deed}{text}")
            wait_for_records(daemon, "classic.not_loaded", number)
            events.append(site.event("Shotgun_Task_New"))
            wait_for_calls(daemon, "works", events)
            wait_for_calls(daemon, "odd", events)
        studio.write("studio/odd.py", text)
        wait_for_records(daemon, "lane.replaced", 1)
        assert daemon.stop(process) == 0
    reasons = [one["message"] for one in daemon.told() if one["action"] == "classic.not_loaded"]
    assert "300ms" in reasons[0]
    assert "300ms" in reasons[1]
    assert "ValueError" in reasons[2]


def test_what_a_person_has_paused_stays_paused(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """Its file is loaded again, and its events wait."""
    path = studio.write_noting("studio/a.py")
    events = [site.event("Shotgun_Task_New")]
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        assert Commands(daemon)("pause", "classic:studio/a").code == 0
        path.write_text(path.read_text().replace("a note", "a again"))
        wait_for_records(daemon, "lane.replaced", 1)
        studio.write_noting("studio/b.py")
        wait_for_records(daemon, "lane.replaced", 2)
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "b", events[1:])
        assert calls_of(daemon, "a") == events[:1]
        assert Commands(daemon)("resume", "classic:studio/a").code == 0
        wait_for_calls(daemon, "a", events)
        assert daemon.stop(process) == 0
    assert [one.callback for one in daemon.noted() if one.plugin.endswith("/a")] == [
        "note",
        "again",
    ]


def test_a_daemon_killed_after_changes_continues_where_it_was(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """Nothing is lost or repeated, in files that have changed, come and gone."""
    changed = studio.write_noting("studio/changed.py")
    gone = studio.write_noting("studio/gone.py")
    text = gone.read_text()
    events = [site.event("Shotgun_Task_New")]
    with daemon.running() as process:
        wait_until(lambda: daemon.calls_noted() == 2)
        changed.write_text(changed.read_text().replace("changed note", "changed again"))
        gone.unlink()
        wait_until(lambda: daemon.tells("classic.removed") and daemon.tells("classic.reloaded"))
        wait_until(lambda: daemon.tells("lane.replaced"))
        events.append(site.event("Shotgun_Task_New"))
        wait_for_calls(daemon, "changed", events)
        process.kill()
        process.wait()
    gone.write_text(text)
    events.append(site.event("Shotgun_Task_New"))
    assert daemon.drain() == 0
    assert calls_of(daemon, "changed") == calls_of(daemon, "gone") == events


def test_a_changed_file_that_ends_the_process_changes_nothing(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """The daemon continues, the plugin with the code that it has; a new file is reported."""
    studio.write_noting("studio/works.py")
    path = studio.write_noting("studio/exits.py")
    text = path.read_text()
    events = [site.event("Shotgun_Task_New")]
    deeds = ["import os\nos._exit(3)\n", "import ctypes\nctypes.string_at(0)\n"]
    with daemon.running() as process:
        wait_until(lambda: daemon.calls_noted() == 2)
        for number, deed in enumerate(deeds, 1):
            path.write_text(f"{deed}{text}")
            studio.write(f"studio/new{number}.py", f"{deed}{text}")
            wait_for_records(daemon, "classic.not_loaded", 2 * number)
            events.append(site.event("Shotgun_Task_New"))
            wait_for_calls(daemon, "works", events)
            wait_for_calls(daemon, "exits", events)
        listed = Commands(daemon)("plugins", "list").text
        path.write_text(text.replace("exits note", "exits again"))
        studio.write("studio/new1.py", text)
        wait_until(lambda: daemon.tells("classic.reloaded") and daemon.tells("classic.loaded"))
        assert daemon.stop(process) == 0
    reasons = [one["message"] for one in daemon.told() if one["action"] == "classic.not_loaded"]
    assert "exits cannot be loaded, and continues as it was: it ends its process" in reasons[0]
    assert "it called os._exit(3)" in reasons[0]
    assert "new1 cannot be loaded: it ends its process" in reasons[1]
    assert any("Segmentation fault" in reason for reason in reasons[2:])
    assert "os._exit(3)" in listed


@pytest.mark.parametrize(
    "deed", ["import os\nos._exit(3)\n", "import ctypes\nctypes.string_at(0)\n"]
)
def test_a_file_that_ends_the_process_is_left_out_of_a_start(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox, deed: str
) -> None:
    """At the very first start and at any other; whose code it was is known."""
    studio.write_noting("studio/works.py")
    path = studio.write_noting("studio/exits.py")
    text = path.read_text()
    path.write_text(f"{deed}{text}")
    events = [site.event("Shotgun_Task_New")]
    assert daemon.drain() == 0
    assert calls_of(daemon, "works") == events
    assert any("it ends its process" in one["message"] for one in daemon.told())
    path.write_text(text)
    assert daemon.drain() == 0
    path.write_text(f"{deed}{text}")
    events.append(site.event("Shotgun_Task_New"))
    assert daemon.drain() == 0
    assert calls_of(daemon, "works") == events
    path.write_text(text)
    assert daemon.drain() == 0
    assert calls_of(daemon, "exits") == events


def test_files_that_fail_are_mailed_and_new_plugins_have_log_files(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """At the start and later, to the configured recipients; `per_plugin` holds for all plugins."""
    studio.write("studio/broken.py", "raise ValueError('at the start')  # registerCallbacks\n")
    log_file = daemon.folder / "logs" / "sgevents.log"
    with MailServer() as server, daemon_mailing(daemon, server, log_file).running() as process:
        wait_until(lambda: len(server.mails) == 1)
        path = studio.write_noting("studio/comes.py", deed="logger.error('about %s', event['id'])")
        wait_until(lambda: daemon.output.exists() and daemon.tells("lane.replaced"))
        event = site.event("Shotgun_Task_New")
        wait_for_calls(daemon, "comes", [event])
        path.write_text(path.read_text().replace("import os", "import os, not_installed"))
        wait_until(lambda: len(server.mails) == 3)
        assert daemon.stop(process) == 0
        subjects = [mail["Subject"] for mail in server.mails]
        texts = [mail.get_content() for mail in server.mails]
    assert subjects[0] == "[SG] classic:studio/broken cannot be loaded"
    assert "ValueError: at the start" in texts[0]
    assert "broken.py:1" in texts[0]
    assert subjects[1:] == [
        "[SG] ERROR of plugin.comes.note",
        "[SG] classic:studio/comes cannot be loaded",
    ]
    assert "No module named 'not_installed'" in texts[2]
    own_log = log_file.with_name("sgevents.classic%3Astudio%2Fcomes.log")
    assert f"about {event}" in own_log.read_text()
    assert f"about {event}" not in log_file.read_text()


def daemon_mailing(daemon: RunningDaemon, server: MailServer, log_file: Path) -> RunningDaemon:
    """Let a daemon send mails to a server, and give each plugin a log file."""
    daemon.log += f"""
        [classic.smtp]
        server = "127.0.0.1"
        port = {server.port}
        sender = "daemon@studio.example"
        recipients = ["td@studio.example"]
        subject = "[SG]"
        [log]
        file = "{log_file}"
        per_plugin = true
    """
    return daemon


def test_a_helper_file_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not again at the next start; one that is new is."""
    caplog.set_level("INFO")
    report_helper_files([tmp_path / "a.py"], tmp_path)
    report_helper_files([tmp_path / "a.py", tmp_path / "b.py"], tmp_path)
    (tmp_path / REPORTED_FILES).write_text("{")
    report_helper_files([tmp_path / "b.py"], tmp_path)
    reported = [record.getMessage().split()[0] for record in caplog.records]
    assert reported == [str(tmp_path / name) for name in ("a.py", "b.py", "b.py")]


def test_a_lane_with_several_workers_takes_up_changes(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """While its strands are busy: each event comes once to each plugin, to one version or other."""
    daemon.log += '[[groups]]\nname = "studio"\nlane = "wide"\n'
    daemon.log += '[lanes.wide]\nworkers = 4\norder_by = "none"\n'
    daemon.log += '[plugins."classic:studio/edited"]\nconcurrency = 4\n'
    path = studio.write_noting("studio/edited.py", deed="import time; time.sleep(0.002)")
    studio.write_noting("studio/other.py")
    events = list(site.fill(600))
    with daemon.running() as process:
        wait_until(daemon.calls.exists)
        for number in (1, 2):
            path.write_text(f"{path.read_text()}\n# {number}\n")
            wait_for_records(daemon, "lane.replaced", number)
            events += list(site.fill(200))
        wait_until(lambda: daemon.calls_noted() >= 2 * len(events))
        assert daemon.stop(process) == 0
    assert sorted(calls_of(daemon, "edited")) == sorted(calls_of(daemon, "other")) == events


def test_a_call_that_hangs_is_waited_for_while_other_files_change(
    studio: ClassicStudio, daemon: RunningDaemon, site: Sandbox
) -> None:
    """Its plugin is not called meanwhile, and continues once it has returned."""
    daemon.log += '[plugins."classic:studio/hangs"]\ntimeout = "200ms"\n'
    gate = daemon.folder / "gate"
    waiting = f"import os, time\n    while not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    studio.write_noting("studio/hangs.py", stop=False, deed=waiting)
    other = studio.write_noting("studio/other.py")
    events = [site.event("Studio_A")]
    with daemon.running() as process:
        wait_until(lambda: daemon.output.exists() and daemon.tells("callback.dead_lettered"))
        other.write_text(f"{other.read_text()}\n# changed\n")
        wait_for_records(daemon, "lane.replaced", 1)
        events += [site.event("Studio_A") for _ in range(3)]
        wait_for_calls(daemon, "other", events)
        assert calls_of(daemon, "hangs") == events[:1]
        gate.touch()
        wait_for_calls(daemon, "hangs", events)
        assert daemon.stop(process) == 0
    assert daemon.tells("callback.returned_late")
