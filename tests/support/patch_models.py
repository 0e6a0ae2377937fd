"""Patch models for tests."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.patches import quad_tree
from candela.patches.store.model import FeatureSetRecord, Patches, PatchModel, Scene


def patch_model(
    name: str = "pair",
    *,
    size: int = 240,
    sizes: Sequence[int] = (120, 60),
    dimension: int = 8,
    seed: int = 1,
    left: float = 500_000.0,
    time: dt.datetime | None = None,
) -> PatchModel:
    """Return a model with random vectors on a grid of ``size`` pixels."""
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, left, 0, -10, 5_000_000), Shape(size, size))
    levels = quad_tree(grid.shape, sizes)
    parts = [
        (level.size, row, col)
        for level in levels
        for row in range(level.shape.rows)
        for col in range(level.shape.cols)
    ]
    side, row, col = np.array(parts, np.int64).T
    patches = Patches(grid, side, row, col, np.ones(len(parts), np.float32))
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(parts), dimension)).astype(np.float32)
    record = FeatureSetRecord("texture", 1, "s2", dimension, {"scales": 4}, "somebody 1999")
    quicklooks = dict.fromkeys(np.flatnonzero(side == 120), b"\xff\xd8 picture")
    return PatchModel(
        name, Scene("S1", time), Scene("S2", time), levels, patches, [record],
        {"texture": vectors}, quicklooks,
    )  # fmt: skip
