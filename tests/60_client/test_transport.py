"""The transport: credentials for one origin, certificates, retries."""

import logging
import socket
import time
import traceback
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from certificates import self_signed
from webserver import Answer, Web, web_server

from candela.client import (
    AccessDeniedError,
    Client,
    ClientError,
    InputValueError,
    NotFoundError,
    RequestRefusedError,
    ServerUnreachableError,
)
from candela.client.layers import Layer
from candela.client.outputs import Output
from candela.client.transport import FIRST_PAUSE_S, LONGEST_PAUSE_S, Transport
from candela.demo.gateway import free_port

SECRET = "correct-horse-battery-staple"
KEY = "X-Api-Key"
GIVEN = [
    ({"token": SECRET}, "Authorization", f"Bearer {SECRET}"),
    ({"headers": {KEY: SECRET}}, KEY, SECRET),
    ({"auth": ("eve", SECRET)}, "Authorization", "Basic"),
]
each_kind = pytest.mark.parametrize(("given", "name", "value"), GIVEN, ids=["token", KEY, "auth"])


@pytest.fixture
def own() -> Iterator[Web]:
    """Run the server that credentials are for."""
    with web_server() as web:
        web.serve("/jobs/1", Answer(b"{}"))
        yield web


@pytest.fixture
def foreign() -> Iterator[Web]:
    """Run another server; on another port it is another origin."""
    with web_server() as web:
        web.serve("/file", Answer(b"{}"))
        yield web


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that the transport makes, without making them."""
    made: list[float] = []
    clock = SimpleNamespace(sleep=made.append, time=time.time)
    monkeypatch.setattr("candela.client.transport.time", clock)
    return made


@each_kind
def test_credentials_go_with_every_request(
    own: Web, given: dict[str, object], name: str, value: str
) -> None:
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    transport.json(f"{own.url}/jobs/1")
    with transport.stream(f"{own.url}/jobs/1") as chunks:
        assert b"".join(chunks) == b"{}"
    assert [asked.headers[name].startswith(value) for asked in own.asked] == [True, True]


def test_a_user_may_stand_in_the_address_and_is_shown_nowhere(own: Web) -> None:
    host = own.url.removeprefix("http://")
    with Client(f"http://eve:p%40ss@{host}") as client:
        client.transport.json(f"{client.url}/jobs/1")
        assert client.url == own.url
        shown = repr(client) + client._repr_html_()
    sent = own.asked[0].headers["Authorization"]
    assert b64decode(sent.removeprefix("Basic ")) == b"eve:p@ss"
    assert "eve" not in shown


def test_the_endpoint_of_the_wps_gets_the_credentials_too(own: Web, foreign: Web) -> None:
    host = own.url.removeprefix("http://")
    for given in ({"token": SECRET}, {}):
        endpoint = f"http://{host}/cgi" if given else f"http://eve:{SECRET}@{host}/cgi"
        with (
            Client(foreign.url, endpoint=endpoint, **given) as client,  # type: ignore[arg-type]
            pytest.raises(NotFoundError) as caught,
        ):
            client.processes()
        assert SECRET not in client._repr_html_() + str(caught.value)
    kinds = [asked.headers["Authorization"].partition(" ")[0] for asked in own.asked]
    assert kinds == ["Bearer", "Basic"]


@each_kind
def test_credentials_do_not_go_to_another_origin(
    own: Web, foreign: Web, given: dict[str, object], name: str, value: str
) -> None:
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    Output("made", "", f"{foreign.url}/file", None, None, transport).json()
    assert [name in asked.headers for asked in foreign.asked] == [False]


@each_kind
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_are_left_behind_when_another_origin_is_redirected_to(
    own: Web, foreign: Web, status: int, given: dict[str, object], name: str, value: str
) -> None:
    own.serve("/moved", Answer(status=status, headers={"Location": "/away"}))
    own.serve("/away", Answer(status=status, headers={"Location": f"{foreign.url}/file"}))
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    transport.json(f"{own.url}/moved")
    assert [asked.headers.get(name, "").startswith(value) for asked in own.asked] == [True, True]
    assert [name in asked.headers for asked in foreign.asked] == [False]


CAPABILITIES = """<?xml version="1.0"?>
<WMS_Capabilities version="1.3.0" xmlns="http://www.opengis.net/wms"
    xmlns:xlink="http://www.w3.org/1999/xlink">
  <Service><Name>WMS</Name><Title>maps</Title></Service>
  <Capability>
    <Request>
      <GetMap><Format>image/png</Format><DCPType><HTTP><Get>
        <OnlineResource xlink:href="{url}/map?"/></Get></HTTP></DCPType></GetMap>
    </Request>
    <Layer><Name>change</Name><Title>change</Title>
      <EX_GeographicBoundingBox><westBoundLongitude>1</westBoundLongitude>
        <eastBoundLongitude>2</eastBoundLongitude><southBoundLatitude>43</southBoundLatitude>
        <northBoundLatitude>44</northBoundLatitude></EX_GeographicBoundingBox></Layer>
  </Capability>
</WMS_Capabilities>"""


@each_kind
@pytest.mark.parametrize("is_foreign", [False, True])
def test_services_of_owslib_carry_credentials_to_their_origin_alone(
    own: Web, foreign: Web, is_foreign: bool, given: dict[str, object], name: str, value: str
) -> None:
    images = foreign if is_foreign else own
    document = CAPABILITIES.format(url=images.url).encode()
    asked_for = "/ows/1?service=WMS&version=1.3.0&request=GetCapabilities"
    own.serve(asked_for, Answer(document, headers={"Content-Type": "text/xml"}))
    layer = Layer("change", f"{own.url}/ows/1", "", Transport(own.url, **given))  # type: ignore[arg-type]
    assert layer.bounds == (1, 43, 2, 44)
    with pytest.raises(Exception, match="404"):
        layer.map_service.getmap(
            layers=["change"], srs="CRS:84", bbox=(1, 43, 2, 44), size=(8, 8), format="image/png"
        )
    (asked,) = (each for each in images.asked if each.path.startswith("/map?"))
    assert asked.headers.get(name, "").startswith(value) is not is_foreign


def image(path: Path) -> bytes:
    """Return a tiled GeoTIFF that is larger than what GDAL reads at once."""
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 1, "dtype": "uint16"}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 0, 0, -10, 0)}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", **profile, **place, **tiles) as dataset:
        dataset.write(np.arange(512 * 512).astype(np.uint16).reshape(1, 512, 512))
    return path.read_bytes()


def total_of(output: Output, how: str) -> float:
    """Read an image to its last pixel, after the credentials were set for its opening."""
    if how == "rasterio":
        with output.open() as dataset:
            return float(dataset.read(1).sum())
    return float(output.xarray().sum())


# NOTE: rioxarray multiplies matrices in a way that affine 3 wants to give up.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
@pytest.mark.parametrize("how", ["rasterio", "xarray"])
@each_kind
def test_an_image_is_opened_with_credentials(
    own: Web,
    given: dict[str, object],
    name: str,
    value: str,
    how: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own.serve("/out/image.tif", Answer(image(tmp_path / "image.tif"), gives_parts=True))
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    with caplog.at_level(logging.DEBUG):
        made = Output("made", "", f"{own.url}/out/image.tif", None, None, transport)
        assert total_of(made, how) == np.arange(512 * 512).astype(np.uint16).sum(dtype=float)
    assert len(own.asked) > 2
    assert {asked.headers.get(name, "").startswith(value) for asked in own.asked} == {True}
    assert SECRET not in caplog.text


@each_kind
@pytest.mark.parametrize("is_redirected", [False, True])
def test_an_image_of_another_origin_is_opened_without_credentials(
    own: Web,
    foreign: Web,
    given: dict[str, object],
    name: str,
    value: str,
    is_redirected: bool,
    tmp_path: Path,
) -> None:
    href = foreign.serve("/image.tif", Answer(image(tmp_path / "image.tif"), gives_parts=True))
    if is_redirected:
        href = own.serve("/out/image.tif", Answer(status=302, headers={"Location": href}))
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    assert total_of(Output("made", "", href, None, None, transport), "rasterio") > 0
    assert foreign.asked
    assert [asked for asked in foreign.asked if name in asked.headers] == []


def test_values_of_header_fields_reach_gdal_as_they_are(own: Web, tmp_path: Path) -> None:
    own.serve("/out/image.tif", Answer(image(tmp_path / "image.tif"), gives_parts=True))
    fields = {KEY: 'a, "b" \\ c', "X-Other": "d: e"}
    transport = Transport(own.url, headers=fields)
    total_of(Output("made", "", f"{own.url}/out/image.tif", None, None, transport), "rasterio")
    for name, value in fields.items():
        assert {asked.headers.get(name) for asked in own.asked} == {value}


def test_an_image_that_was_refused_opens_with_credentials(own: Web, tmp_path: Path) -> None:
    content = image(tmp_path / "image.tif")
    href = own.serve("/out/image.tif", Answer(status=403))
    for read in (Output.open, Output.xarray):
        with pytest.raises(AccessDeniedError):
            read(Output("made", "", href, None, None, Transport(own.url)))
    own.serve("/out/image.tif", Answer(content, gives_parts=True))
    made = Output("made", "", href, None, None, Transport(own.url, token=SECRET))
    assert total_of(made, "rasterio") > 0


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_image_is_opened_by_the_authorities_that_are_given(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    content = image(tmp_path / "image.tif")
    with web_server(certificate=certificate) as web:
        href = web.serve("/image.tif", Answer(content, gives_parts=True))
        for verify in (certificate, False):
            made = Output("made", "", href, None, None, Transport(web.url, verify=verify))
            assert total_of(made, "rasterio") > 0
        made = Output("made", "", href, None, None, Transport(web.url, retries=0))
        with pytest.raises(ServerUnreachableError, match="certificate"):
            made.open()


@each_kind
def test_no_representation_no_message_and_no_log_has_a_secret(
    own: Web,
    given: dict[str, object],
    name: str,
    value: str,
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    own.serve("/denied", Answer(b'{"title": "no"}', 401, {"Content-Type": "application/json"}))
    transport = Transport(own.url, **given)  # type: ignore[arg-type]
    output = Output("made", "", f"{own.url}/denied", None, None, transport)
    shown = [repr(transport), repr(vars(transport)), repr(output), output._repr_html_()]
    with caplog.at_level(logging.DEBUG):
        for address in (f"{own.url}/denied", f"http://127.0.0.1:{free_port()}/"):
            with pytest.raises(ClientError) as caught:
                transport.json(address)
            shown.append("".join(traceback.format_exception(caught.value)))
    assert SECRET not in "".join(shown) + caplog.text
    assert SECRET not in repr(Client(own.url, **given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"token": f"{SECRET}\n{SECRET}"}, "line ends"),
        ({"headers": {KEY: f"{SECRET}\r\nHost: b"}}, f"{KEY} has characters"),
        ({"headers": {"X: Y": SECRET}}, "no name of a header field"),
        ({"token": "ключ"}, "beyond ASCII"),
        ({"token": " "}, "is empty"),
        ({"token": SECRET, "auth": ("eve", SECRET)}, "give one of them"),
        ({"auth": ("e:ve", SECRET)}, "no colon"),
    ],
)
def test_credentials_that_no_header_can_hold_are_refused(
    given: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputValueError, match=reason) as caught:
        Client("http://127.0.0.1:9", **given)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_without_credentials_netrc_is_read(own: Web, home: Path) -> None:
    (home / ".netrc").write_text(f"machine 127.0.0.1 login eve password {SECRET}\n")
    (home / ".netrc").chmod(0o600)
    Transport(own.url).json(f"{own.url}/jobs/1")
    Transport(own.url, token="other").json(f"{own.url}/jobs/1")
    first, second = (asked.headers["Authorization"] for asked in own.asked)
    assert b64decode(first.removeprefix("Basic ")) == f"eve:{SECRET}".encode()
    assert second == "Bearer other"


def test_a_request_without_credentials_is_told_apart_from_a_wrong_one(own: Web) -> None:
    problem = {"Content-Type": "application/problem+json"}
    for status in (401, 403):
        body = b'{"detail": "log in first", "instance": "urn:uuid:7"}'
        own.serve("/private", Answer(body, status, problem))
        with pytest.raises(AccessDeniedError, match="log in first") as caught:
            Transport(own.url).json(f"{own.url}/private")
        assert (caught.value.status, caught.value.instance) == (status, "urn:uuid:7")
    own.serve("/private", Answer(b"{}", 409))
    with pytest.raises(RequestRefusedError) as caught:
        Transport(own.url).json(f"{own.url}/private")
    assert not isinstance(caught.value, AccessDeniedError)


def test_a_certificate_is_checked_by_the_authorities_that_are_given(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    with web_server(certificate=certificate) as web:
        web.serve("/jobs/1", Answer(b"{}"))
        with pytest.raises(ServerUnreachableError, match=r"certificate of .* self-signed"):
            Transport(web.url, retries=0).json(f"{web.url}/jobs/1")
        assert Transport(web.url, verify=certificate).json(f"{web.url}/jobs/1") == {}


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_certificate_may_be_left_unchecked(tmp_path: Path) -> None:
    with web_server(certificate=self_signed(tmp_path / "server.pem")) as web:
        web.serve("/jobs/1", Answer(b"{}"))
        assert Transport(web.url, verify=False).json(f"{web.url}/jobs/1") == {}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_cannot_answer_now_is_asked_again(
    own: Web, pauses: list[float], status: int
) -> None:
    own.serve("/busy", Answer(status=status), Answer(status=status), Answer(b"[1]"))
    assert Transport(own.url).json(f"{own.url}/busy") == [1]
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S]


def test_the_pause_that_a_server_asks_for_is_made(own: Web, pauses: list[float]) -> None:
    own.serve("/busy", Answer(status=503, headers={"Retry-After": "7"}), Answer(b"[1]"))
    assert Transport(own.url).json(f"{own.url}/busy") == [1]
    assert pauses == [7]


def test_a_date_to_ask_again_at_is_a_pause_too(own: Web, pauses: list[float]) -> None:
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    own.serve("/busy", Answer(status=503, headers=past), Answer(b"[1]"))
    assert Transport(own.url).json(f"{own.url}/busy") == [1]
    assert pauses == [FIRST_PAUSE_S]


def test_a_long_pause_is_left_to_the_caller(own: Web, pauses: list[float]) -> None:
    asked_s = LONGEST_PAUSE_S + 1
    own.serve("/busy", Answer(status=503, headers={"Retry-After": f"{asked_s:.0f}"}))
    with pytest.raises(ServerUnreachableError, match="cannot answer now") as caught:
        Transport(own.url).json(f"{own.url}/busy")
    assert caught.value.retry_after_s == asked_s
    assert pauses == []


def test_a_server_that_stays_busy_is_given_up(own: Web, pauses: list[float]) -> None:
    own.serve("/busy", Answer(status=503))
    with pytest.raises(ServerUnreachableError):
        Transport(own.url, retries=2).json(f"{own.url}/busy")
    assert len(own.asked) == 3


def test_only_what_may_be_repeated_is_repeated(own: Web, pauses: list[float]) -> None:
    transport = Transport(own.url, retries=2)
    for headers, times in (({}, 1), ({"Idempotency-Key": "a"}, 3)):
        own.asked.clear()
        own.serve("/busy", Answer(status=503))
        with pytest.raises(ServerUnreachableError):
            transport.request("POST", f"{own.url}/busy", data=b"x", headers=headers)
        assert [asked.body for asked in own.asked] == [b"x"] * times


def test_other_errors_are_not_repeated(own: Web, pauses: list[float]) -> None:
    for status, kind in ((500, ServerUnreachableError), (404, NotFoundError)):
        own.serve("/wrong", Answer(status=status))
        own.asked.clear()
        with pytest.raises(kind):
            Transport(own.url).json(f"{own.url}/wrong")
        assert len(own.asked) == 1


def test_a_server_that_is_silent_is_not_asked_again(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match="does not answer in time"):
            Transport(url, timeout_s=0.2).json(f"{url}/jobs/1")
    assert pauses == []


def test_a_connection_that_is_refused_is_tried_again(pauses: list[float]) -> None:
    with pytest.raises(ServerUnreachableError, match="is a server running"):
        Transport(f"http://127.0.0.1:{free_port()}", retries=3).json("http://127.0.0.1:9/")
    assert len(pauses) == 3
