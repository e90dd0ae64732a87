"""Callbacks that raise, exit, recurse, ask for another time, are wrong or do not load at all."""

from __future__ import annotations

import pytest
from commanding import installed_here
from fault_scene import WRITERS, Measured, Scene
from reliability import GROUPS, Reliability

GROUP = GROUPS[3]
NUMBER = 8

FOR_GOOD = [
    ("A bug at every event", "raises ValueError", 'raise ValueError("a bug")'),
    ("SystemExit", "calls sys.exit(3)", "import sys; sys.exit(3)"),
    ("KeyboardInterrupt", "raises it", "raise KeyboardInterrupt"),
    ("GeneratorExit", "raises it", "raise GeneratorExit"),
    ("Endless recursion", "calls itself until Python stops it", "again = lambda: again(); again()"),
    (
        "An exception with a huge text",
        "raises ValueError with 2 MB of text",
        'raise ValueError("x" * 2_000_000)',
    ),
    (
        "An exception that cannot be printed",
        "its `__str__` and `__repr__` raise",
        'raise type("Mute", (Exception,), {"__str__": 1, "__repr__": 1})',
    ),
    (
        "A custom exception derived from BaseException",
        "raises a subclass of BaseException",
        'raise type("Own", (BaseException,), {})("no")',
    ),
    ("MemoryError", "asks for 100 TB", "bytearray(10**14)"),
]
PASSING = [
    (
        "`Retry` with a time",
        "raises Retry(after=0.05) at the first attempt",
        "from sgevents_core import Retry; raise Retry(after=0.05)",
    ),
    (
        "ConnectionError",
        "raises ConnectionResetError at the first attempt",
        'raise ConnectionResetError("gone")',
    ),
    ("A network timeout", "raises TimeoutError at the first attempt", "raise TimeoutError"),
    (
        "Status 503 in a callback's own call",
        "raises shotgun_api3.ProtocolError at the first attempt",
        'import shotgun_api3; raise shotgun_api3.ProtocolError("u", 503, "no", {})',
    ),
]
NOT_LOADED = [
    (
        "A callback with the wrong arguments",
        "a hook that takes `(event, ctx, more)`",
        "from sgevents_core import hookimpl\n@hookimpl\ndef on_event(event, ctx, more): pass\n",
        "on_event",
    ),
    (
        "A hook that does not exist",
        "a plugin with `on_chnage`",
        "from sgevents_core import hookimpl\n@hookimpl\ndef on_chnage(event, ctx): pass\n",
        "on_change",
    ),
    (
        "An import that fails",
        "a plugin that imports a missing module",
        "import nowhere\n",
        "nowhere",
    ),
    ("A module that exits", "sys.exit() while it is imported", "import sys; sys.exit(9)\n", "9"),
    ("A syntax error", "a plugin that is not valid Python", "def on_event(:\n", "invalid syntax"),
]


def check_letters(scene: Scene, owed: list[int]) -> None:
    """What the plugin in between failed on is kept, each event once."""
    assert [letter.failure.event_id for letter in scene.letters("mike")] == owed


@pytest.mark.parametrize(("fault", "injected", "deed"), FOR_GOOD)
def test_failures_for_good(
    scene: Scene, reliability: Reliability, fault: str, injected: str, deed: str
) -> None:
    """The plugins before and behind get every event; each failure is kept as a dead letter."""
    scene.install("mike", deed, keys="pause_after = 1000\n")
    owed = scene.events(NUMBER)
    assert scene.drain() == 0
    measured = scene.finished(owed)
    check_letters(scene, owed)
    assert scene.daemon.events_of("mike") == owed
    assert scene.daemon.output.stat().st_size < 200_000
    reliability.row(GROUP, fault, injected, NUMBER, *measured)


@pytest.mark.parametrize(("fault", "injected", "deed"), PASSING)
def test_failures_that_pass(
    scene: Scene, reliability: Reliability, fault: str, injected: str, deed: str
) -> None:
    """The call is made again, the plugin's other events wait for it, nobody else does."""
    scene.install("mike", f"if ctx.attempt == 1:\n            {deed}")
    run = scene.start()
    owed = scene.events(NUMBER)
    tried = [id_ for id_ in owed for _ in range(2)]
    scene.until(lambda: len(scene.daemon.events_of("mike")) == len(tried), "all are retried")
    assert scene.daemon.events_of("mike") == tried
    measured = scene.finish(run, owed)
    assert scene.measured(tried, ["mike"]) == (0, 0)
    assert scene.letters() == []
    reliability.row(GROUP, fault, injected, NUMBER, *measured)


@pytest.mark.parametrize(("fault", "injected", "text", "reason"), NOT_LOADED)
def test_plugins_that_do_not_load(
    scene: Scene, reliability: Reliability, fault: str, injected: str, text: str, reason: str
) -> None:
    """It is refused with the reason, the others run; mended, it gets what it missed."""
    scene.daemon.install("mike", text)
    owed = scene.events(3)
    assert scene.drain() == 0
    (told,) = [
        record
        for record in scene.daemon.told()
        if record.get("plugin") == "mike" and record["action"].startswith("plugin.")
    ]
    assert reason in told["message"]
    assert scene.finished(owed) == (0, 0)
    mended = scene.daemon.folder / "site-packages" / "mike.py"
    mended.write_text((mended.parent / "alpha.py").read_text())
    owed += scene.events(2)
    measured = scene.finished(owed)
    assert not scene.letters()
    reliability.row(GROUP, fault, injected, 1, *measured)


def test_twenty_in_a_row_pause_the_plugin(scene: Scene, reliability: Reliability) -> None:
    """Mended and resumed, it goes on where it stopped, and its dead letters are called again."""
    mended = scene.daemon.folder / "mended"
    scene.install(
        "mike", f"import pathlib\n        if not pathlib.Path({str(mended)!r}).exists(): 1 / 0"
    )
    owed = scene.events(30)
    assert scene.drain() == 0
    assert scene.daemon.events_of("mike") == owed[:20]
    check_letters(scene, owed[:20])
    assert scene.times_told("plugin.paused") == 1
    mended.touch()
    run = scene.start()
    scene.wait_told("daemon.started", 2)
    with installed_here(scene.daemon) as sgevents:
        assert sgevents("resume", "mike").code == 0
        assert sgevents("dead-letters", "retry", "--plugin", "mike").code == 0
    scene.wait_for(owed, "mike")
    owed += scene.events(2)
    scene.wait_for(owed, "mike")
    assert scene.letters() == []
    measured = scene.finish(run, owed)
    assert scene.measured(owed[:20] * 2 + owed[20:], ["mike"]) == (0, 0)
    reliability.row(
        GROUP,
        "20 failures in a row pause the plugin",
        "fixed and resumed, it continues with event 21; its 20 dead letters are retried",
        20,
        *measured,
    )


def test_bug_that_pauses_the_plugin(scene: Scene, reliability: Reliability) -> None:
    """It stops at the event, and mended and resumed goes on at it."""
    mended = scene.daemon.folder / "mended"
    deed = f"import pathlib\n        if not pathlib.Path({str(mended)!r}).exists(): 1 / 0"
    scene.install("mike", deed, keys='on_error = "pause"\n')
    owed = scene.events(4)
    assert scene.drain() == 0
    assert scene.daemon.events_of("mike") == owed[:1]
    mended.touch()
    with installed_here(scene.daemon) as sgevents:
        assert sgevents("resume", "mike").code == 0
    measured = scene.finished(owed)
    assert scene.daemon.events_of("mike") == owed[:1] + owed
    reliability.row(
        GROUP,
        'A bug with `on_error = "pause"`',
        "fails once; fixed and resumed, it continues with the same event",
        1,
        *measured,
    )


def test_bug_that_is_skipped(scene: Scene, reliability: Reliability) -> None:
    """It is recorded, and the plugin goes on."""
    scene.install("mike", "1 / 0", keys='on_error = "skip"\n')
    owed = scene.events(4)
    assert scene.drain() == 0
    measured = scene.finished(owed)
    assert scene.daemon.events_of("mike") == owed
    assert scene.times_told("callback.skipped") == len(owed)
    reliability.row(GROUP, 'A bug with `on_error = "skip"`', "fails at each event", 4, *measured)


def test_callback_that_hangs(scene: Scene, reliability: Reliability) -> None:
    """Its `timeout` gives it up; nobody waits for it but its plugin, which goes on when it ends."""
    go = scene.daemon.folder / "go"
    deed = f"""import pathlib, time
        while event.id == 2 and not pathlib.Path({str(go)!r}).exists():
            time.sleep(0.005)"""
    scene.install("mike", deed, keys='timeout = "1s"\n')
    run = scene.start()
    owed = scene.events(5)
    scene.wait_for(owed)
    assert scene.daemon.events_of("mike") == owed[:2]
    scene.until(lambda: scene.letters("mike"), "it is given up")
    check_letters(scene, owed[1:2])
    go.touch()
    scene.wait_for(owed, "mike")
    measured = scene.finish(run, owed)
    assert scene.measured(owed, ["mike"]) == (0, 0)
    reliability.row(
        GROUP,
        "A callback hangs",
        "it does not return; its `timeout` gives it up, and it is kept as a dead letter",
        1,
        *measured,
    )


def test_secrets_in_exceptions(scene: Scene, reliability: Reliability) -> None:
    """A key in the text of an exception is in no log, no state and no output."""
    scene.site.add_script("mikes", "mikes-own-demo-key")
    scene.install(
        "mike",
        "raise ValueError(ctx.sg.config.api_key)",
        keys='script_name = "mikes"\napi_key = { env = "MIKES_KEY" }\n',
    )
    scene.daemon.log = '[log]\nfile = "logs/sgevents.log"\nper_plugin = true\nlevel = "debug"\n'
    owed = scene.events(NUMBER)
    assert scene.drain(MIKES_KEY="mikes-own-demo-key") == 0
    assert scene.drain(MIKES_KEY="mikes-own-demo-key") == 0
    measured: Measured = scene.measured(owed, WRITERS)
    check_letters(scene, owed)
    assert "***" in scene.letters("mike")[0].failure.error
    written = [path for path in scene.daemon.folder.rglob("*") if path.is_file()]
    assert {"sgevents.db", "sgevents.log", "output.txt"} <= {path.name for path in written}
    assert not [path for path in written if b"mikes-own-demo-key" in path.read_bytes()]
    reliability.row(
        GROUP,
        "A secret in an exception",
        "raises ValueError with its own API key; the key is in no log, state or output",
        NUMBER,
        *measured,
    )
