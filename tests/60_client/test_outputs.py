"""Outputs, from a small server of their own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.client.errors import NotFoundError, OutputFormError, ServerUnreachableError
from candela.client.outputs import Output
from candela.client.transport import Transport


class Files(BaseHTTPRequestHandler):
    """Serves a text, and a file that breaks off."""

    def do_GET(self) -> None:
        if self.path == "/out/1/broken.bin":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif self.path == "/out/1/told.json":
            body = json.dumps({"a": 1}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server(base: str) -> Iterator[Transport]:
    server = Transport(base)
    yield server
    server.close()


def output(server: Transport, href: str | None = None, value: object = None) -> Output:
    return Output("made", "", href, value, None, server)


def test_a_file_is_saved_under_its_own_name(server: Transport, base: str, tmp_path: Path) -> None:
    made = output(server, f"{base}/out/1/told.json")
    assert made.json() == {"a": 1}
    assert made.save(tmp_path) == tmp_path / "told.json"
    assert made.save(tmp_path / "new" / "name.json").read_text() == '{"a": 1}'
    assert made.save(f"{tmp_path}/newer/") == tmp_path / "newer" / "told.json"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["told.json"]


def test_a_download_that_breaks_off_leaves_nothing_behind(
    server: Transport, base: str, tmp_path: Path
) -> None:
    target = tmp_path / "broken.bin"
    target.write_text("before")
    with pytest.raises(ServerUnreachableError):
        output(server, f"{base}/out/1/broken.bin").save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.bin"]
    assert target.read_text() == "before"


def test_a_file_that_is_gone_is_not_found(server: Transport, base: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        output(server, f"{base}/out/1/gone.tif").save(tmp_path / "gone.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_value_is_text_and_json_and_can_be_saved(server: Transport, tmp_path: Path) -> None:
    assert output(server, value=2.5).text() == "2.5"
    assert output(server, value=2.5).json() == 2.5
    assert output(server, value="words").save(tmp_path).read_text() == "words"
    with pytest.raises(OutputFormError, match="no JSON"):
        output(server, value="words").json()


# NOTE: rioxarray multiplies matrices in a way that affine 3 wants to give up.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_a_local_image_is_opened_where_it_is(server: Transport, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 3, "count": 1, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 30)
    ) as dataset:
        dataset.write(np.arange(12, dtype=np.uint8).reshape(1, 3, 4))
    made = output(server, path.as_uri())
    with made.open() as dataset:
        assert dataset.read(1)[2, 3] == 11
    assert made.xarray().shape == (1, 3, 4)
    assert made.read() == path.read_bytes()


def test_what_is_no_image_is_told(server: Transport, base: str, tmp_path: Path) -> None:
    path = tmp_path / "words.tif"
    path.write_text("words")
    with pytest.raises(OutputFormError, match="'made' is no image"):
        output(server, path.as_uri()).open()
    with pytest.raises(OutputFormError, match="is a value, not a file"):
        output(server, value=1).open()


def test_an_output_is_downloaded_and_shows_itself(
    server: Transport, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = output(server, f"{base}/out/1/told.json")
    assert made.download() == Path("told.json")
    assert json.loads((tmp_path / "told.json").read_text()) == {"a": 1}
    assert f'<a href="{base}/out/1/told.json">' in made._repr_html_()
