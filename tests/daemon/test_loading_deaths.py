"""Plugins that end the process, or never return, while they are loaded: they cost themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import installed_here
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

DEEDS = {
    "exits": "os._exit(3)",
    "crashes": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "kills": "os.kill(os.getpid(), 9)",
    "raises": "signal.raise_signal(signal.SIGKILL)",
}
"""Name of a plugin -> what it does when it is loaded."""
STEPS = {
    "import": "{deed}",
    "settings_model": "@hookimpl\ndef settings_model():\n    {deed}",
    "validation": (
        "class Model:\n"
        "    @classmethod\n"
        "    def model_validate(cls, table):\n"
        "        {deed}\n"
        "@hookimpl\ndef settings_model():\n    return Model"
    ),
    "register_callbacks": "@hookimpl\ndef register_callbacks(registrar):\n    {deed}",
    "a look at the model": (
        "class Kind(type):\n"
        "    def __getattr__(cls, name):\n"
        "        {deed}\n"
        "@hookimpl\ndef settings_model():\n    return Kind('Model', (), {{}})"
    ),
    "startup": "@hookimpl\ndef startup(ctx):\n    {deed}",
}
HEAD = "import ctypes, os, signal, sys, time\nfrom sgevents_core import hookimpl\n"


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site whose events are those of the tests alone."""
    with Sandbox(project=False) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, site: Sandbox) -> RunningDaemon:
    """A daemon for that site with a plugin that writes down what it gets."""
    running = RunningDaemon(tmp_path, site)
    running.install_writer("witness")
    return running


def told_of(daemon: RunningDaemon, plugin: str) -> list[str]:
    """Return what the log says of a plugin that is broken."""
    return [
        record["message"]
        for record in daemon.told()
        if record.get("plugin") == plugin and record["action"] == "plugin.broken"
    ]


def test_plugins_that_end_the_process_while_they_are_loaded_cost_one_start_each(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """However and wherever they do it; the next start leaves each out and says what it did."""
    culprits = {}
    for number, (deed, code) in enumerate(DEEDS.items()):
        name = f"a{number}_{deed}"
        step = list(STEPS)[number % len(STEPS)]
        daemon.install(name, HEAD + STEPS[step].format(deed=code))
        culprits[name] = step
    ids = [site.event("Studio_A"), site.event("Studio_B")]
    for _ in culprits:
        daemon.drain()
        assert daemon.events_of("witness") == []
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    for name in culprits:
        (said,) = set(told_of(daemon, name))
        assert "the process died in this step: " in said
        assert f"sgevents plugins retry {name}" in said


HURTS = {
    "becomes": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "closes": "os.closerange(0, 400)",
    "limits": "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))",
    "starves": "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
}
"""Name of a plugin -> what it does to the process when it is loaded, and is kept from."""


def test_plugins_that_take_from_the_process_what_all_need_cost_no_start(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """They are named, and one start handles everything."""
    for number, (hurt, code) in enumerate(HURTS.items()):
        daemon.install(f"a{number}_{hurt}", f"import resource\n{HEAD}{code}\n")
    ids = [site.event("Studio_A"), site.event("Studio_B")]
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    told = {record["plugin"] for record in daemon.told() if record["action"] == "plugin.not_heeded"}
    assert told == {f"a{number}_{hurt}" for number, hurt in enumerate(HURTS)}
    (said,) = told_of(daemon, "a0_becomes")
    assert "It would end the daemon" in said


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_loading_is_known_by_what_is_left_behind(
    daemon: RunningDaemon, site: Sandbox, step: str
) -> None:
    """One start dies, the next names plugin and step, and the others get their events."""
    daemon.install("a_bad", HEAD + STEPS[step].format(deed="os._exit(3)"))
    ids = [site.event("Studio_A")]
    assert daemon.drain() == 3
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_bad")
    named = {
        "import": "importing a_bad",
        "a look at the model": "settings_model",
        "validation": "reading [plugins.a_bad.settings]",
    }
    assert f"the process died in this step: {named.get(step, step)}; it called os._exit" in said


def test_plugin_that_was_mended_is_tried_again_and_one_that_a_person_wants_as_well(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """Another file, another table or the command is enough; a third start in vain is not made."""
    site.event("Studio_A")
    deadly = HEAD + "if not os.path.exists(__file__ + '.fine'): os._exit(3)\n"
    daemon.install("a_bad", deadly + "@hookimpl\ndef on_event(event): ...\n")
    assert [daemon.drain() for _ in range(3)] == [3, 0, 0]
    (daemon.packages.folder / "a_bad.py.fine").touch()
    assert daemon.drain() == 0
    assert len(told_of(daemon, "a_bad")) == 3, "nothing that is looked at has changed"
    with installed_here(daemon) as command:
        assert "a_bad" in command("plugins", "retry", "a_bad").text
        assert command("plugins", "retry", "a_bad").code == 1
    assert daemon.drain() == 0
    assert len(told_of(daemon, "a_bad")) == 3, "it has run"
    assert not (daemon.folder / "state" / "loading.json").read_text().count("a_bad")


def test_change_of_the_table_or_the_file_lets_it_be_tried_again(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """Each is another thing to load, so that a death of the old one says nothing of it."""
    site.event("Studio_A")
    daemon.install("a_bad", HEAD + "os._exit(3)")
    assert [daemon.drain() for _ in range(2)] == [3, 0]
    daemon._tables = daemon._tables.replace("enabled", "pause_after = 7\nenabled")
    assert [daemon.drain() for _ in range(2)] == [3, 0]
    (daemon.packages.folder / "a_bad.py").write_text("from sgevents_core import hookimpl\n")
    before = len(told_of(daemon, "a_bad"))
    assert daemon.drain() == 0
    assert len(told_of(daemon, "a_bad")) == before


def test_death_in_shutdown_costs_the_shutdown(daemon: RunningDaemon, site: Sandbox) -> None:
    """The plugin goes on with its events; its shutdown is called no more, with a warning."""
    shutdown = "@hookimpl\ndef shutdown(ctx):\n    os._exit(3)\n"
    daemon.install("a_bad", HEAD + shutdown + "@hookimpl\ndef on_event(event): ...\n")
    site.event("Studio_A")
    assert [daemon.drain() for _ in range(3)] == [3, 0, 0]
    assert told_of(daemon, "a_bad") == []
    warnings = [r for r in daemon.told() if r["level"] == "warning" and r.get("plugin") == "a_bad"]
    assert (
        "its shutdown is not called: the process died in this step: shutdown"
        in warnings[-1]["message"]
    )


WORDS = "class Odd(Exception):\n    def __str__(self): {deed}\nraise Odd"
HANGS = {
    "in_its_words": WORDS.format(deed="time.sleep(3600)"),
    "sleeps": "time.sleep(3600)",
    "spins": "while True: pass",
    "waits": "import threading; threading.Event().wait()",
    "swallows": "while True:\n    try: time.sleep(3600)\n    except Exception: pass",
}


@pytest.mark.parametrize("deed", HANGS)
def test_plugin_that_never_returns_is_broken_and_the_others_run(
    daemon: RunningDaemon, site: Sandbox, deed: str
) -> None:
    """The first start has the others run already; the reason says how long and where."""
    daemon.install("a_hangs", HEAD + HANGS[deed], keys='load_timeout = "500ms"')
    ids = [site.event("Studio_A")]
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_hangs")
    assert "importing a_hangs" in said
    hung = "did not return within 500ms"
    # Two limits end an error's own words, whichever is first: its plugin is broken either way.
    assert hung in said or (deed == "in_its_words" and "str() failed" in said)


def test_hanging_startup_and_shutdown_are_left(daemon: RunningDaemon, site: Sandbox) -> None:
    """One keeps its place as after any failed startup, the other costs nobody the stop."""
    daemon.install(
        "a_starts",
        HEAD + "@hookimpl\ndef startup(ctx):\n    time.sleep(3600)\n",
        keys='load_timeout = "500ms"',
    )
    daemon.install(
        "a_stops",
        HEAD + "@hookimpl\ndef shutdown(ctx):\n    time.sleep(3600)\n",
        keys='load_timeout = "500ms"',
    )
    ids = [site.event("Studio_A")]
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    failed = [r["message"] for r in daemon.told() if r["action"] == "hook.failed"]
    assert "startup did not return within 500ms" in failed[0]
    assert "shutdown did not return within 500ms" in failed[1]


STUCK = {
    "catches": "while True:\n    try: time.sleep(3600)\n    except BaseException: pass",
    "in_c": (
        "lock = ctypes.create_string_buffer(64)\n"
        "for _ in range(2): ctypes.CDLL(None).pthread_mutex_lock(lock)"
    ),
}


@pytest.mark.parametrize("deed", STUCK)
def test_plugin_that_cannot_be_ended_is_left_behind_with_its_process(
    daemon: RunningDaemon, site: Sandbox, deed: str
) -> None:
    """The daemon executes itself anew, without it."""
    daemon.install("a_stuck", HEAD + STUCK[deed], keys='load_timeout = "500ms"')
    ids = [site.event("Studio_A")]
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_stuck")
    assert "the process died in this step: importing a_stuck; it did not return" in said


HOLDS = "ctypes.PyDLL(None).sleep(3600)"


def test_plugin_that_keeps_all_threads_from_running_ends_the_process(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """Nothing of Python's can end it; the next start knows it."""
    daemon.install("a_holds", HEAD + HOLDS, keys='load_timeout = "500ms"')
    ids = [site.event("Studio_A")]
    assert daemon.drain() == 1
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_holds")
    assert "Timeout" in said


@pytest.mark.parametrize("deed", [HANGS["sleeps"], STUCK["catches"]])
def test_daemon_that_is_told_to_stop_does_not_wait_for_a_plugin_that_is_loaded(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path, deed: str
) -> None:
    """With exit code 0, and without a word against the plugin at the next start."""
    trace = tmp_path / "begun"
    deed = f"open({str(trace)!r}, 'w')\n{deed}"
    daemon.install("a_hangs", HEAD + deed)
    with daemon.running() as process:
        wait_until(trace.exists, what="it is loaded")
        assert daemon.stop(process, signal.SIGTERM) == 0
    assert not (daemon.folder / "state" / "loading.json").exists()
    assert daemon.tells("daemon.stopped")


def test_kills_from_outside_condemn_no_plugin_at_once(
    daemon: RunningDaemon, site: Sandbox, tmp_path: Path
) -> None:
    """An operator who kills a daemon that is loading says nothing of the plugin it was at."""
    trace = tmp_path / "begun"
    daemon.install("a_slow", HEAD + f"open({str(trace)!r}, 'w')\ntime.sleep(3600)")
    for _ in range(2):
        trace.unlink(missing_ok=True)
        with daemon.running() as process:
            wait_until(trace.exists, what="it is loaded")
            process.kill()
            process.wait()
    (daemon.packages.folder / "a_slow.py").write_text("import time\n")
    assert daemon.drain() == 0
    assert told_of(daemon, "a_slow") == []


def test_thread_of_a_plugin_that_ends_the_process_later_costs_the_plugin(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """It was started by an import or a startup, and strikes while others are loaded or run."""
    thread = "def later():\n    time.sleep(0.3)\n    os._exit(3)\n"
    started = "threading.Thread(target=later).start()"
    daemon.install("a_sneaky", HEAD + "import threading\n" + thread + started)
    daemon.install("b_slow", HEAD + "time.sleep(1)\n")
    ids = [site.event("Studio_A")]
    assert [daemon.drain() for _ in range(2)] == [3, 0]
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_sneaky")
    assert "a thread that it started while importing a_sneaky; it called os._exit" in said
    assert told_of(daemon, "b_slow") == []


def test_commands_that_call_a_plugin_without_a_daemon_survive_its_loading(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """They say that it is not loaded and why, and the others are called as before."""
    event = site.event("Studio_A")
    daemon.install("a_bad", HEAD + "@hookimpl\ndef on_event(event): 1/0")
    assert daemon.drain() == 0
    (daemon.packages.folder / "a_bad.py").write_text("import os\nos._exit(3)\n")
    with installed_here(daemon) as command:
        said = command("replay", "--plugin", "a_bad", "--dry-run", event)
        assert said.code != 0
        assert "it ends the process in this step: importing a_bad" in said.text
        said = command("dead-letters", "retry", "--plugin", "a_bad")
        assert said.code == 1
        assert "a_bad is not loaded" in said.text


def test_error_whose_words_end_the_process_is_the_plugin_s(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """What it raised is asked for in a step as well."""
    daemon.install("a_bad", HEAD + WORDS.format(deed="os._exit(3)"))
    ids = [site.event("Studio_A")]
    assert [daemon.drain() for _ in range(2)] == [3, 0]
    assert daemon.events_of("witness") == ids
    (said,) = told_of(daemon, "a_bad")
    assert "describing what importing a_bad raised; it called os._exit" in said


def test_fork_while_it_is_loaded_makes_no_second_daemon(
    daemon: RunningDaemon, site: Sandbox
) -> None:
    """In an import, a registration or a startup; every event is handled once."""
    daemon.install("a_forks", HEAD + "os.fork()")
    daemon.install("b_forks", HEAD + "@hookimpl\ndef register_callbacks(registrar): os.fork()")
    daemon.install("c_forks", HEAD + "@hookimpl\ndef startup(ctx):\n    os.fork() or sys.exit(1)")
    ids = [site.event("Studio_A"), site.event("Studio_B")]
    assert daemon.drain() == 0
    assert daemon.events_of("witness") == ids
    assert sum(record["action"] == "daemon.started" for record in daemon.told()) == 1
