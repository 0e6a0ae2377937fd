"""Three dates of one place: two maps on one scale, parcels through time, and going on again."""

import csv
import dataclasses
import datetime as dt
import io
import json
import re
import statistics
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from owslib.wps import (
    ASYNC,
    ComplexDataInput,
    IComplexDataInput,
    WebProcessingService,
    monitorExecution,
)
from PIL import Image
from rasterio.warp import transform_geom

from candela.cli import main
from candela.client import ChangeSeries, Client, detect_changes
from candela.client.inputs import Content
from candela.demo.gateway import LocalGateway
from candela.synthetic.scene import LATE
from candela.synthetic.sentinel2 import DemoProducts, make_products

from .conftest import SEED, SIZE

PAGE = Path(__file__).parents[2] / "docs" / "processes" / "change_detect.md"
QUARTER_M = 5 * SIZE
LATER = dataclasses.replace(LATE, day=dt.date(2023, 6, 20), clouds=0.1)


@pytest.fixture(scope="module")
def dates(products: DemoProducts) -> list[Path]:
    """Three products of one place; nothing has changed between the last two but the weather."""
    made = make_products(products.before.parent / "later", seed=SEED, size=SIZE, late=LATER)
    return [products.before, products.after, made.after]


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four quarters of the image."""
    features = []
    for number in range(4):
        left, top = 300_000 + QUARTER_M * (number % 2), 4_900_020 - QUARTER_M * (number // 2)
        shape = shapely.geometry.mapping(shapely.box(left, top - QUARTER_M, left + QUARTER_M, top))
        features.append(
            {
                "type": "Feature",
                "properties": {"quarter": number},
                "geometry": transform_geom("EPSG:32631", "EPSG:4326", shape),
            }
        )
    path = tmp_path_factory.mktemp("parcels") / "quarters.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def through_time(client: Client, dates: list[Path], parcels: Path) -> ChangeSeries:
    return detect_changes(client, dates, parcels=parcels, clouds=True, progress=False)


def test_all_maps_of_a_place_share_one_scale(through_time: ChangeSeries) -> None:
    assert not through_time.failures
    told = [change.job.outputs["statistics"].json() for change in through_time.changes]
    assert len(told) == 2
    own = [facts["typical_log_magnitude"] for facts in told]
    assert own[0] != own[1]
    assert through_time.scales == {"T31TCJ": pytest.approx(statistics.median(own))}
    assert [facts["scale"] for facts in told] == [through_time.scales["T31TCJ"]] * 2


def test_masked_clouds_have_no_data_in_the_maps(through_time: ChangeSeries) -> None:
    shares = []
    for change in through_time.changes:
        assert change.before.mask is not None
        assert change.after.mask is not None
        with (
            change.output.open() as image,
            change.before.mask.open() as first,
            change.after.mask.open() as second,
        ):
            masked = (first.read(1) != 0) | (second.read(1) != 0)
            np.testing.assert_array_equal(np.isnan(image.read(1)), masked)
            shares.append(masked.mean())
    assert shares[1] > 0.02


def test_parcels_are_told_through_time(through_time: ChangeSeries) -> None:
    rows = through_time.parcels()
    assert [(row["after_date"], row["quarter"]) for row in rows] == [
        (day, quarter) for day in ("2022-06-28", "2023-06-20") for quarter in "0123"
    ]
    first, second = rows[:4], rows[4:]
    changed = [float(row["change_share"]) for row in first]
    assert max(changed) > 0
    assert all(float(row["change_valid_fraction"]) > 0.5 for row in rows)
    assert sum(float(row["change_share"]) for row in second) < sum(changed)


def test_images_are_compared_as_they_are(
    client: Client, products: DemoProducts, through_time: ChangeSeries
) -> None:
    folder = products.before.parent / "images"
    folder.mkdir()
    paths = []
    for number, image in enumerate(through_time.images[:2], 1):
        path = image.output.save(folder / f"{number}.tif")
        with rasterio.open(path, "r+") as dataset:  # what other programs write has neither
            day = dataset.tags()["SENSING_TIME"][:10]
            dataset.update_tags(SENSING_TIME="")
            dataset.descriptions = [None] * dataset.count
        paths.append(str(path.rename(folder / f"scene_{day}.tif")))
    names = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
    [change] = detect_changes(client, paths, bands=names, progress=False).changes
    first = through_time.changes[0]
    assert (change.before_date, change.after_date) == (first.before_date, first.after_date)
    assert change.before.source == Path(paths[0])
    with change.output.open() as dataset:
        assert np.isfinite(dataset.read(1)).any()


def test_the_same_call_takes_up_what_was_done(
    client: Client, dates: list[Path], parcels: Path, through_time: ChangeSeries
) -> None:
    jobs = len(client.jobs(limit=1000))
    again = detect_changes(client, dates, parcels=parcels, clouds=True, progress=False)
    assert [change.job.id for change in again.changes] == [
        change.job.id for change in through_time.changes
    ]
    assert len(client.jobs(limit=1000)) == jobs


def test_what_failed_before_is_tried_again(
    client: Client, dates: list[Path], through_time: ChangeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dates[0].parent / "S2A_none.zip"
    broken.write_bytes(b"this is no zip file")
    monkeypatch.setattr("candela.client.job_group.CLOCK_SKEW_S", 0)
    tried = []
    for _ in range(2):
        failed = detect_changes(client, [broken], progress=False)
        assert [failure.label for failure in failed.failures] == ["S2A_none.zip"]
        tried.append(len(client.jobs(process="Jpeg2Tiff", limit=1000)))
    assert tried[1] == tried[0] + 1


def test_a_command_saves_maps_a_picture_and_the_table_of_parcels(
    gateway: LocalGateway,
    dates: list[Path],
    parcels: Path,
    through_time: ChangeSeries,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["series", *map(str, dates), "--parcels", str(parcels), "--clouds"]
    assert main([*words, "--save", str(tmp_path), "--url", gateway.url]) == 0
    assert "share the scale" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "change_T31TCJ_20200718_20220628.tif",
        "change_T31TCJ_20220628_20230620.tif",
        "parcels.csv",
        "parcels_T31TCJ_20200718_20220628.geojson",
        "parcels_T31TCJ_20220628_20230620.geojson",
        "series.png",
    ]
    with (tmp_path / "parcels.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    with Image.open(tmp_path / "series.png") as picture:
        assert picture.width > 1.5 * picture.height  # two maps side by side


@pytest.mark.parametrize("form", ["inline", "reference"])
def test_owslib_sends_parcels_and_reads_what_comes_back(
    gateway: LocalGateway,
    dates: list[Path],
    parcels: Path,
    through_time: ChangeSeries,
    form: str,
) -> None:
    change = through_time.changes[0]
    given: IComplexDataInput
    if form == "inline":
        given = Content(parcels.read_text(), "application/geo+json")
    else:
        shared = dates[0].parent / "quarters.geojson"
        shared.write_bytes(parcels.read_bytes())
        given = ComplexDataInput(shared.as_uri(), mimeType="application/geo+json")
    wps = WebProcessingService(f"{gateway.url}/wps")
    execution = wps.execute(
        "ChangeDetect",
        [
            ("before", ComplexDataInput(change.before.output.href)),
            ("after", ComplexDataInput(change.after.output.href)),
            ("parcels", given),
        ],
        output=[],
        mode=ASYNC,
    )
    monitorExecution(execution, sleepSecs=1)
    assert execution.isSucceded(), execution.errors
    outputs = {output.identifier: output for output in execution.processOutputs}
    found = json.loads(outputs["parcels"].data[0])
    assert [each["properties"]["quarter"] for each in found["features"]] == [0, 1, 2, 3]
    assert {each["properties"]["change_level"] for each in found["features"]} <= {1, 2, 3}
    assert outputs["parcels"].mimeType == "application/geo+json"
    assert outputs["parcels_table"].data[0].startswith("feature_id,quarter,change_level")
    assert outputs["parcels_preview"].reference.endswith(".png")


@pytest.fixture
def page(gateway: LocalGateway) -> str:
    return PAGE.read_text(encoding="utf-8").replace("http://127.0.0.1:8080", gateway.url)


def test_the_python_code_of_the_page_runs(
    page: str, dates: list[Path], parcels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dates[0].parent)
    Path("vineyards.geojson").write_bytes(parcels.read_bytes())
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert Path("vineyards-changed.csv").read_text().count("\n") == 5
    names["client"].close()  # type: ignore[attr-defined]


def test_the_curl_example_of_the_page_runs(
    page: str, client: Client, through_time: ChangeSeries
) -> None:
    (example,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    change = through_time.changes[0]
    command = example.replace("BEFORE", change.before.output.href or "")
    command = command.replace("AFTER", change.after.output.href or "")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True)
    location = re.search(r'statusLocation="([^"]+)"', answer.stdout)
    assert location is not None, answer.stdout
    job = client.job(location.group(1)).wait(progress=False)
    (row,) = csv.DictReader(io.StringIO(job.outputs["parcels_table"].text()))
    assert 0 < float(row["change_valid_fraction"]) <= 1
    assert row["change_level"] in {"1", "2", "3"}
