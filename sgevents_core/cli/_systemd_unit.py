"""The text of a systemd unit for the daemon, with comments for its readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from sgevents_core.errors import UnitPathError

_TEXT: Final = Template("""\
# Written by `sgevents service systemd`. Changes go into a drop-in: systemctl edit $name

[Unit]
Description=sgevents hands the events of $site to plugins
Wants=network-online.target
After=network-online.target
RequiresMountsFor=$mounts
# It is restarted however often it fails: an outage may last a night.
StartLimitIntervalSec=0

[Service]
Type=notify
User=$user
WorkingDirectory=$folder
ExecStart=$command
# `systemctl reload` applies a changed configuration and installed or upgraded plugins.
ExecReload=$reload
Restart=on-failure
RestartSec=15s
# Its state was deleted while it ran: a restart would create a new one and miss events.
RestartPreventExitStatus=4

# To stop, the daemon finishes the running callbacks; after this time it is killed.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=2min
# Plugins may do work in their `startup`; if it takes longer than this, the start has failed.
TimeoutStartSec=5min

# The daemon feeds the watchdog while its feed and every lane make progress. If one hangs, the log
# shows where, and the daemon is killed and restarted.
WatchdogSec=2min

$secrets
$folders# As much protection as plugins can live with: they may write wherever the user may, except
# below /usr, /boot and /etc; they may use the network, run programs and compile code. To loosen a
# line for a plugin, override it in a drop-in: one that calls sudo needs NoNewPrivileges=no,
# RestrictSUIDSGID=no, CapabilityBoundingSet=~ and SystemCallFilter=; one that uses a GPU or
# another device PrivateDevices=no; one that runs containers RestrictNamespaces=no.
NoNewPrivileges=yes
ProtectSystem=full
ProtectControlGroups=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
PrivateDevices=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=
# A core dump would contain the keys.
LimitCORE=0

[Install]
WantedBy=multi-user.target
""")

_ADVICE: Final = Template("""\
# A key can be kept as a credential, which only this service can read; the configuration then has
# api_key = { credential = "api-key" }
# LoadCredential=api-key:$folder/api-key
""")

_CREDENTIALS: Final = Template("""\
# The configuration takes keys from credentials:
$lines
""")

_ENVIRONMENT: Final = Template("""\
# The configuration takes keys from the environment. This file (chmod 600) has a line for each:
$lines
EnvironmentFile=$file

""")

_READ_ONLY: Final = tuple(Path(folder) for folder in ("/usr", "/boot", "/efi", "/etc"))
_STATE: Final = Path("/var/lib")
_LOGS: Final = Path("/var/log")


class Service(NamedTuple):
    """The service that a unit describes.

    Args:
        name: The unit's name: `sgevents.service`.
        site: The site's address.
        user: The user that the daemon runs as.
        program: The program and its first arguments; the path of the config is appended.
        config: The configuration file, absolute.
        state: The state's folder, absolute.
        log: The log's folder, absolute; None if the log is sent to the system's journal.
        variables: The environment variables that hold keys.
        credentials: The credentials that hold keys, by name.
    """

    name: str
    site: str
    user: str
    program: Sequence[str]
    config: Path
    state: Path
    log: Path | None = None
    variables: Sequence[str] = ()
    credentials: Sequence[str] = ()


def unit_text(service: Service) -> str:
    """Return the text of the unit.

    Raises:
        UnitPathError: A path or name has characters that a unit cannot contain.
    """
    folder = service.config.parent
    paths = [*service.program, str(service.config), str(service.state), str(service.log or "")]
    texts = [*paths, service.name, service.site, service.user]
    for text in [*texts, *service.variables, *service.credentials]:
        if not text.isprintable():
            raise UnitPathError(path=text)
    command, reload = (
        [*service.program, name, "--config", str(service.config)] for name in ("run", "reload")
    )
    mounts = [Path(service.program[0]).parent, folder, service.state]
    return _TEXT.substitute(
        name=service.name,
        site=_plain(service.site),
        user=service.user,
        folder=_plain(str(folder)),
        command=_command(command),
        reload=_command(reload),
        mounts=" ".join(_word(str(path)) for path in dict.fromkeys(mounts)),
        secrets=_secrets(service),
        folders=_folders(service),
    )


def _secrets(service: Service) -> str:
    """Return the settings that provide the keys where the configuration expects them."""
    folder = service.config.parent
    loads = [f"LoadCredential={name}:{_plain(str(folder / name))}" for name in service.credentials]
    text = ""
    if service.variables:
        lines = "\n".join(f"# {name}=..." for name in service.variables)
        text = _ENVIRONMENT.substitute(lines=lines, file=_plain(str(folder / "sgevents.env")))
    if loads:
        return text + _CREDENTIALS.substitute(lines="\n".join(loads))
    return text + _ADVICE.substitute(folder=_plain(str(folder)))


def _folders(service: Service) -> str:
    """Return the settings with which the daemon can write its state and log."""
    lines = []
    for key, home, folder in (
        ("StateDirectory", _STATE, service.state),
        ("LogsDirectory", _LOGS, service.log),
    ):
        if folder is not None and folder != home and folder.is_relative_to(home):
            lines += [f"{key}={_word(str(folder.relative_to(home)))}", f"{key}Mode=0750"]
        elif folder is not None and any(folder.is_relative_to(place) for place in _READ_ONLY):
            lines.append(f"ReadWritePaths={_word(f'-{folder}')}")
    return "".join(f"{line}\n" for line in [*lines, ""]) if lines else ""


def _command(parts: Sequence[str]) -> str:
    return " ".join(_word(part.replace("$", "$$")) for part in parts)


def _plain(text: str) -> str:
    """Return a text, escaped for a setting that takes the whole line."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return one word of a setting with several, quoted if necessary."""
    escaped = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    needs_quotes = escaped != text.replace("%", "%%") or any(c in text for c in " '\t;") or not text
    return f'"{escaped}"' if needs_quotes else escaped
