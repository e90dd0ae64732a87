"""The classic daemon's configuration becomes that of sgevents, and no secret is in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from old_studio import OldStudio

from sgevents_core.errors import IniFileError
from sgevents_core.migrating.config_values import Draft
from sgevents_core.migrating.configuration import draft_of
from sgevents_core.migrating.ini_file import read_ini_file, seems_secret
from sgevents_core.settings import Settings, read_settings

KEY = "an-invented-key-4711-for-tests"
PASSWORD = "invented-passw0rd-x"

WHOLE = """
[daemon]
pidFile: /var/run/daemon.pid
eventIdFile: %(logPath)s/daemon.id
logMode: 1
logPath: /var/log/daemon
logFile: daemon
logging: 10
# we poll fast since the review tool waits for it
fetch_interval = 2
max_event_batch_size = 250
conn_retry_sleep = 60
max_conn_retries = 5
timing_log: on

[shotgun]
server: studio.shotgrid.autodesk.com/
name: event-daemon
key: %(SG_KEY)s
proxy_server: proxy.studio:8080
use_session_uuid: True

[plugins]
# order matters: rollups come first
paths: /studio/rollup, /studio/notify, /other/notify

[emails]
enabled: True
server: smtp.studio
port: 587
useTLS: True
username: daemon
password: %(SMTP_PASSWORD)s
from: daemon@studio
to: anna@studio, bob@studio
subject: [events]
"""


def draft(folder: Path, text: str, **environment: str) -> Draft:
    """The configuration made from a text."""
    path = folder / "shotgunEventDaemon.conf"
    path.write_text(text, encoding="utf-8")
    return draft_of(read_ini_file(path, environment))


def settings_of(made: Draft, folder: Path) -> Settings:
    """The settings of a draft: it is a valid configuration."""
    return read_settings(made.text, folder / "sgevents.toml", secrets_required=False)


def test_every_option_has_its_place(tmp_path: Path) -> None:
    """What the classic daemon is told, sgevents is told."""
    made = draft(tmp_path, WHOLE, SG_KEY=KEY, SMTP_PASSWORD=PASSWORD)
    settings = settings_of(made, tmp_path)
    assert settings.site.url == "https://studio.shotgrid.autodesk.com"
    assert settings.site.script_name == "event-daemon"
    assert settings.site.http_proxy == "proxy.studio:8080"
    assert (settings.feed.poll_interval, settings.feed.page_size) == (2.0, 250)
    assert settings.state.path == tmp_path / "state"
    assert settings.log.level == "debug"
    assert settings.log.file == Path("/var/log/daemon/sgevents.log")
    assert settings.log.per_plugin
    assert [(str(each.path), each.group_name) for each in settings.classic_folders] == [
        ("/studio/rollup", "rollup"),
        ("/studio/notify", "notify"),
        ("/other/notify", "other-notify"),
    ]
    smtp = settings.smtp
    assert smtp is not None
    assert (smtp.server, smtp.port, smtp.tls, smtp.sender) == (
        "smtp.studio",
        587,
        True,
        "daemon@studio",
    )
    assert smtp.recipients == ("anna@studio", "bob@studio")
    assert (smtp.subject, smtp.username) == ("[events]", "daemon")
    assert made.id_file == Path("/var/log/daemon/daemon.id")
    assert made.pid_file == Path("/var/run/daemon.pid")
    assert made.variables == ["SG_KEY", "SMTP_PASSWORD"]


def test_comments_that_tell_something_are_kept(tmp_path: Path) -> None:
    """Above what they are about; those that came with the classic daemon tell nothing."""
    shipped = "[daemon]\n# - 20 - Info\n#   - 10 - Debug\n"
    made = draft(tmp_path, WHOLE.replace("[daemon]\n", shipped))
    lines = made.text.splitlines()
    place = lines.index("# we poll fast since the review tool waits for it")
    assert lines[place + 1] == 'poll_interval = "2s"'
    assert lines[lines.index("# order matters: rollups come first") + 1].startswith("# DECIDE")
    assert "- 20 -" not in made.text


def test_references_to_the_environment_stay_references(tmp_path: Path) -> None:
    """Whether they are set here or not."""
    text = (
        "[shotgun]\nserver: %(SITE_URL)s\nname: %(SCRIPT)s\nkey: %(SITE_KEY)s\n"
        "[plugins]\npaths: %(ROOT)s/plugins\n"
    )
    made = draft(tmp_path, text, ROOT="/studio", SITE_KEY=KEY, SITE_URL="https://a.b")
    assert 'url = { env = "SITE_URL" }' in made.text
    assert 'script_name = { env = "SCRIPT" }' in made.text
    assert 'api_key = { env = "SITE_KEY" }' in made.text
    assert [each.path for each in made.folders] == [Path("/studio/plugins")]
    assert KEY not in made.text


def test_a_value_that_needs_a_missing_variable_is_a_decision(tmp_path: Path) -> None:
    """It is not guessed; the line and the variable are named."""
    text = (
        "[shotgun]\nserver: https://%(STUDIO)s.site\nname: a\n[plugins]\npaths: %(ROOT)s/plugins\n"
    )
    made = draft(tmp_path, text)
    assert any("server (line 2) needs STUDIO" in each for each in made.decisions)
    assert any("paths (line 5) needs ROOT" in each for each in made.decisions)
    assert made.folders == []


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        (f"key: {KEY}", "SGEVENTS_API_KEY"),
        (f"key: {KEY}\nproxy_server: anna:{PASSWORD}@proxy:80", "SGEVENTS_HTTP_PROXY"),
        (
            f"key: {KEY}\n[emails]\nserver: s\nfrom: a@b\npassword: {PASSWORD}",
            "SGEVENTS_SMTP_PASSWORD",
        ),
    ],
)
def test_secrets_become_references_and_are_never_shown(
    tmp_path: Path, option: str, variable: str
) -> None:
    """Neither in the configuration nor in what a person is asked."""
    text = f"[shotgun]\nserver: https://a.b\nname: a\n# was: {KEY}\n{option}\n"
    made = draft(tmp_path, text)
    assert f'{{ env = "{variable}" }}' in made.text
    shown = made.text + " ".join(made.decisions)
    assert KEY not in shown
    assert PASSWORD not in shown
    settings_of(made, tmp_path)


@pytest.mark.parametrize(
    "comment",
    [
        f"old key: {KEY}",
        "password = abc",
        "secret: x",
        "841c9a51bf45e1872c3e5f2435dade67458bc858",
        "token: a1",
    ],
)
def test_a_comment_that_may_hold_a_key_is_left_out(tmp_path: Path, comment: str) -> None:
    """Its line is named instead."""
    assert seems_secret(comment)
    made = draft(tmp_path, f"[shotgun]\n# {comment}\nserver: https://a.b\nname: a\nkey: %(K)s\n")
    assert comment not in made.text
    assert "The comment in line 2 seems to hold a key" in made.text


def test_a_comment_with_the_key_itself_is_left_out(tmp_path: Path) -> None:
    """However harmless it looks."""
    key = "plainletters"
    text = f"[shotgun]\n# ask {key} for it\nserver: https://a.b\nname: a\nkey: {key}\n"
    assert key not in draft(tmp_path, text).text


def test_options_that_nobody_knows_are_decisions(tmp_path: Path) -> None:
    """They are named with their lines; their values may be anything, and are not shown."""
    text = f"[shotgun]\nserver: https://a.b\nname: a\nkey: %(K)s\n[jira]\npassword: {PASSWORD}\n"
    made = draft(tmp_path, text)
    assert any("[jira] password (line 6)" in each for each in made.decisions)
    assert PASSWORD not in made.text


def test_mails_that_are_off_stay_off(tmp_path: Path) -> None:
    """An [emails] section that is not enabled leads to nothing."""
    made = draft(tmp_path, WHOLE.replace("enabled: True", "enabled: False"))
    assert settings_of(made, tmp_path).smtp is None


def test_mails_to_a_missing_variable_are_a_decision(tmp_path: Path) -> None:
    """No address is made of what could not be filled in."""
    made = draft(tmp_path, WHOLE.replace("to: anna@studio, bob@studio", "to: %(TO)s"))
    assert any("to (line" in each and "needs TO" in each for each in made.decisions)
    smtp = settings_of(made, tmp_path).smtp
    assert smtp is not None
    assert smtp.recipients == ()


def test_session_uuid_that_was_off_is_a_decision(tmp_path: Path) -> None:
    """Here it is always passed on."""
    made = draft(tmp_path, WHOLE.replace("use_session_uuid: True", "use_session_uuid: no"))
    assert any("use_session_uuid is off" in each for each in made.decisions)


def test_the_oldest_options_are_known(tmp_path: Path) -> None:
    """Before there was a logPath, logFile was the whole path."""
    text = WHOLE.replace("logPath: /var/log/daemon\n", "").replace(
        "logFile: daemon", "logFile: /var/log/old.log"
    )
    made = draft(tmp_path, text.replace("%(logPath)s", "/var/log"))
    assert settings_of(made, tmp_path).log.file == Path("/var/log/sgevents.log")


def test_names_are_not_case_sensitive(tmp_path: Path) -> None:
    """As in the classic daemon, neither those of options nor those of variables."""
    text = "[shotgun]\nSERVER: https://a.b\nName: a\nKEY: %(sg_key)s\n[plugins]\nPaths: %(Root)s\n"
    made = draft(tmp_path, text, ROOT="/studio/plugins")
    assert [each.path for each in made.folders] == [Path("/studio/plugins")]


def test_a_percent_sign_in_the_environment_does_no_harm(tmp_path: Path) -> None:
    """The classic daemon does not start with one; here it is a character."""
    text = "[shotgun]\nserver: https://a.b\nname: 100%% a\nkey: %(K)s\n[plugins]\npaths: %(ROOT)s\n"
    made = draft(tmp_path, text, ROOT="/a%b", PS1="%h")
    assert [each.written for each in made.folders] == ["/a%b"]
    assert 'script_name = "100% a"' in made.text


@pytest.mark.parametrize(
    ("text", "says", "advice"),
    [
        ("server: a\n", ":1: no section", "Name the configuration"),
        ("[a]\nserver: a\nserver: b\n", ":3: server of [a] is given twice", "Remove one"),
        ("[a]\n[a]\n", ":2: [a] is given twice", "Remove one of the two"),
        ("[a]\nsecret-words\n", ":2: this line is no option", "Write it as `name: value`"),
    ],
)
def test_what_is_no_ini_file_is_a_message(
    tmp_path: Path, text: str, says: str, advice: str
) -> None:
    """It has the line, and nothing of what stands there."""
    with pytest.raises(IniFileError) as error:
        draft(tmp_path, text)
    assert says in str(error.value)
    assert advice in str(error.value)
    assert "secret-words" not in str(error.value)


def test_other_encodings_are_read(tmp_path: Path) -> None:
    """A byte order mark, and Latin letters of old."""
    path = tmp_path / "a.conf"
    path.write_bytes("\ufeff[plugins]\npaths: /stüdio\n".encode())
    assert draft_of(read_ini_file(path, {})).folders[0].written == "/stüdio"
    path.write_bytes("[plugins]\npaths: /stüdio\n".encode("latin-1"))
    assert draft_of(read_ini_file(path, {})).folders[0].written == "/stüdio"


def test_nothing_is_written_over(studio: OldStudio) -> None:
    """A configuration that is there stays, and nothing else is written either."""
    studio.write_conf()
    studio.config.write_text("mine")
    before = studio.files()
    refused = studio.run("shotgunEventDaemon.conf")
    assert refused.exit_code == 2
    assert "not written over" in refused.output
    assert (studio.config.read_text(), studio.files()) == ("mine", before)


def test_output_names_another_folder(studio: OldStudio) -> None:
    """It is made if it is not there; the state is beside the configuration."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    studio.write_id(notify=(5, []))
    assert studio.run("shotgunEventDaemon.conf", "--output", "new/place").exit_code == 0
    assert (studio.folder / "new/place/sgevents.toml").is_file()
    assert (studio.folder / "new/place/state/sgevents.db").is_file()
    assert not studio.config.exists()


@pytest.mark.parametrize("words", [["--check"], ["--check", "--load"]])
def test_check_writes_nothing(studio: OldStudio, words: list[str]) -> None:
    """Not even a folder, and no compiled module beside those that plugins import."""
    studio.write("studio/_tools.py", "x = 1\n")
    studio.write("studio/tools.py", "import _tools\ndef registerCallbacks(reg): pass\n")
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    studio.write_id(notify=(5, [3]))
    before = studio.files()
    checked = studio.run(*words, "shotgunEventDaemon.conf")
    assert checked.exit_code == 0
    assert studio.files() == before
    assert "notify continues after event 5" in checked.output


@pytest.mark.parametrize("content", [b"", b"nonsense", b"cos\nsystem\n(S'touch pwned'\ntR."])
def test_positions_that_cannot_be_read_stop_it_before_anything_is_written(
    studio: OldStudio, content: bytes
) -> None:
    """Unless they are to be left behind."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    studio.id_file.write_bytes(content)
    before = studio.files()
    refused = studio.run("shotgunEventDaemon.conf")
    assert refused.exit_code == 2
    assert str(studio.id_file) in refused.output
    assert studio.files() == before
    assert studio.run("shotgunEventDaemon.conf", "--without-id").exit_code == 0
    assert studio.config.exists()


def test_a_running_classic_daemon_is_named(studio: OldStudio) -> None:
    """Its positions are not the last ones."""
    pid_file = studio.folder / "daemon.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    studio.write_conf(daemon=f"pidFile: {pid_file}")
    assert f"process {os.getpid()}" in studio.run("--check", "shotgunEventDaemon.conf").output
    pid_file.write_text("no number")
    assert "note:" not in studio.run("--check", "shotgunEventDaemon.conf").output


def test_the_configuration_of_the_current_folder_is_the_default(studio: OldStudio) -> None:
    """Without an argument, and without one to be found, it says what to name."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    assert studio.run().exit_code == 0
    assert studio.config.exists()
    studio.conf.unlink()
    missing = studio.run()
    assert missing.exit_code == 2
    assert "name the configuration of the classic daemon" in missing.output


def test_plugin_files_that_need_a_decision_are_named(studio: OldStudio) -> None:
    """Below their folder: what does not load, and keys in the source."""
    studio.write("studio/old.py", "import os\nprint 'x'\ndef registerCallbacks(reg): pass\n")
    studio.write(
        "studio/keyed.py",
        f"def registerCallbacks(reg):\n    reg.registerCallback('a', '{KEY}', len)\n",
    )
    studio.write_conf()
    assert studio.run("shotgunEventDaemon.conf").exit_code == 0
    lines = studio.config.read_text().splitlines()
    place = lines.index('group = "studio"')
    assert lines[place + 1].startswith("# DECIDE: keyed.py, line 2: registerCallback: a key is")
    assert lines[place + 2] == "# DECIDE: old.py, line 2: it is Python 2, print is a statement"
    assert KEY not in studio.config.read_text()


def test_positions_follow_a_group_that_was_renamed(studio: OldStudio) -> None:
    """The configuration may have been edited before they are imported again."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    studio.write_id(notify=(5, [3]))
    assert studio.run("shotgunEventDaemon.conf").exit_code == 0
    text = studio.config.read_text().replace('group = "studio"', 'group = "first"')
    studio.config.write_text(text)
    imported = studio.run("--import-id", "shotgunEventDaemon.conf")
    assert "classic:first/notify continues after event 5" in imported.output
    exported = studio.run("--export-id", "back.id", "shotgunEventDaemon.conf")
    assert exported.exit_code == 0, exported.output
    assert studio.positions(studio.folder / "back.id") == {"notify": (5, [3])}


def test_positions_of_a_folder_that_is_gone_are_kept(studio: OldStudio) -> None:
    """A network disk comes back; its plugins then go on where they were."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    studio.write_id(notify=(5, [3]))
    (studio.folder / "studio").rename(studio.folder / "away")
    moved = studio.run("shotgunEventDaemon.conf")
    assert "classic:studio/notify continues after event 5" in moved.output
    exported = studio.run("--export-id", "back.id")
    assert exported.exit_code == 0, exported.output
    assert studio.positions(studio.folder / "back.id") == {"notify": (5, [3])}


def test_without_a_state_there_is_nothing_to_export(studio: OldStudio) -> None:
    """No file is written that would make the classic daemon begin anew."""
    studio.write_noting("studio/notify.py")
    studio.write_conf()
    assert studio.run("shotgunEventDaemon.conf").exit_code == 0
    before = studio.files()
    exported = studio.run("--export-id", "back.id")
    assert exported.exit_code == 2
    assert "no position to write" in exported.output
    assert studio.files() == before


def test_comments_behind_numbers_are_passed_over(tmp_path: Path) -> None:
    """Python 2 allowed them; a level that is no number is the usual one."""
    text = WHOLE.replace("logging: 10", "logging: 40 ; errors").replace(
        "fetch_interval = 2", "fetch_interval = 2   ; seconds"
    )
    settings = settings_of(draft(tmp_path, text), tmp_path)
    assert (settings.log.level, settings.feed.poll_interval) == ("error", 2.0)
    text = WHOLE.replace("logging: 10", "logging: often")
    assert settings_of(draft(tmp_path, text), tmp_path).log.level == "info"


def test_paths_may_stand_on_several_lines(tmp_path: Path) -> None:
    """Each is a folder, once."""
    text = "[plugins]\npaths: /a/one,\n    /a/two,\n    /a/one,\n"
    assert [each.group for each in draft(tmp_path, text).folders] == ["one", "two"]
