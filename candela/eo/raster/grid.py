"""Where the pixels of an image lie."""

from typing import NamedTuple

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window, from_bounds

from candela.eo.projection import check_box, move_box
from candela.eo.reference_system import reference_system


class Shape(NamedTuple):
    """The size of an image in pixels."""

    rows: int
    cols: int


class Bounds(NamedTuple):
    """A rectangle in the units of a coordinate reference system."""

    left: float
    bottom: float
    right: float
    top: float


class Area(NamedTuple):
    """An area of interest: a rectangle and its coordinate reference system.

    The order of the axes is always x, y (longitude, latitude), whatever the CRS's authority says;
    the protocols convert at their border.
    """

    bounds: Bounds
    crs: str


class Grid(NamedTuple):
    """The lattice of an image: coordinate reference system, affine transform and size."""

    crs: CRS | None
    transform: Affine
    shape: Shape

    @classmethod
    def of(cls, dataset: rasterio.DatasetReader) -> "Grid":
        """Return the grid of an open dataset."""
        return cls(dataset.crs, dataset.transform, Shape(dataset.height, dataset.width))

    @property
    def bounds(self) -> Bounds:
        """The outer edges of the grid, in the units of its CRS."""
        left, top = self.transform @ (0, 0)
        right, bottom = self.transform @ (self.shape.cols, self.shape.rows)
        return Bounds(left, bottom, right, top)

    def bounds_in(self, crs: str) -> Bounds:
        """Return a rectangle around the grid in another CRS; the grid must have one."""
        assert self.crs is not None
        target = reference_system(crs, "the area")
        return Bounds(*move_box(self.bounds, self.crs, target, "the image"))

    def matches(self, other: "Grid") -> bool:
        """Tell whether both grids have the same CRS, size and (to 1/100 pixel) position."""
        return (
            self.shape == other.shape
            and self.crs == other.crs
            and self.transform.almost_equals(other.transform, abs(self.transform.a) / 100)
        )

    def difference(self, other: "Grid") -> str:
        """Return the first difference of another grid from this one, in words; empty if none."""
        if self.matches(other):
            return ""
        if self.crs != other.crs:
            return f"its reference system is {other.crs}, expected {self.crs}"
        if self.shape != other.shape:
            return (
                f"it has {other.shape.cols} x {other.shape.rows} pixels, expected "
                f"{self.shape.cols} x {self.shape.rows}"
            )
        here, there = self.transform, other.transform
        return (
            f"its upper left corner is {there.c, there.f} with pixels of {there.a:g}, expected "
            f"{here.c, here.f} with pixels of {here.a:g}"
        )

    def cut(self, window: Window) -> "Grid":
        """Return the part of the grid under a window of whole pixels."""
        col, row = int(window.col_off), int(window.row_off)
        return Grid(
            self.crs,
            self.transform @ Affine.translation(col, row),
            Shape(int(window.height), int(window.width)),
        )

    def window(self, area: Area) -> Window:
        """Return the smallest window of whole pixels that covers the area, clipped to the grid.

        The window is empty (a side of 0) where the area and the grid have nothing in common.

        Raises
        ------
        InputError
            If the area's numbers cannot be in its reference system.
        """
        bounds = self._place(area)
        if bounds is None:
            return Window(0, 0, 0, 0)
        exact = from_bounds(*bounds, transform=self.transform)
        tolerance = 1e-6
        first_col = max(0, int((exact.col_off + tolerance) // 1))
        first_row = max(0, int((exact.row_off + tolerance) // 1))
        last_col = min(self.shape.cols, -int(-(exact.col_off + exact.width - tolerance) // 1))
        last_row = min(self.shape.rows, -int(-(exact.row_off + exact.height - tolerance) // 1))
        return Window(
            first_col, first_row, max(0, last_col - first_col), max(0, last_row - first_row)
        )

    def _place(self, area: Area) -> Bounds | None:
        """Return the part of an area over the grid, in the CRS of the grid; None if there is none.

        What lies elsewhere is cut off first: the projection may not reach it.
        """
        crs = reference_system(area.crs, "the area")
        check_box(area.bounds, crs, "the area")
        if self.crs is None or crs == self.crs:
            return area.bounds
        left, bottom, right, top = move_box(self.bounds, self.crs, crs, "the image")
        part = Bounds(
            max(left, area.bounds.left), max(bottom, area.bounds.bottom),
            min(right, area.bounds.right), min(top, area.bounds.top),
        )  # fmt: skip
        if part.left > part.right or part.bottom > part.top:
            return None
        return Bounds(*move_box(part, crs, self.crs, "the area"))
