"""What a real GeoServer serves of our layers: `make test-geoserver URL=... USER=...`.

Without ``--geoserver-url`` all of this is skipped. Time, private layers and tiles are here, since
only GeoServer itself can tell what comes of what it is told.
"""

import dataclasses
import io

import numpy as np
import pytest
import rasterio
from PIL import Image

from candela.publish.geoserver.documents import workspace_name
from candela.publish.styles import load_style

BOX = "600000,5397000,603000,5400000"  # of the rasters of these tests
TILE = "10.37109375,48.69140625,10.4150390625,48.7353515625"  # a tile of EPSG:4326 over it


def ask_map(real, workspace, layer, **more):
    """Ask for a map of 30 x 30 pixels."""
    query = {
        "service": "WMS", "version": "1.1.1", "request": "GetMap", "layers": layer, "styles": "",
        "srs": "EPSG:32632", "bbox": BOX, "width": "30", "height": "30", "format": "image/png",
        "transparent": "true",
    }  # fmt: skip
    anybody, auth = more.pop("anybody", False), more.pop("auth", real.account)
    options = {"anybody": True} if anybody else {"auth": auth}
    return real.ask("GET", f"/{workspace}/wms", params=query | more, **options)


def ask_tile(real, layer, **more):
    query = {
        "service": "WMS", "version": "1.1.1", "request": "GetMap", "layers": layer, "styles": "",
        "srs": "EPSG:4326", "bbox": TILE, "width": "256", "height": "256", "format": "image/png",
        "transparent": "true",
    }  # fmt: skip
    anybody, auth = more.pop("anybody", False), more.pop("auth", real.account)
    options = {"anybody": True} if anybody else {"auth": auth}
    return real.ask("GET", "/gwc/service/wms", params=query | more, **options)


def pixels(answer):
    assert answer.headers["Content-Type"].startswith("image/"), answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)


def colour_of(value):
    (colour,) = [c.colour for c in load_style("change").classes if c.low <= value < c.high]
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def coverage(real, workspace, layer, path, **more):
    """Fetch a coverage of WCS 2.0.1 whole and write it to a path."""
    answer = real.ask(
        "GET", f"/{workspace}/wcs", params={
            "service": "WCS", "version": "2.0.1", "request": "GetCoverage",
            "coverageId": f"{workspace}__{layer}", "format": "image/tiff", **more,
        },
    )  # fmt: skip
    assert answer.headers["Content-Type"] == "image/tiff", answer.text
    path.write_bytes(answer.content)
    with rasterio.open(path) as image:
        return image.read()


def test_change_has_the_colour_of_its_class_and_its_values(
    real, dated_layer, tmp_path, change_layer, probability
) -> None:
    publisher, workspace = real.publisher(), f"{real.prefix}_all"
    layer = dated_layer("2020-03-01", value=0.55)
    for item in (layer, change_layer):
        publisher.publish(item)
    middle = pixels(ask_map(real, workspace, layer.name))[15, 15]
    assert np.abs(middle[:3] - colour_of(0.55)).max() <= 1
    found = coverage(real, workspace, change_layer.name, tmp_path / "all.tif")
    assert np.array_equal(found, probability, equal_nan=True)
    holes = pixels(ask_map(real, workspace, change_layer.name))[6:7, 6:8, 3]
    assert (holes == 0).all()


@pytest.mark.parametrize("layout", [("band", 1), ("band", 2), ("pixel", 1), ("pixel", 2)])
def test_images_of_several_bands_are_read_however_they_were_written(
    real, image_layer, reflectance, tmp_path, layout
) -> None:
    path = tmp_path / "image.tif"
    with rasterio.open(image_layer.path) as image:
        profile = image.profile | {"interleave": layout[0], "predictor": layout[1]}
        with rasterio.open(path, "w", **profile) as target:
            target.write(image.read())
            for index, name in enumerate(image.descriptions, 1):
                target.set_band_description(index, name)
    layer = dataclasses.replace(image_layer, path=path)
    real.publisher().publish(layer)
    workspace = f"{real.prefix}_all"
    found = coverage(real, workspace, layer.name, tmp_path / "all.tif")
    assert np.array_equal(found, reflectance)
    if not real.is_older("2.22"):  # 2.21.1 on Java 17 draws no composites, however written
        assert pixels(ask_map(real, workspace, layer.name))[15, 15, 3] == 255
    bands = real.ask(
        "GET", f"/{workspace}/wcs?service=WCS&version=2.0.1&request=DescribeCoverage"
        f"&coverageId={workspace}__{layer.name}",
    ).text  # fmt: skip
    assert [f'name="{name}"' in bands for name in ("B02", "B03", "B04", "B08")] == [True] * 4


def test_polygons_come_by_wfs(real, parcels_layer, parcels) -> None:
    publisher = real.publisher()
    for _ in range(2):  # another publication leaves the store as it is
        publisher.publish(parcels_layer)
    workspace = f"{real.prefix}_all"
    answer = real.ask(
        "GET", f"/{workspace}/wfs?service=WFS&version=2.0.0&request=GetFeature"
        f"&typeNames={workspace}:{parcels_layer.name}&outputFormat=application/json",
    )  # fmt: skip
    assert len(answer.json()["features"]) == len(parcels)
    assert pixels(ask_map(
        real, workspace, parcels_layer.name, srs="EPSG:4326", bbox="10.1,48.1,10.6,48.4",
    ))[..., 3].max() > 0  # fmt: skip


@pytest.fixture
def series(real, dated_layer):
    """Return publisher, name and layers of a series of two dates."""
    publisher = real.publisher()
    layers = [dated_layer("2020-01-31", value=0.25), dated_layer("2020-03-01", value=0.55)]
    for layer in layers:
        publisher.publish(layer)
    (found,) = publisher.series()
    return publisher, found.name, layers


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (None, 0.55),
        ("2020-01-31T00:00:00Z", 0.25),
        ("2020-01-31T00:00:00.000Z", 0.25),
        ("2020-01-31", 0.25),
        ("2020-01", 0.25),
        ("2020-01-01/2020-02-15", 0.25),
        ("2020-01-01/2020-12-31", 0.55),
        ("2020", 0.55),
        ("1999-01-01", "InvalidDimensionValue"),
        ("2020-02-01/2020-02-15", "InvalidDimensionValue"),
        ("2020-01-31T12:00:00Z", "InvalidDimensionValue"),
        ("garbage", "Invalid date: garbage"),  # GeoServer has no code for these
    ],
)
def test_a_time_shows_the_last_image_in_it_and_none_is_an_error(real, series, time, value) -> None:
    _, name, _ = series
    answer = ask_map(real, f"{real.prefix}_all", name, **({"time": time} if time else {}))
    if value == "InvalidDimensionValue" and real.is_older("2.22"):
        assert pixels(answer)[..., 3].max() == 0  # 2.21.1 draws an empty picture
    elif isinstance(value, str):
        assert value in answer.text
    else:
        assert np.abs(pixels(answer)[15, 15, :3] - colour_of(value)).max() <= 1


def test_dates_come_and_go_in_capabilities_and_tiles(real, series, dated_layer) -> None:
    publisher, name, layers = series
    workspace = f"{real.prefix}_all"
    layer = f"{workspace}:{name}"

    def shown(time="") -> list[int]:
        answer = ask_tile(real, layer, **({"time": time} if time else {}))
        return pixels(answer)[30, 64, :3].tolist()

    assert shown() == pytest.approx(colour_of(0.55), abs=1)
    assert shown("2020-01-31T00:00:00.000Z") == pytest.approx(colour_of(0.25), abs=1)
    assert "image" not in ask_tile(real, layer, time="1999-01-01").headers["Content-Type"]
    publisher.publish(dated_layer("2020-05-01", value=0.7))
    assert shown() == pytest.approx(colour_of(0.7), abs=1)
    publisher.remove(layers[0].job_id)
    text = real.ask(
        "GET", f"/{workspace}/wms?service=WMS&version=1.3.0&request=GetCapabilities"
    ).text  # fmt: skip
    assert "2020-03-01T00:00:00.000Z,2020-05-01T00:00:00.000Z" in text
    assert "2020-01-31" not in text


def test_a_series_begins_anew_over_what_a_deleted_workspace_left(real, series, dated_layer) -> None:
    workspace = f"{real.prefix}_all"
    real.ask("DELETE", f"/rest/workspaces/{workspace}?recurse=true").raise_for_status()
    publisher = real.publisher()
    publisher.publish(dated_layer("2020-05-01", value=0.7))
    (found,) = publisher.series()
    granules = real.ask(
        "GET", f"/rest/workspaces/{workspace}/coveragestores/{found.name}/coverages/{found.name}"
        "/index/granules.json",
    ).json()["features"]  # fmt: skip
    assert [item["properties"]["time"] for item in granules] == ["2020-05-01T00:00:00.000Z"]


def test_private_layers_are_for_their_owner_tiles_and_names_included(real, dated_layer) -> None:
    workspace = workspace_name(real.prefix, "ann")
    layers = [
        dataclasses.replace(dated_layer(date), owner="ann") for date in ("2020-01-31", "2020-03-01")
    ]
    publisher = real.publisher(private=True)
    for layer in layers:
        publisher.publish(layer)
    (series,) = publisher.series()
    ann = real.add_user("ann", workspace.upper())
    bob = real.add_user("bob", f"{real.prefix.upper()}_BOB")
    for name in (layers[0].name, series.name):
        assert ask_map(real, workspace, name, auth=ann).headers["Content-Type"] == "image/png"
        for _ in range(2):
            ask_tile(real, f"{workspace}:{name}", auth=ann)
        for others in ({"anybody": True}, {"auth": bob}):
            answer = ask_map(real, workspace, name, **others)
            assert "image" not in answer.headers.get("Content-Type", "")
            tile = ask_tile(real, f"{workspace}:{name}", **others)
            assert "image" not in tile.headers.get("Content-Type", "")
    for path in (
        "/wms?service=WMS&request=GetCapabilities",
        "/wcs?service=WCS&version=2.0.1&request=GetCapabilities",
        "/gwc/service/wmts?REQUEST=GetCapabilities",
        "/gwc/service/tms/1.0.0",
        "/gwc/demo",
    ):
        answer = real.ask("GET", path, anybody=True)
        assert layers[0].name not in answer.text, path
        assert series.name not in answer.text, path


def test_nothing_is_left_of_layers_that_are_gone(real, series, grey_layer, parcels_layer) -> None:
    publisher, _, layers = series
    for layer in (grey_layer, parcels_layer):
        publisher.publish(layer)
    for layer in (*layers, grey_layer, parcels_layer):
        publisher.remove(layer.job_id)
    workspace = f"{real.prefix}_all"
    for kind, outer in (("coveragestores", "coverageStores"), ("datastores", "dataStores")):
        found = real.ask("GET", f"/rest/workspaces/{workspace}/{kind}.json").json()
        assert found == {outer: ""}
    assert "child" not in real.ask("GET", f"/rest/resource/data/{workspace}?format=xml").text
    assert [path for path in real.folder.rglob("*") if path.is_file()] == []
    styles = real.ask("GET", f"/rest/resource/workspaces/{workspace}/styles?format=json").text
    assert ".bak" not in styles
