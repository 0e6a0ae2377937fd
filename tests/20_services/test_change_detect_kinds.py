"""The kind of change is told beside its probability."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.eo.progress import silent
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.raster.smoothing import gaussian
from candela.models.change import mapping, survey
from candela.models.change.kind import NODATA, Kind, Signature, index_changes, kinds
from candela.models.encoder import BANDS
from candela.services.change_detect import run
from candela.spec import load_spec, services_folder
from candela.synthetic.damage import harm

SIZE = 192
DEFAULTS = load_spec(services_folder() / "change_detect" / "process.yaml").defaults
FOREST = (300, 450, 350, 750, 1900, 2300, 2500, 2600, 1300, 650)
MEADOW = (500, 850, 700, 1300, 2500, 2900, 3100, 3200, 2400, 1400)
SOIL = (900, 1200, 1500, 1800, 2000, 2150, 2300, 2400, 3000, 2600)
ROOF = (2600, 2800, 3000, 3100, 3200, 3300, 3400, 3400, 3600, 3300)
SNOW = (7000, 7000, 7000, 6900, 6800, 6700, 6600, 6500, 900, 700)
WATER = (500, 450, 300, 250, 200, 180, 150, 130, 60, 40)
PLACES = {  # of 24 x 24 pixels
    Kind.WATER_GAINED: (slice(20, 44), slice(20, 44)),
    Kind.VEGETATION_LOST: (slice(20, 44), slice(80, 104)),
    Kind.BURNT: (slice(20, 44), slice(140, 164)),
    Kind.BUILT_OR_BARE: (slice(100, 124), slice(20, 44)),
    Kind.CLOUD_OR_SHADOW: (slice(100, 124), slice(80, 104)),
}
GRID = Grid(
    rasterio.CRS.from_epsg(32631), Affine(10, 0, 500_000, 0, -10, 4_900_000), Shape(SIZE, SIZE)
)


def field(random, sigma):
    noise = gaussian(random.normal(0, 1, (SIZE, SIZE)).astype(np.float32), sigma)
    return (noise - noise.mean()) / noise.std()


def sense(reflectance, seed):
    noise = np.random.default_rng(seed).normal(0, 20, reflectance.shape)
    return np.clip(np.rint(reflectance + noise), 1, 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def pair():
    """Return two dates of woods, meadows and soil; each of ``PLACES`` changes in its own way."""
    random = np.random.default_rng(4)
    cover = np.digitize(field(random, 7), [0.1, 0.9])
    for place in PLACES.values():
        cover[place] = 0
    cover[PLACES[Kind.BUILT_OR_BARE]] = 1
    texture = 1 + 0.06 * field(random, 1.2) + 0.06 * field(random, 4)
    before = np.moveaxis(np.array([FOREST, MEADOW, SOIL], float)[cover], -1, 0) * texture
    after = sense(before * 1.05 + 60, 2)

    def inside(kind):
        place = np.zeros((SIZE, SIZE), bool)
        place[PLACES[kind]] = True
        return place

    for kind, name in (
        (Kind.WATER_GAINED, "flood"),
        (Kind.VEGETATION_LOST, "windthrow"),
        (Kind.BURNT, "fire"),
    ):
        after = harm(after, name, inside(kind), 0.9, random)
    after[:, inside(Kind.BUILT_OR_BARE)] = sense(np.array(ROOF)[:, None], 5)
    after[:, inside(Kind.CLOUD_OR_SHADOW)] = 5800
    return sense(before, 1), after


def detect(folder, pair, model="generic", **options):
    paths = {name: folder / f"{name}.tif" for name in ("before", "after")}
    for path, image in zip(paths.values(), pair, strict=True):
        with create_image(path, GRID, dtype="uint16", nodata=0, bands=BANDS) as sink:
            sink.write(image)
    settings = DEFAULTS | {"model": model} | options
    return run(**paths, **settings, workdir=folder, progress=silent)


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_each_kind_of_change_is_told(tmp_path, pair):
    before, after = (image.copy() for image in pair)
    after[:, 170:, :20] = 0
    outputs = detect(tmp_path, (before, after))
    change, kind = read(outputs["change"]), read(outputs["kind"])
    np.testing.assert_array_equal(kind == NODATA, np.isnan(change))
    np.testing.assert_array_equal((kind > 0) & (kind != NODATA), change >= 0.5)
    for expected, place in PLACES.items():
        told = kind[place][kind[place] > 0]
        assert told.size > 300, expected
        assert (told == expected).mean() > (0.6 if expected == Kind.BURNT else 0.8), expected
    with rasterio.open(outputs["kind"]) as dataset:
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == NODATA
        assert dataset.tags()["CLASS_3"] == "water gained"
    told = json.loads(outputs["statistics"].read_text())["kinds"]
    assert sum(each["pixels"] for each in told.values()) == (change >= 0.5).sum()
    assert told["burnt"]["nbr_change"] < -0.2
    assert told["water_gained"]["ndwi_change"] > 0.2


def test_blocks_of_a_large_image_tell_the_same_kinds(tmp_path, pair, monkeypatch):
    monkeypatch.setattr(survey, "WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(survey, "WINDOW", 96)
    monkeypatch.setattr(mapping, "BLOCK", 96)
    outputs = detect(tmp_path, pair)
    change, kind = read(outputs["change"]), read(outputs["kind"])
    np.testing.assert_array_equal(kind > 0, change >= 0.5)
    for expected, place in PLACES.items():
        told = kind[place][kind[place] > 0]
        assert (told == expected).mean() > (0.6 if expected == Kind.BURNT else 0.7), expected


def test_parcels_have_their_most_frequent_kind(tmp_path, pair):
    def square(rows, cols):
        left, right = (500_000 + 10 * side for side in (cols.start, cols.stop))
        top, bottom = (4_900_000 - 10 * side for side in (rows.start, rows.stop))
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        return {"type": "Polygon", "coordinates": [ring]}

    unchanged = slice(165, 180), slice(165, 180)
    places = [PLACES[Kind.WATER_GAINED], PLACES[Kind.BUILT_OR_BARE], unchanged]
    features = [
        {"type": "Feature", "properties": {}, "geometry": square(*place)} for place in places
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    parcels = tmp_path / "parcels.geojson"
    parcels.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    outputs = detect(tmp_path, pair, parcels=parcels)
    told = json.loads(outputs["parcels"].read_text())["features"]
    found = [each["properties"] for each in told]
    assert [each["change_kind"] for each in found] == ["water gained", "built or bare", None]
    change, kind = (read(outputs[name])[places[0]] for name in ("change", "kind"))
    share = (kind == Kind.WATER_GAINED).mean()
    assert found[0]["change_kind_share"] == pytest.approx(share, abs=1e-3)
    assert found[0]["change_mean"] == pytest.approx(change.mean(), abs=1e-3)


def test_a_model_of_few_bands_tells_no_kind(tmp_path, pair):
    outputs = detect(tmp_path, pair, model="ten_metre")
    assert "kind" not in outputs
    assert "kinds" not in json.loads(outputs["statistics"].read_text())


def signature(before, after, expected=None):
    spectra = [np.array(each, np.float32)[:, None] / 10_000 for each in (before, after)]
    expected = spectra[0] if expected is None else np.array(expected, np.float32)[:, None] / 10_000
    return Signature(*spectra, expected, (spectra[1] - expected) / np.float32(0.02))


def test_changes_of_indices_are_against_what_was_expected():
    changes = index_changes(signature(FOREST, SOIL, MEADOW))[:, 0]
    expected = [
        (2300 - 1500) / 3800 - (3100 - 700) / 3800,
        (1200 - 2300) / 3500 - (850 - 3100) / 3950,
        (2400 - 2600) / 5000 - (3200 - 1400) / 4600,
    ]
    np.testing.assert_allclose(changes, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (MEADOW, SNOW, Kind.SNOW),
        (SNOW, MEADOW, Kind.SNOW),
        (WATER, SOIL, Kind.WATER_LOST),
        (SOIL, MEADOW, Kind.VEGETATION_GAINED),
        (FOREST, SOIL, Kind.VEGETATION_LOST),
        (MEADOW, [0.5 * band for band in MEADOW], Kind.CLOUD_OR_SHADOW),
    ],
)
def test_kinds_follow_the_spectra(before, after, kind):
    assert kinds(signature(before, after))[0] == kind
