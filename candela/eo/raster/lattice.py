"""Smooth functions of position, worked out at few points of a grid and spread between them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from candela.eo.ellipsoid import project
from candela.eo.raster.grid import Grid

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]

METRES_PER_DEGREE = 111_000.0  # about


@dataclass(frozen=True)
class Lattice:
    """Every n-th pixel of a grid, and enough beyond its last row and column to enclose it.

    What is spread over a part of the grid is what is spread over the whole there: the points do
    not depend on the part.

    Attributes
    ----------
    grid : Grid
        The grid whose pixel centres the points are.
    spacing : int
        From point to point, in pixels.
    """

    grid: Grid
    spacing: int

    @classmethod
    def of(cls, grid: Grid, distance: float) -> "Lattice":
        """Return the lattice with points about so far apart, in metres."""
        transform = grid.transform
        pixel = math.sqrt(abs(transform.a * transform.e - transform.b * transform.d))
        if grid.crs is not None and grid.crs.is_geographic:
            pixel *= METRES_PER_DEGREE
        return cls(grid, max(1, round(distance / pixel)))

    @property
    def shape(self) -> tuple[int, int]:
        """How many points there are (rows, cols)."""
        rows, cols = (-(-(side - 1) // self.spacing) + 1 for side in self.grid.shape)
        return max(rows, 2), max(cols, 2)

    @property
    def coordinates(self) -> tuple[Floats, Floats]:
        """The x and y of all points, in the CRS of the grid."""
        return self._centres(*(np.arange(count) * self.spacing for count in self.shape))

    @property
    def inside(self) -> tuple[Floats, Floats]:
        """As ``coordinates``, but what lies beyond the grid is moved to its last row and column."""
        counts = zip(self.shape, self.grid.shape, strict=True)
        return self._centres(
            *(np.minimum(np.arange(count) * self.spacing, side - 1) for count, side in counts)
        )

    def _centres(self, rows: NDArray[np.int_], cols: NDArray[np.int_]) -> tuple[Floats, Floats]:
        columns, lines = np.meshgrid(cols + 0.5, rows + 0.5)
        x, y = self.grid.transform @ (columns, lines)
        return np.asarray(x), np.asarray(y)

    def in_crs(self, crs: CRS) -> tuple[Floats, Floats]:
        """Return the x and y of all points in another CRS."""
        return project(self.grid.crs, crs, *self.coordinates)

    def spread(self, values: Reals, window: Window) -> Reals:
        """Interpolate bilinearly between the points.

        Parameters
        ----------
        values : ndarray, shape (..., rows, cols), float32 or float64
            A value for each point of the lattice.
        window : Window
            The part of the grid that is wanted; it may reach beyond the grid, where the outermost
            values are extrapolated.

        Returns
        -------
        ndarray, shape (..., window.height, window.width)
            Of the same type; float32 costs a third, and about seven digits are right.
        """
        rows, row_weights = self._weights(int(window.row_off), int(window.height), self.shape[0])
        cols, col_weights = self._weights(int(window.col_off), int(window.width), self.shape[1])
        part = values[..., rows, cols]
        kind = part.dtype
        spread: Reals = row_weights.astype(kind) @ part @ col_weights.T.astype(kind)
        return spread

    def _weights(self, start: int, count: int, points: int) -> tuple[slice, Floats]:
        """Return which points matter, and the weights (count, points that matter)."""
        position = (start + np.arange(count)) / self.spacing
        cell = np.clip(np.floor(position).astype(int), 0, points - 2)
        first, last = int(cell[0]), int(cell[-1]) + 2
        weights = np.zeros((count, last - first))
        pixels = np.arange(count)
        share = position - cell
        weights[pixels, cell - first] = 1 - share
        weights[pixels, cell - first + 1] = share
        return slice(first, last), weights
