"""A configuration file as a whole: what it becomes, and how everything wrong in it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from sgevents_core.settings import (
    Ago,
    ConfigError,
    LaneSettings,
    Problem,
    Secret,
    Settings,
    load_settings,
)

SITE = """\
[site]
url = "https://studio.example.com"
script_name = "sgevents"
api_key = "demo-key"
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration, readable by its owner alone, and return its path."""

    def write_text(toml_text: str) -> Path:
        path = tmp_path / "sgevents.toml"
        path.write_text(toml_text, "utf-8")
        path.chmod(0o600)
        return path

    return write_text


@pytest.fixture
def problems(write: Write) -> Callable[[str], tuple[Problem, ...]]:
    """Return what is wrong with a text; a [site] that is right is put in front of it."""

    def problems_of(toml_text: str) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            load_settings(write(toml_text if "[site]" in toml_text else SITE + toml_text))
        assert caught.value.exit_code == 2
        return caught.value.problems

    return problems_of


Problems = Callable[[str], tuple[Problem, ...]]


@pytest.fixture
def one_problem(problems: Problems) -> Callable[[str], Problem]:
    """Return the one thing that is wrong with a text."""

    def one_problem_of(toml_text: str) -> Problem:
        (problem,) = problems(toml_text)
        return problem

    return one_problem_of


OneProblem = Callable[[str], Problem]


def load(write: Write, toml_text: str) -> Settings:
    """Load a text below a [site] that is right."""
    return load_settings(write(SITE + toml_text))


def test_a_site_is_all_that_is_needed(write: Write, tmp_path: Path) -> None:
    """Everything else has the default that the design names."""
    settings = load(write, "")
    assert settings.site.url == "https://studio.example.com"
    assert settings.site.api_key.reveal() == "demo-key"
    assert (settings.feed.poll_interval, settings.feed.idle_interval) == (1.0, 5.0)
    assert (settings.feed.backlog_timeout, settings.feed.settle) == (300.0, 0.0)
    assert (settings.feed.page_size, settings.feed.start) == (500, "now")
    assert settings.state.path == tmp_path / "state"
    assert settings.state.retention == 30 * 86400
    assert settings.lanes == {"default": LaneSettings()}
    assert (settings.groups, settings.plugins, settings.warnings) == ((), {}, ())
    assert settings.path == tmp_path / "sgevents.toml"


def test_every_key_arrives(write: Write, tmp_path: Path) -> None:
    """What the file says is what the settings hold, durations in seconds."""
    (tmp_path / "ca.pem").write_text("")
    settings = load_settings(
        write(
            SITE
            + """
            http_proxy = "http://proxy:8080/"
            ca_certs = "ca.pem"
            timeout = "10s"
            [feed]
            poll_interval = "250ms"
            backlog_timeout = "2m"
            settle = "2s"
            page_size = 2
            start = 2026-01-31T08:00:00+02:00
            audit_horizon = "2d"
            fields = ["sg_a"]
            [state]
            path = "../here"
            retention = "7d"
            [[groups]]
            name = "b"
            lane = "slow"
            [[groups]]
            name = "a"
            [lanes.slow]
            workers = 1
            order_by = "none"
            executor = "thread"
            [plugins."studio.rollup"]
            enabled = true
            group = "a"
            start = "7d"
            script_name = "rollup"
            api_key = "another-key"
            on_error = "pause"
            max_attempts = 1
            pause_after = 2
            distribution = "studio-rollup"
            version = ">=1.2"
            [plugins."studio.rollup".settings]
            depth = { a = [1, { b = 2.5 }] }
            [log]
            level = "debug"
            format = "json"
            file = "a.log"
            per_plugin = true
            keep = 0
            levels = { "studio.rollup" = "warning" }
            """
        )
    )
    assert settings.site.http_proxy == "proxy:8080"
    assert settings.site.ca_certs == str(tmp_path / "ca.pem")
    assert settings.feed.idle_interval == 1.25
    assert settings.feed.start == datetime(2026, 1, 31, 6, tzinfo=timezone.utc)
    assert settings.feed.fields == ("sg_a",)
    assert settings.state.path == tmp_path.parent / "here"
    assert [(group.name, group.lane) for group in settings.groups] == [("b", "slow"), ("a", None)]
    assert set(settings.lanes) == {"slow", "default"}
    plugin = settings.plugins["studio.rollup"]
    assert (plugin.enabled, plugin.group, plugin.start) == (True, "a", Ago(604800))
    assert plugin.api_key == Secret("another-key")
    assert (plugin.on_error, plugin.max_attempts, plugin.pause_after) == ("pause", 1, 2)
    assert (plugin.distribution, plugin.version) == ("studio-rollup", ">=1.2")
    assert plugin.settings == {"depth": {"a": [1, {"b": 2.5}]}}
    assert settings.log.file == tmp_path / "a.log"
    assert settings.log.levels == {"studio.rollup": "warning"}
    assert settings.warnings == ()


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems: Problems) -> None:
    """Each has its line and its key; none hides another."""
    found_problems = problems(
        """\
[site]
url = "studio.example.com"
script_name = "sgevents"
[feed]
poll_interval = 1
page_size = 1
setle = "1s"
[[groups]]
name = "a"
[plugins.one]
group = "aa"
enabled = "yes"
"""
    )
    assert [(problem.line, problem.key) for problem in found_problems] == [
        (1, "site.api_key"),
        (2, "site.url"),
        (5, "feed.poll_interval"),
        (6, "feed.page_size"),
        (7, "feed.setle"),
        (11, "plugins.one.group"),
        (12, "plugins.one.enabled"),
    ]


def test_the_error_reads_as_place_key_message_and_fix(write: Write) -> None:
    """Two lines for each problem, the first beginning with file and line as editors know them."""
    path = write(SITE + '[feed]\npoll_interval = 5\nsettle = "-1s"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert str(caught.value) == (
        "the configuration has 2 problems:\n\n"
        f"{path}:6: feed.poll_interval: expected a duration, got the number 5\n"
        '    fix: write it like poll_interval = "5s"\n'
        f'{path}:7: feed.settle: "-1s" is not a duration: a duration cannot be negative\n'
        '    fix: write it like settle = "1s"'
    )


@pytest.mark.parametrize(
    ("toml_text", "key", "message", "fix"),
    [
        # types
        ('[feed]\npage_size = "500"', "feed.page_size", "got the string", "page_size = 500"),
        ("[feed]\npage_size = true", "feed.page_size", "got true", "page_size = 500"),
        ("[feed]\npage_size = 500.0", "feed.page_size", "whole number", "page_size = 500"),
        ("[feed]\npage_size = 1", "feed.page_size", "from 2 to 5000", ""),
        ("[feed]\npage_size = 5001", "feed.page_size", "from 2 to 5000", ""),
        ("[feed]\nsettle = true", "feed.settle", "expected a duration, got true", ""),
        ("[feed]\nsettle = 2020-01-01", "feed.settle", "got a date", ""),
        ('[feed]\npoll_interval = "1ms"', "feed.poll_interval", "too short", '"10ms"'),
        ('[feed]\nsettle = "1 h"', "feed.settle", "leave out the spaces", ""),
        ('[feed]\nfields = "a"', "feed.fields", "list of strings", 'fields = ["a"]'),
        ("[feed]\nfields = [1]", "feed.fields[0]", "expected a string", '"1"'),
        ("[plugins.a]\nenabled = 1", "plugins.a.enabled", "true or false", "enabled = true"),
        ('[plugins.a]\nenabled = "yes"', "plugins.a.enabled", '"yes"', "enabled = true"),
        ('[plugins.a]\nenabled = "Off "', "plugins.a.enabled", '"Off "', "enabled = false"),
        ('[plugins.a]\nenabled = "ja"', "plugins.a.enabled", '"ja"', "enabled = true or false"),
        ("[plugins.a]\nenabled = []", "plugins.a.enabled", "a list", "enabled = true or false"),
        ('[plugins.a]\nenabled = "true"', "plugins.a.enabled", "", "enabled = true"),
        ("[plugins.a]\ngroup = { a = 1 }", "plugins.a.group", "got a table", ""),
        ('[plugins.a]\non_error = "skipp"', "plugins.a.on_error", "one of", '"skip"?'),
        ("[plugins.a]\nmax_attempts = 0", "plugins.a.max_attempts", "at least 1", ""),
        ('[plugins.a]\nversion = "1.2"', "plugins.a.version", "specifier", '"==1.2"'),
        ("[plugins.a]\nversion = 1.2", "plugins.a.version", "specifier", ">="),
        ("[plugins.a]\nsettings = 1", "plugins.a.settings", "expected a table", ""),
        ('[state]\npath = ""', "state.path", "expected a path", ""),
        ('[log]\nlevel = "INFO"', "log.level", "", '"info"?'),
        ('[plugins.a]\n[log.levels]\na = "dbug"', "log.levels.a", "", '"debug"?'),
        ("[log]\nlevels = 1", "log.levels", "expected a table", ""),
        # shapes
        (f"feed = 1\n{SITE}", "feed", "expected a table, got the number 1", "[feed]"),
        (f"settle = 1\n{SITE}", "settle", "no such key", "belongs below [feed]"),
        ("feeds = 1", "site.feeds", "there is no such key", "[site] knows"),
        ("[plugins]\na = true", "plugins.a", "expected a table, got true", "[plugins.a]"),
        ("[[plugins]]", "plugins", "expected a table, got a list", "[plugins.NAME]"),
        ('[groups]\nname = "a"', "groups", "list of tables", "[[groups]]"),
        ("[[groups]]", "groups[0].name", "missing", 'name = "..."'),
        # names
        ("[feeds]", "feeds", "no such table", "did you mean feed?"),
        ("[plugin.a]", "plugin", "no such table", "did you mean plugins?"),
        ("[other]", "other", "no such table", "site, feed, state"),
        ("[log]\nsettle = 1", "log.settle", "no such key", "belongs below [feed]"),
        ("[plugins.a]\ncolour = 1", "plugins.a.colour", "", "[plugins.a.settings]"),
        ("[plugins.a]\nenable = true", "plugins.a.enable", "", "did you mean enabled?"),
        ("[plugins.a.b]", "plugins.a.b", "no such table", '[plugins."a.b"]'),
        # start
        ('[feed]\nstart = "12"', "feed.start", "is a string", "leave out the quotes: 12"),
        ('[feed]\nstart = "2026-01-31T00:00:00Z"', "feed.start", "is a string", "quotes"),
        ("[feed]\nstart = 2026-01-31T00:00:00", "feed.start", "time zone", "T00:00:00Z for UTC"),
        ("[feed]\nstart = 2026-01-31", "feed.start", "time zone", "2026-01-31T00:00:00Z"),
        ("[feed]\nstart = 08:00:00", "feed.start", "got a time", '"now"'),
        ("[feed]\nstart = 0", "feed.start", "no event 0", "1 is the first"),
        ("[feed]\nstart = true", "feed.start", "got true", '"now"'),
        ('[feed]\nstart = "yesterday"', "feed.start", "not a start", '"7d"'),
        # rules
        ('[feed]\nsettle = "5m"', "feed.settle", "shorter than backlog_timeout (5m)", ""),
        ('[feed]\nbacklog_timeout = "2d"', "feed.backlog_timeout", "audit_horizon (1d)", ""),
        ('[feed]\nidle_interval = "50ms"', "feed.idle_interval", "poll_interval (1s)", ""),
        (
            '[[groups]]\nname = "a"\n[[groups]]\nname = "a"',
            "groups[1].name",
            "listed twice",
            "leave one",
        ),
        (
            '[[groups]]\nname = "a"\nlane = "rendr"\n[lanes.render]',
            "groups[0].lane",
            "no table [lanes.rendr]",
            'did you mean "render"?',
        ),
        (
            '[[groups]]\nname = "notify"\n[plugins.a]\ngroup = "notfy"',
            "plugins.a.group",
            "not listed",
            'did you mean "notify"?',
        ),
        ('[plugins.a]\nscript_name = "a"', "plugins.a.script_name", "needs api_key", "[site]"),
        ('[plugins.a]\napi_key = "a-key"', "plugins.a.api_key", "needs script_name", "[site]"),
        ("[log]\nper_plugin = true", "log.per_plugin", "needs a file", "file ="),
        # what this version does not do
        ("[lanes.default]\nworkers = 2", "lanes.default.workers", "order_by", "workers = 1"),
        ("[lanes.default]\nworkers = 0", "lanes.default.workers", "from 1 to 64", "workers = 1"),
        ("[lanes.default]\nworkers = 65", "lanes.default.workers", "from 1 to 64", "workers = 1"),
        ("[plugins.a]\nconcurrency = -1", "plugins.a.concurrency", "at least 1", "concurrency = 1"),
        (
            '[lanes.default]\nmax_rss = "lots"',
            "lanes.default.max_rss",
            "whole number, at least 1000000",
            "max_rss = 2000000000",
        ),
        (
            "[lanes.default]\nmax_rss = 500",
            "lanes.default.max_rss",
            "at least 1000000",
            "max_rss = 2000000000",
        ),
        ("[lane.default]\nworkers = 2", "lane", "no such table", "did you mean lanes?"),
        ('[lanes.default]\ntimeout = "0s"', "lanes.default.timeout", "too short", "10ms"),
        ('[plugins.a]\ntimeout = "9ms"', "plugins.a.timeout", "too short", "10ms"),
        ('[plugins.a]\ntimeout = "-1s"', "plugins.a.timeout", "is not a duration", "1s"),
        ('[plugins.a]\ntimeout = "soon"', "plugins.a.timeout", "is not a duration", "1h30m"),
    ],
)
def test_one_mistake_is_told_once_with_its_fix(
    one_problem: OneProblem, toml_text: str, key: str, message: str, fix: str
) -> None:
    """The problem names the key, what is wrong with it and what helps; no rule repeats it."""
    problem = one_problem(toml_text)
    assert problem.key == key
    assert message in problem.message
    assert fix in problem.fix
    assert problem.line is not None


@pytest.mark.parametrize(
    ("url", "message", "fix"),
    [
        ("studio.example.com", "no scheme", "write https://studio.example.com"),
        ("localhost:8000", "no scheme", "write https://localhost:8000"),
        ("https://studio.example.com ", "spaces", "leave them out"),
        ("https://studio example.com", "names no host", "https://HOST"),
        ("https://", "names no host", "https://HOST"),
        ("https://studio.example.com:port", "cannot be read", "https://HOST"),
        ("https://[studio", "cannot be read", "https://HOST"),
        ("ftp://studio.example.com/x", '"ftp"', "write https://studio.example.com"),
        ("https://me:pass-word@studio.example.com", "user or password", "script_name"),
        ("me:pass-word@studio.example.com", "", "https://HOST"),
        (
            "https://studio.example.com/page?id=1",
            "continues after",
            "write https://studio.example.com",
        ),
        ("", "empty", "{ env"),
        ("$SITE", "not filled in", '{ env = "SITE" }'),
    ],
)
def test_a_wrong_url_is_told_without_what_may_be_a_password(
    one_problem: OneProblem, url: str, message: str, fix: str
) -> None:
    """Every way to get the site's address wrong has its own words."""
    problem = one_problem(SITE.replace("https://studio.example.com", url))
    assert problem.key == "site.url"
    assert message in problem.message
    assert fix in problem.fix
    assert "pass-word" not in str(problem)


@pytest.mark.parametrize(
    ("url", "becomes", "warns"),
    [
        ("https://Studio.example.com/", "https://studio.example.com", ""),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", ""),
        ("http://localhost:8000/", "http://localhost:8000", ""),
        ("http://studio.example.com", "http://studio.example.com", "unencrypted"),
        ("https://gate.example.com/sg", "https://gate.example.com/sg/", "has a path"),
    ],
)
def test_a_url_becomes_what_the_client_takes(
    write: Write, url: str, becomes: str, warns: str
) -> None:
    """The slash at the end goes, a path keeps one; what is hardly meant gets a warning."""
    settings = load_settings(write(SITE.replace("https://studio.example.com", url)))
    assert settings.site.url == becomes
    assert [warns in warning.message for warning in settings.warnings] == [True] * bool(warns)


def test_a_wrong_proxy_is_told_without_its_password(one_problem: OneProblem) -> None:
    """The problem tells the form, not the value."""
    problem = one_problem(SITE + 'http_proxy = "socks://me:pass-word@host:1:2"')
    assert "user:pass@host" in problem.fix
    assert "pass-word" not in str(problem)


def test_a_missing_site_is_one_problem(one_problem: OneProblem) -> None:
    """An empty file is told to need a site, not three keys."""
    problem = one_problem("# [site]\n")
    assert (problem.key, problem.line) == ("site", None)
    assert "sgevents init" in problem.fix


# the file


def test_a_missing_file_points_at_init_and_config(tmp_path: Path) -> None:
    """Who has no configuration is told how to get one."""
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "none.toml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (tmp_path / "none.toml", None)
    assert "sgevents init" in problem.fix
    assert "--config" in problem.fix


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder instead of a file is a problem like any other."""
    with pytest.raises(ConfigError, match="this is a folder"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("toml_text", "line", "column"),
    [
        ("[site]\nurl = https://x\n", 2, 7),
        ("[site]\n[site]\n", 2, None),
        ('[site]\nurl = "a', 2, None),
    ],
)
def test_a_syntax_error_has_line_and_column(
    one_problem: OneProblem, toml_text: str, line: int, column: int | None
) -> None:
    """Something that is not TOML is told with the place the reader stopped at."""
    problem = one_problem(toml_text)
    assert (problem.line, problem.key) == (line, "")
    assert column is None or problem.column == column
    assert problem.place.startswith(f"{problem.file}:{line}")
    assert "(at " not in problem.message


def test_a_file_that_is_not_utf8_has_its_line(tmp_path: Path) -> None:
    """Latin-1 is told, with the line of the first byte that is wrong."""
    path = tmp_path / "sgevents.toml"
    path.write_bytes(b"# one\n# \xe9\n")
    with pytest.raises(ConfigError, match=r"sgevents.toml:2: this is not UTF-8"):
        load_settings(path)


def test_what_windows_editors_write_is_read(tmp_path: Path) -> None:
    """A byte order mark and carriage returns do no harm, and lines stay right."""
    path = tmp_path / "sgevents.toml"
    path.write_bytes(
        b"\xef\xbb\xbf" + (SITE + "[feed]\nsettle = 1\n").replace("\n", "\r\n").encode()
    )
    with pytest.raises(ConfigError, match=r"sgevents.toml:6: feed.settle"):
        load_settings(path)


# references and secrets


def reference(write: Write, form: str, **options: bool) -> Settings:
    """Load a configuration whose key is given by a reference."""
    return load_settings(write(SITE.replace('"demo-key"', form)), **options)


def test_a_key_may_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret holds what the variable holds and knows its name."""
    monkeypatch.setenv("SITE_KEY", "demo-key\n")
    key = reference(write, '{ env = "SITE_KEY" }').site.api_key
    assert key.reveal() == "demo-key"
    assert "SITE_KEY" in key.source


@pytest.mark.parametrize("content", ["demo-key", "demo-key\n", "demo-key\r\n"])
def test_a_key_may_come_from_a_file(write: Write, tmp_path: Path, content: str) -> None:
    """Relative to the configuration file; the newline at the end is no part of it."""
    key_file = tmp_path / "key"
    key_file.write_bytes(content.encode())
    key_file.chmod(0o400)
    settings = reference(write, '{ file = "key" }')
    assert settings.site.api_key.reveal() == "demo-key"
    assert settings.warnings == ()


def test_every_text_of_the_site_may_be_a_reference(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """url, script_name and http_proxy too."""
    for name in ("URL", "SCRIPT", "PROXY"):
        monkeypatch.setenv(f"SITE_{name}", f"https://{name}" if name == "URL" else name)
    toml_text = """
    site.url = { env = "SITE_URL" }
    site.script_name = { env = "SITE_SCRIPT" }
    site.api_key = "demo-key"
    site.http_proxy = { env = "SITE_PROXY" }
    """
    site = load_settings(write(toml_text)).site
    assert (site.url, site.script_name, site.http_proxy) == ("https://url", "SCRIPT", "PROXY")


@pytest.mark.parametrize(
    ("form", "message", "fix"),
    [
        ('{ env = "NOT_THERE" }', "NOT_THERE is not set", "set NOT_THERE"),
        ('{ env = "EMPTY" }', "EMPTY is empty", "set EMPTY"),
        ('{ env = "SPACED" }', "spaces at an end", "leave them out"),
        ('{ file = "not-there" }', "not-there does not exist", "relative to"),
        ('{ file = "folder" }', "is a folder", "plain file"),
        ('{ file = "empty" }', "empty is empty", "write the value"),
        ('{ file = "binary" }', "not UTF-8", "binary"),
        ('{ file = "large" }', "64 KiB", "plain file"),
        ('{ env = "A", file = "b" }', "does not say where", "{ env ="),
        ('{ envv = "A" }', "does not say where", "did you mean env?"),
        ("{ env = 1 }", "does not say where", "{ env ="),
        ("5", "expected a string, got a number", "{ env ="),
        ('""', "empty", "{ env ="),
        ('"${SITE_KEY}"', "not filled in", '{ env = "SITE_KEY" }'),
        ('" demo-key"', "spaces at an end", "leave them out"),
    ],
)
def test_a_secret_that_cannot_be_had_is_a_problem_that_shows_nothing(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    message: str,
    fix: str,
) -> None:
    """What is wrong is told with the place; the value is not."""
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("SPACED", " demo-key ")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"demo-key\xff")
    (tmp_path / "large").write_text("demo-key" * 10_000)
    with pytest.raises(ConfigError) as caught:
        reference(write, form)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("site.api_key", 4)
    assert message in problem.message
    assert fix in problem.fix
    assert "demo-key" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_secret_that_every_user_can_read_gets_a_warning(write: Write, tmp_path: Path) -> None:
    """For a file with a key, and for a key in a configuration that is open."""
    key_file = tmp_path / "key"
    key_file.write_text("demo-key")
    key_file.chmod(0o644)
    (warning,) = reference(write, '{ file = "key" }').warnings
    assert (warning.key, warning.line) == ("site.api_key", 4)
    assert warning.fix == f"chmod o-r {key_file}"
    path = write(SITE)
    path.chmod(0o644)
    (warning,) = load_settings(path).warnings
    assert "every user can read this file" in warning.message
    assert "demo-key" not in str(warning)


def test_secrets_need_not_be_there_for_commands_that_use_none(write: Write) -> None:
    """`secrets_required=False` is for those; revealing the secret then says where it is missing."""
    settings = reference(write, '{ env = "NOT_THERE" }', secrets_required=False)
    assert not settings.site.api_key.is_there
    assert "NOT_THERE" in settings.site.api_key.source


def test_a_disabled_plugin_needs_no_secrets(write: Write, one_problem: OneProblem) -> None:
    """Its references are followed once it is enabled."""
    table = '[plugins.a]\nsettings = { token = { env = "NOT_THERE" } }\nenabled = '
    settings = load(write, f"{table}false\n")
    assert not settings.plugins["a"].settings["token"].is_there
    problem = one_problem(f"{table}true\n")
    assert (problem.key, problem.line) == ("plugins.a.settings.token", 6)


def test_a_plugins_own_settings_may_hold_references_anywhere(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They become secrets; tables that are no reference stay what they are."""
    monkeypatch.setenv("TOKEN", "demo-token")
    plugin_settings = (
        load(
            write,
            """
        [plugins.a]
        enabled = true
        [plugins.a.settings]
        token = { env = "TOKEN" }
        deep = [{ token = { env = "TOKEN" }, plain = 1 }]
        other = { env = "TOKEN", more = 1 }
        number = { file = 1 }
        """,
        )
        .plugins["a"]
        .settings
    )
    assert plugin_settings["token"] == plugin_settings["deep"][0]["token"] == Secret("demo-token")
    assert plugin_settings["deep"][0]["plain"] == 1
    assert plugin_settings["other"] == {"env": "TOKEN", "more": 1}
    assert plugin_settings["number"] == {"file": 1}
    assert "demo-token" not in repr(plugin_settings)


# lanes and groups


def test_a_lane_that_only_a_group_names_has_defaults(write: Write) -> None:
    """A table is not needed; names unlike any table's are taken as they are."""
    settings = load(write, '[[groups]]\nname = "a"\nlane = "slow"\n[lanes.default]\n')
    assert settings.lanes == {"default": LaneSettings(), "slow": LaneSettings()}
    assert settings.warnings == ()


def test_a_lane_that_no_group_names_gets_a_warning(write: Write) -> None:
    """It may be a misspelt one; nothing would run in it."""
    (warning,) = load(write, "[lanes.slow]\n").warnings
    assert (warning.key, warning.line) == ("lanes.slow", 5)


def test_the_group_default_needs_no_listing(write: Write) -> None:
    """A plugin may name it all the same, and it may be listed to give it a place."""
    toml_text = '[plugins.a]\ngroup = "default"\n'
    assert load(write, toml_text).plugins["a"].group == "default"
    assert load(write, f'[[groups]]\nname = "default"\n{toml_text}').groups[0].name == "default"


def test_levels_of_plugins_that_are_not_there_get_a_warning(write: Write) -> None:
    """With the name that was probably meant."""
    (warning,) = load(write, '[plugins.rollup]\n[log.levels]\nrolup = "debug"\n').warnings
    assert (warning.key, warning.line) == ("log.levels.rolup", 7)
    assert '"rollup"?' in warning.fix


def test_a_value_that_is_wrong_by_itself_breaks_no_rule(one_problem: OneProblem) -> None:
    """A backlog_timeout that cannot be read is not compared with the settle as well."""
    problem = one_problem('[feed]\nsettle = "10m"\nbacklog_timeout = "x"')
    assert problem.key == "feed.backlog_timeout"


def test_importing_the_settings_loads_nothing_heavy() -> None:
    """They are read by every command, `status` included."""
    heavy = "click pluggy shotgun_api3 sqlite3 importlib_metadata packaging rich asyncio"
    code = f"""import sys, sgevents_core.settings
print([name for name in {heavy.split()} if name in sys.modules])"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
