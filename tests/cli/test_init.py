"""`sgevents init` writes a first configuration that is right, for the sandbox or for a site."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from waiting import PATIENCE

from sgevents_core.cli.config_text import ListedPlugin, SiteChoice, config_text, toml_string
from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import FeedSettings, load_settings, read_settings

KEY = "demo-key-of-a-site"
FOR_SITE = ["--url", "https://studio.example.com", "--script-name", "events"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where the configuration is to be written."""
    return tmp_path / "sgevents.toml"


def init(config: Path, *options: str, stdin: str = "") -> Result:
    """Run `sgevents init` without a terminal."""
    return CliRunner().invoke(sgevents, ["init", "--config", str(config), *options], input=stdin)


def test_for_the_sandbox_nothing_else_is_needed(config: Path) -> None:
    """The file is right as it stands, and the next steps serve the sandbox it is for."""
    result = init(config, "--sandbox")
    assert result.exit_code == 0, result.output
    settings = load_settings(config)
    assert settings.site.url == "http://127.0.0.1:8020"
    assert settings.site.api_key.reveal() == "demo-key"
    assert settings.feed == FeedSettings()
    assert settings.warnings == ()
    assert "sgevents sandbox --port 8020" in result.output
    assert f"sgevents check --config {config}" in result.output


def test_what_is_written_for_the_sandbox_is_what_the_sandbox_accepts(config: Path) -> None:
    """check finds nothing wrong once the sandbox is there."""
    with Sandbox() as site:
        assert init(config, "--sandbox", "--url", site.url).exit_code == 0
        result = CliRunner().invoke(sgevents, ["check", "--config", str(config)])
    assert result.exit_code == 0, result.output


def test_for_a_site_the_key_stays_outside(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it is looked for in an environment variable; the next steps say so."""
    result = init(config, *FOR_SITE)
    assert result.exit_code == 0, result.output
    assert "SGEVENTS_API_KEY" in result.output
    assert 'api_key = { env = "SGEVENTS_API_KEY" }' in config.read_text()
    monkeypatch.setenv("SGEVENTS_API_KEY", KEY)
    site = load_settings(config).site
    assert (site.url, site.script_name) == ("https://studio.example.com", "events")
    assert site.api_key.reveal() == KEY


@pytest.mark.parametrize(
    ("options", "line", "expected_text"),
    [
        (["--key-env", "SITE_KEY"], 'api_key = { env = "SITE_KEY" }', "SITE_KEY"),
        (["--key-file", "/run/key"], 'api_key = { file = "/run/key" }', "/run/key"),
    ],
)
def test_the_key_may_be_kept_where_one_likes(
    config: Path, options: list[str], line: str, expected_text: str
) -> None:
    """In another variable, or in a file."""
    result = init(config, *FOR_SITE, *options)
    assert result.exit_code == 0, result.output
    assert line in config.read_text()
    assert expected_text in result.output


def test_the_key_is_written_only_when_asked_for(config: Path) -> None:
    """Then it is read from standard input, and the file is its owner's alone."""
    result = init(config, *FOR_SITE, "--write-key", stdin=f"{KEY}\n")
    assert result.exit_code == 0, result.output
    settings = load_settings(config)
    assert settings.site.api_key.reveal() == KEY
    assert settings.warnings == ()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert KEY not in result.output


def test_a_file_without_a_key_can_be_read_by_others(config: Path) -> None:
    """The daemon may run as another user."""
    init(config, *FOR_SITE)
    assert stat.S_IMODE(config.stat().st_mode) == 0o644


def test_an_address_without_a_scheme_gets_https(config: Path) -> None:
    """As people write it."""
    init(config, "--url", "studio.example.com", "--script-name", "events")
    assert read_settings(config.read_text(), config, secrets_required=False).site.url == (
        "https://studio.example.com"
    )


@pytest.mark.parametrize(
    ("options", "expected_words"),
    [
        ([], "--sandbox"),
        (["--script-name", "events"], "--sandbox"),
        (["--url", "https://studio.example.com"], "--script-name"),
        (["--url", "https://me:pass-word@x", "--script-name", "events"], "--url"),
        ([*FOR_SITE, "--key-env", KEY], "--key-env"),
        ([*FOR_SITE, "--key-env", "A", "--key-file", "b"], "one of"),
        ([*FOR_SITE, "--write-key"], "standard input"),
    ],
)
def test_options_that_cannot_be_used_write_nothing(
    config: Path, options: list[str], expected_words: str
) -> None:
    """The mistake is told with its option, the exit code is 2, and no value that may be secret."""
    result = init(config, *options)
    assert result.exit_code == 2
    assert expected_words in result.output
    assert KEY not in result.output
    assert "pass-word" not in result.output
    assert list(config.parent.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(config: Path) -> None:
    """--force replaces it."""
    config.write_text("# mine\n")
    result = init(config, "--sandbox")
    assert result.exit_code == 2
    assert "--force" in result.output
    assert config.read_text() == "# mine\n"
    assert init(config, "--sandbox", "--force").exit_code == 0
    assert load_settings(config).site.script_name == "sgevents"
    assert [file.name for file in config.parent.iterdir()] == ["sgevents.toml"]


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    """So that the path of a service can be given at once."""
    config = tmp_path / "etc" / "sgevents" / "site.toml"
    assert init(config, "--sandbox").exit_code == 0
    assert load_settings(config)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Without a traceback, with the path."""
    (tmp_path / "file").write_text("")
    result = init(tmp_path / "file" / "sgevents.toml", "--sandbox")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_write_that_fails_leaves_nothing_behind(config: Path) -> None:
    """A name that is no UTF-8 is told, and no half of a file stays."""
    result = init(config, "--url", "https://studio.example.com", "--script-name", "\udcff")
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    assert list(config.parent.iterdir()) == []


def test_installed_plugins_are_listed_and_none_is_enabled(
    config: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their metadata: the module of the plugin here does not even exist."""
    folder = tmp_path_factory.mktemp("site-packages")
    info = folder / "studio_status-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: studio-status\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[sgevents.plugins]\nroll_up = no_such_module\nstudio.note = no_such_module\n"
    )
    monkeypatch.syspath_prepend(folder)
    assert init(config, "--sandbox").exit_code == 0
    plugins = load_settings(config).plugins
    assert {"roll_up", "studio.note"} <= set(plugins)
    assert not any(plugin.enabled for plugin in plugins.values())
    assert "# studio-status 1.2" in config.read_text()


def test_metadata_of_a_package_cannot_write_the_configuration(
    config: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version with line breaks stays one comment, and enables nothing."""
    folder = tmp_path_factory.mktemp("site-packages")
    info = folder / "evil-1.dist-info"
    info.mkdir()
    version = "1.0\r\n enabled = true\x1b[2J\u202e"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: evil\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[sgevents.plugins]\nevil = no_such_module\n")
    monkeypatch.syspath_prepend(folder)
    assert init(config, "--sandbox").exit_code == 0
    assert not load_settings(config).plugins["evil"].enabled
    config_content = config.read_text()
    assert "\x1b" not in config_content
    assert "\u202e" not in config_content


def test_every_line_that_is_commented_out_is_right() -> None:
    """Whoever takes the comment sign away has a key with its default."""
    site = SiteChoice("https://studio.example.com", "events", toml_string(KEY))
    config_content = config_text(site, [ListedPlugin("a.b", "studio 1.0")])
    samples = [
        line.removeprefix("# ")
        if line.startswith("# ") and (" = " in line or "[" in line)
        else line
        for line in config_content.splitlines()
        if "ca_certs" not in line and not line.startswith("# Durations")
    ]
    settings = read_settings("\n".join(samples), Path("sgevents.toml"))
    assert settings.feed == FeedSettings()
    assert settings.groups[0].name == settings.plugins["a.b"].group == "first"


@pytest.mark.parametrize("text", ['quo"te', "back\\slash", "new\nline", "ünï", "\x7f\x00", "🎬"])
def test_any_text_survives_in_the_file(text: str) -> None:
    """Keys hold every kind of character."""
    site = SiteChoice("https://studio.example.com", "events", toml_string(f"a{text}b"))
    settings = read_settings(config_text(site, []), Path("sgevents.toml"))
    assert settings.site.api_key.reveal() == f"a{text}b"


# at a terminal


def at_terminal(config: Path, answers: dict[str, str]) -> str:
    """Run `sgevents init` at a terminal; answer each question when it is asked."""
    terminal, program_side = pty.openpty()
    code = "from sgevents_core.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "init", "--config", str(config)],
        stdin=program_side,
        stdout=program_side,
        stderr=program_side,
        start_new_session=True,
    )
    os.close(program_side)
    waiting = dict(answers)
    terminal_text = ""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        chunk = read_terminal(terminal)
        if chunk is None:
            break
        terminal_text += chunk
        for question in [
            awaited_question for awaited_question in waiting if awaited_question in terminal_text
        ]:
            os.write(terminal, f"{waiting.pop(question)}\n".encode())
    os.close(terminal)
    assert process.wait(PATIENCE) == 0, terminal_text
    assert not waiting, terminal_text
    return terminal_text


def read_terminal(terminal: int) -> str | None:
    """Return what the program has written; None when it has ended."""
    if not select.select([terminal], [], [], 0.1)[0]:
        return ""
    try:
        return os.read(terminal, 4096).decode(errors="replace") or None
    except OSError:
        return None


def test_at_a_terminal_the_sandbox_is_one_answer_away(config: Path) -> None:
    """Return at the first question is enough."""
    at_terminal(config, {"Try it on the sandbox": ""})
    assert load_settings(config).site.url.startswith("http://127.0.0.1")


def test_at_a_terminal_a_site_is_asked_for(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has its check: a key where a variable belongs is refused and asked again."""
    terminal_text = at_terminal(
        config,
        {
            "Try it on the sandbox": "site",
            "The site's address": "studio.example.com",
            "The script to sign in as": "",
            "The environment variable": "not-a-variable!",
            "not the name of an environment variable": "SITE_KEY",
        },
    )
    assert "SITE_KEY" in terminal_text
    monkeypatch.setenv("SITE_KEY", KEY)
    site = load_settings(config).site
    assert (site.url, site.script_name) == ("https://studio.example.com", "sgevents")
    assert site.api_key.reveal() == KEY
