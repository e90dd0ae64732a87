"""What plugins of the classic daemon are given: their folders, and how they send mails."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sgevents_core.settings.value_kinds import PathSetting, ReferableText, SecretText
from sgevents_core.settings.value_limits import NonEmptyName


class ClassicSettings(Struct, frozen=True, kw_only=True):
    """`[classic]`: what plugins of the classic `shotgunEventDaemon` need, besides their folders."""

    syspath: Annotated[
        tuple[NonEmptyName, ...],
        Meta(
            description="Folders in which classic plugins find modules to import, searched after "
            "the installed packages and the plugins' own folders."
        ),
    ] = ()


class ClassicFolder(Struct, frozen=True, kw_only=True):
    """One table of `[[classic.paths]]`: a folder of classic plugins; each file in it is one."""

    path: Annotated[
        PathSetting,
        Meta(
            description="The folder. Every `.py` file in it that registers callbacks is an enabled "
            "plugin, called `classic:GROUP/FILE` without the `.py`."
        ),
    ]
    group: Annotated[
        NonEmptyName | None,
        Meta(
            description="The group of its plugins; by default, the folder's name. If `[[groups]]` "
            "does not list it, it comes after those that are listed."
        ),
    ] = None

    @property
    def group_name(self) -> str:
        """The name of its group."""
        return self.group or self.path.name


class SmtpSettings(Struct, frozen=True, kw_only=True):
    """`[classic.smtp]`: how classic plugins send mails about errors; `setEmails` says to whom."""

    server: Annotated[NonEmptyName, Meta(description="The mail server.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 25
    sender: Annotated[NonEmptyName, Meta(description="The address that the mails come from.")]
    recipients: Annotated[
        tuple[NonEmptyName, ...],
        Meta(
            description="Who gets the mails of plugins that call `setEmails(True)` or do not call "
            "`setEmails`."
        ),
    ] = ()
    subject: Annotated[NonEmptyName, Meta(description="How the subject of each mail begins.")] = (
        "sgevents"
    )
    username: Annotated[
        ReferableText | None, Meta(description="The user to sign in as; by default, nobody.")
    ] = None
    password: Annotated[SecretText | None, Meta(description="That user's password.")] = None
    tls: Annotated[bool, Meta(description="Whether to encrypt the connection (STARTTLS).")] = False
