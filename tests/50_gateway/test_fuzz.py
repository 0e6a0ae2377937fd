"""Five thousand random requests to a real server, always the same ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from candela.errors import PublicationError
from candela.publish.server import PROGRAMS, find_program

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_no_request_breaks_a_real_gateway():
    for program in PROGRAMS:
        try:
            find_program(program)
        except PublicationError as error:
            pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--requests", "4000", "--seed", "0"],  # after 1 000 others
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "ready: True" in done.stdout
