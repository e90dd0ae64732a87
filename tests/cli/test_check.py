"""`sgevents check` tells everything that stands in the way of a run, and never a secret."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from sgevents_core.cli.check_site import clock_finding
from sgevents_core.cli.check_state import space_findings, state_findings
from sgevents_core.cli.root import sgevents
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.disk import file_system_of
from sgevents_core.state.opening import open_state
from sgevents_core.state.running import Running, write_running_daemon
from sgevents_core.state.sqlite.database import DATABASE

KEY = "demo-key-of-the-check"
PLUGIN_KEY = "another-key-of-a-plugin"
TOKEN = "demo-token-for-chat"
NOBODY = 65534


def _without_free_space(log_text: str) -> str:
    """Return a text without the free space, which others change between two checks."""
    return re.sub(r"[\d,]+ MB are free", "MB are free", log_text)


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A sandbox with a script for the daemon and one for a plugin."""
    with Sandbox(api_key=KEY) as sandbox:
        sandbox.add_script("rollup", PLUGIN_KEY)
        yield sandbox


@pytest.fixture(autouse=True)
def well_behaved(site: Sandbox) -> Iterator[None]:
    """Let no test leave the sandbox misbehaving."""
    yield
    site.faults.clear()


class Result(NamedTuple):
    """What a check ended with: the exit code, what it wrote, and its findings."""

    code: int
    output: str
    findings: list[dict[str, Any]]

    def of(self, area: str, status: str) -> list[str]:
        """Return the messages of an area with a status, the fix behind each."""
        return [
            f"{finding['subject'] or ''} {finding['message']} [{finding['fix'] or ''}]"
            for finding in self.findings
            if (finding["area"], finding["status"]) == (area, status)
        ]


def run(config: Path) -> Result:
    """Check twice, as a table and as JSON, which must agree on the exit code."""
    table = CliRunner().invoke(sgevents, ["check", "--config", str(config)])
    as_json = CliRunner().invoke(sgevents, ["check", "--config", str(config), "--json"])
    assert table.exit_code == as_json.exit_code, table.output
    report = json.loads(as_json.stdout)
    for finding in report["findings"]:
        assert _without_free_space(finding["message"]) in _without_free_space(table.output)
    return Result(table.exit_code, table.output + as_json.output, report["findings"])


Check = Callable[..., Result]


@pytest.fixture
def check(site: Sandbox, tmp_path: Path) -> Check:
    """Check a configuration for the sandbox; `more` is put behind its [site]."""

    def check_it(
        more: str = "", *, url: str = site.url, key: str = KEY, mode: int = 0o600
    ) -> Result:
        config = tmp_path / "sgevents.toml"
        api_key = key if key.startswith("{") else f'"{key}"'
        start = f'[site]\nurl = "{url}"\nscript_name = "sgevents"\napi_key = {api_key}\n'
        config.write_text(start + textwrap.dedent(more))
        config.chmod(mode)
        result = run(config)
        for secret in (KEY, PLUGIN_KEY, TOKEN, *[key] * (not key.startswith("{"))):
            assert secret not in result.output
        return result

    return check_it


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Install plugins as pip leaves them: a module, and metadata with an entry point."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    modules = []

    def install_plugin(name: str, code: str) -> None:
        module = f"check_plugin_{name}"
        modules.append(module)
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
        info = folder / f"studio_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: studio-{name}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[sgevents.plugins]\n{name} = {module}\n")

    yield install_plugin
    for module in modules:
        sys.modules.pop(module, None)


GOOD = """
    from sgevents_core import hookimpl

    print("a plugin that prints when it is imported")

    @hookimpl
    def on_event(event):
        pass
"""


def test_where_all_is_well_a_run_can_start(
    check: Check, install: Callable[[str, str], None], tmp_path: Path
) -> None:
    """Every area has been looked at, the exit code is 0, and nothing was made or changed."""
    install("good", GOOD)
    install("idle", "raise RuntimeError('imported, and not enabled')")
    result = check("[plugins.good]\nenabled = true\n")
    assert result.code == 0, result.output
    areas = {finding["area"] for finding in result.findings}
    assert areas == {"config", "site", "rights", "clock", "state", "plugins"}
    assert not result.of("plugins", "problem") + result.of("plugins", "warning")
    assert any("studio-good 1.0" in text for text in result.of("plugins", "ok"))
    assert any("idle" in text for text in result.of("plugins", "ok"))
    printed = [line for line in result.output.splitlines() if "a plugin that prints" in line]
    assert all(line.startswith("[printed] ") for line in printed)
    assert not (tmp_path / "state").exists()


# the configuration


def test_a_configuration_with_five_errors_has_five_findings(tmp_path: Path) -> None:
    """All are told at once with line, key and fix, nothing else is looked at, the code is 2."""
    config = tmp_path / "sgevents.toml"
    config.write_text(
        textwrap.dedent(
            f"""\
            [site]
            url = "studio.example.com"
            script_nam = "sgevents"
            api_key = " {KEY}"
            [feed]
            poll_interval = 1
            [plugins.one]
            group = "first"
            """
        )
    )
    result = run(config)
    assert result.code == 2
    assert {finding["status"] for finding in result.findings} == {"problem"}
    assert {finding["area"] for finding in result.findings} == {"config"}
    assert [(finding["line"], finding["subject"]) for finding in result.findings] == [
        (1, "site.script_name"),
        (2, "site.url"),
        (3, "site.script_nam"),
        (4, "site.api_key"),
        (6, "feed.poll_interval"),
        (8, "plugins.one.group"),
    ]
    assert all(finding["fix"] and finding["fix"] in result.output for finding in result.findings)
    assert f"{config}:6: feed.poll_interval" in result.output
    assert "6 problems" in result.output
    assert KEY not in result.output


def test_a_missing_configuration_points_at_init(tmp_path: Path) -> None:
    """A newcomer without a file is told how to get one, with exit code 2."""
    result = run(tmp_path / "none.toml")
    assert result.code == 2
    assert "sgevents init" in result.output


def test_warnings_of_the_configuration_are_shown_and_allowed(check: Check) -> None:
    """They do not change the exit code."""
    result = check("[lanes.slow]\n")
    assert result.code == 0
    assert any("lanes.slow" in text for text in result.of("config", "warning"))


# the site


def test_a_port_where_nothing_answers_is_told(check: Check) -> None:
    """A wrong address is a problem of the site, with the key to look at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        result = check(url=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert result.code == 1
    (message,) = result.of("site", "problem")
    assert "nothing answers" in message
    assert "site.url" in message
    assert not any(finding["area"] == "rights" for finding in result.findings)


def test_a_host_that_does_not_exist_is_told(check: Check) -> None:
    """A misspelt name is told as that. The top-level domain is reserved for being unknown."""
    result = check(url="http://studio.invalid")
    assert result.code == 1
    (message,) = result.of("site", "problem")
    assert "there is no host of the name in http://studio.invalid" in message
    assert "site.url" in message


@pytest.mark.parametrize(
    ("fault", "expected_words"),
    [
        ({"kind": "html"}, "not as a site does"),
        ({"kind": "garbage"}, "not as a site does"),
        ({"kind": "status", "status": 503}, "503"),
        ({"kind": "status", "status": 404}, "404"),
        ({"kind": "drop"}, "cannot be reached"),
    ],
)
def test_something_that_is_no_site_is_told(
    check: Check, site: Sandbox, fault: dict[str, Any], expected_words: str
) -> None:
    """HTML, garbage, errors and cut connections each end as one problem with a fix."""
    site.faults.add(**fault)
    result = check()
    assert result.code == 1
    (message,) = result.of("site", "problem")
    assert expected_words in message
    assert not message.endswith("[]")


def test_a_wrong_key_is_told_with_where_it_comes_from(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script is named, the place of the key is named, the key is not."""
    result = check(key="a-key-that-is-wrong")
    assert result.code == 1
    (message,) = result.of("rights", "problem")
    assert "refuses the script sgevents" in message
    assert "the configuration file" in message


def test_a_script_that_may_not_read_events_is_told(check: Check, site: Sandbox) -> None:
    """A refused read is a problem of its rights."""
    site.faults.add("api-error", method="read")
    result = check()
    assert result.code == 1
    (message,) = result.of("rights", "problem")
    assert "cannot be read" in message
    assert "permission group" in message


def test_a_script_that_may_not_count_events_is_warned(check: Check, site: Sandbox) -> None:
    """Audits have another way, so a run can start."""
    site.faults.add("api-error", method="summarize")
    result = check()
    assert result.code == 0
    (message,) = result.of("rights", "warning")
    assert "summarize" in message


def test_the_keys_of_enabled_plugins_are_tried(
    check: Check, install: Callable[[str, str], None]
) -> None:
    """A right one is accepted, a wrong one is told with the plugin's name."""
    install("good", GOOD)
    table = '[plugins.good]\nenabled = true\nscript_name = "rollup"\napi_key = '
    right = check(f'{table}"{PLUGIN_KEY}"\n')
    assert right.code == 0, right.output
    assert any("plugin good its own key" in message for message in right.of("rights", "ok"))
    wrong_result = check(f'{table}"{TOKEN}"\n')
    assert wrong_result.code == 1
    (message,) = wrong_result.of("rights", "problem")
    assert message.startswith("plugin good the site refuses the script rollup")


@pytest.mark.parametrize(
    ("date", "status", "expected_words"),
    [
        (None, "ok", "does not report"),
        (1000, "ok", "agree"),
        (980, "ok", "agree"),
        (1030, "ok", "agree"),
        (900, "warning", "99 s ahead of"),
        (1101, "warning", "100 s behind"),
    ],
)
def test_the_clocks_are_compared(date: int | None, status: str, expected_words: str) -> None:
    """Half a minute is fine; more is a warning that says which way. It never stops a run."""
    finding = clock_finding(date, time_before=1000.0, time_after=1001.0)
    assert finding.status == status
    assert expected_words in finding.message


# the state folder


def test_a_state_folder_that_is_a_file_is_told(check: Check, tmp_path: Path) -> None:
    """state.path names a folder."""
    (tmp_path / "state").write_text("")
    result = check()
    assert result.code == 1
    assert "is a file" in result.of("state", "problem")[0]


@pytest.fixture
def without_privileges(tmp_path: Path) -> Iterator[Path]:
    """Stop being root, which may write anywhere, for the length of a test."""
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        yield tmp_path
        return
    closed = [
        folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o001
    ]
    modes = [closed_folder.stat().st_mode for closed_folder in closed]
    for closed_folder, mode in zip(closed, modes, strict=True):
        closed_folder.chmod(mode | 0o011)
    os.seteuid(NOBODY)
    yield tmp_path
    os.seteuid(0)
    for closed_folder, mode in zip(closed, modes, strict=True):
        closed_folder.chmod(mode)


@pytest.mark.parametrize("inside", ["", "state", "deep/state"])
def test_a_folder_that_cannot_be_written_is_told(without_privileges: Path, inside: str) -> None:
    """Whether the state folder is there or would have to be made in it."""
    folder = without_privileges
    (finding,) = state_findings(folder / inside)
    assert finding.status == "problem"
    assert f"{folder} cannot be written" in finding.message
    assert "state.path" in finding.fix


def test_looking_at_the_state_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither the folder nor a file in it."""
    assert all(finding.status != "problem" for finding in state_findings(tmp_path / "a" / "b"))
    assert all(finding.status != "problem" for finding in state_findings(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/state", "ext4"),
        ("/mnt/share/state", "nfs4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/with space/x", "cifs"),
        ("/over", "xfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    """The longest mount point counts, the last of several on one, with its escapes undone."""
    mounts = [
        "/dev/vda / ext4 rw 0 0",
        "host:/x /mnt/share nfs4 rw 0 0",
        "//host/y /mnt/with\\040space cifs rw 0 0",
        "tmpfs /over tmpfs rw 0 0",
        "/dev/vdb /over xfs rw 0 0",
        "",
    ]
    assert file_system_of(Path(path), mounts) == kind


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ext4", "ok"),
        ("overlay", "ok"),
        ("nfs4", "problem"),
        ("cifs", "problem"),
        ("fuse.sshfs", "problem"),
        ("fuse.something", "warning"),
        ("9p", "warning"),
        ("tmpfs", "warning"),
    ],
)
def test_the_state_belongs_on_a_local_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, status: str
) -> None:
    """A share is a problem, what may not be local or not last is a warning."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"device / {kind} rw 0 0\n")
    monkeypatch.setattr("sgevents_core.state.disk.MOUNTS_FILE", mounts)
    (finding,) = [
        state_finding for state_finding in state_findings(tmp_path) if kind in state_finding.message
    ]
    assert finding.status == status


@pytest.mark.parametrize(("megabytes", "status"), [(50, "problem"), (500, "warning"), (5000, "ok")])
def test_space_is_judged(tmp_path: Path, megabytes: int, status: str) -> None:
    """Less than 100 MB stops a run, less than a gigabyte warns."""
    (finding,) = space_findings(tmp_path, megabytes * 1_000_000)
    assert finding.status == status
    assert f"{megabytes:,} MB" in finding.message


def damage_text(database: Path) -> None:
    """Overwrite the database with something else."""
    database.write_bytes(b"hello " * 1000)


def damage_version(database: Path) -> None:
    """Let a newer version have written it."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 9999")


def damage_table(database: Path) -> None:
    """Take a table away."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE failures")


def damage_half(database: Path) -> None:
    """Cut it off, as a copy that did not end."""
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])


def damage_folder(database: Path) -> None:
    """Put a folder in its place."""
    database.unlink()
    database.mkdir()


@pytest.mark.parametrize(
    ("damage", "says", "fix"),
    [
        (damage_text, "is damaged: file is not a database", "backup"),
        (damage_version, "its schema has version 9999", "install the version that wrote it"),
        (damage_table, "is damaged: no such table: failures", "backup"),
        (damage_half, "is damaged", "backup"),
        (damage_folder, "sgevents.db is not a plain file", "backup"),
    ],
)
def test_a_state_that_no_start_could_use_is_a_problem(
    check: Check, tmp_path: Path, damage: Callable[[Path], None], says: str, fix: str
) -> None:
    """A run would end at once, so the check does not say that all is well."""
    folder = tmp_path / "state"
    folder.mkdir()
    open_state(folder).writer().close()
    state_table = '[state]\npath = "state"\n'
    assert check(state_table).of("state", "problem") == []
    damage(folder / DATABASE)
    result = check(state_table)
    (problem,) = result.of("state", "problem")
    assert says in problem
    assert fix in problem
    assert result.code == 1


@pytest.mark.parametrize("is_empty", [True, False])
def test_what_is_left_of_a_state_is_warned_of(check: Check, tmp_path: Path, is_empty: bool) -> None:
    """A start would take it for a new one, and begin at the newest event."""
    folder = tmp_path / "state"
    folder.mkdir()
    write_running_daemon(folder, Running(1, "run", "1.0", {}))
    if is_empty:
        (folder / DATABASE).touch()
    warnings = check('[state]\npath = "state"\n').of("state", "warning")
    (warning,) = [text for text in warnings if "was used" in text]
    assert "restore the whole folder" in warning


# the plugins


def test_a_misspelt_plugin_is_told_with_the_name_that_was_meant(
    check: Check, install: Callable[[str, str], None]
) -> None:
    """Enabled and not installed is a problem that names the nearest plugin."""
    install("shot_rollup", GOOD)
    result = check("[plugins.shot_rolup]\nenabled = true\n")
    assert result.code == 1
    (message,) = result.of("plugins", "problem")
    assert "not installed" in message
    assert "shot_rollup" in message


def test_a_plugin_that_raises_when_imported_is_told(
    check: Check, install: Callable[[str, str], None]
) -> None:
    """It is broken, and the rest is looked at all the same."""
    install("good", GOOD)
    install("broken", "raise RuntimeError('no such library')")
    result = check("[plugins.good]\nenabled = true\n[plugins.broken]\nenabled = true\n")
    assert result.code == 1
    (message,) = result.of("plugins", "problem")
    assert "broken" in message
    assert "no such library" in message
    assert any("good" in message for message in result.of("plugins", "ok"))


def test_no_enabled_plugin_is_a_warning(check: Check) -> None:
    """A run could start and would do nothing."""
    result = check()
    assert result.code == 0
    assert any("no plugin is enabled" in text for text in result.of("plugins", "warning"))


def test_a_secret_in_an_error_of_a_plugin_is_struck_out(
    check: Check, install: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even what a plugin puts into its exception shows no secret of the configuration."""
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    install("leaky", "import os\nraise RuntimeError(f'token {os.environ[\"CHAT_TOKEN\"]} refused')")
    result = check(
        f"""
        [plugins.leaky]
        enabled = true
        script_name = "rollup"
        api_key = "{PLUGIN_KEY}"
        [plugins.leaky.settings]
        chat = [{{ token = {{ env = "CHAT_TOKEN" }} }}]
        """
    )
    (message,) = result.of("plugins", "problem")
    assert "token *** refused" in message


def test_the_password_of_a_proxy_is_not_shown(check: Check, site: Sandbox) -> None:
    """It goes to the proxy alone, whatever the proxy answers."""
    proxy = site.url.removeprefix("http://")
    result = check(f'http_proxy = "me:{TOKEN}@{proxy}"\n', url="http://studio.invalid")
    assert result.code == 1
    assert TOKEN not in result.output


def test_whether_own_writes_come_back_is_told_of_each_script(
    check: Check, install: Callable[[str, str], None], site: Sandbox
) -> None:
    """By the site's own flag, which is off by default; a plugin that is not enabled has no say."""
    install("good", GOOD)
    site.add_script("silent one", PLUGIN_KEY, "of the farm", logs=False)
    table = '[plugins.{}]\nenabled = {}\nscript_name = "{}"\napi_key = "' + PLUGIN_KEY + '"\n'
    result = check(
        table.format("good", "true", "silent one") + table.format("idle", "false", "rollup")
    )
    messages = [message for message in result.of("rights", "ok") if message.startswith("script ")]
    assert messages == [
        "script sgevents what it writes comes back as events (generate_event_log_entries is on) []",
        "script silent one what it writes causes no events, except in a person's name"
        " (generate_event_log_entries is off, as it is by default): no plugin is called for it []",
    ]


@pytest.mark.parametrize(
    ("status", "script", "expected_text"),
    [
        (500, "sgevents", "cannot be read"),
        (None, "Nobody", "the site shows no script of this name"),
        (None, "twice", "the site has several of this name"),
        (None, "SGEvents", "it is the same script as sgevents"),
    ],
)
def test_scripts_that_are_not_known_by_id_are_warned_about(
    check: Check,
    install: Callable[[str, str], None],
    site: Sandbox,
    status: int | None,
    script: str,
    expected_text: str,
) -> None:
    """A run starts all the same, and they are recognised by the names that rows show."""
    install("good", GOOD)
    if script == "twice":
        site.add_script("twice", PLUGIN_KEY)
        site.create("ApiUser", {"firstname": "twice"})
    if status:
        site.faults.add("status", status=status, entity_type="ApiUser")
    table = f'[plugins.good]\nenabled = true\nscript_name = "{script}"\napi_key = "{PLUGIN_KEY}"\n'
    result = check(table)
    assert any(
        f"script {script} {expected_text}" in message for message in result.of("rights", "warning")
    )


def test_log_that_a_run_could_not_write_is_a_problem(check: Check, tmp_path: Path) -> None:
    """A run refuses to start then, so a check that passes would be wrong."""
    (tmp_path / "file").touch()
    result = check(f'[log]\nfile = "{tmp_path}/file/sgevents.log"\n')
    (message,) = result.of("log", "problem")
    assert "cannot be written: Not a directory" in message
    assert result.code == 1
    (tmp_path / "folder").mkdir()
    result = check(f'[log]\nfile = "{tmp_path}/folder"\n')
    assert "Is a directory" in result.of("log", "problem")[0]


def test_log_that_can_be_written_is_left_alone(check: Check, tmp_path: Path) -> None:
    """Nothing is made by looking, neither the file nor its folder."""
    result = check(f'[log]\nfile = "{tmp_path}/logs/new/sgevents.log"\n')
    assert result.of("log", "ok") == [f" {tmp_path}/logs/new/sgevents.log can be written []"]
    assert not (tmp_path / "logs").exists()


def test_log_of_one_plugin_counts_too(
    check: Check, install: Callable[[str, str], None], tmp_path: Path
) -> None:
    """With `per_plugin`, each of them is a file that a run has to write."""
    install("good", GOOD)
    (tmp_path / "sgevents.good.log").mkdir()
    log = f'[log]\nfile = "{tmp_path}/sgevents.log"\nper_plugin = true\n'
    result = check(f"{log}[plugins.good]\nenabled = true\n")
    (message,) = result.of("log", "problem")
    assert "sgevents.good.log cannot be written: Is a directory" in message


LITERAL = """
import dataclasses
from sgevents_core import Secret, hookimpl

@dataclasses.dataclass
class Chat:
    token: Secret

@hookimpl
def settings_model():
    return Chat
"""


def test_literal_secret_of_a_plugin_in_an_open_file_is_noticed(
    check: Check, install: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the model says that it is one; a reference gives nothing away."""
    install("chat", LITERAL)
    monkeypatch.setenv("CHAT_TOKEN", TOKEN)
    monkeypatch.setenv("SITE_KEY", KEY)
    tables = "[plugins.chat]\nenabled = true\n[plugins.chat.settings]\ntoken = "
    expected_text = "every user can read this file and the key in it"
    result = check(f'{tables}"literal-demo-text"\n', key='{ env = "SITE_KEY" }', mode=0o644)
    assert any(expected_text in message for message in result.of("plugins", "warning"))
    assert "literal-demo-text" not in result.output
    result = check(f'{tables}{{ env = "CHAT_TOKEN" }}\n', key='{ env = "SITE_KEY" }', mode=0o644)
    assert not any(expected_text in message for message in result.of("plugins", "warning"))


def test_key_in_a_classic_plugin_is_not_in_the_configuration(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So reading the configuration reveals nothing."""
    monkeypatch.setenv("SITE_KEY", KEY)
    (tmp_path / "studio").mkdir()
    text = "def registerCallbacks(reg): reg.registerCallback('a', 'literal-demo-text', print)\n"
    (tmp_path / "studio" / "a.py").write_text(text)
    tables = '[[classic.paths]]\npath = "studio"\n'
    result = check(tables, key='{ env = "SITE_KEY" }', mode=0o644)
    assert any("enabled, from" in message for message in result.of("plugins", "ok"))
    assert not result.of("plugins", "warning")
    assert "literal-demo-text" not in result.output


def test_start_that_a_run_refuses_is_a_problem(check: Check, site: Sandbox) -> None:
    """A first start cannot begin ahead of the site; a good start, and none, are not mentioned."""
    newest = site.log.highest_id
    result = check(f"[feed]\nstart = {newest + 1000}\n")
    (message,) = result.of("config", "problem")
    assert message.startswith(f"feed.start the start {newest + 1000} is ahead of the site")
    assert f"write an id up to {newest + 1}" in message
    assert result.code == 1
    assert check("[feed]\nstart = 2099-01-01\n").of("config", "problem")
    for start in ("1", '"2h"', '"now"'):
        assert not check(f"[feed]\nstart = {start}\n").of("config", "problem")


def test_missing_secret_hides_nothing_else(
    check: Check, install: Callable[[str, str], None], tmp_path: Path
) -> None:
    """What needs no secret is checked all the same; the configuration counts as wrong."""
    install("bad", "raise OSError('no luck')")
    (tmp_path / "folder").mkdir()
    log = f'[log]\nfile = "{tmp_path}/folder"\n'
    result = check(f"{log}[plugins.bad]\nenabled = true\n", key='{ env = "NOT_THERE" }')
    assert result.code == 2
    (missing,) = result.of("config", "problem")
    assert "NOT_THERE is not set" in missing
    assert "cannot be written" in result.of("log", "problem")[0]
    assert "no luck" in result.of("plugins", "problem")[0]
    assert not result.of("site", "ok")
    result = check("[feed]\npoll = 1\n[log]\nfile = 5\n")
    assert {finding["area"] for finding in result.findings} == {"config"}
