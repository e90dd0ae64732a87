"""Prometheus and its promtool, as Debian's package `prometheus` installs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from waiting import PATIENCE, wait_until

Sample = tuple[dict[str, str], float]


def program(name: str) -> str:
    """Return the path of a program of Prometheus; fail with what to install if it is not there."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"there is no {name} here; on Debian: apt-get install prometheus")
    return path


def promtool(*arguments: str, given: str = "", folder: Path | None = None) -> None:
    """Run promtool, and fail with what it says if it finds anything."""
    ended = subprocess.run(
        [program("promtool"), *arguments],
        input=given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    findings = f"{ended.stdout}{ended.stderr}"
    assert ended.returncode == 0, findings
    if arguments[:2] == ("check", "metrics"):
        assert not findings.strip(), findings


class Prometheus:
    """A running Prometheus; `query` asks it for samples."""

    def __init__(self, url: str, output: Path) -> None:
        self._url = url
        self._output = output

    def _get(self, path: str, **parameters: str) -> Any:
        address = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=PATIENCE) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[Sample]:
        """Return the samples of an instant query: their labels and values."""
        result = self._get("/api/v1/query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def warnings(self) -> list[str]:
        """Return what it has complained of, such as a figure that it could not take."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if re.search("level=(warn|error)", line, re.IGNORECASE)]

    def target(self) -> dict[str, Any]:
        """Return what it says about the daemon that it scrapes."""
        targets = self._get("/api/v1/targets")["activeTargets"]
        return dict(targets[0]) if targets else {}


@contextmanager
def scraping(address: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes an address, until its first scrape is done, and beyond."""
    config = folder / "prometheus.yml"
    jobs = f"[{{job_name: sgevents, static_configs: [{{targets: ['{address}']}}]}}]"
    config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs: {jobs}\n", "utf-8")
    port = _free_port()
    command = [program("prometheus"), f"--config.file={config}", "--log.level=warn"]
    command += [f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]
    output_path = folder / "prometheus.txt"
    with output_path.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    prometheus = Prometheus(f"http://127.0.0.1:{port}", output_path)
    try:
        wait_until(lambda: _has_scraped(prometheus), what="the first scrape")
        yield prometheus
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _has_scraped(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.target().get("health", "unknown") != "unknown")
    except OSError:
        return False


def _free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
