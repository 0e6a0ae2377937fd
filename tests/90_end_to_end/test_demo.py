"""The demo, as it is called."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from candela.cli import main


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_the_demo_tells_what_it_found_and_leaves_nothing_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children()
    assert main(["demo", "--data", str(tmp_path), "--size", "300", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    for words in ("precision", "F1", "AUC", "/ows/", "QGIS", "/map", "make serve DATA="):
        assert words in said
    (picture,) = (tmp_path / "demo").glob("*.png")
    assert str(picture) in said
    with Image.open(picture) as image:
        assert image.width > 1000
    assert children() <= before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_ends_its_gateway_and_its_jobs(
    tmp_path: Path, how: signal.Signals
) -> None:
    words = [sys.executable, "-m", "candela.cli", "demo", "--data", str(tmp_path), "--size", "600"]
    demo = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = psutil.Process(demo.pid)
    log = tmp_path / "gateway.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "Started" in log.read_text()):
        assert demo.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    family = process.children(recursive=True)
    assert len(family) > 3
    demo.send_signal(how)
    assert demo.wait(timeout=60) == 130
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_a_size_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--data", str(tmp_path), "--size", "301"]) == 2
    assert "multiple of 6" in capsys.readouterr().err


def test_a_product_that_does_not_exist_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path / "none.zip"), "--data", str(tmp_path)]) == 2
    assert "there is no product" in capsys.readouterr().err
