"""`candela serve` says what is wrong in one sentence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "candela.cli", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("metadata.yaml", "title: [", "metadata.yaml: "),
        ("metadata.yaml", "title: x\ncolour: red", "colour"),
        ("pywps.cfg", "parallelprocesses = 2", "pywps.cfg: "),
    ],
)
def test_a_wrong_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, reason: str
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(Path(__file__).parents[2] / "wps_config", folder)
    (folder / file).write_text(text)
    monkeypatch.setenv("CANDELA_CONFIG", str(folder))
    done = serve("--data", str(tmp_path / "data"), "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    database = "postgresql+psycopg://candela:secret@127.0.0.1:9/candela"
    done = serve("--data", str(tmp_path), "--database", database)
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
