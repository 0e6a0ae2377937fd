"""Two thousand requests by the grammar of WPS 1.0.0 and 2.0, most of them damaged."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "wps_grammar.py"


def test_every_request_is_answered_and_every_error_is_a_valid_report():
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--cases", "2000", "--seed", "0"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    answered = {line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if "  " in line}
    assert {"1.0.0 ExecuteResponse", "2.0 StatusInfo", "2.0 NoSuchInput"} <= answered
    assert "0 faults" in done.stdout
