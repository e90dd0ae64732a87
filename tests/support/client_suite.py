"""Run shotgun_api3's own live tests against a sandbox, as it comes: `client_suite.py CHECKOUT`.

CHECKOUT is a clone of shotgun_api3 with its `tests`. They are run from a copy, since they write
into their folder, with the checkout's own client. What follows CHECKOUT goes to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sgevents_core.sandbox import Sandbox

LIVE = ("tests/test_api.py", "tests/test_api_long.py", "tests/test_proxy.py")
NAMES = {
    "project_name": "Client suite",
    "human_name": "Client Suite",
    "human_login": "client.suite",
    "human_password": "a demo password",
    "asset_code": "suite_asset",
    "version_code": "suite_version",
    "shot_code": "suite_shot",
    "task_content": "Suite task",
    "playlist_code": "Suite playlist",
}


def environment(site: Sandbox) -> dict[str, str]:
    """Return the variables that the suite takes in place of its configuration file."""
    values = {**NAMES, "server_url": site.url, "script_name": site.script_name}
    values["api_key"] = site.api_key
    return {**os.environ, **{f"SG_{name.upper()}": value for name, value in values.items()}}


def main(checkout: Path, options: list[str]) -> int:
    """Run the suite; returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder, Sandbox() as site:
        copy = Path(folder) / "suite"
        for part in ("tests", "shotgun_api3"):
            shutil.copytree(checkout / part, copy / part)
        wanted = options or ["-q", "--tb=short"]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *LIVE, *wanted]
        return subprocess.run(command, cwd=copy, env=environment(site), check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
