"""What ChangeDetect does with its optional inputs: parcels, masks, a shared scale."""

import csv
import json

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.warp import transform_geom

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.raster.smoothing import gaussian
from candela.eo.vector.parcels import Parcel, ParcelStatistics
from candela.errors import InputError
from candela.models.change.parcels import (
    COLUMNS,
    MeasuredParcel,
    change_level,
    write_table,
)
from candela.models.encoder import BANDS
from candela.services.change_detect import run
from candela.services.change_scale import run as measure_scale
from candela.spec import load_spec, services_folder

SIZE = 160
LEFT, TOP = 300_000.0, 4_900_020.0
UTM31 = rasterio.CRS.from_epsg(32631)
GRID = Grid(UTM31, Affine(10, 0, LEFT, 0, -10, TOP), Shape(SIZE, SIZE))
OBJECT = (slice(100, 116), slice(40, 56))
CLOUD = (slice(20, 60), slice(80, 130))
DEFAULTS = load_spec(services_folder() / "change_detect" / "process.yaml").defaults


def field(random, sigma):
    noise = gaussian(random.normal(0, 1, (SIZE, SIZE)).astype(np.float32), sigma)
    return (noise - noise.mean()) / noise.std()


@pytest.fixture(scope="module")
def scene():
    """Two dates of six kinds of surface, each with a season of its own, and a new building."""
    random = np.random.default_rng(0)
    kinds = np.digitize(field(random, 6), [-1.2, -0.5, 0, 0.5, 1.2])
    spectra, season = random.uniform(400, 3500, (6, 10)), random.uniform(0.7, 1.4, (6, 10))
    texture = 1 + 0.12 * field(random, 1.2) + 0.08 * field(random, 3)
    before = np.moveaxis(spectra[kinds], -1, 0) * texture
    after = before * np.moveaxis(season[kinds], -1, 0)
    after[(slice(None), *OBJECT)] = np.linspace(2600, 3600, 10)[:, None, None]
    noise = random.normal(0, 25, (2, 10, SIZE, SIZE))
    return np.clip(np.rint(np.stack([before, after]) + noise), 1, 65535).astype(np.uint16)


def clouded(image):
    """Put a bright cloud with soft edges onto an image, and tell where it is."""
    opacity = np.zeros((SIZE, SIZE), np.float32)
    opacity[CLOUD] = 1
    opacity = gaussian(opacity, 2)
    cloudy = image * (1 - opacity) + 8500 * opacity
    return np.rint(cloudy).astype(np.uint16), opacity > 0.01


def write(path, image, *, nodata=0, bands=BANDS, grid=GRID):
    with create_image(path, grid, dtype=str(image.dtype), nodata=nodata, bands=bands) as dataset:
        dataset.write(image)
    return path


@pytest.fixture(scope="module")
def detect(tmp_path_factory):
    """Return a function that runs the process: the map, its statistics, all outputs."""

    def call(before, after, **options):
        folder = tmp_path_factory.mktemp("job")
        paths = {
            name: write(folder / f"{name}.tif", image)
            for name, image in (("before", before), ("after", after))
        }
        outputs = run(**paths, **(DEFAULTS | options), workdir=folder, progress=silent)
        with rasterio.open(outputs["change"]) as dataset:
            return dataset.read(1), json.loads(outputs["statistics"].read_text()), outputs

    return call


@pytest.fixture(scope="module")
def clear(detect, scene):
    """What is found without any option."""
    return detect(*scene)


def square(rows, cols):
    return shapely.box(
        LEFT + 10 * cols.start, TOP - 10 * rows.stop, LEFT + 10 * cols.stop, TOP - 10 * rows.start
    )


@pytest.fixture(scope="module")
def parcels(tmp_path_factory):
    """Three parcels: on the building, where nothing happened, and outside of the image."""
    shapes = {
        "building": square(*OBJECT),
        "field": square(slice(10, 50), slice(10, 50)),
        "elsewhere": square(slice(10, 20), slice(SIZE + 10, SIZE + 20)),
    }
    features = [
        {
            "type": "Feature",
            "id": f"p-{name}",
            "geometry": transform_geom(UTM31, "EPSG:4326", shapely.geometry.mapping(shape)),
            "properties": {"name": name, "owner": {"né": 1}},
        }
        for name, shape in shapes.items()
    ]
    path = tmp_path_factory.mktemp("parcels") / "given.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def measured(detect, scene, parcels):
    return detect(*scene, parcels=parcels)


def test_parcels_get_their_share_of_the_map(measured):
    change, statistics, outputs = measured
    found = json.loads(outputs["parcels"].read_text())["features"]
    building, field, elsewhere = (feature["properties"] for feature in found)
    assert [feature["id"] for feature in found] == ["p-building", "p-field", "p-elsewhere"]
    assert building["owner"] == {"né": 1}
    assert building["change_level"] == 3
    assert building["change_mean"] == pytest.approx(change[OBJECT].mean(), abs=2e-3)
    assert building["change_area_m2"] == pytest.approx(16 * 16 * 100, abs=2)
    assert building["change_valid_fraction"] == pytest.approx(1, abs=1e-3)
    assert field["change_level"] == 1
    assert field["change_share_0_20"] > 0.9
    assert elsewhere["change_level"] is None
    assert elsewhere["change_valid_fraction"] == 0
    assert elsewhere["change_note"] == "no valid pixel of the images lies in it"
    assert statistics["parcels"] == {
        "count": 3, "levels": {"1": 1, "2": 0, "3": 1}, "without_data": 1, "with_note": 0,
    }  # fmt: skip


def test_parcels_come_back_where_they_were_in_wgs_84(measured, parcels):
    given = json.loads(parcels.read_text())["features"]
    for feature, other in zip(
        json.loads(measured[2]["parcels"].read_text())["features"], given, strict=True
    ):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.exterior.is_ccw
        moved = shape.symmetric_difference(shapely.geometry.shape(other["geometry"]))
        assert moved.area < 1e-3 * shape.area


def test_the_table_has_a_line_for_each_parcel(measured):
    with measured[2]["parcels_table"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["feature_id", "name", "owner", *COLUMNS]
    assert [row["name"] for row in rows] == ["building", "field", "elsewhere"]
    assert rows[0]["owner"] == '{"né": 1}'
    assert rows[0]["change_level"] == "3"
    assert rows[2]["change_mean"] == ""


def test_no_cell_of_the_table_is_run_by_a_spreadsheet(tmp_path):
    parcel = Parcel("@1", {"=name": "=1+1", "code": "-5", "crops": ["=x"]}, None, None, "")
    nothing = ParcelStatistics(0, None, None, (), None)
    write_table(tmp_path / "table.csv", [MeasuredParcel(parcel, nothing, 1)])
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        header, row = list(csv.reader(file))
    assert header[:4] == ["feature_id", "'=name", "code", "crops"]
    assert row[:4] == ["'@1", "'=1+1", "-5", '["=x"]']


def test_the_picture_shows_each_parcel_in_the_colour_of_its_level(measured):
    picture = np.asarray(Image.open(measured[2]["parcels_preview"])).astype(int)[:-28]
    red, green, blue = np.moveaxis(picture, -1, 0)
    dark_red = np.argwhere((red - green > 60) & (green - blue < 40))
    assert np.ptp(dark_red, axis=0) == pytest.approx([4 * 16, 4 * 16], abs=4)  # enlarged 4 times
    assert len(dark_red) > 0.8 * 64**2
    top, left = dark_red.min(axis=0) - [4 * 90, 4 * 30]  # from the building to the field
    field = np.zeros(picture.shape[:2], bool)
    field[top + 2 : top + 158, left + 2 : left + 158] = True
    assert (green - blue)[field].mean() > (green - blue)[~field].mean() + 15


def test_without_parcels_there_is_nothing_on_parcels(clear):
    _, statistics, outputs = clear
    assert set(outputs) == {"change", "kind", "preview", "statistics"}
    assert "parcels" not in statistics


@pytest.mark.parametrize(
    ("share", "level"), [(None, None), (0, 1), (0.099, 1), (0.1, 2), (0.499, 2), (0.5, 3), (1, 3)]
)
def test_the_level_goes_by_the_share_of_changed_area(share, level):
    assert change_level(ParcelStatistics(share_above_half=share)) == level


def test_what_is_wrong_with_parcels_is_told_before_the_work_begins(detect, scene, tmp_path):
    path = tmp_path / "far.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shapely.box(20, 20, 21, 21))))
    with pytest.raises(InputError, match="none of the 1 parcels touches the image") as caught:
        detect(*scene, parcels=path)
    assert caught.value.locator == "parcels"


def masks_of(cloud, tmp_path):
    codes = np.where(cloud, 3, 0).astype(np.uint8)
    return write(tmp_path / "mask.tif", codes[None], nodata=255, bands=["mask"])


@pytest.mark.parametrize("date", ["before", "after"])
def test_a_masked_cloud_has_no_data_and_does_not_disturb(detect, scene, clear, tmp_path, date):
    images = dict(zip(("before", "after"), scene, strict=True))
    images[date], cloud = clouded(images[date])
    mask = masks_of(cloud, tmp_path)
    change, statistics, _ = detect(**images, **{f"{date}_mask": mask})
    np.testing.assert_array_equal(np.isnan(change), cloud)
    away = gaussian(cloud.astype(np.float32), 10) < 1e-3  # 30 pixels from it
    assert np.abs(change - clear[0])[away].max() < 0.1
    assert np.abs(change - clear[0])[~cloud].mean() < 0.01
    assert statistics["valid_fraction"] == pytest.approx(1 - cloud.mean())


@pytest.mark.parametrize("date", [0, 1])
def test_a_cloud_without_a_mask_is_change_and_the_fit_holds_around_it(detect, scene, clear, date):
    images = list(scene)
    images[date], cloud = clouded(images[date])
    change, _, _ = detect(*images)
    assert np.median(change[CLOUD]) > 0.9
    away = gaussian(cloud.astype(np.float32), 10) < 1e-3
    assert np.median(change[OBJECT]) > 0.8
    assert np.abs(change - clear[0])[away].mean() < 0.02


def test_scene_classes_are_taken_as_a_mask_too(detect, scene, tmp_path):
    classes = np.full((1, SIZE, SIZE), 4, np.uint8)
    classes[0, :10], classes[0, 10:20], classes[0, 20:30] = 9, 3, 0
    mask = write(tmp_path / "scl.tif", classes, nodata=255, bands=["SCL"])
    change, _, _ = detect(*scene, after_mask=mask, mask_classes="scl")
    assert np.isnan(change[:30]).all()
    assert not np.isnan(change[30:]).any()


@pytest.mark.parametrize(
    ("codes", "grid", "reason"),
    [
        (np.zeros((1, SIZE, SIZE), np.float32), GRID, "1 bands of type float32; expected one band"),
        (np.zeros((2, SIZE, SIZE), np.uint8), GRID, "2 bands of type uint8; expected one band"),
        (
            np.zeros((1, 80, 80), np.uint8),
            GRID._replace(shape=Shape(80, 80)),
            r"mask\.tif is not on the grid of its image: 80 x 80 pixels of 10 .* 160 x 160 pixels",
        ),
    ],
)
def test_what_is_no_mask_of_the_image_is_refused(detect, scene, tmp_path, codes, grid, reason):
    bands = [f"m{number}" for number in range(len(codes))]
    mask = write(tmp_path / "mask.tif", codes, nodata=255, bands=bands, grid=grid)
    with pytest.raises(InputError, match=reason) as caught:
        detect(*scene, before_mask=mask)
    assert caught.value.locator == "before_mask"


def test_a_shared_scale_takes_the_place_of_the_typical_magnitude(detect, scene, clear):
    own, statistics, _ = clear
    again, told, _ = detect(*scene, scale=statistics["typical_log_magnitude"])
    np.testing.assert_allclose(again, own, atol=1e-6)
    assert told["scale"] == statistics["scale"] == statistics["typical_log_magnitude"]
    stricter, told, _ = detect(*scene, scale=statistics["typical_log_magnitude"] + 0.2)
    assert told["typical_log_magnitude"] == statistics["typical_log_magnitude"]
    odds = np.log(own / (1 - own)) - np.log(stricter / (1 - stricter))
    inner = (own > 0.01) & (own < 0.99)
    assert np.ptp(odds[inner]) < 1e-2  # all odds fall by the same factor
    assert odds[inner].mean() > 0.3


def test_the_scale_of_a_pair_can_be_had_without_a_map(scene, clear, tmp_path):
    paths = {
        name: write(tmp_path / f"{name}.tif", image)
        for name, image in zip(("before", "after"), scene, strict=True)
    }
    folder = services_folder() / "change_scale"
    options = load_spec(folder / "process.yaml").defaults
    outputs = measure_scale(**paths, **options, workdir=tmp_path, progress=silent)
    assert outputs == {"scale": pytest.approx(clear[1]["typical_log_magnitude"])}


def test_models_and_options_of_the_scale_are_those_of_the_map():
    scale, change = (
        load_spec(services_folder() / name / "process.yaml").inputs
        for name in ("change_scale", "change_detect")
    )
    for name, given in scale.items():
        assert (given.type, given.allowed, given.default, given.min_occurs) == (
            change[name].type, change[name].allowed, change[name].default, change[name].min_occurs,
        )  # fmt: skip


DEGREES = Grid(
    rasterio.CRS.from_epsg(4326), Affine(1e-4, 0, 0.5, 0, -1e-4, 44.24), Shape(SIZE, SIZE)
)


def test_parcels_on_an_image_in_degrees_have_areas_in_square_metres(scene, tmp_path):
    rows, cols = OBJECT
    shape = shapely.box(
        0.5 + 1e-4 * cols.start, 44.24 - 1e-4 * rows.stop, 0.5 + 1e-4 * cols.stop,
        44.24 - 1e-4 * rows.start,
    )  # fmt: skip
    path = tmp_path / "parcels.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(shape)))
    before, after = (
        write(tmp_path / f"{number}.tif", image, grid=DEGREES) for number, image in enumerate(scene)
    )
    outputs = run(
        before=before, after=after, **(DEFAULTS | {"parcels": path}), workdir=tmp_path,
        progress=silent,
    )  # fmt: skip
    [found] = json.loads(outputs["parcels"].read_text())["features"]
    metres = 111_320 * np.cos(np.radians(44.23)) * 111_110 * (16e-4) ** 2
    assert found["properties"]["change_area_m2"] == pytest.approx(metres, rel=5e-3)
    assert found["properties"]["change_level"] == 3


@pytest.mark.parametrize("way", ["mask", "alpha", "nodata"])
def test_no_data_is_no_data_however_the_image_says_it(detect, scene, clear, tmp_path, way):
    before, after = scene
    hole = (slice(0, 30), slice(0, 160))
    paths = {}
    for name, image in (("before", before), ("after", after)):
        paths[name] = tmp_path / f"{name}.tif"
        empty = np.zeros(image.shape[1:], bool)
        empty[hole] = name == "after"
        count = 10 + (way == "alpha")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                paths[name], "w", driver="GTiff", dtype="uint16", count=count, width=SIZE,
                height=SIZE, crs=GRID.crs, transform=GRID.transform,
                nodata=0 if way == "nodata" else None,
            ) as dataset,
        ):  # fmt: skip
            dataset.write(np.where(empty & (way == "nodata"), 0, image), list(range(1, 11)))
            dataset.descriptions = [*BANDS, *["alpha"] * (count - 10)]
            if way == "alpha":
                dataset.write(np.where(empty, 0, 65535).astype(np.uint16), 11)
                dataset.colorinterp = [ColorInterp.gray] * 10 + [ColorInterp.alpha]
            elif way == "mask":
                dataset.write_mask(~empty)
    outputs = run(**paths, **DEFAULTS, workdir=tmp_path, progress=silent)
    with rasterio.open(outputs["change"]) as dataset:
        change = dataset.read(1)
    assert np.isnan(change[hole]).all()
    assert np.isfinite(change[40:]).all()
    assert (change[OBJECT] > 0.5).mean() > 0.9


COMMON = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16",
          "swir22")  # fmt: skip


@pytest.mark.parametrize("names", [BANDS, COMMON])
def test_bands_without_descriptions_are_named_by_an_input(scene, clear, tmp_path, names):
    """As after ``rio warp``, which drops descriptions."""
    paths = {
        name: write(tmp_path / f"{name}.tif", image, bands=[""] * 10)
        for name, image in zip(("before", "after"), scene, strict=True)
    }
    with pytest.raises(InputError, match=r"\(no name\).*as the input bands") as caught:
        run(**paths, **DEFAULTS, workdir=tmp_path, progress=silent)
    assert caught.value.locator == "before"
    with pytest.raises(InputError, match=r"2 names of bands are given .* has 10 bands"):
        run(**paths, **(DEFAULTS | {"bands": ["B02", "B03"]}), workdir=tmp_path, progress=silent)
    options = load_spec(services_folder() / "change_scale" / "process.yaml").defaults
    outputs = measure_scale(
        **paths, **(options | {"bands": list(names)}), workdir=tmp_path, progress=silent
    )
    assert outputs == {"scale": pytest.approx(clear[1]["typical_log_magnitude"])}
