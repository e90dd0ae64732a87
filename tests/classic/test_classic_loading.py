"""Classic plugins are found in their folders, and loaded as the classic daemon loads them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from classic_files import ClassicStudio

from sgevents_core.errors import ConfigError, RegistrationError
from sgevents_core.plugins.loading import Loaded

ONE_CALLBACK = """
def registerCallbacks(reg):
    reg.registerCallback("studio", "studio-demo-key", call)

def call(sg, logger, event, args):
    pass
"""


def status_lines(loaded: Loaded) -> dict[str, str]:
    """Return the status of each classic plugin, with the reason if it is not loaded."""
    classic = [one for one in loaded.statuses if one.name.startswith("classic:")]
    return {one.name: f"{one.status} {one.reason}".strip() for one in classic}


def test_folders_in_the_configurations_order_and_files_sorted(studio: ClassicStudio) -> None:
    """As the classic daemon has it: `a-b.py` before `a.py`, and upper case before lower case."""
    for name in ("second/a.py", "second/a-b.py", "second/B.py", "first/z.py"):
        studio.write(name, ONE_CALLBACK)
    loaded = studio.load("first", "second")
    assert [plugin.name for plugin in loaded.plugins] == [
        "classic:first/z",
        "classic:second/B",
        "classic:second/a-b",
        "classic:second/a",
    ]
    assert [plugin.group for plugin in loaded.plugins] == ["first", "second", "second", "second"]


def test_an_ordinary_file_is_loaded_without_a_warning(studio: ClassicStudio) -> None:
    """Its `registerCallbacks` is called here, whereas that of a package would not be."""
    studio.write("studio/a.py", ONE_CALLBACK)
    (plugin,) = studio.load("studio").plugins
    assert plugin.warnings == ()


def test_folders_take_their_place_among_the_groups(studio: ClassicStudio) -> None:
    """A folder whose group is listed comes where it is listed, in the lane that is given there."""
    studio.write("old/a.py", ONE_CALLBACK)
    studio.write("older/b.py", ONE_CALLBACK)
    tables = '[[groups]]\nname = "older"\nlane = "slow"\n'
    loaded = studio.load("old", "older", tables=tables)
    assert [(plugin.name, plugin.lane) for plugin in loaded.plugins] == [
        ("classic:older/b", "slow"),
        ("classic:old/a", "default"),
    ]


def test_two_folders_of_one_group_are_refused(studio: ClassicStudio) -> None:
    """The plugins of folders with the same name could not be told apart."""
    studio.write("one/plugins/a.py", ONE_CALLBACK)
    studio.write("two/plugins/a.py", ONE_CALLBACK)
    with pytest.raises(ConfigError, match='has the group "plugins" already'):
        studio.settings("one/plugins", "two/plugins")


def test_a_file_can_be_excluded_and_is_not_executed(studio: ClassicStudio) -> None:
    """`enabled = false` in its table; what else stands there is that of any plugin's table."""
    trace = studio.folder / "executed"
    studio.write("studio/a.py", f"open({str(trace)!r}, 'w')\n{ONE_CALLBACK}")
    studio.write("studio/b.py", ONE_CALLBACK)
    tables = '[plugins."classic:studio/a"]\nenabled = false\n'
    tables += '[plugins."classic:studio/b"]\ntimeout = "5s"\non_error = "skip"\n'
    loaded = studio.load("studio", tables=tables)
    assert [plugin.name for plugin in loaded.plugins] == ["classic:studio/b"]
    assert not trace.exists()
    assert status_lines(loaded)["classic:studio/a"].startswith("disabled it is not enabled")
    settings = studio.settings("studio", tables=tables)
    assert settings.plugins["classic:studio/b"].timeout == 5.0
    assert [callback.on_error for callback in loaded.callbacks] == [None]


@pytest.mark.parametrize(
    ("name", "says", "fix"),
    [
        ("classic:studio/notfy", "has no plugin notfy.py", 'mean "classic:studio/notify"?'),
        ("classic:studio/other", "has no plugin other.py", "correct the name"),
        ("classic:studios/x", 'no folder of classic plugins has the group "studios"', "correct"),
    ],
)
def test_a_table_for_no_file_is_warned_of(
    studio: ClassicStudio, name: str, says: str, fix: str
) -> None:
    """A plugin that was to be excluded would be called."""
    studio.write("studio/notify.py", ONE_CALLBACK)
    table = f'[plugins."{name}"]\n'
    (warning,) = studio.settings("studio", tables=f"{table}enabled = false\n").warnings
    assert says in warning.message
    assert fix in warning.fix
    loaded = studio.load("studio", tables=f'{table}timeout = "5s"\n')
    (status,) = [one for one in loaded.statuses if one.name == name]
    assert status.fix == "Put the file back, or correct the name in [plugins.NAME]."


def test_a_folder_that_is_away_hides_no_table(studio: ClassicStudio) -> None:
    """Only the folder is warned of: its files come back with it."""
    tables = '[plugins."classic:gone/notify"]\nenabled = false\n'
    (warning,) = studio.settings("gone", tables=tables).warnings
    assert "cannot be read" in warning.message


def test_helpers_and_hidden_files_are_no_plugins(studio: ClassicStudio) -> None:
    """Siblings can be imported, whatever their names; only what registers is a plugin."""
    studio.write("studio/a.py", f"import common, _inner\nfrom tools import tool\n{ONE_CALLBACK}")
    studio.write("studio/common.py", "VALUE = 1\n")
    studio.write("studio/_inner.py", ONE_CALLBACK)
    studio.write("studio/.hidden.py", "raise SystemExit\n")
    studio.write("studio/readme.txt", "registerCallbacks")
    studio.write("lib/tools.py", "def tool(): pass\n")
    loaded = studio.load("studio", tables='[classic]\nsyspath = ["lib"]\n')
    assert status_lines(loaded) == {"classic:studio/a": "enabled"}


def test_a_module_has_its_true_file_and_a_name_of_its_own(studio: ClassicStudio) -> None:
    """Files of one name in two folders, and those called as a module of Python, do not meet."""
    text = f"import sys\nME = sys.modules[__name__]\n{ONE_CALLBACK}"
    paths = [studio.write(name, text) for name in ("one/json.py", "two/json.py", "two/a-b.py")]
    loaded = studio.load("one", "two")
    modules = {plugin.name: plugin.plugin for plugin in loaded.plugins}
    assert [vars(modules[name])["ME"] for name in modules] == list(modules.values())
    assert {vars(module)["__file__"] for module in modules.values()} == set(map(str, paths))
    assert "dumps" in vars(sys.modules["json"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def registerCallbacks(reg):\n    print 'x'\n", "a.py:2: this is Python 2: print is"),
        ("try: pass\nexcept OSError, e: registerCallbacks\n", "a.py:2: this is Python 2: except"),
        ("def registerCallbacks(reg):\n    x = 0777\n", "a.py:2: this is Python 2: an octal"),
        (
            "def registerCallbacks(reg):\n    x(async=1)\n",
            "a.py:2: this is Python 2: async is",
        ),
        (
            "from itertools import (\n  chain, izip)\nregisterCallbacks = 1\n",
            "a.py:1: this is Python 2: Python 3 has no itertools.izip",
        ),
        (
            "import email.Utils\nregisterCallbacks = 1\n",
            "a.py:1: this is Python 2: Python 3 has no module email.Utils",
        ),
        (
            "registerCallbacks = {}.keys()\nregisterCallbacks.sort()\n",
            "a.py:2: this is Python 2: Python 3 has no dict_keys.sort",
        ),
        (
            "registerCallbacks = iter([1]).next()\n",
            "a.py:1: this is Python 2: Python 3 has no list_iterator.next",
        ),
        (
            "try: 1 / 0\nexcept ZeroDivisionError as e: e.message  # registerCallbacks\n",
            "a.py:2: this is Python 2: Python 3 has no ZeroDivisionError.message",
        ),
        ("import urllib2\nregisterCallbacks = 1\n", "a.py:1: this is Python 2: Python 3 has no"),
        (
            "{}.iteritems()  # registerCallbacks\n",
            "a.py:1: this is Python 2: Python 3 has no dict.",
        ),
        (
            "x = 1\nreload(x)  # registerCallbacks\n",
            "a.py:2: this is Python 2: Python 3 has no rel",
        ),
        (
            "import string\ndef registerCallbacks(reg):\n    string.join(['a'])\n",
            "a.py:3: this is Python 2: Python 3 has no string.join",
        ),
        (
            "import os\ndef registerCallbacks(reg):\n    os.environ['NOT_SET_ANYWHERE']\n",
            "registerCallbacks raised KeyError: 'NOT_SET_ANYWHERE' at {folder}/a.py:3",
        ),
        (
            "import json\njson.loads('{')  # registerCallbacks\n",
            "(char 1) at {folder}/a.py:2",
        ),
        (
            "def registerCallbacks(reg):\n    reg.registerCallback('', '', len)\n",
            "a.py:2: the scriptName and the scriptKey are empty",
        ),
        ("def registerCallbacks(reg:\n", "a.py:1: '(' was never closed"),
        ("x = 1\nx.y  # registerCallbacks\n", "AttributeError: 'int' object has no attribute"),
        ("import sys\nsys.exit(3)  # registerCallbacks\n", "SystemExit: 3"),
        ("registerCallbacks = 3\n", "a.py has no function registerCallbacks"),
        ("def registerCallbacks(reg): 1 / 0\n", "ZeroDivisionError"),
        ("def registerCallbacks(reg): reg.registerCallback()\n", "a.py:1: the scriptName is miss"),
        (
            "def registerCallbacks(reg):\n reg.registerCallback('a', None, 1)\n",
            "a.py:2: the scriptKey is None",
        ),
        (
            "def registerCallbacks(reg):\n reg.registerCallback('a', 'b', 1)\n",
            "a.py:2: int as a callback",
        ),
        ("def registerCallbacks(reg):\n reg.getEngine()\n", "a.py:2: reg.getEngine is an addition"),
        ("def registerCallbacks(reg):\n reg.getName()\n", "a.py:2: reg.getName is an addition"),
        (
            "def registerCallbacks(reg):\n reg.registerCallback(sgConnection=1, callback=len)\n",
            "registerCallback(sgConnection=...) is an addition",
        ),
        ("def registerCallbacks(reg):\n reg.other\n", "the registrar has no other"),
    ],
)
def test_a_file_that_fails_is_reported_and_the_others_are_loaded(
    studio: ClassicStudio, text: str, reason: str
) -> None:
    """With the file and the line; it costs no other plugin anything, not even its module's name."""
    studio.write("studio/a.py", text)
    studio.write("studio/b.py", ONE_CALLBACK)
    loaded = studio.load("studio")
    assert [plugin.name for plugin in loaded.plugins] == ["classic:studio/b"]
    told = status_lines(loaded)["classic:studio/a"]
    assert told.startswith("broken")
    assert reason.replace("{folder}", str(studio.folder / "studio")) in told
    assert "studio-demo-key" not in told


def test_a_text_that_is_not_utf8_is_named_with_its_line(studio: ClassicStudio) -> None:
    """A file may name another encoding; the fix says how."""
    text = f"# no coding here\nNAME = 'Zo\u00eb'\n{ONE_CALLBACK}"
    studio.write("studio/a.py", text).write_bytes(text.encode("cp1252"))
    studio.write("studio/b.py", text).write_bytes(f"# coding: cp1252\n{text}".encode("cp1252"))
    loaded = studio.load("studio")
    assert [plugin.name for plugin in loaded.plugins] == ["classic:studio/b"]
    assert "a.py:2: it is not UTF-8; save it" in status_lines(loaded)["classic:studio/a"]


def test_a_file_whose_name_is_not_utf8_is_left_out(studio: ClassicStudio) -> None:
    """No state, log or answer could hold it; the others are loaded."""
    studio.write("studio/a.py", ONE_CALLBACK)
    name = os.fsencode(studio.folder / "studio") + b"/b\xff.py"
    Path(os.fsdecode(name)).write_text(ONE_CALLBACK)
    settings = studio.settings("studio")
    assert list(settings.classic_files) == ["classic:studio/a"]
    (warning,) = settings.warnings
    assert warning.message.endswith("b\\udcff.py is not called: its name is not UTF-8")


def test_a_link_in_a_circle_is_the_only_broken_file(studio: ClassicStudio) -> None:
    """The rest of the folder is read, and reported as such."""
    studio.write("studio/a.py", ONE_CALLBACK)
    (studio.folder / "studio" / "loop.py").symlink_to("loop.py")
    assert studio.settings("studio").warnings == ()
    assert status_lines(studio.load("studio"))["classic:studio/a"] == "enabled"


def test_names_that_differ_in_a_dot_are_different_modules(studio: ClassicStudio) -> None:
    """Neither takes the other's place in `sys.modules`."""
    text = f"import sys\nME = sys.modules[__name__]\n{ONE_CALLBACK}"
    for name in ("notify.v2", "notify_v2", "notify%2Ev2"):
        studio.write(f"studio/{name}.py", text)
    loaded = studio.load("studio")
    assert [vars(plugin.plugin)["ME"] for plugin in loaded.plugins] == [
        plugin.plugin for plugin in loaded.plugins
    ]
    assert [plugin.warnings for plugin in loaded.plugins] == [()] * 3


def test_a_filter_that_grows_is_read_when_all_is_registered(studio: ClassicStudio) -> None:
    """Callbacks that share a dict share what is put into it later, as in the classic daemon."""
    studio.write(
        "studio/a.py",
        """
        def registerCallbacks(reg):
            wanted = {}
            for name in ("Task", "Shot"):
                wanted["Shotgun_%s_Change" % name] = ["code"]
                reg.registerCallback("studio", "studio-demo-key", print, wanted)
            wanted["Shotgun_Version_New"] = None
        """,
    )
    shown = {callback.match.describe() for callback in studio.load("studio").callbacks}
    types = "Shotgun_Task_Change(code),Shotgun_Shot_Change(code),Shotgun_Version_New"
    assert shown == {f"matchEvents={types}"}


MAIN_THREAD = """
import asyncio, signal
from sqlite3 import connect
DATABASE = connect(":memory:")

def registerCallbacks(reg):
    reg.registerCallback("studio", "studio-demo-key", note)

def note(sg, logger, event, args):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    asyncio.get_event_loop()
    DATABASE.execute("SELECT 1")
"""


def test_what_needs_the_main_thread_is_warned_of(studio: ClassicStudio) -> None:
    """The classic daemon makes all calls there; here, worker processes do."""
    studio.write("studio/a.py", MAIN_THREAD)
    (plugin,) = studio.load("studio").plugins
    lines = [f"{studio.folder}/studio/a.py:{number}: " for number in (4, 10, 11)]
    advice = "needs calls in the main thread, as the classic daemon makes them: give its lane"
    assert sorted(plugin.warnings) == sorted(
        f'{line}{function} {advice} executor = "process"'
        for line, function in zip(
            lines, ("sqlite3.connect", "signal.signal", "asyncio.get_event_loop"), strict=True
        )
    )
    studio.write("apart/a.py", MAIN_THREAD)
    (plugin,) = studio.load("apart", tables='[lanes.default]\nexecutor = "process"\n').plugins
    assert plugin.warnings == ()


def test_what_works_in_any_thread_is_not_warned_of(studio: ClassicStudio) -> None:
    """A connection opened by the call itself, or for all threads; a handler set by loading."""
    calls = """
def later():
    sqlite3.connect(":memory:")
    logger.signal()
"""
    opens = 'import sqlite3\nsqlite3.connect(":memory:", check_same_thread=False)\n'
    studio.write("studio/a.py", opens + ONE_CALLBACK + calls)
    (plugin,) = studio.load("studio").plugins
    assert plugin.warnings == ()


def test_a_script_name_that_is_no_text_is_taken_as_one(studio: ClassicStudio) -> None:
    """The classic daemon registers it too; what the site makes of it shows at the first call."""
    text = ONE_CALLBACK.replace('"studio", "studio-demo-key"', "7, b'studio-demo-key'")
    studio.write("studio/a.py", text)
    (plugin,) = studio.load("studio").plugins
    assert plugin.callbacks[0].credentials is not None
    assert plugin.callbacks[0].credentials.script_name == "7"
    assert any("a.py:3: the scriptName or the scriptKey is no text" in w for w in plugin.warnings)


def test_feature_detection_finds_no_additions(studio: ClassicStudio) -> None:
    """Plugins that ask with hasattr whether their registrar has more go on without it."""
    studio.write(
        "studio/a.py",
        f"""{ONE_CALLBACK}
old = registerCallbacks
def registerCallbacks(reg):
    assert not hasattr(reg, "getName") and getattr(reg, "getConfig", None) is None
    old(reg)
""",
    )
    assert status_lines(studio.load("studio")) == {"classic:studio/a": "enabled"}


def test_a_folder_with_an_init_is_warned_of(studio: ClassicStudio) -> None:
    """Some versions of the classic daemon take it for a plugin; packages to import are fine."""
    studio.write("studio/tools/__init__.py", "VALUE = 1\n")
    studio.write("studio/notify/__init__.py", ONE_CALLBACK)
    (warning,) = studio.settings("studio").warnings
    assert warning.key == "classic.paths[0].path"
    assert "notify/__init__.py registers callbacks" in warning.message
    assert "notify_plugin.py" in warning.fix


def test_folders_that_others_can_change_are_warned_of(studio: ClassicStudio) -> None:
    """Whoever can write there decides what the daemon runs."""
    studio.write("studio/a.py", ONE_CALLBACK).parent.chmod(0o777)
    (warning,) = studio.settings("studio").warnings
    assert "every user can change this folder" in warning.message
    assert warning.line == 6


def test_keys_in_the_source_are_never_shown(studio: ClassicStudio) -> None:
    """Not even by an error in the line in which they stand, before they are registered."""
    text = """
        KEY = "in-a-constant"

        def registerCallbacks(reg):
            reg.registerCallback("a", KEY, print)
            reg.registerCallback(missing, "in-the-line", print)
    """
    studio.write("studio/a.py", text)
    loaded = studio.load("studio")
    (broken,) = [one for one in loaded.statuses if one.status == "broken"]
    assert "NameError" in broken.reason
    assert '"***"' in broken.traceback
    assert "in-the-line" not in repr(broken)
    assert "in-a-constant" not in repr(broken)


def test_a_callback_cannot_be_registered_later(studio: ClassicStudio) -> None:
    """Once the function has returned, the plugin's callbacks are known."""
    text = f"{ONE_CALLBACK}\nold, kept = registerCallbacks, []\n"
    text += "def registerCallbacks(reg):\n    old(reg)\n    kept.append(reg)\n"
    studio.write("studio/a.py", text)
    (plugin,) = studio.load("studio").plugins
    module = vars(plugin.plugin)
    with pytest.raises(RegistrationError, match="the registrar is closed"):
        module["kept"][0].registerCallback("a", "a-demo-key", print)


def test_defaults_of_a_classic_plugin_are_those_it_expects(studio: ClassicStudio) -> None:
    """One call for an event, by one thread at a time; its table can say otherwise."""
    studio.write("studio/a.py", ONE_CALLBACK)
    studio.write("studio/b.py", ONE_CALLBACK)
    tables = '[plugins."classic:studio/b"]\nmax_attempts = 5\nconcurrency = 8\n'
    plugins = studio.settings("studio", tables=tables).plugins
    a, b = plugins["classic:studio/a"], plugins["classic:studio/b"]
    assert (a.max_attempts, a.concurrency, a.breaker_events) == (1, 1, 0)
    assert (b.max_attempts, b.concurrency, b.breaker_events) == (5, 8, 0)


def test_modules_of_one_name_in_two_folders_are_warned_of(studio: ClassicStudio) -> None:
    """Python imports one module of a name; plugins of one name are no trouble."""
    for folder in ("one", "two"):
        studio.write(f"{folder}/a.py", ONE_CALLBACK)
        studio.write(f"{folder}/common.py", f"FOLDER = {folder!r}\n")
    (warning,) = studio.settings("one", "two").warnings
    assert warning.message.startswith("common.py is also in ")
    assert warning.line == 8


def test_an_async_callback_is_refused(studio: ClassicStudio) -> None:
    """Nothing awaits it in a classic plugin; the fix names the way to one that may be async."""
    text = ONE_CALLBACK.replace("def call(", "async def call(")
    studio.write("studio/a.py", text)
    studio.write("studio/b.py", text.replace("    pass", "    yield"))
    loaded = studio.load("studio")
    first, second = (one for one in loaded.statuses if one.name.startswith("classic:"))
    assert "call is async: calling it would run nothing" in first.reason
    assert "sgevents migrate plugin" in first.fix
    assert "call is an async generator" in second.reason
