"""Real pairs; each test skips where the samples are not beside this checkout."""

import sqlite3

import cv2
import numpy as np
import pytest
import rasterio

from candela.errors import InputError
from candela.patches.store.target import PatchTarget
from candela.services.dmg_df import run
from candela.services.dmg_df.pair import OPTICAL_BANDS
from candela.spec import load_specs


@pytest.fixture
def describe(tmp_path):
    def call(s1, s2):
        workdir = tmp_path / "out"
        workdir.mkdir()
        defaults = load_specs()["DMG-DF"].defaults
        given = {"s1": [s1], "s2": s2}
        return run(
            **defaults | given, patches=PatchTarget(), workdir=workdir, progress=lambda *_: None
        )

    return call


def stack(path, files, names):
    """Put single-band images into one, on the grid of the first."""
    with rasterio.open(files[0]) as first:
        profile = first.profile | {"count": len(files), "tiled": False}
        shape = first.shape
    profile = {
        key: profile[key] for key in ("height", "width", "count", "dtype", "crs", "transform")
    }
    with rasterio.open(path, "w", driver="GTiff", **profile) as target:
        for index, (file, name) in enumerate(zip(files, names, strict=True), 1):
            with rasterio.open(file) as source:
                band = source.read(1)
            target.write(cv2.resize(band, shape[::-1], interpolation=cv2.INTER_LINEAR), index)
            target.set_band_description(index, name)
    return path


def vectors_of(outputs, feature_set, size):
    with sqlite3.connect(outputs["model"]) as connection:
        rows = connection.execute(
            "SELECT vector FROM patch JOIN feature ON patch = fid "
            "WHERE feature_set = ? AND size = ? ORDER BY grid_row, grid_col",
            (feature_set, size),
        ).fetchall()
    return np.stack([np.frombuffer(row[0], "<f4") for row in rows])


@pytest.mark.parametrize("number", range(6))
def test_a_pair_of_bigearthnet_becomes_five_patches(shared_data, describe, tmp_path, number):
    folder = shared_data("bigearthnet-v1-s1s2-examples")
    radar = sorted((folder / "BigEarthNet-S1-Example").iterdir())[number]
    place = "_".join(radar.name.split("_")[-2:])
    (optical,) = (folder / "BigEarthNet-S2-Example").glob(f"*_{place}")
    outputs = describe(
        stack(
            tmp_path / f"{radar.name}.tif",
            [radar / f"{radar.name}_{name}.tif" for name in ("VV", "VH")],
            ("VV", "VH"),
        ),
        stack(
            tmp_path / f"{optical.name}.tif",
            sorted(
                (optical / f"{optical.name}_{name}.tif" for name in OPTICAL_BANDS),
                key=lambda path: OPTICAL_BANDS.index(path.stem[-3:]),
            ),
            OPTICAL_BANDS,
        ),
    )
    assert [len(vectors_of(outputs, "fused", size)) for size in (120, 60)] == [1, 4]
    mean_vv, mean_vh = vectors_of(outputs, "backscatter", 120)[0, :2]
    assert -20 < mean_vh < mean_vv < 0


def test_the_pair_of_ssl4eo_is_refused_for_its_pixels_differ(shared_data, describe, tmp_path):
    folder = shared_data("ssl4eo-s12-pair")
    (radar, *_) = sorted((folder / "s1" / "0000200").iterdir())
    (optical, *_) = sorted((folder / "s2a" / "0000200").iterdir())
    s1 = stack(tmp_path / "s1.tif", [radar / "VV.tif", radar / "VH.tif"], ("VV", "VH"))
    names = [name.replace("B0", "B") for name in OPTICAL_BANDS]
    s2 = stack(tmp_path / "s2.tif", [optical / f"{name}.tif" for name in names], names)
    with pytest.raises(
        InputError, match=r"s1.tif is not on the grid.* 0\.0001021680851 x"
    ) as caught:
        describe(s1, s2)
    assert caught.value.locator == "s1"


def test_flooded_patches_of_sen1floods11_are_like_each_other(shared_data, describe):
    """The nearest other patch of a patch, by fused features, mostly agrees on water."""
    folder = shared_data("sen1floods11-spain")
    outputs = describe(
        folder / "S1" / "Spain_7370579_S1Hand.tif", folder / "S2" / "Spain_7370579_S2Hand.tif"
    )
    with rasterio.open(folder / "Labels" / "Spain_7370579_LabelHand.tif") as image:
        label = image.read(1)[:480, :480]
    water = (label == 1).reshape(8, 60, 8, 60).mean(axis=(1, 3)).ravel()
    vectors = vectors_of(outputs, "fused", 60)
    assert len(vectors) == 64
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    like = water[distance.argmin(axis=1)]
    assert np.corrcoef(water, like)[0, 1] > 0.5
    radar = vectors_of(outputs, "backscatter", 60)
    assert np.corrcoef(water, radar[:, 0])[0, 1] < -0.7  # water is dark in VV
