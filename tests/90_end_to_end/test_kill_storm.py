"""No job is lost, run twice or stuck, and no litter left, whatever is killed."""

from itertools import islice
from pathlib import Path

import pytest
from _storm_places import Here, strikes
from databases import find_binaries, postgres_server
from kill_storm import Storm


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_storm_of_kills_costs_no_job(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    folder = tmp_path_factory.mktemp("storm")
    if kind == "sqlite":
        report = Storm(Here(folder), jobs=10, seed=7).run()
    else:
        binaries = find_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
        with postgres_server(binaries) as url:
            report = Storm(Here(folder, database=url, gateways=2), jobs=10, seed=7).run()
    assert report.is_clean, report
    assert report.states["succeeded"] == 8
    assert report.states["failed"] == 1  # as it should
    assert min(report.kills["gateway"], report.kills["server"]) >= 3


def test_a_seed_is_a_storm() -> None:
    storms = [list(islice(strikes(seed, Here.targets), 50)) for seed in (7, 7, 8)]
    assert storms[0] == storms[1] != storms[2]
    assert {strike.target for strike in storms[0]} == {"gateway", "server", "worker"}


def test_a_report_that_is_not_clean_says_so(tmp_path: Path) -> None:
    report = Storm(Here(tmp_path), jobs=1, seed=0).report
    assert report.is_clean
    report.lost.append("job0")
    assert not report.is_clean
