"""No job is lost, run twice or stuck, and no litter left, whatever is killed."""

from pathlib import Path

import pytest
from databases import find_binaries, postgres_server
from kill_storm import Storm


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_storm_of_kills_costs_no_job(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    folder = tmp_path_factory.mktemp("storm")
    if kind == "sqlite":
        report = Storm(folder, jobs=10, seed=7).run()
    else:
        binaries = find_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL server on this machine (Debian package postgresql)")
        with postgres_server(tmp_path_factory.mktemp("postgres"), binaries) as url:
            report = Storm(folder, jobs=10, seed=7, database=url).run()
    assert report.is_clean, report
    assert report.states == {"succeeded": 10}
    assert report.gateway_kills >= 3


def test_a_report_that_is_not_clean_says_so(tmp_path: Path) -> None:
    report = Storm(tmp_path, jobs=1, seed=0).report
    assert report.is_clean
    report.lost.append("job0")
    assert not report.is_clean
