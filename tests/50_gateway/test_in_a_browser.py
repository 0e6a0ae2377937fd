"""What a real browser makes of answers and pages: no script of users, readable on a phone."""

import json
import threading
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from chromium import Chromium
from flask import Flask
from werkzeug.serving import make_server

from candela.gateway.app import Gateway
from candela.publish.base import Layer
from candela.settings import Settings

pytestmark = pytest.mark.slow

EXECUTE = "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
ASYNC = "&storeExecuteResponse=true&status=true&lineage=true"
SCRIPT = (
    '<html xmlns="http://www.w3.org/1999/xhtml"><script>'
    'document.documentElement.setAttribute("data-ran", "yes")</script></html>'
)
LONG = "S2A_MSIL2A_20200718T103031_N0214_R108_T32TPS_20200718T133510.SAFE.zip"
PHONE, DESK = (390, 844), (1280, 900)
CONTRAST = """[...document.querySelectorAll(".state, .quiet, .chip")].map((element) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const chain = [];
  for (let one = element; one; one = one.parentElement) chain.unshift(one);
  for (const one of chain) {
    context.fillStyle = getComputedStyle(one).backgroundColor;
    context.fillRect(0, 0, 1, 1);
  }
  const ground = [...context.getImageData(0, 0, 1, 1).data];
  context.fillStyle = getComputedStyle(element).color;
  context.fillRect(0, 0, 1, 1);
  const light = (pixel) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const value = pixel[index] / 255;
    return sum + weight * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  }, 0);
  const [low, high] = [light(ground), light([...context.getImageData(0, 0, 1, 1).data])].sort();
  return [element.className, (high + 0.05) / (low + 0.05)];
})"""  # WCAG 2.2, 1.4.3
OUT_OF_VIEW = """[...document.querySelectorAll("body *")].filter((element) => {
  const right = element.getBoundingClientRect().right;
  return right > innerWidth + 1 && !element.closest("#map, pre, .scroll");
}).map((element) => element.tagName + "." + element.className)"""
STATES = ["succeeded", "failed", "dismissed", "running", "publishing", "dispatching", "accepted"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the address of a gateway with jobs and layers, and the id of a job that failed."""
    folder = tmp_path_factory.mktemp("site")
    server = make_server("127.0.0.1", 0, Flask("nothing"), threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    gateway = Gateway.assemble(Settings(url=url, data=folder / "data", grace_s=30))
    gateway.start()
    server.app = gateway.application()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    address = quote(quote(f"http://127.0.0.1:9/{LONG}", safe=""), safe="")
    client = server.app.test_client()
    told = client.get(f"{EXECUTE}&DataInputs=complex=@xlink:href={address}{ASYNC}").text
    job_id = told.split("/wps/status/")[1][:36]
    succeeded = client.get(f"{EXECUTE}&DataInputs=literal=x{ASYNC}").text
    for layer in layers(folder, succeeded.split("/wps/status/")[1][:36]):
        gateway.jobs.publisher.publish(layer)
    yield url, job_id
    server.shutdown()
    thread.join()
    server.server_close()
    gateway.stop()


def layers(folder: Path, job_id: str) -> list[Layer]:
    """Return a change map, and parcels with attributes that are easily taken for something else."""
    change, parcels = folder / "change.tif", folder / "parcels.geojson"
    with rasterio.open(
        change, "w", driver="GTiff", dtype="float32", count=1, width=300, height=300, nodata=np.nan,
        crs="EPSG:32632", transform=Affine(10, 0, 600_000, 0, -10, 5_400_000),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((1, 300, 300), 0.7, "float32"))
        dataset.set_band_description(1, "change")
    properties = {
        "name": "Äcker & <Wiesen>", "code": "01234", "hex": "0x1F", "change_level": 2,
        "change_mean": 0.123456789, "note": "unbreakable" * 12,
    }  # fmt: skip
    feature = {
        "type": "Feature", "id": 1, "properties": properties,
        "geometry": json.loads(shapely.to_geojson(shapely.box(10.36, 48.72, 10.4, 48.74))),
    }  # fmt: skip
    parcels.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return [
        Layer("ChangeDetect_1_change", job_id, change, "Change: 18 Jul 2020", "", "change"),
        Layer("ChangeDetect_1_parcels", job_id, parcels, "Title of the layer", "", "parcels"),
    ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def raw(site):
    """Return a link that gives a script of the one who made it back."""
    inputs = f"&DataInputs=complex={quote(quote(SCRIPT))}"
    return f"{site[0]}{EXECUTE}{inputs}&RawDataOutput=complexOutput"


def test_a_reflected_script_does_not_run_and_is_a_download(site, browser, raw):
    browser.open(f"{site[0]}/healthz")
    browser.open(raw)
    assert browser.dom.startswith("<html><head>")  # where it was before
    assert "data-ran" not in browser.dom
    (file,) = browser.downloads.iterdir()
    assert SCRIPT.encode() in file.read_bytes()


def test_a_sandbox_alone_keeps_a_script_from_running(site, browser, raw, monkeypatch):
    monkeypatch.setattr("candela.gateway.access.browsers._is_rendered", lambda _: False)
    browser.open(raw)
    assert "<script>" in browser.dom  # shown, as it was before there were downloads
    assert 'data-ran="yes"' not in browser.dom
    assert any("Blocked script execution" in each for each in browser.complaints)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_pages_fit_and_their_console_is_silent(site, browser, size):
    url, job_id = site
    browser.size(*size)
    for path in ("/", f"/jobs/{job_id}", "/map", f"/nothing/{'x' * 200}"):
        browser.open(url + path)
        expected = 1 if path.startswith("/nothing") else 0  # that it is not there
        assert len(browser.complaints) == expected, (path, browser.complaints)
        assert browser.run("document.documentElement.scrollWidth") <= size[0], path
        assert browser.run(OUT_OF_VIEW) == [], path
        assert browser.run("document.styleSheets.length") >= 1


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_words_of_users_and_messages_break_rather_than_scroll(site, browser, size):
    url, job_id = site
    browser.size(*size)
    for path, places in (
        ("/", ".jobs td:first-child a, .jobs .wide"),
        (f"/jobs/{job_id}", "h1, .says, .error, .row strong"),
    ):
        browser.open(url + path)
        browser.run(
            f"document.querySelectorAll('{places}')"
            ".forEach((e) => { e.textContent = 'x'.repeat(200); })"
        )
        assert browser.run("document.documentElement.scrollWidth") <= size[0], path
        assert browser.run(OUT_OF_VIEW) == [], path
        inside = (
            "[...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)"
        )
        assert browser.run(inside), path


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_scale_and_attribution_of_the_map_lie_side_by_side(site, browser, size):
    browser.size(*size)
    browser.open(f"{site[0]}/map?layer=ChangeDetect_1_parcels")
    browser.until("document.querySelector('.layer.on')")
    box = "document.querySelector('.leaflet-control-%s').getBoundingClientRect()"
    scale, attribution = box % "scale", box % "attribution"
    assert browser.run(
        f"{scale}.right <= {attribution}.left || {scale}.bottom <= {attribution}.top"
    )


def test_names_of_files_are_readable_on_a_phone(site, browser):
    url, job_id = site
    browser.size(*PHONE)
    browser.open(f"{url}/jobs/{job_id}")
    link = f"[...document.querySelectorAll('.values a')].find((a) => a.textContent === '{LONG}')"
    box = f"{link}.parentElement.getBoundingClientRect()"
    width, height = browser.run(f"(({{width, height}}) => [width, height])({box})")
    assert width > 250
    assert height < 100  # a few lines, not one for each letter


def test_what_jobs_say_is_readable_on_a_phone(site, browser):
    browser.size(*PHONE)
    browser.open(site[0])
    widths = browser.run("[...document.querySelectorAll('.jobs .wide')].map((e) => e.offsetWidth)")
    assert len(widths) >= 2
    assert min(widths) > 250


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_small_has_enough_contrast(site, browser, scheme):
    url, job_id = site
    scheme_of = {"name": "prefers-color-scheme", "value": scheme}
    browser.send("Emulation.setEmulatedMedia", features=[scheme_of])
    for path in ("/", f"/jobs/{job_id}"):
        browser.open(url + path)
        for state in STATES:
            browser.run(f"document.querySelector('.state').className = 'state {state}'")
            found = browser.run(CONTRAST)
            assert len(found) >= 3
            assert [each for each in found if each[1] < 4.5] == []
    browser.send("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_parcel_shows_its_own_attributes_as_they_are(site, browser, size):
    browser.size(*size)
    browser.open(f"{site[0]}/map?layer=ChangeDetect_1_parcels")
    browser.until("document.querySelector('.layer.on')")
    place = "document.getElementById('map').getBoundingClientRect()"
    x, y, width, height = browser.run(
        f"(({{x, y, width, height}}) => [x, y, width, height])({place})"
    )
    browser.click(x + width / 2, y + height / 2)
    browser.until("document.querySelector('.leaflet-popup-content tr')")
    rows = browser.run(
        "[...document.querySelectorAll('.leaflet-popup-content tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    shown = dict(rows)
    assert shown["name"] == "Äcker & <Wiesen>"
    assert shown["code"] == "01234"
    assert shown["hex"] == "0x1F"
    assert shown["change_mean"] == "0.1235"
    popup = "document.querySelector('.leaflet-popup-content').getBoundingClientRect()"
    beyond = (
        "[...document.querySelectorAll('.leaflet-popup-content td')]"
        f".filter((cell) => cell.getBoundingClientRect().right > {popup}.right + 1).length"
    )
    assert browser.run(beyond) == 0
    assert browser.run(f"{popup}.left >= 0 && {popup}.right <= innerWidth")
    assert browser.run(f"{popup}.top >= {place}.top")
    assert browser.complaints == []
