"""The web pages: they show what they are given, work without internet, and the map finds layers."""

import datetime as dt
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from flask import Flask, render_template

from candela.gateway import console as pages
from candela.gateway.access.identity import TrustedProxy, identify
from candela.gateway.console import PageOutput, PageValue, duration, file_size, pages_blueprint
from candela.settings import Metadata
from candela.spec import load_specs

METADATA = Metadata(title="A <service>", abstract="What it & does", provider="A provider")
START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
STATIC = Path(pages.__file__).parent / "static"


def make_job(**changes):
    values = {
        "id": "0123456789", "process": "Echo", "state": "running", "percent": 41.7,
        "message": "half-way", "created": START, "started": START,
        "finished": None, "error_code": None, "error_message": None,
    }  # fmt: skip
    return SimpleNamespace(**values | changes)


@pytest.fixture
def app(gateway) -> Flask:
    app = Flask("pages")
    identify(app, TrustedProxy())
    app.register_blueprint(pages_blueprint(gateway.publisher, METADATA))
    return app


@pytest.fixture
def render(app):
    def render(template: str, **context) -> str:
        with app.test_request_context("/"):
            return render_template(template, metadata=METADATA, **context)

    return render


def render_job(render, job, **context) -> str:
    empty = {"spec": None, "inputs": [], "outputs": [], "layers": [], "log": ""}
    return render("job.html", job=job, **empty | context)


def test_the_landing_page_lists_processes_and_jobs(render) -> None:
    specs = load_specs()
    page = render("landing.html", specs=specs, jobs=[make_job()], job_count=1, links=[])
    for spec in specs.values():
        assert spec.title in page
        assert f"identifier={spec.identifier}" in page
    assert 'href="/jobs/0123456789"' in page
    assert "half-way" in page
    assert 'data-moving="True"' in page


def test_the_landing_page_needs_no_job(render) -> None:
    page = render("landing.html", specs={}, jobs=[], job_count=0, links=[])
    assert "No job yet" in page
    assert 'data-moving="False"' in page


def test_a_running_job_refreshes_itself_and_a_final_one_does_not(render) -> None:
    assert 'data-moving="True"' in render_job(render, make_job())
    for state in ("succeeded", "failed", "dismissed"):
        assert 'data-moving="False"' in render_job(render, make_job(state=state))


def test_a_job_page_shows_inputs_outputs_layers_and_log(render, gateway, change_layer) -> None:
    page = render_job(
        render,
        make_job(state="succeeded", finished=START + dt.timedelta(seconds=75)),
        inputs=[PageValue("before", "Earlier", "a.tif", "https://example.org/a.tif")],
        outputs=[
            PageOutput("change", "Change", "image/tiff", "/outputs/1/change.tif", 2_500_000),
            PageOutput("count", "Count", "text/plain", text="17"),
        ],
        layers=[layer for layer in gateway.publisher.layers() if layer.job_id == "job-1"],
        log="last words",
    )
    for part in (
        "1 min 15 s",
        "a.tif",
        "change.tif",
        "2.5 MB",
        ">17<",
        "Show on the map",
        "last words",
    ):
        assert re.search(rf"\s*{re.escape(part.strip('<>'))}", page)
    assert gateway.publisher.links(change_layer.name).wcs in page


def test_a_failed_job_says_why_and_nothing_of_it_is_markup(render) -> None:
    job = make_job(
        state="failed",
        error_code="InvalidParameterValue",
        error_message="<script>alert(1)</script>",
    )
    page = render_job(render, job, log="<img src=x>")
    assert "InvalidParameterValue" in page
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_the_list_of_layers_has_what_the_map_needs(app, gateway, change_layer) -> None:
    layers = app.test_client().get("/layers.json").get_json()["layers"]
    assert [layer["name"] for layer in layers] == [
        "ChangeDetect_1_change", "Jpeg2Tiff_2_image", "Other_3_height",
    ]  # fmt: skip
    first = layers[0]
    assert first["job"] == "job-1"
    assert first["wms"] == gateway.publisher.links(change_layer.name).wms
    assert first["legend"][-1]["colours"] == ["#a8002b"]
    west, south, east, north = first["bounds"]
    assert west < east
    assert south < north


def test_pages_ask_nobody_else() -> None:
    ours = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}]
    templates = list((STATIC.parent / "templates").glob("*.html"))
    assert len(ours) >= 6
    assert len(templates) >= 4
    for path in ours + templates:
        for line in path.read_text().splitlines():
            if "leafletjs.com" not in line or path.name != "leaflet.js":
                assert not re.search(r"(src|href|url|fetch|import)\W{1,3}https?://", line), path


def test_what_is_taken_from_others_comes_with_its_licence() -> None:
    for folder in (STATIC / "vendor").iterdir():
        assert (folder / "LICENSE.txt").is_file()


def test_every_file_of_a_page_is_served(app) -> None:
    client = app.test_client()
    page = client.get("/map").get_data(as_text=True)
    addresses = re.findall(r'(?:src|href|data-land)="(/assets/[^"]+)"', page)
    assert len(addresses) >= 5
    for address in addresses:
        with client.get(address) as answer:
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")],
)  # fmt: skip
def test_durations_are_for_people(seconds, text) -> None:
    assert duration(START, START + dt.timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")],
)  # fmt: skip
def test_sizes_are_for_people(size, text) -> None:
    assert file_size(size) == text


@pytest.mark.slow
def test_a_browser_shows_the_layers(gateway, tmp_path) -> None:
    dom = browse(f"{gateway.url}/map", tmp_path)
    assert "0.80 to 1.00" in dom  # the legend of the first layer
    assert re.search(r'class="layer on".*Height', dom, re.DOTALL)  # the newest is shown
    assert "request=GetMap" in dom
    assert requests.get(f"{gateway.url}/layers.json", timeout=10).status_code == 200


def browse(url: str, folder: Path) -> str:
    """Return what a browser makes of a page."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium (Debian package chromium)")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--virtual-time-budget=8000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={folder}", url],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    return done.stdout


def test_the_list_of_layers_has_the_time_series(new_gateway, dated_layer) -> None:
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01", east_m=3000)
    new_gateway.publisher.publish(first)
    url = f"{new_gateway.url}/layers.json"
    assert requests.get(url, timeout=10).json()["series"] == []  # one date is no series to step
    new_gateway.publisher.publish(second)
    (series,) = requests.get(url, timeout=10).json()["series"]
    assert series["times"] == ["2020-01-31T00:00:00Z", "2020-03-01T00:00:00Z"]
    assert series["job"] is None
    west, _, east, _ = series["bounds"]
    assert east - west == pytest.approx(0.082, abs=0.002)  # both places
    assert series["legend"][-1]["colours"] == ["#a8002b"]


@pytest.mark.slow
def test_a_browser_offers_the_dates_of_a_series(new_gateway, dated_layer, tmp_path) -> None:
    for date in ("2020-01-31", "2020-03-01"):
        new_gateway.publisher.publish(dated_layer(date))
    (series,) = new_gateway.publisher.series()
    dom = browse(f"{new_gateway.url}/map?layer={series.name}", tmp_path)
    assert re.search(r'class="layer on".*?time series', dom, re.DOTALL)
    assert "time=2020-03-01T00%3A00%3A00Z" in dom  # the newest is asked for
    assert re.search(r'class="times".*?max="1".*?2020-03-01</output>', dom, re.DOTALL)
