"""A studio with a classic daemon: its folders, its configuration, and the command that moves it."""

from __future__ import annotations

import os
import pickle
import textwrap
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from classic_files import ClassicStudio
from click.testing import CliRunner, Result

from sgevents_core.cli.root import sgevents


class OldStudio(ClassicStudio):
    """A studio that moves over.

    Args:
        folder: Where everything is; `studio` in it is the folder of plugins.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.conf = folder / "shotgunEventDaemon.conf"
        self.id_file = folder / "shotgunEventDaemon.id"
        self.config = folder / "sgevents.toml"
        (folder / "studio").mkdir()

    def write_conf(self, daemon: str = "", shotgun: str = "", more: str = "", **paths: str) -> None:
        """Write the classic daemon's configuration."""
        folders = paths.get("paths", str(self.folder / "studio"))
        shotgun = shotgun or (
            "server: http://127.0.0.1:1\nname: studio\nkey: %(SGEVENTS_TEST_KEY)s\n"
        )
        text = f"[daemon]\neventIdFile: {self.id_file}\n{textwrap.dedent(daemon)}\n"
        text += f"[shotgun]\n{textwrap.dedent(shotgun)}\n[plugins]\npaths: {folders}\n"
        self.conf.write_text(text + textwrap.dedent(more), encoding="utf-8")

    def write_id(
        self, folder: str = "studio", **plugins: tuple[int | None, list[int]] | int
    ) -> None:
        """Write the positions of plugins as the classic daemon does, with their backlogs."""
        until = datetime.now() + timedelta(minutes=4)
        stored = {
            name: position
            if isinstance(position, int)
            else (position[0], dict.fromkeys(position[1], until))
            for name, position in plugins.items()
        }
        self.id_file.write_bytes(pickle.dumps({str(self.folder / folder): stored}))

    def positions(self, path: Path, folder: str = "studio") -> Mapping[str, Any]:
        """The positions in a file, as the classic daemon unpickles them."""
        stored = pickle.loads(path.read_bytes())
        positions: Mapping[str, Any] = stored[str(self.folder / folder)]
        return {name: (last_id, sorted(ids)) for name, (last_id, ids) in positions.items()}

    def run(self, *words: str) -> Result:
        """Run `sgevents migrate` in the folder."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return CliRunner().invoke(sgevents, ["migrate", *words])
        finally:
            os.chdir(before)

    def files(self) -> set[str]:
        """The files and folders that are there."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}
