"""What docs/how-to/running has for machines: units, an image, a pod, and rotation of logs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from debian import debian_program
from doc_pages import DOCS
from waiting import PATIENCE

from sgevents_core.cli._systemd_unit import Service, unit_text
from sgevents_core.observe.log_writers import FileSink
from sgevents_core.settings import load_settings

FILES = DOCS / "how-to" / "running"
UNITS = ("sgevents@.service", "sgevents-console@.service")
PER_INSTANCE = {"Description", "User", "WorkingDirectory", "ExecStart", "ExecReload"}
PER_INSTANCE |= {"EnvironmentFile", "StateDirectory", "LogsDirectory", "LogsDirectoryMode"}
PER_INSTANCE |= {"RequiresMountsFor"}


def settings_of(unit: str) -> dict[str, list[str]]:
    """Return the settings of a unit: key -> values, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def installed_unit(folder: Path, name: str) -> Path:
    """Return a unit of the docs, as an instance whose program and user are on this machine."""
    text = (FILES / name).read_text("utf-8")
    program = Path(sys.executable).parent / "sgevents"
    text = text.replace("/opt/sgevents/bin/sgevents", str(program)).replace(
        "=sgevents\n", "=root\n"
    )
    unit = folder / name.replace("@", "@studio")
    unit.write_text(text, "utf-8")
    return unit


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, name: str) -> None:
    """Not a word, and its own judgement of what it exposes is below 4 of 10."""
    analyze = debian_program("systemd-analyze", "systemd")
    unit = installed_unit(tmp_path, name)
    run = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=40", str(unit)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-300:]


def test_the_unit_of_an_instance_is_the_one_that_is_written() -> None:
    """What `service systemd` writes for one daemon holds for each instance, line by line."""
    service = Service(
        name="sgevents.service",
        site="https://studio.example",
        user="sgevents",
        program=["/opt/sgevents/bin/sgevents"],
        config=Path("/etc/sgevents/sgevents.toml"),
        state=Path("/var/lib/sgevents"),
    )
    written = settings_of(unit_text(service))
    instance = settings_of((FILES / UNITS[0]).read_text("utf-8"))
    for key in (set(written) | set(instance)) - PER_INSTANCE:
        assert instance.get(key) == written.get(key), key


@pytest.mark.parametrize("name", UNITS)
def test_each_instance_has_its_own_configuration_and_state(name: str) -> None:
    """Two sites share the program and the user, and nothing else."""
    settings = settings_of((FILES / name).read_text("utf-8"))
    (command,) = settings["ExecStart"]
    assert command.endswith("--config /etc/sgevents/%i/sgevents.toml")
    assert settings["StateDirectory"] == ["sgevents/%i"]


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret() -> None:
    """Its user is a number, which Kubernetes can tell from root; its command needs no shell."""
    text = (FILES / "Containerfile").read_text("utf-8")
    instructions = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    lines = [line for line in instructions.splitlines() if line]
    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") < lines.index('ENTRYPOINT ["sgevents"]')
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM docker.io/library/python:3.13-slim-trixie AS packages",
        "FROM docker.io/library/python:3.13-slim-trixie",
    ]
    (install,) = [line for line in lines if "pip install" in line]
    assert "--mount=type=secret" in install
    assert "--require-hashes" in install
    assert not re.search(r"(?i)(password|token|api_key)\s*[=:]", instructions)
    assert "STOPSIGNAL SIGTERM" in lines


def test_the_configuration_of_the_image_fits_its_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it listens on is what is exposed, and what the probes ask is there."""
    monkeypatch.setenv("SGEVENTS_SITE", "https://studio.shotgrid.autodesk.com")
    monkeypatch.setenv("SGEVENTS_API_KEY", "only-a-demo-key")
    settings = load_settings(FILES / "sgevents.toml")
    assert settings.metrics.listen is not None
    port = settings.metrics.listen.port
    container = (FILES / "Containerfile").read_text("utf-8")
    pod = (FILES / "kubernetes.yaml").read_text("utf-8")
    assert f"EXPOSE {port}\n" in container
    assert f"http://127.0.0.1:{port}/healthz" in container
    assert f"containerPort: {port}" in pod
    assert re.findall(r"path: (/\w+), port", pod) == ["/healthz", "/healthz", "/readyz"]
    assert str(settings.state.path) in container
    assert f"mountPath: {settings.state.path}" in pod


def test_logs_that_are_rotated_go_on(tmp_path: Path) -> None:
    """The configuration is right, and the daemon writes on into a new file, without a signal."""
    logrotate = debian_program("logrotate", "logrotate")
    log = tmp_path / "sgevents.log"
    text = (FILES / "logrotate.conf").read_text("utf-8")
    text = text.replace("/var/log/sgevents/*.log /var/log/sgevents/*/*.log", f'"{log}"')
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "root")
    config = tmp_path / "logrotate.conf"
    config.write_text(re.sub(r"su sgevents sgevents", f"su {user} {user}", text), "utf-8")
    config.chmod(0o600)
    tmp_path.chmod(0o700)
    sink = FileSink(log, 10, 1_000_000)
    sink.write(["one\n"])
    command = [logrotate, "--force", "--state", str(tmp_path / "rotated"), str(config)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, "")
    sink.write(["two\n"])
    sink.close()
    assert log.read_text() == "two\n"
    assert [path.read_text() for path in tmp_path.glob("sgevents.log-*")] == ["one\n"]
