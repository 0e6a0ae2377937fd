"""A patch model in memory: what one product pair looks like, patch by patch."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from candela.eo.fusion import Scaler
from candela.eo.raster.grid import Grid
from candela.eo.raster.patches import Level

GEOGRAPHIC = "EPSG:4326"

Vectors = NDArray[np.float32]


class Scene(NamedTuple):
    """One of the images of a pair.

    Attributes
    ----------
    name : str
        The product's name, as far as it is known.
    time : datetime or None
        When it was sensed, UTC.
    """

    name: str
    time: dt.datetime | None


class FeatureSetRecord(NamedTuple):
    """What a feature set is: enough to compute it again, and to know what may be compared.

    Attributes
    ----------
    name : str
    version : int
        Vectors of another version cannot be compared.
    sensor : str
        ``s1``, ``s2`` or ``fused``.
    dimension : int
        Numbers in a vector.
    parameters : mapping
        What it was computed with, as JSON values.
    reference : str
        The paper.
    scaler : Scaler or None
        Brings its vectors to a common scale; None where they are on it.
    """

    name: str
    version: int
    sensor: str
    dimension: int
    parameters: Mapping[str, Any]
    reference: str
    scaler: Scaler | None = None


def outlines(corners: NDArray[np.float64], crs: CRS) -> NDArray[np.object_]:
    """Return polygons in longitude and latitude (WGS 84) from corners, shape (n, 4, 2), in a CRS.

    Notes
    -----
    Across the antimeridian longitudes go on beyond 180.
    """
    flat = corners.reshape(-1, 2)
    x, y = transform_points(crs, GEOGRAPHIC, flat[:, 0], flat[:, 1])
    points = np.stack([x, y], axis=1).reshape(-1, 4, 2)
    wraps = np.ptp(points[:, :, 0], axis=1) > 180
    points[wraps, :, 0] %= 360
    polygons: NDArray[np.object_] = shapely.polygons(points)
    return polygons


@dataclass(frozen=True)
class Patches:
    """Some patches of one grid, the largest first.

    Attributes
    ----------
    grid : Grid
        That of the images.
    size, row, col : ndarray, shape (n,), int64
        Side in pixels, and place among the patches of that size.
    usable : ndarray, shape (n,), float32
        Share of pixels that both sensors see, without cloud, 0..1.
    """

    grid: Grid
    size: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    usable: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.size)

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """Corners in the grid's CRS, shape (n, 4, 2), counter-clockwise from the lower left."""
        cols = (self.col[:, None] + np.array([0, 1, 1, 0])) * self.size[:, None]
        rows = (self.row[:, None] + np.array([1, 1, 0, 0])) * self.size[:, None]
        forward = self.grid.transform
        x = forward.a * cols + forward.b * rows + forward.c
        y = forward.d * cols + forward.e * rows + forward.f
        return np.stack([x, y], axis=2)

    @cached_property
    def outlines(self) -> NDArray[np.object_]:
        """Polygons in longitude and latitude, shape (n,): see ``outlines``."""
        return outlines(self.corners, self.grid.crs)


@dataclass(frozen=True)
class PatchModel:
    """The model of one pair of images.

    Attributes
    ----------
    name : str
        Together with its owner it tells which model this is: the same name replaces it.
    s1, s2 : Scene
        The images.
    levels : list of Level
        The grid of each patch size, the largest first.
    patches : Patches
        Those with enough usable pixels.
    feature_sets : list of FeatureSetRecord
        What is in ``features``, in the same order.
    features : dict of str to ndarray, shape (n, dimension), float32
        The vectors of all patches by feature set.
    quicklooks : dict of int to bytes
        Paired quick-looks (JPEG) by number of the patch; not every patch has one.
    """

    name: str
    s1: Scene
    s2: Scene
    levels: list[Level]
    patches: Patches
    feature_sets: list[FeatureSetRecord]
    features: dict[str, Vectors]
    quicklooks: dict[int, bytes] = field(default_factory=dict)

    def of_size(self, size: int) -> Iterator[int]:
        """Give the numbers of the patches of one size."""
        yield from np.flatnonzero(self.patches.size == size).tolist()
