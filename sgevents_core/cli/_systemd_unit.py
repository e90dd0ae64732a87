"""The text of a systemd unit for the daemon, with comments for its readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from sgevents_core.errors import UnitPathError

_UNIT_TEMPLATE: Final = Template("""\
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

_CREDENTIAL_ADVICE: Final = Template("""\
# A key can be kept as a credential, which only this service can read; the configuration then has
# api_key = { credential = "api-key" }
# LoadCredential=api-key:$folder/api-key
""")

_CREDENTIALS_TEMPLATE: Final = Template("""\
# The configuration takes keys from credentials:
$lines
""")

_ENVIRONMENT_TEMPLATE: Final = Template("""\
# The configuration takes keys from the environment. This file (chmod 600) has a line for each:
$lines
EnvironmentFile=$file

""")

_READ_ONLY_FOLDERS: Final = tuple(Path(folder) for folder in ("/usr", "/boot", "/efi", "/etc"))
_STATE_ROOT: Final = Path("/var/lib")
_LOG_ROOT: Final = Path("/var/log")


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
    config_folder = service.config.parent
    paths = [*service.program, str(service.config), str(service.state), str(service.log or "")]
    unit_texts = [*paths, service.name, service.site, service.user]
    for unit_value in [*unit_texts, *service.variables, *service.credentials]:
        if not unit_value.isprintable():
            raise UnitPathError(path=unit_value)
    run_command, reload_command = (
        [*service.program, name, "--config", str(service.config)] for name in ("run", "reload")
    )
    mount_paths = [Path(service.program[0]).parent, config_folder, service.state]
    return _UNIT_TEMPLATE.substitute(
        name=service.name,
        site=_escaped_line(service.site),
        user=service.user,
        folder=_escaped_line(str(config_folder)),
        command=_command_line(run_command),
        reload=_command_line(reload_command),
        mounts=" ".join(_quoted_word(str(path)) for path in dict.fromkeys(mount_paths)),
        secrets=_secret_settings(service),
        folders=_folder_settings(service),
    )


def _secret_settings(service: Service) -> str:
    """Return the unit's settings that pass each key to the place the configuration names."""
    config_folder = service.config.parent
    credential_lines = [
        f"LoadCredential={name}:{_escaped_line(str(config_folder / name))}"
        for name in service.credentials
    ]
    secrets_text = ""
    if service.variables:
        lines = "\n".join(f"# {name}=..." for name in service.variables)
        secrets_text = _ENVIRONMENT_TEMPLATE.substitute(
            lines=lines, file=_escaped_line(str(config_folder / "sgevents.env"))
        )
    if credential_lines:
        return secrets_text + _CREDENTIALS_TEMPLATE.substitute(lines="\n".join(credential_lines))
    return secrets_text + _CREDENTIAL_ADVICE.substitute(folder=_escaped_line(str(config_folder)))


def _folder_settings(service: Service) -> str:
    """Return the settings with which the daemon can write its state and log."""
    lines = []
    for setting_name, root_folder, service_folder in (
        ("StateDirectory", _STATE_ROOT, service.state),
        ("LogsDirectory", _LOG_ROOT, service.log),
    ):
        if (
            service_folder is not None
            and service_folder != root_folder
            and service_folder.is_relative_to(root_folder)
        ):
            lines += [
                f"{setting_name}={_quoted_word(str(service_folder.relative_to(root_folder)))}",
                f"{setting_name}Mode=0750",
            ]
        elif service_folder is not None and any(
            service_folder.is_relative_to(folder) for folder in _READ_ONLY_FOLDERS
        ):
            lines.append(f"ReadWritePaths={_quoted_word(f'-{service_folder}')}")
    return "".join(f"{line}\n" for line in [*lines, ""]) if lines else ""


def _command_line(command_words: Sequence[str]) -> str:
    return " ".join(_quoted_word(command_word.replace("$", "$$")) for command_word in command_words)


def _escaped_line(unit_value: str) -> str:
    """Return a text, escaped for a setting that takes the whole line."""
    return unit_value.replace("%", "%%")


def _quoted_word(unit_value: str) -> str:
    """Return one word of a setting with several, quoted if necessary."""
    escaped_text = _escaped_line(unit_value).replace("\\", "\\\\").replace('"', '\\"')
    needs_quotes = (
        escaped_text != unit_value.replace("%", "%%")
        or any(character in unit_value for character in " '\t;")
        or not unit_value
    )
    return f'"{escaped_text}"' if needs_quotes else escaped_text
