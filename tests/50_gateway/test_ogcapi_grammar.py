"""A thousand requests by the grammar of OGC API - Processes, most of them damaged."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ogcapi_grammar.py"


def test_every_request_is_answered_and_every_error_is_a_valid_problem():
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--cases", "1000", "--seed", "0"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    answered = {line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if "  " in line}
    assert {"POST 200", "POST 201", "POST 400", "GET 200", "GET 404", "HEAD 200"} <= answered
    assert "0 faults" in done.stdout
