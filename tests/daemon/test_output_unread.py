"""A daemon whose terminal nobody reads, with a plugin that has much to say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

TALKS = """
    import logging, os
    from sgevents_core import hookimpl

    logging.basicConfig(level="DEBUG", force=True)
    logging.disable(logging.CRITICAL)

    @hookimpl
    def on_event(event, ctx):
        for number in range(3000):
            ctx.logger.info("words %d %s", number, "x" * 60)
"""


def test_terminal_that_nobody_reads(tmp_path: Path) -> None:
    """Every event is handled, the file has every word, the plugin that configures logging is named,
    and SIGTERM stops it in order.
    """
    with Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install("talks", TALKS)
        daemon.install_writer("writes")
        file = tmp_path / "sgevents.log"
        daemon.log = f'[log]\nfile = "{file}"\n'
        ids = [site.event("Studio_Tick") for _ in range(2)]
        daemon.write_config()
        command = [sys.executable, "-m", "sgevents_core", "run", "-c", str(daemon.config)]
        with subprocess.Popen(
            command, env=daemon.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                wait_until(lambda: daemon.events_of("writes") == ids)
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert sum(record["message"].startswith("words ") for record in told) == 6000
    assert told[-1]["action"] == "daemon.stopped"
    assert [r["plugin"] for r in told if r["action"] == "log.put_back"] == ["talks"]
