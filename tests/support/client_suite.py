"""Run the unmodified live tests of shotgun_api3 against a sandbox: `client_suite.py CHECKOUT`.

CHECKOUT is a clone of shotgun_api3 with its `tests`. They are run from a copy, since they write
into their folder, with the client of the checkout. Further arguments are passed to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sgevents_core.sandbox import Sandbox

LIVE_TESTS = ("tests/test_api.py", "tests/test_api_long.py", "tests/test_proxy.py")
RECORD_NAMES = {
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


def suite_environment(site: Sandbox) -> dict[str, str]:
    """Return the variables that the suite reads instead of its configuration file."""
    suite_values = {**RECORD_NAMES, "server_url": site.url, "script_name": site.script_name}
    suite_values["api_key"] = site.api_key
    return {
        **os.environ,
        **{f"SG_{variable_name.upper()}": value for variable_name, value in suite_values.items()},
    }


def main(checkout: Path, options: list[str]) -> int:
    """Run the suite; return the exit code of pytest."""
    with tempfile.TemporaryDirectory() as folder, Sandbox() as site:
        copied_checkout = Path(folder) / "suite"
        for folder_name in ("tests", "shotgun_api3"):
            shutil.copytree(checkout / folder_name, copied_checkout / folder_name)
        pytest_options = options or ["-q", "--tb=short"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *LIVE_TESTS,
            *pytest_options,
        ]
        return subprocess.run(
            command, cwd=copied_checkout, env=suite_environment(site), check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
