"""The demo, as it is called."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from PIL import Image

from candela.cli import main
from candela.demo.gateway import free_port


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_the_demo_tells_what_it_found_and_leaves_nothing_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children()
    words = ["demo", "--data", str(tmp_path), "--size", "300", "--seed", "4"]
    assert main([*words, "--port", str(free_port())]) == 0
    said = capsys.readouterr().out
    for words in ("precision", "F1", "AUC", "/ows/", "QGIS", "/map", "candela serve --data"):
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
    command = [*words, "--port", str(free_port())]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def test_a_demo_in_a_terminal_serves_at_the_port_that_was_asked_for(tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "candela.cli", "demo", "--data", str(tmp_path)]
    ours, terminal = pty.openpty()
    command = [*words, "--size", "150", "--port", str(port)]
    demo = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    said = b""
    try:
        while b"Ctrl-C ends it" not in said:
            said += os.read(ours, 65536)
        family = psutil.Process(demo.pid).children(recursive=True)
        address = re.search(rf"http://127.0.0.1:{port}/map", said.decode())
        assert address
        assert urllib.request.urlopen(address[0]).status == 200
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(timeout=60)
        os.close(ours)
    assert code == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert main(["demo", "--data", str(tmp_path), "--port", port]) == 2
    assert f"port {port} is taken" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--data", str(tmp_path), "--size", "301"]) == 2
    assert "multiple of 6" in capsys.readouterr().err


def test_a_product_that_does_not_exist_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path / "none.zip"), "--data", str(tmp_path)]) == 2
    assert "there is no product" in capsys.readouterr().err
