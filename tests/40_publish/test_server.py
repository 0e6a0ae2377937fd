"""The server as processes: it starts, comes back after a crash, and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from candela.publish.server import MapServerProcess

pytestmark = pytest.mark.usefixtures("mapserver")


def family(folder: Path) -> list[psutil.Process]:
    """Return the living processes of the server in a folder."""
    mark = str(folder / "mapserver.conf")
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MAPSERVER_CONFIG_FILE") == mark:
                found.append(process)
        except psutil.Error:  # gone, or a zombie
            continue
    return found


def wait_until(condition, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path):
    process = MapServerProcess(tmp_path / "server", tmp_path, workers=2)
    process.start()
    yield process
    process.stop()


def test_it_runs_the_workers_it_was_told(server) -> None:
    wait_until(
        lambda: (
            sorted(process.name() for process in family(server.folder))
            == ["lighttpd", "mapserv", "mapserv"]
        )
    )


def test_stop_leaves_no_process(server) -> None:
    assert family(server.folder)
    server.stop()
    assert family(server.folder) == []
    assert server.port() is None
    server.stop()


def test_it_can_be_started_again(server) -> None:
    server.stop()
    server.start()
    server.start()
    wait_until(lambda: len(family(server.folder)) == 3)


def test_it_comes_back_when_lighttpd_is_killed(new_gateway, change_layer) -> None:
    link = new_gateway.publisher.publish(change_layer).wms
    assert requests.get(link, timeout=10).status_code == 200
    folder = new_gateway.publisher.server.folder
    old = family(folder)
    next(process for process in old if process.name() == "lighttpd").send_signal(signal.SIGKILL)
    answer = requests.get(link, timeout=20)
    assert answer.status_code == 200
    assert "WMS_Capabilities" in answer.text
    wait_until(lambda: not any(process in family(folder) for process in old))
    wait_until(lambda: len(family(folder)) == 3)


def test_it_survives_the_end_of_a_worker(new_gateway, change_layer) -> None:
    link = new_gateway.publisher.publish(change_layer).wms
    for process in family(new_gateway.publisher.server.folder):
        if process.name() == "mapserv":
            process.send_signal(signal.SIGKILL)
    wait_until(lambda: requests.get(link, timeout=10).status_code == 200)


def test_while_it_is_away_the_answer_is_an_exception(
    new_gateway, change_layer, monkeypatch
) -> None:
    publisher = new_gateway.publisher
    link = publisher.publish(change_layer).wms
    publisher.server.stop()
    monkeypatch.setattr("shutil.which", lambda _: None)
    answer = requests.get(link, timeout=10)
    assert answer.status_code == 503
    assert "ServiceException" in answer.text


def test_a_second_process_shares_the_server_and_takes_over(server) -> None:
    other = MapServerProcess(server.folder, server.maps, workers=2)
    other.start()
    assert other.port() == server.port()
    wait_until(lambda: len(family(server.folder)) == 3)
    other.stop()
    wait_until(lambda: len(family(server.folder)) == 3)
    server.stop()
    other.start()
    wait_until(lambda: len(family(server.folder)) == 3)
    other.stop()
    assert family(server.folder) == []


def test_nothing_is_left_when_the_owner_is_killed(tmp_path) -> None:
    folder = tmp_path / "server"
    program = (
        "import sys, time; from pathlib import Path;"
        "from candela.publish.server import MapServerProcess;"
        "MapServerProcess(Path(sys.argv[1]), Path(sys.argv[1]), workers=2).start();"
        "print('ready', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        wait_until(lambda: len(family(folder)) == 3)
        owner.kill()
    wait_until(lambda: family(folder) == [])
