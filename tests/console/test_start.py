"""Starting a console: it refuses to be open to more people than it should."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from click.testing import CliRunner
from console_visits import config_file
from running_daemon import RunningDaemon
from served_console import served_address, served_console, served_token
from waiting import wait_until

from sgevents_core.cli.console import console
from sgevents_core.console.passwords import hash_password, is_password
from sgevents_core.console.serving import ConsoleStart, prepare_console
from sgevents_core.console.ways_in import OpenWay, ProxyWay, TokenWay, UserWay
from sgevents_core.errors import ConfigError, ConsoleAccessError, ConsolePortError
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import load_settings

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
USERS = f"[console.access]\noperators = ['anna']\n[console.access.users]\nanna = '{HASH}'\n"
PROXY = "[console.access]\nheader = 'X-Remote-User'\nfrom = ['10.1.0.0/16', '::1']\n"


@contextmanager
def prepared(folder: Path, text: str) -> Iterator[ConsoleStart]:
    """A console that is ready, on a port that is free."""
    start = prepare_console([load_settings(config_file(folder, more=text))], "anna@host")
    try:
        yield start
    finally:
        start.listening_socket.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.20.30.40", "host.studio.example"])
@pytest.mark.parametrize("access", ["", "access = 'open'\n", "access = 'token'\n"])
def test_beyond_this_machine_it_needs_to_know_who_may_come_in(
    tmp_path: Path, host: str, access: str
) -> None:
    """Neither a token nor openness is enough there; nothing listens."""
    text = f"[console]\nlisten = '{host}:0'\n{access}"
    with (
        pytest.raises(ConsoleAccessError, match=r"can be reached from other machines"),
        prepared(tmp_path, text),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "way_class"),
    [
        ("[console]\nlisten = '127.0.0.1:0'\n", TokenWay),
        ("[console]\nlisten = 'localhost:0'\n", TokenWay),
        ("[console]\nlisten = '127.0.0.1:0'\naccess = 'open'\n", OpenWay),
        (f"[console]\nlisten = '0.0.0.0:0'\n{USERS}", UserWay),
        (f"[console]\nlisten = '127.0.0.1:0'\n{USERS}", UserWay),
        (f"[console]\nlisten = '0.0.0.0:0'\n{PROXY}", ProxyWay),
    ],
)
def test_the_table_says_how_people_come_in(tmp_path: Path, text: str, way_class: type) -> None:
    """By default with a token; the table counts on this machine, too."""
    with prepared(tmp_path, text) as start:
        assert isinstance(start.parts.gate.way_in, way_class)
        assert bool(start.token) == (way_class is TokenWay)
        assert start.is_open == (way_class is OpenWay)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[console.access]\n", "nobody could come in"),
        ("[console.access]\nheader = 'X-User'\n", "header needs from"),
        ("[console.access]\nfrom = ['10.0.0.1']\n", "from needs header"),
        ("[console.access]\nheader = 'X-User'\nfrom = ['10.0.0.300']\n", "is not an address"),
        (USERS.replace(HASH, "plain password"), "this is not the hash of a password"),
        (USERS.replace("['anna']", "['ana']"), "did you mean anna?"),
        (f"{PROXY}[console.access.users]\nanna = '{HASH}'\n", "exclude each other"),
        ("[console]\nlisten = '8090'\n", "console.listen"),
        ("[console]\nlisten = '127.0.0.1:70000'\n", "console.listen"),
        ("[console]\nlisten = 8090\n", "expected an address"),
        ("[console]\naccess = 'all'\n", "access"),
        ("[console]\ncertificate = 'studio.toml'\n", "certificate needs certificate_key"),
        ("[console]\nacces = 'open'\n", "did you mean access?"),
    ],
)
def test_a_table_that_makes_no_sense_is_reported(tmp_path: Path, table: str, message: str) -> None:
    """With the key and the fix, like every other problem of the file."""
    with pytest.raises(ConfigError) as raised:
        load_settings(config_file(tmp_path, more=table))
    assert message in str(raised.value)


def test_a_hash_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Otherwise nobody would know why the password is never right."""
    cut = USERS.replace(HASH, HASH[:40])
    with pytest.raises(ConsoleAccessError, match="anna's password"), prepared(tmp_path, cut):
        pass


def test_an_unknown_time_zone_is_refused(tmp_path: Path) -> None:
    """At the start, not on a page."""
    text = "[console]\nlisten = '127.0.0.1:0'\ntime_zone = 'Mars/Olympus'\n"
    with pytest.raises(ConsoleAccessError, match="Mars/Olympus"), prepared(tmp_path, text):
        pass


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    """With the way to another one."""
    with prepared(tmp_path, "[console]\nlisten = '127.0.0.1:0'\n") as start:
        port = start.listening_socket.getsockname()[1]
        other = f"[console]\nlisten = '127.0.0.1:{port}'\n"
        with pytest.raises(ConsolePortError, match="--listen"), prepared(tmp_path, other):
            pass


def test_the_command_makes_a_hash() -> None:
    """It asks twice, and what it prints is the hash of that password."""
    result = CliRunner().invoke(console, ["--hash-password"], input="right horse\nright horse\n")
    assert result.exit_code == 0, result.output
    password_hash = result.stdout.strip().splitlines()[-1]
    assert is_password("right horse", password_hash)
    assert not is_password("other", password_hash)
    assert hash_password("right horse") != password_hash


def test_without_the_extra_packages_the_command_names_them(tmp_path: Path) -> None:
    """Both for itself and for a daemon that is to start it."""
    config = config_file(tmp_path)
    for command in (["console"], ["run", "--console"]):
        arguments = [*command, "--config", str(config)]
        script = f"import sys; sys.modules['uvicorn'] = None; sys.argv[1:] = {arguments!r}\n"
        script += "from sgevents_core.cli import main; main()"
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert ended.returncode == 2
        assert "sgevents-core[console]" in ended.stderr
        assert "uvicorn is missing" in " ".join(ended.stderr.split())
        assert "Traceback" not in ended.stderr


def test_the_command_serves_several_sites_and_tells_no_log_the_token(tmp_path: Path) -> None:
    """A process of its own: the token is in a private file, the overview has all sites."""
    listen = "[console]\nlisten = '127.0.0.1:0'\n"
    configs = [config_file(tmp_path, "one", listen), config_file(tmp_path, "two")]
    with served_console(*configs) as served:
        token = served_token(served.output)
        token_file = tmp_path / "one" / "console.token"
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        with httpx.Client(base_url=served.address, follow_redirects=True) as browser:
            page = browser.get("/enter", params={"token": token})
            assert "one.shotgrid.autodesk.com" in page.text
            assert "two.shotgrid.autodesk.com" in page.text
            sites = browser.get("/api/v1/sites").json()["sites"]
            assert [site["daemon"] for site in sites] == ["never ran", "never ran"]
            browser.get("/enter", params={"token": "wrong"})
        served.process.terminate()
        assert served.process.wait(30) == 0
        assert token not in served.output.read_text()


def test_it_serves_over_https_with_a_certificate(tmp_path: Path) -> None:
    """Then its cookies are for encrypted connections alone."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    keys = "certificate = 'chain.pem'\ncertificate_key = 'key.pem'\n"
    config = config_file(tmp_path, more=f"[console]\nlisten = '127.0.0.1:0'\n{keys}")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with served_console(config) as served:
        assert served.address.startswith("https://")
        token = served_token(served.output)
        with httpx.Client(base_url=served.address, verify=trusted) as browser:
            answer = browser.get("/enter", params={"token": token})
            assert "Secure" in answer.headers["set-cookie"]
            assert browser.get("/api/v1/sites").status_code == 200


def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """At the start, with the file."""
    (tmp_path / "chain.pem").write_text("nothing")
    keys = "certificate = 'chain.pem'\ncertificate_key = 'chain.pem'\n"
    text = f"[console]\nlisten = '127.0.0.1:0'\n{keys}"
    with pytest.raises(ConsoleAccessError, match=r"chain\.pem"), prepared(tmp_path, text):
        pass


def test_run_with_console_serves_it_and_ends_it(tmp_path: Path) -> None:
    """It is a process beside the daemon, which shows that the daemon runs."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.log = "[console]\nlisten = '127.0.0.1:0'\n"
        with daemon.running("--console") as process:
            address = served_address(daemon.output)
            token = served_token(daemon.output)
            headers = {"Authorization": f"Bearer {token}"}
            sites = f"{address}/api/v1/sites"

            def running() -> bool:
                lines = httpx.get(sites, headers=headers).json()["sites"]
                return bool(lines[0]["daemon"] == "running")

            wait_until(running, what="the console shows a running daemon")
            assert daemon.stop(process) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(sites)
        assert token not in daemon.output.read_text()


def test_a_killed_daemon_takes_its_console_along(tmp_path: Path) -> None:
    """So that a restart finds the port free."""
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.log = "[console]\nlisten = '127.0.0.1:0'\naccess = 'open'\n"
        with daemon.running("--console") as process:
            address = served_address(daemon.output)
            assert httpx.get(f"{address}/api/v1/sites").status_code == 200
            process.kill()

        def refuses() -> bool:
            try:
                httpx.get(f"{address}/api/v1/sites")
            except httpx.TransportError:
                return True
            return False

        wait_until(refuses, what="the console has ended")
    assert "Everybody who can connect" in daemon.output.read_text()
