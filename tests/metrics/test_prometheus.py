"""A real Prometheus scrapes a daemon that has met every kind of fault."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from doc_pages import DOCS
from prometheus import promtool, scraping
from reloading import reload
from running_daemon import RunningDaemon
from waiting import PATIENCE, wait_until

from sgevents_core.sandbox import Sandbox

KEY = "only-a-demo-key"
SECRET = "hunter2-hunter2"
MONITORING = DOCS / "how-to" / "monitoring"
FAILING = f'''
    import os
    from sgevents_core import hookimpl

    def hostile(event, ctx):
        raise ValueError("{SECRET} {{}}".format(event.id))

    hostile.__qualname__ = "{"evil" + chr(92) + "n"}name{{le=1}} 7 {chr(92)}x1b[31m"

    @hookimpl
    def register_callbacks(registrar):
        registrar.register(hostile)

    @hookimpl
    def on_event(event, ctx):
        ctx.store["last"] = event.id
        ctx.sg.find_one("Project", [["id", "is", 1]])
'''
IN_PROCESS = """
    import os
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        ctx.sg.find_one("Project", [["id", "is", 1]])
        if event.event_type == "Shotgun_Shot_Change" and ctx.attempt == 1:
            os._exit(3)
"""
BROKEN = "raise RuntimeError('it does not load')"
TABLES = """
[[groups]]
name = "apart"
lane = "aside"
[lanes.aside]
executor = "process"
workers = 2
order_by = "none"
"""
CALLS = 14.0
"""The calls of the plugin that kills its process: one for each of 13 events, one of them again."""
NAME = re.compile(r"\b(?:sgevents|process)_\w+")


class Scene(NamedTuple):
    """A daemon that runs, and where it answers."""

    daemon: RunningDaemon
    site: Sandbox
    address: str

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an answer."""
        return get(self.address, path)


def get(address: str, path: str) -> tuple[int, str]:
    """Return status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def address_of(daemon: RunningDaemon, number: int = 0) -> str:
    """Return the address at which the newest run answers, once it does."""

    def addresses() -> list[str]:
        records = daemon.told()
        return [one["address"] for one in records if one["action"] == "metrics.listening"]

    wait_until(lambda: len(addresses()) > number, what="it listens")
    return addresses()[number]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A daemon with a plugin that fails, one that kills its process, one that does not load.

    It has met rows that come late, gaps, an outage of the site and a fault of it.
    """
    with Sandbox(project=False, api_key=KEY) as site:
        daemon = RunningDaemon(tmp_path_factory.mktemp("monitored"), site)
        daemon.install("failing", FAILING, keys="max_attempts = 1\npause_after = 10")
        daemon.install("kills", IN_PROCESS, "apart")
        daemon.install("broken", BROKEN)
        daemon.log = f'{TABLES}[metrics]\nlisten = "127.0.0.1:0"\n'
        late = site.late()
        site.burn(3)
        site.event("Shotgun_Shot_Change")
        for _ in range(11):
            site.event("Shotgun_Task_Change")
        with daemon.running() as process:
            address = address_of(daemon)
            wait_until(lambda: daemon.tells("plugin.paused"), what="a plugin is paused")
            late.commit()
            wait_until(lambda: "sgevents_feed_late_events_total 1.0" in get(address, "/metrics")[1])
            # A call that the outage meets would fail too, and be made once more.
            calls = (
                f'sgevents_callback_calls_total{{callback="kills:on_event",plugin="kills"}} {CALLS}'
            )
            wait_until(lambda: calls in get(address, "/metrics")[1], what="no call is left")
            with site.outage():
                wait_until(lambda: daemon.tells("site.failed"), what="the outage is noticed")
            wait_until(lambda: daemon.tells("site.answers"), what="the outage is over")
            yield Scene(daemon, site, address)
            assert daemon.stop(process) == 0


def test_prometheus_reads_what_the_daemon_counts(scene: Scene, tmp_path: Path) -> None:
    """Its own parser accepts the figures, and each has the value that the faults gave it."""
    with scraping(scene.address, tmp_path) as prometheus:
        target = prometheus.target()
        assert (target["health"], target["lastError"]) == ("up", "")

        def value(expression: str) -> float:
            samples = prometheus.query(expression)
            return samples[0][1] if len(samples) == 1 else -1.0

        def await_value(expression: str, expected: float) -> None:
            wait_until(lambda: value(expression) == expected, what=f"{expression} == {expected}")

        wait_until(lambda: prometheus.query("sgevents_ready == 1"), what="it is ready again")
        await_value('sum(sgevents_callback_dead_letters_total{plugin="failing"})', 10)
        await_value('sgevents_plugin_dead_letters{plugin="failing"}', 10)
        await_value('sgevents_plugin_state{plugin="failing",state="paused"}', 1)
        await_value('sgevents_plugin_state{plugin="broken",state="not loaded"}', 1)
        await_value('sgevents_lane_worker_restarts_total{lane="aside"}', 1)
        await_value('sgevents_lane_workers{lane="aside"}', 2)
        wait_until(lambda: value("sum(sgevents_feed_errors_total)") >= 1)
        await_value("sgevents_feed_late_events_total", 1)
        await_value("sgevents_feed_events_total", 13)
        await_value("sgevents_site_up", 1)
        # Calls in worker processes count too, and so do their calls to the site.
        await_value('sgevents_callback_calls_total{plugin="kills"}', CALLS)
        await_value('sgevents_callback_duration_seconds_count{plugin="kills"}', CALLS)
        await_value('sgevents_callback_failures_total{plugin="kills"}', 1)
        wait_until(lambda: value('sgevents_plugin_api_calls_total{plugin="kills"}') >= CALLS)
        hostile = prometheus.query('sgevents_callback_calls_total{callback=~"failing:evil.*"}')
        assert [labels["callback"] for labels, _ in hostile] == [
            "failing:evil\\nname{le=1} 7 \\x1b[31m"
        ]


def test_promtool_finds_nothing_in_the_figures(scene: Scene) -> None:
    """Names, types, units and texts are as Prometheus wants them; no secret is among them."""
    _, figures = scene.get("/metrics")
    promtool("check", "metrics", given=figures)
    assert KEY not in figures
    assert SECRET not in figures


def test_labels_of_the_figures_do_not_grow_with_events(scene: Scene) -> None:
    """More events, more failures and more kinds of events add no line."""
    before = len(scene.get("/metrics")[1].splitlines())
    ids = [scene.site.event(f"Shotgun_CustomEntity{number:02}_New") for number in range(1, 30)]

    def figures() -> str:
        return scene.get("/metrics")[1]

    events = f"sgevents_feed_events_total {13.0 + len(ids)}"
    wait_until(lambda: events in figures(), what="the events are taken")
    assert len(figures().splitlines()) == before


def test_probes_tell_an_outage_from_a_death(tmp_path: Path) -> None:
    """A daemon whose site is down is alive, and after `ready_within` it is not ready."""
    with Sandbox(project=False, api_key=KEY) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.log = '[metrics]\nlisten = "127.0.0.1:0"\nready_within = "1s"\n'
        for _ in range(3):
            site.event("Shotgun_Task_Change")
        with daemon.running() as process:
            address = address_of(daemon)
            wait_until(lambda: get(address, "/readyz") == (200, "ok\n"))
            with site.outage():
                wait_until(lambda: get(address, "/readyz")[0] == 503, what="it is not ready")
                assert "behind the site" in get(address, "/readyz")[1]
                assert get(address, "/healthz") == (200, "ok\n")
                figures = get(address, "/metrics")[1]
                promtool("check", "metrics", given=figures)
            wait_until(lambda: get(address, "/readyz") == (200, "ok\n"), what="it is ready again")
            site.rewind(0)
            wait_until(lambda: "sgevents_feed_rewound 1.0" in get(address, "/metrics")[1])
            wait_until(lambda: get(address, "/readyz")[0] == 503, what="nothing is appended")
            promtool("check", "metrics", given=get(address, "/metrics")[1])
            assert get(address, "/") == (404, "there are /metrics /healthz /readyz\n")
            assert daemon.stop(process) == 0


def test_dashboard_and_rules_name_figures_that_there_are(scene: Scene) -> None:
    """A figure that is renamed is found here."""
    dashboard = json.loads((MONITORING / "sgevents-dashboard.json").read_text("utf-8"))
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    ] + [dashboard["templating"]["list"][1]["query"]]
    expressions += re.findall(
        r"^ +expr: (.*)$", (MONITORING / "sgevents-rules.yml").read_text("utf-8"), re.MULTILINE
    )
    used = {name for expression in expressions for name in NAME.findall(expression)}
    there = set(re.findall(r"^(\w+?)(?:\{| )", scene.get("/metrics")[1], re.MULTILINE))
    assert len(used) > 20
    assert used <= there


def test_page_lists_every_figure(scene: Scene) -> None:
    """The page on monitoring has each family with its type and labels, and no other."""
    page = (DOCS / "how-to" / "monitor.md").read_text("utf-8")
    rows = re.findall(r"^\| `(sgevents_\w+)` \| (\w+) \| (.*?) \|", page, re.MULTILINE)
    on_page = {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}
    assert on_page == families(scene.get("/metrics")[1])


def families(figures: str) -> dict[str, tuple[str, list[str]]]:
    """Return the families of an exposition: their types and labels."""
    kinds = dict(re.findall(r"^# TYPE (sgevents_\w+) (\w+)$", figures, re.MULTILINE))
    found = {}
    for name, kind in kinds.items():
        sample = re.search(rf"^{name}(?:_bucket)?(?:\{{(.*)\}})? ", figures, re.MULTILINE)
        assert sample is not None, name
        labels = re.findall(r'(\w+)="', re.sub(r'="[^"]*"', '="', sample[1] or ""))
        found[name] = (kind, sorted(set(labels) - {"le"}))
    return found


def test_rules_are_right() -> None:
    """Each rule fires in its test when it should, and not before."""
    promtool("check", "rules", "sgevents-rules.yml", folder=MONITORING)
    promtool("test", "rules", "sgevents-rules-test.yml", folder=MONITORING)
    rules = (MONITORING / "sgevents-rules.yml").read_text("utf-8")
    tests = (MONITORING / "sgevents-rules-test.yml").read_text("utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert alerts == list(dict.fromkeys(re.findall(r"alertname: (\w+)", tests)))


def test_reload_moves_to_another_port(tmp_path: Path) -> None:
    """`[metrics]` is changed by a reload; a port that is in use is refused, and all goes on."""
    with Sandbox(project=False, api_key=KEY) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.log = '[metrics]\nlisten = "127.0.0.1:0"\n'
        with daemon.running() as process:
            first = address_of(daemon)
            wait_until(lambda: get(first, "/readyz")[0] == 200, what="it is ready")
            daemon.log = f'[metrics]\nlisten = "{site.url.removeprefix("http://")}"\n'
            daemon.write_config()
            refused = reload(daemon)
            assert refused.returncode != 0
            assert "metrics.listen: it is not possible to listen on" in refused.stderr
            assert get(first, "/healthz") == (200, "ok\n")
            daemon.log = '[metrics]\nlisten = "localhost:0"\nready_within = "7s"\n'
            daemon.write_config()
            reloaded = reload(daemon)
            assert reloaded.returncode == 0, reloaded.stderr
            assert get(address_of(daemon, 1), "/healthz") == (200, "ok\n")
            assert daemon.stop(process, signal.SIGTERM) == 0


def test_start_on_a_port_in_use_says_where_it_is_configured(tmp_path: Path) -> None:
    """The daemon does not start half: it names file, key and address, and ends with 2."""
    with Sandbox(project=False, api_key=KEY) as site:
        daemon = RunningDaemon(tmp_path, site)
        taken = site.url.removeprefix("http://")
        daemon.log = f'[metrics]\nlisten = "{taken}"\n'
        with daemon.running() as process:
            assert process.wait(PATIENCE) == 2
        said = daemon.output.read_text().splitlines()[-1]
        assert said.startswith(
            f"sgevents: {daemon.config}: metrics.listen: it is not possible to listen on {taken}: "
        )
