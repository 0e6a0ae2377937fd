"""Work through an image block by block, with a margin where a kernel looks beyond its block."""

from collections.abc import Iterator
from typing import NamedTuple

from rasterio.windows import Window

from candela.eo.raster.grid import Shape


class Block(NamedTuple):
    """A part of an image.

    Attributes
    ----------
    inner : Window
        The pixels to be computed; the inner windows of all blocks tile the image.
    outer : Window
        The pixels to be read: ``inner`` and its halo, clipped to the image.
    """

    inner: Window
    outer: Window

    @property
    def crop(self) -> tuple[slice, slice]:
        """Where ``inner`` lies in an array that was read from ``outer`` (rows, cols)."""
        row = int(self.inner.row_off - self.outer.row_off)
        col = int(self.inner.col_off - self.outer.col_off)
        return (
            slice(row, row + int(self.inner.height)),
            slice(col, col + int(self.inner.width)),
        )


def split(shape: Shape, size: int, *, halo: int = 0) -> Iterator[Block]:
    """Split an image into square blocks of ``size`` pixels, row by row.

    Parameters
    ----------
    shape : Shape
        Size of the image.
    size : int
        Side of a block in pixels; a multiple of the file's own block size reads each tile once.
    halo : int
        Margin in pixels that is read around each block.

    Yields
    ------
    Block
    """
    for row in range(0, shape.rows, size):
        for col in range(0, shape.cols, size):
            rows = min(size, shape.rows - row)
            cols = min(size, shape.cols - col)
            top, left = max(0, row - halo), max(0, col - halo)
            bottom, right = min(shape.rows, row + rows + halo), min(shape.cols, col + cols + halo)
            yield Block(Window(col, row, cols, rows), Window(left, top, right - left, bottom - top))
