"""Files that are too large for a request go to any gateway, and go on after an interruption."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from candela.cli import main
from candela.client import Client, InputValueError, ServerUnreachableError
from candela.client.transport import Transport
from candela.client.uploads import PART_BYTES, Uploader
from candela.demo.gateway import LocalGateway


def document(path: Path, parts: int) -> Path:
    """Write an XML document that has a little more than so many parts."""
    path.write_bytes(b"<a>" + os.urandom(parts * PART_BYTES // 2).hex().encode() + b"</a>")
    return path


@pytest.fixture
def remote(gateway: LocalGateway) -> Iterator[Client]:
    """Return a client that may not refer to paths."""
    with Client(gateway.url, files="inline") as client:
        yield client


def test_a_large_file_is_an_input_of_a_remote_gateway(remote: Client, tmp_path: Path) -> None:
    path = document(tmp_path / "large scene.xml", 2)
    job = remote.execute("Echo", complex=path).wait(progress=False)
    saved = job.outputs["complexOutput"].save(tmp_path / "back.xml")
    assert saved.stat().st_size >= path.stat().st_size


def test_wrong_inputs_are_refused_before_a_file_is_sent(
    remote: Client, tmp_path: Path, home: Path
) -> None:
    path = document(tmp_path / "large.xml", 1)
    with pytest.raises(InputValueError, match="pause"):
        remote.execute("Echo", complex=path, pause=[1, 2])
    assert not (home / ".cache").exists()


class Breaking(Transport):
    """A server whose connection breaks after some parts."""

    parts = 0

    def request(self, method, address, **options):  # type: ignore[no-untyped-def]
        if method == "PATCH":
            self.parts += 1
            if self.parts == 3:
                raise KeyboardInterrupt
        return super().request(method, address, **options)


def test_an_interrupted_upload_goes_on_in_another_program(
    gateway: LocalGateway, tmp_path: Path, home: Path
) -> None:
    path = document(tmp_path / "large.xml", 4)
    breaking = Breaking(gateway.url)
    with pytest.raises(KeyboardInterrupt):
        Uploader(breaking).send(path, lambda *_: None)
    (record,) = (home / ".cache/candela/uploads").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    told: list[float] = []
    server = Breaking(gateway.url)
    server.parts = 10
    href = Uploader(server).send(path, lambda percent, _: told.append(percent))
    assert server.parts == 10 + 3  # of five parts two had come
    assert 49 < told[0] < 51
    server.parts = 10
    assert Uploader(server).send(path, lambda *_: None) == href
    assert server.parts == 10  # it is there already


def test_a_file_that_has_changed_is_sent_again(gateway: LocalGateway, tmp_path: Path) -> None:
    uploader = Uploader(Transport(gateway.url))
    first = uploader.send(document(tmp_path / "a.xml", 1), lambda *_: None)
    second = uploader.send(document(tmp_path / "a.xml", 1), lambda *_: None)
    assert first != second


class Away(Transport):
    """A server that cannot be reached for a while."""

    failures = 3

    def request(self, method, address, **options):  # type: ignore[no-untyped-def]
        if method == "PATCH" and self.failures:
            self.failures -= 1
            raise ServerUnreachableError("away")
        return super().request(method, address, **options)


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    gateway: LocalGateway, tmp_path: Path
) -> None:
    path = document(tmp_path / "a.xml", 1)
    assert Uploader(Away(gateway.url)).send(path, lambda *_: None).startswith(gateway.url)


def test_the_command_goes_on_after_it_was_killed(
    gateway: LocalGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    path = document(tmp_path / "large.xml", 8)
    words = ["execute", "Echo", f"complex={path}", "--files", "inline", "--url", gateway.url]
    command = subprocess.Popen(
        [sys.executable, "-m", "candela.cli", *words], stderr=subprocess.DEVNULL
    )
    memory = home / ".cache/candela/uploads"
    deadline = time.monotonic() + 60
    while not [path for path in memory.glob("*") if path.name[0] != "."]:
        assert time.monotonic() < deadline
        assert command.poll() is None
        time.sleep(0.002)
    command.send_signal(signal.SIGKILL)
    command.wait()
    (record,) = (path for path in memory.iterdir() if path.name[0] != ".")
    secret = record.read_text()
    assert len(secret) == 48
    assert main([*words, "--wait"]) == 0
    assert "succeeded" in capsys.readouterr().out
    assert record.read_text() == secret


def test_an_interrupted_command_says_that_it_goes_on(
    gateway: LocalGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = document(tmp_path / "large.xml", 4)
    monkeypatch.setattr("candela.client.client.Transport", Breaking)
    words = ["execute", "Echo", f"complex={path}", "--files", "inline", "--url", gateway.url]
    assert main(words) == 130
    assert "The same command goes on" in capsys.readouterr().err


def test_the_memory_of_a_client_does_not_grow_with_the_file(
    gateway: LocalGateway, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(160 * 2**20)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from candela.client.uploads import Uploader\n"
        "from candela.client.transport import Transport\n"
        "uploader = Uploader(Transport(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "uploader.send(Path(sys.argv[2]), lambda *_: None)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", code, gateway.url, str(path)]
    grown = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert grown < 5 * PART_BYTES / 1024
