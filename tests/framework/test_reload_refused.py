"""A reload that cannot be: what a restart needs is tried before anything ends, else all goes on."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commanding import installed_here
from installed_packages import settings_for
from reloading import SLOW, reload
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.daemon.reload import Reloader, _find_state_objection
from sgevents_core.daemon.restarting import CommandLine, restart_obstacle
from sgevents_core.plugins.discovery import discover
from sgevents_core.plugins.loading import load
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import LogSettings, Settings
from sgevents_core.state.lock import StateLock
from sgevents_core.state.running import read_running_daemon


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site whose events are those of the tests alone."""
    with Sandbox(project=False) as empty:
        yield empty


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python that can be taken away, which daemons are started with."""
    link = tmp_path / "python"
    link.symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(link))
    return link


def is_running(daemon: RunningDaemon) -> bool:
    """Whether it has come so far that it can be asked to reload."""
    return read_running_daemon(daemon.folder / "state") is not None


def asked(daemon: RunningDaemon, python: Path) -> subprocess.Popen[str]:
    """Ask a daemon to reload, and do not wait for the answer; with a Python that stays."""
    command = [str(python.resolve()), "-m", "sgevents_core", "reload", "-c", str(daemon.config)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_python_that_is_away_refuses_a_reload(
    daemon: RunningDaemon, site: Sandbox, python: Path
) -> None:
    """An environment that is being rebuilt: the daemon goes on, and is reloaded when it is back."""
    daemon.install_writer("one")
    with daemon.running() as process:
        wait_until(lambda: is_running(daemon), what="it runs")
        target = python.resolve()
        python.unlink()
        command = asked(daemon, target)
        said = command.communicate(timeout=PATIENCE)[1]
        assert command.returncode == 1
        assert "a process to try it in cannot be started" in said
        daemon.wait_for([site.event("Studio_A")], "one")
        with installed_here(daemon) as status:
            shown = status("status").text
        assert "The last reload was refused" in shown
        assert "a process to try it in cannot be started" in shown
        python.symlink_to(target)
        assert reload(daemon).stdout.startswith("Reloaded.")
        assert daemon.stop(process) == 0


TAKEN: dict[str, Callable[[RunningDaemon, Path], None]] = {
    "python": lambda daemon, python: python.unlink(),
    "config": lambda daemon, python: daemon.config.unlink(),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken_away_while_the_daemon_stops_does_not_end_it(
    daemon: RunningDaemon, site: Sandbox, python: Path, what: str
) -> None:
    """It has tried and stopped already: the same process begins again, and nothing is lost."""
    daemon.install("slow", SLOW.format(folder=str(daemon.folder)))
    daemon.install_writer("zulu")
    target = python.resolve()
    ids = [site.event("Studio_A")]
    with daemon.running() as process:
        wait_until((daemon.folder / "slow.txt").exists, what="a callback is in hand")
        command = asked(daemon, target)
        wait_until(lambda: daemon.tells("daemon.reloading"), what="it was tried")
        TAKEN[what](daemon, python)
        (daemon.folder / "go").touch()
        if what == "python":  # whoever asks needs the configuration too
            assert "it could not be restarted" in command.communicate(timeout=PATIENCE)[1]
            assert command.returncode == 1
        ids.append(site.event("Studio_B"))
        daemon.wait_for(ids, "zulu")
        assert daemon.stop(process) == 0
        command.kill()
        command.communicate()
    assert daemon.events_of("zulu") == ids
    refused = [r for r in daemon.told() if r["action"] == "daemon.not_reloaded"]
    assert "it could not be restarted" in refused[-1]["message"]


LIMITS = {
    "descriptors": (resource.RLIMIT_NOFILE, 4),
    "disk": (resource.RLIMIT_FSIZE, 8192),
}


@pytest.mark.parametrize("what", LIMITS)
def test_descriptors_or_disk_used_up_refuse_a_reload(
    daemon: RunningDaemon, site: Sandbox, what: str
) -> None:
    """The command and the log say so; with room again, it is taken up."""
    daemon.install_writer("one")
    limit, low = LIMITS[what]
    with daemon.running() as process:
        daemon.wait_for([site.event("Studio_A")], "one")
        before = resource.prlimit(process.pid, limit)
        resource.prlimit(process.pid, limit, (low, before[1]))
        refused = reload(daemon)
        resource.prlimit(process.pid, limit, before)
        assert refused.returncode == 1, refused.stderr
        expected = "cannot be started" if what == "descriptors" else "could not write"
        assert expected in refused.stderr
        daemon.wait_for([site.event("Studio_B")], "one")
        assert reload(daemon).stdout.startswith("Reloaded.")
        assert daemon.stop(process) == 0


def test_folder_that_is_gone_is_no_obstacle(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is relative to it."""
    home = tmp_path / "home"
    home.mkdir()
    daemon.install_writer("one")
    monkeypatch.chdir(home)
    with daemon.running() as process:
        wait_until(lambda: is_running(daemon), what="it runs")
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(home)
        assert reload(daemon).stdout.startswith("Reloaded.")
        assert daemon.stop(process) == 0


def test_environment_is_the_one_it_was_started_in(daemon: RunningDaemon, site: Sandbox) -> None:
    """A plugin that takes the key out of the environment later takes it from no restart."""
    daemon.install(
        "a_thief",
        "import os\nfrom sgevents_core import hookimpl\n"
        "@hookimpl\ndef on_event(event): os.environ.clear()\n",
    )
    daemon.install_writer("one")
    with daemon.running() as process:
        daemon.wait_for([site.event("Studio_A")], "one")
        assert reload(daemon).stdout.startswith("Reloaded.")
        daemon.wait_for([site.event("Studio_B")], "one")
        assert daemon.stop(process) == 0


def text_that_is_no_program(folder: Path) -> tuple[str, dict[str, str]]:
    """Return a file that may be executed and cannot be."""
    file = folder / "text"
    file.write_text("no program")
    file.chmod(0o755)
    return str(file), {}


UNSTARTABLE: dict[str, Callable[[Path], tuple[str, dict[str, str]]]] = {
    "missing": lambda folder: (str(folder / "gone"), {}),
    "folder": lambda folder: (str(folder), {}),
    "no_program": text_that_is_no_program,
    "too_large": lambda folder: (sys.executable, {"BIG": "x" * (1 << 22)}),
}


@pytest.mark.parametrize("why", UNSTARTABLE)
def test_process_that_cannot_be_started_is_a_reason(tmp_path: Path, why: str) -> None:
    """Whatever the system says against it, the daemon goes on and tells it."""
    word, variables = UNSTARTABLE[why](tmp_path)
    settings = in_folder(tmp_path)
    with closing(StateLock(settings.state.path)):
        started = CommandLine((word,), tmp_path, variables)
        reloader = Reloader(settings, load(settings, discover()), started)
        reloader.request_reload()
        assert reloader.poll_rehearsal() is False
        assert reloader.poll_rehearsal() is False
        found = read_running_daemon(settings.state.path)
        assert found is not None
        assert found.refusal is not None
        assert "cannot be started" in found.refusal.reason
        reloader.close()


def in_folder(folder: Path) -> Settings:
    """Return settings whose state is in a folder."""
    from msgspec.structs import replace

    settings = settings_for()
    return replace(settings, state=replace(settings.state, path=folder / "state"))


def test_obstacles_of_a_restart(tmp_path: Path) -> None:
    """The program, the state's folder and the log are looked at; nothing stays behind."""
    here = CommandLine((sys.executable,), tmp_path, {})
    state = tmp_path / "state"
    assert "could not write to" in restart_obstacle(here, state, LogSettings())
    state.mkdir()
    assert restart_obstacle(here, state, LogSettings()) == ""
    assert list(state.iterdir()) == []
    away = LogSettings(file=tmp_path / "gone" / "log")
    assert "could not write its log" in restart_obstacle(here, state, away)
    gone = here._replace(command_words=(str(tmp_path / "python"),))
    assert "cannot be started" in restart_obstacle(gone, state, LogSettings())


def test_daemon_whose_threads_hang_tries_again_after_a_while(tmp_path: Path) -> None:
    """A refusal does not come back five times a second."""
    settings = in_folder(tmp_path)
    with closing(StateLock(settings.state.path)):
        started = CommandLine((str(tmp_path / "gone"),), tmp_path, {})
        reloader = Reloader(settings, load(settings, discover()), started)
        now = time.monotonic()
        for second in (0.0, 0.2, 59.0, 61.0):
            reloader.leave_hung(now + second)
            assert reloader.poll_rehearsal() is False
        found = read_running_daemon(settings.state.path)
        assert found is not None
        assert found.refusal is not None
        assert found.refusal.number == 2
        reloader.close()


@pytest.mark.parametrize(
    ("state", "host", "reason"),
    [
        ("/elsewhere", None, "path is now /elsewhere"),
        ("/here", "beta", "host is now beta"),
        ("/here", None, "url is gone"),
        ("/here", "alpha", ""),
    ],
)
def test_reload_does_not_change_the_state_or_the_hosts_name(
    state: str, host: str | None, reason: str
) -> None:
    """The other hosts would wait for a host of the old name, and a state is moved by a command."""
    objection = _find_state_objection({"state": state, "host": host}, Path("/here"), "alpha")
    assert reason in objection
    assert bool(objection) == bool(reason)
    assert "url is new" in _find_state_objection(
        {"state": "/here", "host": "a"}, Path("/here"), None
    )
