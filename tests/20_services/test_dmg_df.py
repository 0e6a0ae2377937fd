import io
import json
import sqlite3
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import sqlalchemy as sa
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from candela.eo.fusion import fuse_posteriors
from candela.eo.raster.band_names import COMMON_NAMES
from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.errors import InputError
from candela.patches.query.selection import PatchFilter, find_patches
from candela.patches.query.similarity import build_index
from candela.patches.store.database import open_database
from candela.patches.store.tables import FEATURE_SET
from candela.patches.store.target import PatchTarget
from candela.services.dmg_df import run
from candela.services.dmg_df.feature_sets import FEATURE_SETS, USUAL
from candela.services.dmg_df.pair import OPTICAL_BANDS
from candela.spec import load_specs

SIDE = 240


class Told(list):
    """A progress that remembers."""

    def __call__(self, percent, message):
        self.append((percent, message))


def grid(side=SIDE, left=500_000.0):
    return Grid(CRS.from_epsg(32633), Affine(10, 0, left, 0, -10, 5_000_000), Shape(side, side))


def write(path, image, bands, place=None, *, dtype="float32", nodata=0, tags=None):
    where = place or grid(image.shape[1])
    with create_image(path, where, dtype=dtype, nodata=nodata, bands=bands, tags=tags) as sink:
        sink.write(image.astype(dtype))
    return path


def ground(seed=1, side=SIDE):
    """Return reflectance x 10 000 of ten bands and VV, VH in linear power."""
    random = np.random.default_rng(seed)
    shape = gaussian_filter(random.normal(size=(side, side)), 3) * 3
    optical = 2000 + 300 * shape + random.normal(0, 30, (10, side, side))
    radar = 0.1 * np.exp(shape / 2) * random.gamma(4.4, 1 / 4.4, (2, side, side))
    return np.clip(optical, 1, 20_000).round(), radar * np.array([1, 0.2])[:, None, None]


@pytest.fixture
def make_pair(tmp_path):
    def make(optical, radar, **options):
        return (
            write(tmp_path / "S1A_20200607T010800.tif", radar, ("VV", "VH"), **options),
            write(tmp_path / "s2.tif", optical, OPTICAL_BANDS, dtype="uint16",
                  tags={"PRODUCT_ID": "S2A_X", "SENSING_TIME": "2020-06-04T05:46:39+00:00"}),
        )  # fmt: skip

    return make


@pytest.fixture
def describe(tmp_path):
    def call(s1, s2, **options):
        workdir = Path(tempfile.mkdtemp(dir=tmp_path))
        defaults = load_specs()["DMG-DF"].defaults
        given = {"s1": [s1] if not isinstance(s1, list) else s1, "s2": s2, "patches": PatchTarget()}
        return run(**defaults | given | options, workdir=workdir, progress=Told())

    return call


def vectors_of(outputs, feature_set):
    """Return the vectors of a GeoPackage by (size, row, col)."""
    with sqlite3.connect(outputs["model"]) as connection:
        rows = connection.execute(
            "SELECT size, grid_row, grid_col, vector FROM patch JOIN feature ON patch = fid "
            "WHERE feature_set = ?",
            (feature_set,),
        ).fetchall()
    return {row[:3]: np.frombuffer(row[3], "<f4") for row in rows}


def test_a_pair_becomes_a_model_quicklooks_and_a_summary(make_pair, describe):
    outputs = describe(*make_pair(*ground()))
    meta, _, _, (size, _, _, usable) = pyogrio.raw.read(outputs["model"], layer="patch")
    assert list(meta["fields"]) == ["size", "grid_row", "grid_col", "usable"]
    assert sorted(size.tolist()) == [60] * 16 + [120] * 4 + [240]
    assert (usable == 1).all()
    assert meta["crs"] == "EPSG:4326"
    summary = json.loads(outputs["summary"].read_text())
    assert summary["s2"] == {"name": "S2A_X", "time": "2020-06-04 05:46:39+00:00"}
    assert summary["s1"]["time"] == "2020-06-07 01:08:00+00:00"
    assert [level["patches"] for level in summary["levels"]] == [1, 4, 16]
    dimensions = {item["name"]: item["dimension"] for item in summary["feature_sets"]}
    assert dimensions == {
        "gabor_luminance": 48, "gabor_nir": 48, "gabor_vv": 48, "weber_luminance": 144,
        "weber_vv": 144, "spectral": 56, "polar": 72, "backscatter": 8, "fused": 568,
    }  # fmt: skip
    for name, dimension in dimensions.items():
        vectors = vectors_of(outputs, name)
        assert len(vectors) == 21
        assert {len(vector) for vector in vectors.values()} == {dimension}
        assert all(np.isfinite(vector).all() for vector in vectors.values())


def test_quicklooks_show_both_sensors_side_by_side(make_pair, describe):
    outputs = describe(*make_pair(*ground()))
    with zipfile.ZipFile(outputs["quicklooks"]) as archive:
        assert sorted(archive.namelist()) == [
            f"120/{row:03d}_{col:03d}.jpg" for row in range(2) for col in range(2)
        ]
        picture = Image.open(io.BytesIO(archive.read("120/000_000.jpg")))
    assert picture.size == (242, 120)
    assert np.asarray(picture)[:, :120].std() > 10
    with Image.open(outputs["sheet"]) as sheet:
        assert sheet.width > 4 * 242


def test_statistics_are_those_of_the_pixels_of_a_patch(make_pair, describe):
    optical, radar = ground()
    outputs = describe(*make_pair(optical, radar))
    part = (slice(120, 240), slice(0, 120))
    found = vectors_of(outputs, "spectral")[120, 1, 0]
    pixels = optical[(slice(None), *part)].reshape(10, -1) / 10_000
    np.testing.assert_allclose(found[:10], pixels.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found[13:23], pixels.std(axis=1), rtol=1e-2)
    np.testing.assert_allclose(found[27], np.median(pixels[0]), atol=2e-3)
    near_infrared, red = pixels[6], pixels[2]
    ndvi = (near_infrared - red) / (near_infrared + red)
    assert found[10] == pytest.approx(ndvi.mean(), abs=1e-4)
    found = vectors_of(outputs, "backscatter")[120, 1, 0]
    power = radar[(slice(None), *part)].reshape(2, -1)
    vv, vh = 10 * np.log10(power)
    expected = [vv.mean(), vh.mean(), (vh - vv).mean(), vv.std(), vh.std(), (vh - vv).std()]
    variation = power.std(axis=1) / power.mean(axis=1)
    np.testing.assert_allclose(found, [*expected, *variation], rtol=2e-3)


def test_histograms_of_a_patch_add_up_to_1(make_pair, describe):
    outputs = describe(*make_pair(*ground()))
    for name in ("weber_luminance", "weber_vv", "polar"):
        for vector in vectors_of(outputs, name).values():
            assert vector.sum() == pytest.approx(1, abs=1e-4)


def test_an_embedding_comes_if_it_is_asked_for(make_pair, describe):
    outputs = describe(*make_pair(*ground()), features=["embedding", "backscatter"])
    vectors = vectors_of(outputs, "embedding")
    assert {len(vector) for vector in vectors.values()} == {256}
    parts = np.mean([vectors[60, row, col] for row in (0, 1) for col in (0, 1)], axis=0)
    np.testing.assert_allclose(vectors[120, 0, 0], parts, rtol=1e-3, atol=1e-5)
    assert vectors[120, 0, 0].std() > 0
    # Vectors of other sets fused are another feature set, in an order of its own.
    assert len(vectors_of(outputs, "fused:backscatter+embedding")[240, 0, 0]) == 264


def test_decibel_and_power_give_the_same_model(make_pair, describe, tmp_path):
    optical, radar = ground()
    one = vectors_of(describe(*make_pair(optical, radar)), "fused")
    s1 = write(tmp_path / "db.tif", 10 * np.log10(radar), ("VV", "VH"), nodata=np.nan)
    other = vectors_of(describe(s1, tmp_path / "s2.tif"), "fused")
    for place, vector in one.items():
        np.testing.assert_allclose(other[place], vector, atol=2e-3)


def test_a_code_for_no_data_that_is_not_declared_does_not_make_decibels(make_pair, describe):
    optical, radar = ground()
    radar[:, :60, :60] = -9999
    outputs = describe(*make_pair(optical, radar, nodata=None), features=["backscatter"])
    assert not json.loads(outputs["summary"].read_text())["s1"]["in_decibel"]
    places = set(vectors_of(outputs, "backscatter"))
    assert (60, 0, 0) not in places
    assert (60, 1, 1) in places


def test_complex_numbers_are_refused(make_pair, describe, tmp_path):
    optical, radar = ground()
    _, s2 = make_pair(optical, radar)
    s1 = write(tmp_path / "slc.tif", radar, ("VV", "VH"), dtype="complex64", nodata=None)
    with pytest.raises(InputError, match=r"slc\.tif has complex numbers .* squared magnitude"):
        describe(s1, s2)


def test_where_a_mask_has_no_data_itself_nothing_is_usable(make_pair, describe, tmp_path):
    path = write(tmp_path / "mask.tif", np.zeros((1, SIDE, SIDE)), ("mask",), dtype="uint8",
                 nodata=None)  # fmt: skip
    known = np.full((SIDE, SIDE), 255, np.uint8)
    known[:60, :60] = 0
    with rasterio.open(path, "r+") as image:
        image.write_mask(known)
    places = vectors_of(describe(*make_pair(*ground()), s2_mask=path), "fused")
    assert (60, 0, 0) not in places
    assert (60, 1, 1) in places


def test_one_image_for_each_polarisation_is_as_good_as_both_in_one(make_pair, describe, tmp_path):
    optical, radar = ground()
    one = vectors_of(describe(*make_pair(optical, radar)), "backscatter")
    # As S1tiling names them.
    names = [f"s1a_31TCJ_{name}_ASC_030_20200607t010800.tif" for name in ("vh", "vv")]
    paths = [
        write(tmp_path / name, radar[band][None], ("",))
        for name, band in zip(names, (1, 0), strict=True)
    ]
    other = vectors_of(describe(paths, tmp_path / "s2.tif"), "backscatter")
    for place, vector in one.items():
        np.testing.assert_array_equal(other[place], vector)


def test_blocks_do_not_show_in_the_features(make_pair, describe, monkeypatch):
    """The same image in one block, and in blocks of 120 pixels with their margins."""
    from candela.services.dmg_df import ground as grounds

    pair = make_pair(*ground(side=360))
    whole = describe(*pair, sizes=[120])
    monkeypatch.setattr(grounds, "TARGET", 120)
    blocks = describe(*pair, sizes=[120])
    for name in USUAL:
        expected, found = vectors_of(whole, name), vectors_of(blocks, name)
        assert set(found) == set(expected)
        for place, vector in expected.items():
            np.testing.assert_allclose(found[place], vector, rtol=0.02, atol=2e-4, err_msg=name)


def test_patches_with_too_few_usable_pixels_are_left_out(make_pair, describe, tmp_path):
    optical, radar = ground()
    radar[:, :60, :60] = 0  # all of one small patch
    optical[3, 120:180, 60:120] = 0  # one band of another one
    mask = np.zeros((1, SIDE, SIDE))
    mask[0, 180:, 180:] = 3  # cloud over a third one
    path = write(tmp_path / "mask.tif", mask, ("mask",), dtype="uint8", nodata=None)
    outputs = describe(*make_pair(optical, radar), s2_mask=path)
    places = set(vectors_of(outputs, "fused"))
    assert {(60, 0, 0), (60, 2, 1), (60, 3, 3)}.isdisjoint(places)
    assert len(places) == 1 + 4 + 13  # a quarter of the larger ones may be missing
    strict = vectors_of(
        describe(*make_pair(optical, radar), s2_mask=path, least_usable=80), "fused"
    )
    assert {place[:1] for place in strict} == {(240,), (120,), (60,)}
    assert {(120, 0, 0), (120, 1, 0), (120, 1, 1)}.isdisjoint(strict)


def test_what_cannot_be_used_does_not_count(make_pair, describe):
    """A hole of any content has the same features as one of any other."""
    optical, radar = ground()
    optical[:, 30:50, 30:50] = 0
    one = describe(*make_pair(optical, radar))
    vectors = {name: vectors_of(one, name)[60, 0, 0] for name in ("spectral", "backscatter")}
    radar[:, 30:50, 30:50] = 1e4
    other = describe(*make_pair(optical, radar))
    for name, vector in vectors.items():
        np.testing.assert_allclose(vectors_of(other, name)[60, 0, 0], vector, rtol=1e-4)
    seen = np.ones((60, 60), bool)
    seen[30:50, 30:50] = False
    expected = optical[:, :60, :60][:, seen].mean(axis=1) / 10_000
    np.testing.assert_allclose(vectors["spectral"][:10], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (grid(SIDE, 500_005.0), "upper left corner is 500005, 5000000 with pixels of 10 x 10"),
        (grid(SIDE + 1), "it has 241 x 241 pixels, the S2 image 240 x 240"),
        (grid()._replace(crs=CRS.from_epsg(32632)), "reference system is EPSG:32632"),
    ],
)
def test_images_of_different_grids_are_refused(make_pair, describe, tmp_path, place, reason):
    optical, radar = ground()
    _, s2 = make_pair(optical, radar)
    s1 = write(tmp_path / "other.tif", np.ones((2, *place.shape)), ("VV", "VH"), place)
    with pytest.raises(InputError, match=reason) as caught:
        describe(s1, s2)
    assert caught.value.locator == "s1"
    assert "resample one onto the grid of the other" in caught.value.message


def test_missing_bands_are_refused_with_those_there_are(make_pair, describe, tmp_path):
    s1, s2 = make_pair(*ground())
    few = write(tmp_path / "few.tif", np.ones((2, SIDE, SIDE)), ("B02", "B03"))
    with pytest.raises(
        InputError, match=r"B04, .*missing in few.tif \(bands: B02, B03\)"
    ) as caught:
        describe(s1, few)
    assert caught.value.locator == "s2"
    with pytest.raises(InputError, match=r"band VH missing in one_vv\.tif"):
        describe(write(tmp_path / "one_vv.tif", np.ones((1, SIDE, SIDE)), ("",)), s2)


CATALOGUE = {band: name for name, band in COMMON_NAMES.items()}


@pytest.mark.parametrize("called", [str, CATALOGUE.get], ids=["by ESA", "by catalogues"])
@pytest.mark.parametrize("described", [True, False])
def test_named_bands_give_the_model_of_described_ones(
    make_pair, describe, tmp_path, called, described
):
    optical, radar = ground(side=120)
    s1, s2 = make_pair(optical, radar)
    names = [called(band) for band in reversed(OPTICAL_BANDS)]
    descriptions = names if described else [""] * 10
    other = write(tmp_path / "other.tif", optical[::-1], descriptions, dtype="uint16")
    options = {"sizes": [60], "features": ["spectral"]}
    expected = vectors_of(describe(s1, s2, **options), "spectral")
    found = vectors_of(describe(s1, other, bands=names, **options), "spectral")
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"missing in plain\.tif \(bands: \(no name\), .*; give the names in the order of the "
             "file as the input bands, or write them into it as descriptions"),
        (OPTICAL_BANDS[:9], r"9 names of bands are given \(B02, .*, B11\), but plain\.tif has 10"),
        ([*OPTICAL_BANDS[:9], "heat"], r"band B12 missing in plain\.tif \(bands: B02, .*, heat\)$"),
    ],
    ids=["none", "too few", "unknown"],
)  # fmt: skip
def test_an_image_whose_bands_are_not_all_named_is_refused(
    make_pair, describe, tmp_path, names, message
):
    optical, radar = ground(side=60)
    s1, _ = make_pair(optical, radar)
    plain = write(tmp_path / "plain.tif", optical, [""] * 10, dtype="uint16")
    with pytest.raises(InputError, match=message) as caught:
        describe(s1, plain, bands=list(names))
    assert caught.value.locator == "s2"


def test_a_pair_without_common_ground_is_refused(make_pair, describe):
    optical, radar = ground()
    radar[:, :, :120] = 0
    optical[:, :, 120:] = 0
    with pytest.raises(InputError, match=r"no patch has 75 % .* of the whole pair it is 0.0 %"):
        describe(*make_pair(optical, radar))


def test_the_model_is_in_the_database_of_the_operator(make_pair, describe, tmp_path):
    url = f"sqlite:///{tmp_path / 'patches.db'}"
    target = PatchTarget(url, "ada")
    pair = make_pair(*ground())
    outputs = describe(*pair, patches=target)
    describe(*pair, patches=target)  # again: in place of the first
    database = open_database(url)
    with database.acting_for("ada") as connection:
        patches = find_patches(connection, "ada", PatchFilter())
        sets = connection.execute(sa.select(FEATURE_SET.c.name)).scalars().all()
        index = build_index(connection, "ada", "fused", tmp_path / "index")
    with database.acting_for("bob") as connection:
        assert find_patches(connection, "bob", PatchFilter()) == []
    database.close()
    assert len(patches) == len(index) == 21
    assert set(sets) == {*USUAL, "fused"}
    assert {patch.owner for patch in patches} == {"ada"}
    assert json.loads(outputs["summary"].read_text())["product"] == 1
    expected = vectors_of(outputs, "fused")
    first, second = ((p.size, p.row, p.col) for p in patches[1:3])
    nearest = {n.patch: n.distance for n in index.like_patch(patches[1].patch, 20)}
    assert nearest[patches[2].patch] == pytest.approx(
        np.linalg.norm(expected[first] - expected[second]), rel=1e-3
    )


def test_nobody_can_make_a_model_in_the_name_of_somebody_else(make_pair, describe):
    target = PatchTarget(owner="ada")
    with pytest.raises(InputError, match="nobody but 'ada'") as caught:
        describe(*make_pair(*ground()), owner="bob", patches=target)
    assert caught.value.locator == "owner"
    outputs = describe(*make_pair(*ground()), owner="ada", patches=target)
    assert json.loads(outputs["summary"].read_text())["owner"] == "ada"


def test_the_address_of_the_database_is_not_shown():
    assert "secret" not in repr(PatchTarget("postgresql://me:secret@host/db", "ada"))


def six_textures(seed):
    """Return optical and radar images of 6 x 12 patches of 60 pixels and their classes.

    Classes 0 and 1 differ in what radar sees alone, 2 and 3 in what the optical image sees alone,
    4 and 5 in both; 0 and 1 look to the optical image like each other, and so on.
    """
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat(np.arange(6), 48)).reshape(12, 24)
    shape = tuple(60 * length for length in classes.shape)
    at = np.kron(classes, np.ones((60, 60), int))
    fine = gaussian_filter(random.normal(size=shape), 1) * 3.5
    coarse = gaussian_filter(random.normal(size=shape), 4) * 14
    optical_texture = np.where((at == 3) | (at == 4), coarse, fine)
    radar_texture = np.where((at == 1) | (at == 4), coarse, fine)
    level = np.array([0.06, 0.06, 0.12, 0.12, 0.2, 0.22])[at]
    nir = np.array([0.3, 0.3, 0.25, 0.25, 0.2, 0.2])[at]
    noise = random.normal(0, 0.004, (10, *shape))
    bands = np.stack([level] * 3 + [(level + nir) / 2] * 3 + [nir] * 2 + [level] * 2)
    light = random.normal(1, 0.05, classes.shape).repeat(60, 0).repeat(60, 1)
    optical = (bands * (1 + 0.1 * optical_texture) + noise) * light
    power = np.array([0.05, 0.05, 0.1, 0.1, 0.08, 0.08])[at] * np.exp(0.4 * radar_texture)
    radar = np.stack([power, 0.2 * power]) * random.gamma(4.4, 1 / 4.4, (2, *shape))
    return np.clip(optical * 10_000, 1, None).round(), radar, classes


def test_fused_features_tell_six_textures_apart_better_than_either_sensor(describe, tmp_path):
    """20 labels a class; two pairs of classes are the same to one of the sensors."""
    svm = pytest.importorskip("sklearn.svm")
    optical, radar, classes = six_textures(7)
    place = grid()._replace(shape=Shape(*optical.shape[1:]))
    outputs = describe(
        write(tmp_path / "s1.tif", radar, ("VV", "VH"), place),
        write(tmp_path / "s2.tif", optical, OPTICAL_BANDS, place, dtype="uint16"),
        sizes=[60],
    )
    truth = classes.ravel()
    blocks = scaled_blocks(outputs)
    radar_alone = np.concatenate([blocks[name] for name in blocks if is_radar(name)], axis=1)
    optical_alone = np.concatenate([blocks[name] for name in blocks if not is_radar(name)], axis=1)
    accuracy = {
        name: accuracy_of(svm.SVC(C=10), vectors, truth)
        for name, vectors in (
            ("s1", radar_alone),
            ("s2", optical_alone),
            ("fused", np.concatenate([radar_alone, optical_alone], axis=1)),
        )
    }
    assert accuracy["fused"] > 0.95
    assert accuracy["s1"] < accuracy["fused"] - 0.05
    assert accuracy["s2"] < accuracy["fused"] - 0.05
    # What each sensor alone decided, fused: nearly as good as features that are fused.
    chosen, rest = labelled(truth)
    posteriors = [
        posteriors_of(svm.SVC(C=10).fit(vectors[chosen], truth[chosen]), vectors[rest])
        for vectors in (radar_alone, optical_alone)
    ]
    product = (fuse_posteriors(posteriors).argmax(axis=1) == truth[rest]).mean()
    assert product > max(accuracy["s1"], accuracy["s2"]) + 0.05


def posteriors_of(classifier, vectors):
    """Return the softmax of a classifier's decisions, one class against all others."""
    decisions = classifier.decision_function(vectors)
    powers = np.exp(decisions - decisions.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def is_radar(name):
    return FEATURE_SETS[name].sensor == "s1"


def scaled_blocks(outputs):
    """Return the parts of the fused vectors by feature set, patches row by row."""
    fused = vectors_of(outputs, "fused")
    rows = np.stack([fused[place] for place in sorted(fused)])
    ends = np.cumsum([FEATURE_SETS[name].dimension for name in USUAL])
    return dict(zip(USUAL, np.split(rows, ends[:-1], axis=1), strict=True))


def labelled(truth, labels=20):
    """Return which patches are known, so many of each class, and which are not."""
    random = np.random.default_rng(1)
    chosen = np.concatenate(
        [random.choice(np.flatnonzero(truth == label), labels, replace=False) for label in range(6)]
    )
    return chosen, np.setdiff1d(np.arange(len(truth)), chosen)


def accuracy_of(classifier, vectors, truth):
    chosen, rest = labelled(truth)
    classifier.fit(vectors[chosen], truth[chosen])
    return (classifier.predict(vectors[rest]) == truth[rest]).mean()
