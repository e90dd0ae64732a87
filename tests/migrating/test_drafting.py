"""A package drafted from a classic plugin: it runs before any edit, and no key is in it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from old_studio import OldStudio
from running_daemon import RunningDaemon

from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox

KEY = "an-invented-key-4711-for-tests"
PLUGIN = f"""\
\"\"\"Roll up.\"\"\"
from __future__ import print_function
import _tools

JIRA_TOKEN = "{KEY}"


def registerCallbacks(reg):
    reg.setEmails("anna@studio")
    match = {{"Shotgun_Task_Change": ["sg_status_list", "due_date"], "Shotgun_Note_New": None}}
    state = {{"seen": [], "pair": (1, 2)}}
    reg.registerCallback("studio", "{KEY}-2", roll_up, match, state)
    launches = {{"Toolkit_Desktop_AppLaunch": None}}
    reg.registerCallback("studio", "{KEY}-2", other, launches, state, False)
    reg.registerCallback("studio", "{KEY}-2", every)
    nothing = {{"Shotgun_Shot_New": ["code"], "Studio_A": []}}
    reg.registerCallback("studio", "{KEY}-2", never, nothing)


# A comment that stays, unlike {KEY}.
def roll_up(sg, logger, event, args):
    assert args["pair"] == (1, 2)
    args["seen"].append(event["id"])
    _tools.note("roll_up", event)
    event.clear()


def other(sg, logger, event, args):
    _tools.note("other %d" % len(args["seen"]), event)


def every(sg, logger, event, args):
    _tools.note("every", event)


def never(sg, logger, event, args):
    raise AssertionError(event)
"""
TOOLS = """\
import os

PASSWORD = "{key}"

def note(name, event):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write("%s %d\\n" % (name, event["id"]))
"""
COMPUTED = """\
import os

def registerCallbacks(reg):
    logger = reg.getLogger()
    if not valid(logger):
        return
    for entity in ("Shot", "Task"):
        reg.registerCallback(
            os.environ["STUDIO_NAME"], os.environ["STUDIO_KEY"], Counting(entity),
            {"Shotgun_%s_Change" % entity: ["*"]}, stopOnError=False)
    reg.registerCallback("a", "b", callback=every, matchEvents=None)

def valid(logger):
    return True

class Counting:
    def __init__(self, entity):
        self.entity = entity

    def __call__(self, sg, logger, event, args):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write("%s %d\\n" % (self.entity, event["id"]))

def every(sg, logger, event, args):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write("every %d\\n" % event["id"])
"""


def draft(studio: OldStudio, name: str, *words: str) -> Path:
    """Draft a package from a file; return its folder."""
    file = studio.folder / "studio" / f"{name}.py"
    ran = CliRunner().invoke(
        sgevents, ["migrate", "plugin", str(file), "-o", str(studio.folder), *words]
    )
    assert ran.exit_code == 0, ran.output
    assert KEY not in ran.output
    return studio.folder / ran.output.split(" is a plugin package")[0].rpartition("/")[2]


def own_tests(folder: Path) -> str:
    """Run the tests in a draft as they are, and check the names in it; return the output."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def texts(folder: Path) -> str:
    """All that a draft contains."""
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def run_on_site(
    folder: Path, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Run a draft's plugin in the daemon, on events of a site; return what it noted."""
    notes = tmp_path / "notes.txt"
    for name, value in {"NOTES": str(notes), "STUDIO_NAME": "a", "STUDIO_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    with Sandbox(api_key="only-a-demo-key") as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("drafted", f"from {package}.plugin import *\n", keys="max_attempts = 1")
        first = site.event("Shotgun_Task_Change", attribute_name="due_date")
        site.event("Shotgun_Shot_Change", attribute_name="code")
        site.event("Toolkit_Desktop_AppLaunch")
        daemon.feed = f'poll_interval = "50ms"\nstart = {first}\n'
        assert daemon.drain() == 0, daemon.output.read_text()
    lines = [line.split(" ") for line in notes.read_text().splitlines()]
    return [" ".join([*words, str(int(id_) - first)]) for *words, id_ in lines]


def test_hooks_are_drafted_with_filters(
    studio: OldStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads, its tests pass, and it is called for what the classic plugin was called for."""
    studio.write("studio/_tools.py", TOOLS.format(key=KEY))
    studio.write("studio/rollUp.py", PLUGIN)
    before = (studio.folder / "studio/rollUp.py").read_text()
    folder = draft(studio, "rollUp")
    assert folder.name == "roll-up"
    plugin = (folder / "roll_up" / "plugin.py").read_text()
    assert "def roll_up(event: Event, ctx: Context)" in plugin
    assert '@hookimpl(specname="on_change")' in plugin
    assert 'event_type="Shotgun_Task_Change", attribute=["sg_status_list", "due_date"]' in plugin
    assert "# TRANSLATE: registerCallbacks also did this" in plugin
    assert "# reg.setEmails('anna@studio')" in plugin
    assert KEY not in texts(folder)
    assert (studio.folder / "studio/rollUp.py").read_text() == before
    assert "4 passed" in own_tests(folder)
    assert run_on_site(folder, "roll_up", tmp_path, monkeypatch) == [
        "roll_up 0",
        "every 0",
        "every 1",
        "other 1 2",
        "every 2",
    ]


ELSEWHERE = """\
# -*- coding: {coding} -*-
import tools
from studio_pipeline import names

def registerCallbacks(reg):
    reg.registerCallback("a", "b", note, {{"Shotgun_Task_Change": ["content"]}})

def note(sg, logger, event, args):
    assert names.PLACE == tools.PLACE == "Zürich", tools.PLACE
"""


@pytest.mark.parametrize("coding", ["latin-1", "utf-8-sig"])
def test_files_in_any_encoding_and_packages_beside_are_taken_over(
    studio: OldStudio, coding: str
) -> None:
    """The draft is UTF-8, and says so; it has the packages that the plugin imports."""
    named = coding.removesuffix("-sig")
    files = {
        "notify.py": ELSEWHERE.format(coding=named),
        "tools.py": f'# coding: {named}\r\nPLACE = "Zürich"\r\n',
        "studio_pipeline/__init__.py": "",
        "studio_pipeline/names.py": f"# coding: {named}\nfrom .deep import PLACE\n",
        "studio_pipeline/deep/__init__.py": f'# coding: {named}\nPLACE = "Zürich"\n',
    }
    for name, text in files.items():
        studio.write(f"studio/{name}", "").write_bytes(text.encode(coding))
    folder = draft(studio, "notify")
    written = (folder / "notify" / "callbacks.py").read_text("utf-8")
    assert "# -*- coding: utf-8 -*-" in written
    assert '"Zürich"' in written
    assert "TRANSLATE: add the packages" not in texts(folder)
    own_tests(folder)


def test_a_comment_in_no_encoding_is_taken_over(studio: OldStudio) -> None:
    """Python does not mind it; the characters are replaced."""
    text = ELSEWHERE.format(coding="x").partition("\n")[2].replace("import tools\n", "# caf\xe9\n")
    text = text.replace("from studio_pipeline import names\n", "").replace("Zürich", "")
    studio.write("studio/notify.py", "").write_bytes(text.encode("latin-1"))
    assert "# caf\ufffd" in texts(draft(studio, "notify"))


def test_what_is_computed_registers_as_ever(
    studio: OldStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops, conditions and instances: the reason is given, and it runs."""
    studio.write("studio/computed.py", COMPUTED)
    folder = draft(studio, "computed")
    assert "# TRANSLATE: line 8: it registers under a condition" in texts(folder)
    assert "1 passed" in own_tests(folder)
    assert run_on_site(folder, "computed", tmp_path, monkeypatch) == [
        "Task 0",
        "every 0",
        "Shot 1",
        "every 1",
        "every 2",
    ]


def test_the_readme_has_the_table_of_the_configuration(studio: OldStudio) -> None:
    """With the script's name, and its key as a reference."""
    studio.write(
        "studio/notify.py",
        f"def registerCallbacks(reg):\n    reg.registerCallback('bot', '{KEY}', work)\n"
        "def work(sg, logger, event, args): pass\n",
    )
    readme = (draft(studio, "notify", "--name", "studio-notes") / "README.md").read_text()
    assert 'script_name = "bot"' in readme
    assert 'api_key = { env = "SGEVENTS_STUDIO_NOTES_KEY" }' in readme
    assert "[plugins.studio-notes]" in readme
    assert KEY not in readme


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print 'x'\n", "it is Python 2, convert it first: line 1: print is a statement"),
        ("def f(:\n", "line 1"),
        ("x = 1\n", "it registers nothing"),
        ("from base import *\n", "no function registerCallbacks"),
    ],
)
def test_what_cannot_be_drafted_is_a_message(studio: OldStudio, text: str, says: str) -> None:
    """And nothing is written."""
    file = studio.write("studio/notify.py", text)
    ran = CliRunner().invoke(sgevents, ["migrate", "plugin", str(file), "-o", str(studio.folder)])
    assert ran.exit_code == 2
    assert says in ran.output
    assert not (studio.folder / "notify").exists()


def test_nothing_is_written_over(studio: OldStudio) -> None:
    """A folder that is there stays."""
    studio.write("studio/notify.py", "def registerCallbacks(reg): pass\n")
    (studio.folder / "notify").mkdir()
    file = studio.folder / "studio" / "notify.py"
    ran = CliRunner().invoke(sgevents, ["migrate", "plugin", str(file), "-o", str(studio.folder)])
    assert ran.exit_code != 0
    assert list((studio.folder / "notify").iterdir()) == []


@pytest.mark.parametrize("where", ["f'{1}%s'", "b'%s'.decode()", "'''%s'''", "'a' '%s'", "u'%s'"])
def test_a_key_in_any_form_is_left_out(studio: OldStudio, where: str) -> None:
    """Parts of texts too."""
    secret = where % KEY
    text = textwrap.dedent(f"""
        api_key = "{KEY}"
        other = {secret}
        def registerCallbacks(reg):
            reg.registerCallback("a", api_key, work, args={{"x": {secret}}})
        def work(sg, logger, event, args): pass
    """)
    studio.write("studio/notify.py", text)
    folder = draft(studio, "notify")
    assert KEY not in texts(folder)
    for path in folder.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")


def test_callbacks_may_have_any_name(studio: OldStudio) -> None:
    """Also those that the drafted module uses itself."""
    names = ["match", "hookimpl", "Event", "callbacks", "_call"]
    lines = "".join(
        f"    reg.registerCallback('a', KEY, {name}, {{'Shotgun_Shot_New': None}})\n"
        for name in names
    )
    defined = "".join(f"def {name}(sg, logger, event, args): pass\n" for name in names)
    studio.write("studio/notify.py", f"KEY = ''\ndef registerCallbacks(reg):\n{lines}\n{defined}")
    assert "5 passed" in own_tests(draft(studio, "notify"))
