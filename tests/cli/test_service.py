"""`sgevents service systemd` writes a unit that runs this sgevents, and that systemd accepts."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sgevents_core.cli._systemd_unit import Service, unit_text
from sgevents_core.cli.root import sgevents
from sgevents_core.errors import UnitPathError

CONFIG = """
[site]
url = "https://studio.example.com"
script_name = "events"
api_key = {key}

[state]
path = "{state}"
"""
ANALYZE = shutil.which("systemd-analyze")


def write(folder: Path, *, key: str = '"demo-key"', state: str = "state", more: str = "") -> Path:
    """Write a configuration and return it."""
    config = folder / "sgevents.toml"
    config.write_text(CONFIG.format(key=key, state=state) + more, encoding="utf-8")
    config.chmod(0o600)
    return config


def service(config: Path, *options: str) -> Result:
    """Run the command."""
    arguments = ["service", "systemd", "--config", str(config), *options]
    return CliRunner().invoke(sgevents, arguments)


def settings_of(unit: str) -> dict[str, list[str]]:
    """Return the settings of a unit: key -> values, in order."""
    unit_settings: dict[str, list[str]] = {}
    for line in unit.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            unit_settings.setdefault(key, []).append(value)
    return unit_settings


def unit(config: Path, *options: str) -> dict[str, list[str]]:
    """Return the settings of the unit that the command writes to the terminal."""
    result = service(config, *options)
    assert result.exit_code == 0, result.output
    return settings_of(result.stdout)


def test_unit_runs_the_sgevents_that_wrote_it(tmp_path: Path) -> None:
    """By absolute paths: a service has no PATH and no folder of its own."""
    unit_settings = unit(write(tmp_path))
    *program, command, option, config = shlex.split(unit_settings["ExecStart"][0])
    assert (command, option, config) == ("run", "--config", str(tmp_path / "sgevents.toml"))
    assert Path(program[0]).is_absolute()
    run = subprocess.run([*program, "--version"], capture_output=True, text=True)
    assert run.stdout.startswith("sgevents "), run.stderr
    assert Path(program[0]).parent == Path(sys.executable).parent


def test_service_is_started_again_whatever_happens(tmp_path: Path) -> None:
    """It says itself when it is ready, is watched, and no number of failures makes systemd stop."""
    settings = unit(write(tmp_path))
    assert settings["Type"] == ["notify"]
    assert settings["WatchdogSec"] == ["2min"]
    assert settings["Restart"] == ["on-failure"]
    assert settings["StartLimitIntervalSec"] == ["0"]
    assert settings["KillSignal"] == ["SIGTERM"]
    assert settings["ExecReload"] == [settings["ExecStart"][0].replace(" run ", " reload ")]


def test_user_is_the_one_named_or_who_asks(tmp_path: Path) -> None:
    """A name that this machine does not know yet is used, and told."""
    config = write(tmp_path)
    own_user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True)
    assert unit(config)["User"] == [own_user.stdout.strip()]
    assert unit(config, "--user", "daemon")["User"] == ["daemon"]
    result = service(config, "--user", "nobody-yet")
    assert "There is no user nobody-yet" in result.stderr
    refused = service(config, "--user", "root\nExecStartPre=/bin/false")
    assert refused.exit_code == 2
    assert "ExecStartPre" not in refused.stdout


def test_folders_of_a_service_are_made_by_systemd(tmp_path: Path) -> None:
    """State and log where services keep theirs: made with the right owner, and writable."""
    log = '[log]\nfile = "/var/log/sgevents/sgevents.log"\n'
    unit_settings = unit(write(tmp_path, state="/var/lib/sgevents/prod", more=log))
    assert unit_settings["StateDirectory"] == ["sgevents/prod"]
    assert unit_settings["LogsDirectory"] == ["sgevents"]
    assert unit_settings["StateDirectoryMode"] == ["0750"]


def test_state_in_a_protected_folder_stays_writable(tmp_path: Path) -> None:
    """What protects /etc does not keep the daemon from a state that somebody put there."""
    unit_settings = unit(write(tmp_path, state="/etc/sgevents/state"))
    assert unit_settings["ReadWritePaths"] == ["-/etc/sgevents/state"]
    assert "ReadWritePaths" not in unit(write(tmp_path))


def test_keys_come_from_where_the_configuration_takes_them(tmp_path: Path) -> None:
    """Environment variables from a file beside the configuration, credentials from there too."""
    plugin = '[plugins.p]\nenabled = true\n[plugins.p.settings]\na = [{ t = { env = "CHAT" } }]\n'
    config = write(tmp_path, key='{ env = "SITE_KEY" }', more=plugin)
    result = service(config)
    assert settings_of(result.stdout)["EnvironmentFile"] == [f"{tmp_path}/sgevents.env"]
    assert "# CHAT=...\n# SITE_KEY=...\n" in result.stdout

    unit_settings = unit(write(tmp_path, key='{ credential = "site-key" }'))
    assert unit_settings["LoadCredential"] == [f"site-key:{tmp_path}/site-key"]
    assert "EnvironmentFile" not in unit_settings
    assert "LoadCredential" not in unit(write(tmp_path))


def test_key_itself_is_never_in_the_unit(tmp_path: Path) -> None:
    """Every user can read units."""
    config = write(tmp_path, key='"demo-key-of-the-site"')
    assert "demo-key" not in service(config).output


def test_unit_is_written_to_a_file_and_not_over_another(tmp_path: Path) -> None:
    """With what to do next; a unit that is there is replaced only by force."""
    config, file = write(tmp_path), tmp_path / "studio-events.service"
    result = service(config, "--output", str(file))
    assert result.exit_code == 0
    assert "systemctl enable --now studio-events.service" in result.stdout
    assert f"cp {file} /etc/systemd/system/studio-events.service" in result.stdout
    written = file.read_text()
    assert 'api_key = { credential = "api-key" }' in written

    file.write_text("mine")
    refused = service(config, "--output", str(file))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert file.read_text() == "mine"
    assert service(config, "--output", str(file), "--force").exit_code == 0
    assert file.read_text() == written


def test_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the reason, and no traceback."""
    result = service(write(tmp_path), "--output", str(tmp_path / "missing" / "sgevents.service"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_wrong_configuration_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """A service that cannot start is not set up."""
    file = tmp_path / "sgevents.service"
    result = service(write(tmp_path, more="[feeed]\n"), "--output", str(file))
    assert result.exit_code == 2
    assert not file.exists()


def odd(config: str, state: str = "/srv/state") -> Service:
    """Return a service with an odd path."""
    return Service(
        name="sgevents.service",
        site="https://studio.example.com",
        user="daemon",
        program=["/bin/sh"],
        config=Path(config),
        state=Path(state),
    )


def test_odd_paths_are_written_as_systemd_reads_them() -> None:
    """Percent, dollar, space and quotes mean something to it."""
    unit_settings = settings_of(unit_text(odd('/srv/a b/50%/$HOME/"x"/sgevents.toml')))
    assert unit_settings["WorkingDirectory"] == ['/srv/a b/50%%/$HOME/"x"']
    assert unit_settings["ExecStart"] == [
        r'/bin/sh run --config "/srv/a b/50%%/$$HOME/\"x\"/sgevents.toml"'
    ]
    assert unit_settings["RequiresMountsFor"] == [r'/bin "/srv/a b/50%%/$HOME/\"x\"" /srv/state']


def test_path_that_no_unit_can_hold_is_refused() -> None:
    """A line break would begin a setting of its own."""
    with pytest.raises(UnitPathError, match="plain names"):
        unit_text(odd("/srv/a\nUser=root/sgevents.toml"))


HOSTILE = "A\nExecStartPre=/bin/false"


@pytest.mark.parametrize(
    "hostile",
    [{"variables": [HOSTILE]}, {"credentials": [HOSTILE]}, {"site": HOSTILE}, {"user": HOSTILE},
     {"name": HOSTILE}, {"config": Path("/etc") / HOSTILE}, {"state": Path("/var") / HOSTILE},
     {"log": Path("/var") / HOSTILE}, {"program": ["/bin/sgevents", HOSTILE]}],
    ids=lambda one: next(iter(one)),
)  # fmt: skip
def test_no_value_can_write_a_line_of_its_own(hostile: dict[str, Any]) -> None:
    """A unit with a line break in any value would run what that value says, as root."""
    values: dict[str, Any] = {
        "name": "sgevents.service",
        "site": "https://studio.example.com",
        "user": "sgevents",
        "program": ["/opt/sgevents/bin/sgevents"],
        "config": Path("/etc/sgevents/sgevents.toml"),
        "state": Path("/var/lib/sgevents"),
    }
    unit_text(Service(**values))
    with pytest.raises(UnitPathError):
        unit_text(Service(**{**values, **hostile}))


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_unit_exposes_little(tmp_path: Path) -> None:
    """systemd's own judgement is below 4 of 10: little of the machine is within its reach."""
    config = write(tmp_path, key='{ env = "SITE_KEY" }', state="/var/lib/sgevents")
    file = tmp_path / "sgevents.service"
    assert service(config, "--user", "daemon", "--output", str(file)).exit_code == 0
    command = [
        str(ANALYZE),
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=40",
        str(file),
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-200:]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("folder", ["plain", "a b 50% $x 'y'"])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, folder: str) -> None:
    """Not a word, for a plain path and for an odd one."""
    unit_folder = tmp_path / folder
    unit_folder.mkdir()
    config = write(unit_folder, key='{ env = "SITE_KEY" }', state="/var/lib/sgevents")
    file = tmp_path / "sgevents.service"
    assert service(config, "--user", "daemon", "--output", str(file)).exit_code == 0
    run = subprocess.run([str(ANALYZE), "verify", str(file)], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
