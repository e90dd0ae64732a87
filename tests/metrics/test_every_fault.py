"""Prometheus and promtool read the figures of a daemon that meets every kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from monitored_faults import check_scrapes, monitored_faults
from prometheus import Prometheus
from waiting import wait_until


@pytest.mark.parametrize("seed", [1])
def test_figures_are_right_after_each_fault(tmp_path: Path, seed: int) -> None:
    """Faults of the site, of plugins, of worker processes; kills and reloads.

    `nox -s soak` does the same for minutes.
    """
    with monitored_faults(tmp_path, seed) as (scene, prometheus):
        for act in scene.acts():
            act()
            scene.check_figures()
        wait_until(lambda: _is_up(prometheus), what="the last start is scraped")
        check_scrapes(scene, prometheus)


def _is_up(prometheus: Prometheus) -> bool:
    return bool(prometheus.query("up == 1 and sgevents_site_up == 1"))
