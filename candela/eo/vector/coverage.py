"""How much of each pixel a polygon covers: exact, by the library exactextract.

References
----------
[1] D. Baston, exactextract: fast and accurate zonal statistics, https://isciences.github.io/exactextract
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from exactextract import exact_extract
from exactextract.feature import Feature, FeatureSource
from exactextract.raster import NumPyRasterSource
from exactextract.writer import Writer
from numpy.typing import NDArray


class Covered(NamedTuple):
    """The pixels with data under a polygon.

    Attributes
    ----------
    values, weights : ndarray, shape (pixels,), float64
        Their values, and the share of each that is covered, above 0 and up to 1.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]


def covered_pixels(
    block: NDArray[np.float32],
    bounds: tuple[float, float, float, float],
    polygons: Sequence[bytes],
) -> list[Covered]:
    """Find the pixels of a block under each polygon.

    Parameters
    ----------
    block : ndarray, shape (rows, cols), float32
        NaN without data.
    bounds : tuple of float
        Left, bottom, right and top edge of the block.
    polygons : sequence of bytes
        As WKB, in the reference system of the bounds.

    Returns
    -------
    list of Covered
        One for each polygon, in the same order.
    """
    raster = NumPyRasterSource(block, *bounds)
    taken = _Taken()
    exact_extract(raster, _Polygons(polygons), ["values", "coverage"], output=taken)
    return [
        Covered(np.asarray(found["values"], np.float64), np.asarray(found["coverage"], np.float64))
        for found in taken.features()
    ]


class _Polygon(Feature):  # type: ignore[misc]  # exactextract has no types
    def __init__(self, wkb: bytes = b"") -> None:
        super().__init__()
        self.wkb = wkb
        self.found: dict[str, Any] = {}

    def geometry(self) -> bytes:
        return self.wkb

    def set_geometry_format(self) -> str:
        return "wkb"

    def set_geometry(self, wkb: bytes) -> None:
        self.wkb = wkb

    def fields(self) -> list[str]:
        return list(self.found)

    def get(self, name: str) -> object:
        return self.found[name]

    def set(self, name: str, value: object) -> None:
        self.found[name] = value


class _Polygons(FeatureSource):  # type: ignore[misc]
    def __init__(self, polygons: Sequence[bytes]) -> None:
        super().__init__()
        self.polygons = polygons

    def __iter__(self) -> Iterator[_Polygon]:
        return map(_Polygon, self.polygons)

    def count(self) -> int:
        return len(self.polygons)

    def srs_wkt(self) -> None:
        return None


class _Taken(Writer):  # type: ignore[misc]
    """Takes what is found of each polygon, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[dict[str, Any]] = []

    def add_operation(self, operation: object) -> None:
        pass

    def write(self, feature: Feature) -> None:
        copy = _Polygon()
        feature.copy_to(copy)
        self.taken.append(copy.found)

    def features(self) -> list[dict[str, Any]]:
        return self.taken
