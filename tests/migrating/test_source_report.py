"""The report on plugin files, from their syntax trees alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from old_studio import OldStudio

from sgevents_core.migrating.registrations import TypeFilter, filter_of, shown_filter
from sgevents_core.migrating.source_report import SourceReport, report_on

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
MIME_TEXT = "Python 3 has no module email.MIMEText"
KEY = "an-invented-key-4711-for-tests"


def report(
    studio: OldStudio, text: str, name: str = "notify.py", **environment: str
) -> SourceReport:
    """The report on a file with a text."""
    return report_on(studio.write(f"studio/{name}", text), (), environment)


def remarks(found: SourceReport) -> list[tuple[str, int, str]]:
    """Its remarks."""
    return [tuple(remark) for remark in found.remarks]  # type: ignore[misc]  # each has three


def test_callbacks_and_filters_are_shown(studio: OldStudio) -> None:
    """Names, filters and policies, also of names that stand for values."""
    found = report(
        studio,
        """
        TYPE = "Shotgun_Task_Change"
        FIELDS = ["sg_status_list"] + ["task_assignees"]

        def registerCallbacks(reg):
            entity = "Shot"
            filters = {TYPE: FIELDS, "Shotgun_%s_New" % entity: None}
            reg.registerCallback("studio", get_key(), first, filters, {"a": 1})
            reg.registerCallback(callback=Second(), stopOnError=False,
                sgScriptName="studio", sgScriptKey=get_key(), matchEvents={"*": ["code"]})
            reg.registerCallback("studio", get_key(), reg.logger.info)

        def get_key():
            return "x"

        def first(sg, logger, event, args): pass

        class Second:
            def __call__(self, sg, logger, event, args): pass
        """,
    )
    assert found.loads
    assert [
        (each.line, each.callback_name, shown_filter(each.match), each.stop_on_error)
        for each in found.registrations
    ] == [
        (
            8,
            "first",
            "Shotgun_Task_Change [sg_status_list, task_assignees]; Shotgun_Shot_New",
            True,
        ),
        (9, "Second()", "every type [code]", False),
        (11, "reg.logger.info", "every type", True),
    ]
    kinds = [remark.kind for remark in found.remarks]
    assert kinds == ["differs"]
    assert "leaves a dead letter" in found.remarks[0].text


def test_what_only_running_shows_is_said_to_be_so(studio: OldStudio) -> None:
    """A filter that is computed, and callbacks registered in a loop."""
    found = report(
        studio,
        """
        from settings_of_studio import TYPES

        def registerCallbacks(reg):
            for name in TYPES:
                reg.registerCallback("studio", KEYS["studio-secret"], work, {name: None})

        def work(sg, logger, event, args): pass
        """,
    )
    (each,) = found.registrations
    assert each.repeated
    assert filter_of(each.match) is None
    assert "only --load shows" in shown_filter(each.match)
    assert "studio-secret" not in str(each)


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        (None, [TypeFilter("*", None)]),
        ({}, [TypeFilter("*", None)]),
        ({"*": None, "A": ["b"]}, [TypeFilter("*", None)]),
        ({"A": ["*", "b"]}, [TypeFilter("A", None)]),
        ({"A": "sg_status_list"}, [TypeFilter("A", ("sg_status_list",), is_bare=True)]),
        ({"A": []}, [TypeFilter("A", ())]),
        (["A", "B"], [TypeFilter("A", None), TypeFilter("B", None)]),
        ("A", [TypeFilter("A", None)]),
        ({"A": 3}, None),
        ({"A": [3]}, None),
        (3, None),
    ],
)
def test_filters_mean_what_they_mean_here(match: object, wanted: list[TypeFilter] | None) -> None:
    """Every form, by type and attribute."""
    assert filter_of(match) == wanted


OLD = {
    "print 'a'": "print is a statement",
    "try:\n    pass\nexcept ValueError, error:\n    pass": "except has a comma",
    "exec 'a'": "exec is a statement",
    "raise ValueError, 'a'": "raise has a comma",
    "a = 1 <> 2": "<>",
    "a = `1`": "backticks",
    "a = 0777": "octal",
    "a = ur'x'": "prefix ur",
    "a = 5L": "long number",
    "def a((b, c)): pass": "tuple",
    "import urllib2": "no module urllib2",
    "from ConfigParser import ConfigParser": "no module ConfigParser",
    "import cPickle as pickle": "no module cPickle",
}


@pytest.mark.parametrize("line", OLD)
def test_python_2_is_told_with_its_line(studio: OldStudio, line: str) -> None:
    """Also what is no syntax error, but fails when the file is loaded."""
    text = f"import os\n\n{line}\n\ndef registerCallbacks(reg):\n    pass\n"
    found = report(studio, text)
    assert not found.loads
    (remark,) = found.remarks
    assert remark.kind == "python 2"
    assert OLD[line] in remark.text
    assert 3 <= remark.line <= 5


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("unicode(event)", "unicode"),
        ("event.has_key('id')", ".has_key()"),
        ("event.iteritems()", ".iteritems()"),
        ("xrange(3)", "xrange"),
        ("sys.maxint", "sys.maxint"),
        ("isinstance(event, basestring)", "basestring"),
        ("print >>sys.stderr, event", "print >>"),
        ("event.sort(cmp=c)", "sorting with cmp="),
        ("raise 'an error'", "raise with a string"),
        ("event.im_func", ".im_func"),
    ],
)
def test_python_2_that_fails_later_is_told(studio: OldStudio, use: str, name: str) -> None:
    """The file loads, and the call fails."""
    text = f"import sys\ndef registerCallbacks(reg): pass\ndef work(a, b, event, c):\n    {use}\n"
    found = report(studio, text)
    assert found.loads
    assert remarks(found) == [("differs", 4, f"{name} is Python 2, and fails when it is reached")]


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("from itertools import izip", ("python 2", 2, "Python 3 has no itertools.izip")),
        ("from email import Utils", ("python 2", 2, "Python 3 has no email.Utils")),
        ("from email.MIMEText import MIMEText", ("python 2", 2, MIME_TEXT)),
        ("from collections import Mapping", ("broken", 2, f"{PYTHON} has no collections.Mapping")),
        (
            "import collections; collections.Mapping",
            ("differs", 2, f"{PYTHON} has no collections.Mapping: it fails when it is reached"),
        ),
        ("import os.nothing", ("broken", 2, f"{PYTHON} has no module os.nothing")),
        ("print", ("differs", 2, "print without () is Python 2, and has no effect")),
        ("__metaclass__ = type", ("differs", 2, "__metaclass__ is Python 2, and has no effect")),
    ],
)
def test_what_this_python_lacks_is_told(
    studio: OldStudio, line: str, remark: tuple[str, int, str]
) -> None:
    """Members of its standard library too, and words that no longer do anything."""
    found = report(studio, f"def registerCallbacks(reg): pass\n{line}\n")
    assert remarks(found) == [remark]


def test_code_for_an_older_python_alone_is_not_told_of(studio: OldStudio) -> None:
    """A condition on the version decides whether it is reached."""
    found = report(
        studio,
        """
        import sys
        import string
        if sys.version_info[0] < 3:
            import cPickle
            from urllib import urlencode
            letters = string.letters
        collections = sys
        collections.Mapping

        def registerCallbacks(reg): pass
        """,
    )
    assert (found.loads, found.remarks) == (True, ())


def test_what_needs_the_main_thread_is_told(studio: OldStudio) -> None:
    """And the configuration calls plugins there."""
    text = (
        "import signal\ndef registerCallbacks(reg): pass\n"
        "def work(a, b, c, d):\n    signal.signal(signal.SIGALRM, None)\n"
    )
    reason = "signal.signal needs calls in the main thread, as the classic daemon makes them"
    assert remarks(report(studio, text)) == [("main thread", 4, reason)]
    studio.write_conf()
    studio.run("shotgunEventDaemon.conf")
    written = studio.config.read_text()
    assert f'# notify.py, line 4: {reason}\n[lanes.default]\nexecutor = "process"\n' in written


def test_a_module_beside_a_folder_that_the_file_adds(studio: OldStudio) -> None:
    """Where a file extends the search path, only loading shows what it finds."""
    text = (
        "import sys\nsys.path.append('/studio')\nimport tools\ndef registerCallbacks(reg): pass\n"
    )
    found = report(studio, text)
    assert found.loads
    (remark,) = found.remarks
    assert "tools is not found here, but the file extends sys.path: --load" in remark.text


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("f = {}\nf.update(x)", "filter <f>, which only --load shows"),
        ("f = {'Shotgun_Task_New': None}\ndel f['x']", "filter <f>, which only --load shows"),
        ("f = dict(Shotgun_Task_Change=['code'])", "Shotgun_Task_Change [code]"),
        ("f = dict(**x)", "filter <dict(**x)>, which only --load shows"),
    ],
)
def test_filters_that_are_built_in_steps(studio: OldStudio, code: str, shown: str) -> None:
    """A dict that is changed later is not taken for the empty one that it was."""
    steps = "\n".join(f"    {line}" for line in code.splitlines())
    text = f"def registerCallbacks(reg):\n{steps}\n    reg.registerCallback(N, K, len, f)\n"
    (registration,) = report(studio, text).registrations
    assert shown_filter(registration.match) == shown


def test_arguments_that_are_unpacked_are_known_to_loading_alone(studio: OldStudio) -> None:
    """Nothing is guessed about them."""
    text = "def registerCallbacks(reg):\n    reg.registerCallback(*each, **more)\n"
    (registration,) = report(studio, text).registrations
    assert (registration.callback_name, shown_filter(registration.match)) == (
        "<*>",
        "filter <*>, which only --load shows",
    )


def test_a_file_for_both_pythons_is_fine(studio: OldStudio) -> None:
    """What asks which Python it runs on is not told of."""
    found = report(
        studio,
        """
        try:
            import urllib2
        except ImportError:
            from urllib import request as urllib2
        try:
            unicode
        except NameError:
            unicode = str

        def registerCallbacks(reg): pass
        """,
    )
    assert (found.loads, found.remarks) == (True, ())


def test_missing_modules_are_told(studio: OldStudio) -> None:
    """Those of the folder, of Python and of packages are there; nothing is imported to find out."""
    studio.write("studio/_helper.py", "raise SystemExit('never run')\n")
    found = report(
        studio,
        """
        import os, json, xml.dom.minidom
        import shotgun_api3
        import _helper
        import studio_pipeline.core
        from . import sibling
        import shotgunEventDaemon

        def registerCallbacks(reg): pass

        def later(sg, logger, event, args):
            import studio_render
        """,
    )
    assert not found.loads
    assert remarks(found) == [
        ("missing module", 5, "module studio_pipeline is not installed here"),
        ("missing module", 7, "shotgunEventDaemon is a module of the classic daemon itself"),
        ("differs", 12, "module studio_render is not installed here, when it is called"),
    ]


def test_modules_beside_the_classic_daemon_are_found(studio: OldStudio) -> None:
    """Its folder is one in which plugins find modules, and becomes [classic] syspath."""
    studio.write("shotgunEventDaemon.py", "raise SystemExit('never run')\n")
    studio.write("studio_tools.py", "raise SystemExit('never run')\n")
    studio.write("studio/notify.py", "import studio_tools\ndef registerCallbacks(reg): pass\n")
    studio.write_conf()
    moved = studio.run("shotgunEventDaemon.conf")
    assert "notify.py: should load" in moved.output
    assert f'syspath = ["{studio.folder}"]' in studio.config.read_text()


KEYS = {
    "registered": 'reg.registerCallback("studio", "{key}", work)',
    "by name": 'secret = "{key}"\n    reg.registerCallback("studio", secret, work)',
    "by keyword": 'reg.registerCallback(sgScriptName="a", sgScriptKey="{key}", callback=work)',
    "of a client": 'import shotgun_api3\n    shotgun_api3.Shotgun("https://a.b", "a", "{key}")',
    "of a keyword": 'connect(api_key="{key}")',
    "of a dict": 'config = {{"password": "{key}"}}',
    "assigned": 'jira_token = "{key}"',
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("words", [["--check"], ["--check", "--load"], []])
def test_keys_in_the_source_are_told_and_never_shown(
    studio: OldStudio, name: str, words: list[str]
) -> None:
    """Neither by the report, nor by loading, nor in what is written."""
    line = KEYS[name].format(key=KEY)
    studio.write(
        "studio/notify.py",
        f"def work(sg, logger, event, args): pass\ndef connect(**k): pass\n"
        f"def registerCallbacks(reg):\n    {line}\n    raise ValueError('{KEY}')\n",
    )
    studio.write_conf()
    ran = studio.run(*words, "shotgunEventDaemon.conf")
    assert ran.exit_code == 0, ran.output
    assert "a key is written into the source" in ran.output
    assert "notify.py:4" in ran.output or "notify.py:5" in ran.output
    written = studio.config.read_text() if studio.config.exists() else ""
    assert KEY not in ran.output + written


def test_keys_in_python_2_are_told_too(studio: OldStudio) -> None:
    """Although there is no syntax tree."""
    found = report(
        studio,
        f"""
        def registerCallbacks(reg):
            print "x"
            reg.registerCallback(
                'studio',
                '{KEY}', work)
        """,
    )
    assert [remark.kind for remark in found.remarks] == ["python 2", "key"]
    assert KEY in found.secrets
    assert KEY not in str(found.remarks)


@pytest.mark.parametrize(
    "placeholder", ["$DEMO_API_KEY$", "<your key>", "{key}", "your-key", "xxxx"]
)
def test_a_placeholder_is_no_key(studio: OldStudio, placeholder: str) -> None:
    """But it says that something is missing."""
    text = f"def registerCallbacks(reg):\n    reg.registerCallback('a', '{placeholder}', len)\n"
    (remark,) = report(studio, text).remarks
    assert "placeholder" in remark.text


def test_environment_variables_are_told(studio: OldStudio) -> None:
    """Those that it cannot do without, unless they are set."""
    found = report(
        studio,
        """
        import os
        def registerCallbacks(reg):
            key = os.environ["STUDIO_KEY"]
            name = os.environ["STUDIO_NAME"]
            other = os.environ.get("STUDIO_OTHER")
            reg.registerCallback(name, key, len)
        """,
        STUDIO_NAME="x",
    )
    assert remarks(found) == [
        ("environment", 4, "it needs the environment variable STUDIO_KEY"),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("reg.getConfig()", "reg.getConfig is an addition"),
        ("reg.getName()", "reg.getName is an addition"),
        ("reg.logger.config.getShotgunURL()", "logger.config is the classic daemon's own"),
        ("x = reg.getEngine", "reg.getEngine is an addition"),
        (
            "reg.registerCallback('a', K, work, sgConnection=1)",
            "registerCallback(sgConnection=...)",
        ),
        ("reg.registerCallback('a', K, work, {'T': 'code'})", "bare string"),
        ("reg.registerCallback('a', K, work, ['T'])", "the filter is not a dict"),
        ("reg.registerCallback('a', K, work, 5)", "cannot be compared with an event"),
        ("reg.registerCallback('a', K, work, {'*': None, 'T': []})", "useless"),
        ("reg.registerCallback('a', K, few, None)", "few cannot be called with"),
        ("reg.registerCallback('a', K, named, None)", "named cannot be called with"),
    ],
)
def test_what_will_differ_is_told(studio: OldStudio, line: str, says: str) -> None:
    """Additions of forks, filters, signatures."""
    found = report(
        studio,
        f"""
        import os
        K = os.environ["K"]
        def registerCallbacks(reg):
            {line}
        def work(sg, logger, event, args): pass
        def few(sg, logger): pass
        def named(sg, logger, event, args, *, more): pass
        """,
        K="1",
    )
    assert [says in remark.text for remark in found.remarks] == [True], found.remarks
    assert found.remarks[0].line == 5


def test_callbacks_with_more_parameters_may_be_fine(studio: OldStudio) -> None:
    """What has defaults, or takes any number."""
    found = report(
        studio,
        """
        def registerCallbacks(reg):
            reg.registerCallback("a", reg.key_of(), more)
            reg.registerCallback("a", reg.key_of(), any_number)
        def more(sg, logger, event, args, extra=None): pass
        def any_number(*all): pass
        """,
    )
    assert {remark.text for remark in found.remarks} == {
        "reg.key_of is an addition of some versions, not known here"
    }


@pytest.mark.parametrize("name", ["_helper.py", "tools.py"])
def test_modules_for_others_are_no_plugins(studio: OldStudio, name: str) -> None:
    """They are told once, as such."""
    found = report(studio, "def helper(): pass\n", name)
    assert (found.is_helper, found.loads) == (True, False)


@pytest.mark.parametrize(
    "text",
    ["from base import *\n", "from base import registerCallbacks\n", "registerCallbacks = f\n"],
)
def test_a_plugin_may_get_its_function_from_elsewhere(studio: OldStudio, text: str) -> None:
    """Then only loading shows what it registers."""
    studio.write("studio/base.py", "def registerCallbacks(reg): pass\n")
    found = report(studio, text)
    assert (found.is_helper, found.entrance) == (False, None)


@pytest.mark.parametrize(
    "content", [b"def (:\n", b"\x00", b"a = '\xff'\n", b"(" * 5000, b"# coding: nonsense\n"]
)
def test_a_broken_file_is_a_remark(studio: OldStudio, content: bytes) -> None:
    """Whatever is in it."""
    path = studio.write("studio/broken.py", "")
    path.write_bytes(content)
    (remark,) = report_on(path).remarks
    assert remark.kind == "broken"


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        (b"\nx = '\xff'\n", 2, "it is not UTF-8; save it as UTF-8"),
        (b"f(\n", 1, "'(' was never closed"),
    ],
)
def test_a_broken_file_is_named_with_line_and_reason(
    studio: OldStudio, content: bytes, line: int, text: str
) -> None:
    """The same as when it is loaded."""
    path = studio.write("studio/broken.py", "")
    path.write_bytes(content)
    (remark,) = report_on(path).remarks
    assert remark.line == line
    assert remark.text.startswith(text)


def test_a_file_that_cannot_be_read_is_a_remark(studio: OldStudio) -> None:
    """Such as a link to nowhere."""
    path = studio.folder / "studio" / "gone.py"
    path.symlink_to("nowhere")
    (remark,) = report_on(path).remarks
    assert (remark.kind, "cannot be read" in remark.text) == ("broken", True)


def test_the_command_reports_on_every_file(studio: OldStudio) -> None:
    """By folder, with a sum, and without having run any of it."""
    touched = studio.folder / "touched"
    studio.write("studio/_tools.py", "x = 1\n")
    studio.write(
        "studio/good.py", f"open({str(touched)!r}, 'w')\ndef registerCallbacks(reg): pass\n"
    )
    studio.write("studio/old.py", "print 'x'\ndef registerCallbacks(reg): pass\n")
    studio.write("studio/forked/__init__.py", "def registerCallbacks(reg): pass\n")
    studio.write_conf(paths=f"{studio.folder}/studio, {studio.folder}/nowhere")
    checked = studio.run("--check", "shotgunEventDaemon.conf")
    assert checked.exit_code == 0
    assert "good.py: should load, 0 callbacks" in checked.output
    assert "old.py: Python 2 only" in checked.output
    assert "old.py:1: print is a statement" in checked.output
    assert "_tools.py: not a plugin" in checked.output
    assert "forked/: a folder with __init__.py" in checked.output
    assert "cannot be read: No such file or directory" in checked.output
    assert "2 plugins: 1 should load, 1 does not; 1 other module." in checked.output
    assert not touched.exists()
    loaded = studio.run("--check", "--load", "shotgunEventDaemon.conf")
    assert touched.exists()
    assert "classic:studio/good loads, 0 callbacks" in loaded.output
    assert "classic:studio/old is broken" in loaded.output


def test_loading_happens_in_another_process(studio: OldStudio) -> None:
    """A plugin that ends its process ends that one."""
    studio.write_noting("studio/good.py")
    studio.write("studio/ends.py", "import os\nos._exit(3)\ndef registerCallbacks(reg): pass\n")
    studio.write_conf()
    loaded = studio.run("--check", "--load", "shotgunEventDaemon.conf")
    assert loaded.exit_code == 0
    assert "classic:studio/good loads, 1 callback" in loaded.output
    assert "classic:studio/ends is broken" in loaded.output


def test_filters_that_were_loaded_are_shown_in_words(studio: OldStudio) -> None:
    """As everywhere else, not as values of Python."""
    studio.write_noting("studio/some.py", match="{'Shotgun_Task_Change': ['sg_status_list']}")
    studio.write_noting("studio/all.py", stop=False)
    studio.write_conf()
    loaded = studio.run("--check", "--load", "shotgunEventDaemon.conf")
    assert (
        "note: matchEvents=Shotgun_Task_Change(sg_status_list) (on error: pause)" in loaded.output
    )
    assert "note: every event (on error: dead-letter)" in loaded.output


def test_a_module_in_another_folder_of_plugins_is_found(studio: OldStudio) -> None:
    """Plugins find the modules of all folders, so the report does; no folder is named for that."""
    studio.write("studio/studio_things.py", "VALUE = 1\n")
    text = "import studio_things\ndef registerCallbacks(reg): pass\n"
    studio.write("show/a.py", text)
    studio.write_conf(paths=f"{studio.folder}/studio, {studio.folder}/show")
    assert "a.py: should load" in studio.run("--check", "shotgunEventDaemon.conf").output
    assert studio.run("shotgunEventDaemon.conf").exit_code == 0
    assert "syspath" not in studio.config.read_text()


def test_paths_of_the_search(studio: OldStudio, tmp_path: Path) -> None:
    """A folder in which a module was found is named, for the configuration."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "studio_things.py").write_text("")
    path = studio.write("studio/a.py", "import studio_things\ndef registerCallbacks(reg): pass\n")
    assert report_on(path, [tmp_path / "tools"]).modules == (tmp_path / "tools",)
    assert not report_on(path).loads
