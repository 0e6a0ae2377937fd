"""Cross-fading of overlapping blocks: a mosaic without seams."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Shape

from .blocks import Block

Image = NDArray[np.float32]
Place = tuple[int, int]


class _Edges(NamedTuple):
    """Blocks along one axis: their limits, and their weight at each pixel."""

    size: int
    length: int
    overlap: int

    def own(self, index: int) -> slice:
        """Return the pixels of a block without its overlap."""
        return slice(index * self.size, min((index + 1) * self.size, self.length))

    def reached(self, index: int) -> slice:
        """Return the pixels at which a block has a weight above 0."""
        own = self.own(index)
        return slice(max(0, own.start - self.overlap), min(self.length, own.stop + self.overlap))

    def neighbours(self, index: int) -> range:
        """Return the blocks with a weight in a block's own pixels, itself included."""
        count = -(-self.length // self.size)
        return range(max(0, index - 1), min(count, index + 2))

    def weights(self, index: int, pixels: slice) -> NDArray[np.float32]:
        """Return the weight of a block at some of its pixels; all weights sum to 1."""
        positions = np.arange(pixels.start, pixels.stop) + 0.5
        nearby = range(max(0, index - 2), index + 3)
        shares = {other: self._ramp(other, positions) for other in nearby}
        return np.asarray(shares[index] / sum(shares.values()), np.float32)

    def _ramp(self, index: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        begin, end = index * self.size, (index + 1) * self.size
        if begin >= self.length:
            return np.zeros(len(positions))
        if self.overlap == 0:
            return np.asarray((positions > begin) & (positions < end), np.float64)
        inside = np.minimum(
            positions - begin if begin > 0 else np.inf,
            end - positions if end < self.length else np.inf,
        )
        return np.clip(inside / (2 * self.overlap) + 0.5, 0, 1)


class CrossFade:
    """Linear blending of blocks, in any order; yields the windows that are complete.

    At a distance t from its nearer border, positive inside, a block has the weight

        w(t) = clip(t / (2 overlap) + 1/2, 0, 1)

    along each axis; the weight in two dimensions is the product, normalised to a sum of 1.

    Parameters
    ----------
    shape : Shape
        Size of the image.
    size : int
        Side of a block; blocks are those of ``candela.eo.raster.blocks.split``.
    overlap : int
        Pixels by which a block reaches into its neighbours, at most half a block.
    """

    def __init__(self, shape: Shape, size: int, overlap: int) -> None:
        if not 0 <= overlap <= size // 2:
            raise ValueError(f"an overlap of {overlap} pixels; 0 to {size // 2} are possible")
        self._axes = _Edges(size, shape.rows, overlap), _Edges(size, shape.cols, overlap)
        self._size = size
        self._sums: dict[Place, Image] = {}
        self._missing: dict[Place, int] = {}

    def part(self, block: Block) -> tuple[slice, slice]:
        """Return the part of a block's outer window that ``add`` takes."""
        reached = [
            axis.reached(index) for axis, index in zip(self._axes, self._place(block), strict=True)
        ]
        return _from(reached, (int(block.outer.row_off), int(block.outer.col_off)))

    def add(self, block: Block, values: Image) -> Iterator[tuple[Window, Image]]:
        """Add a block; yield the inner windows that are complete now, with their values.

        Parameters
        ----------
        block : Block
            Its halo is at least ``overlap``.
        values : ndarray, shape of ``part``, float32
            Nodata is NaN, at the same pixels in all blocks.
        """
        place = self._place(block)
        rows, cols = self._axes
        for row in rows.neighbours(place[0]):
            for col in cols.neighbours(place[1]):
                yield from self._give(place, values, (row, col))

    def _place(self, block: Block) -> Place:
        row, col = int(block.inner.row_off), int(block.inner.col_off)
        return row // self._size, col // self._size

    def _give(self, giver: Place, values: Image, taker: Place) -> Iterator[tuple[Window, Image]]:
        """Add the weighted values of one block to the pixels of another."""
        own = [axis.own(index) for axis, index in zip(self._axes, taker, strict=True)]
        if taker not in self._sums:
            self._sums[taker] = np.zeros([part.stop - part.start for part in own], np.float32)
            counts = (len(a.neighbours(i)) for a, i in zip(self._axes, taker, strict=True))
            self._missing[taker] = int(np.prod(list(counts)))
        reached = [axis.reached(index) for axis, index in zip(self._axes, giver, strict=True)]
        common = [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(own, reached, strict=True)
        ]
        if all(part.stop > part.start for part in common):
            across, along = (
                axis.weights(index, part)
                for axis, index, part in zip(self._axes, giver, common, strict=True)
            )
            corner = reached[0].start, reached[1].start
            taken = values[_from(common, corner)] * across[:, None] * along
            self._sums[taker][_from(common, (own[0].start, own[1].start))] += taken
        self._missing[taker] -= 1
        if not self._missing[taker]:
            del self._missing[taker]
            window = Window.from_slices(*own)
            yield window, self._sums.pop(taker)


def _from(parts: list[slice], corner: tuple[int, int]) -> tuple[slice, slice]:
    """Return parts of the image as indexes into an array that begins at a corner."""
    rows, cols = (
        slice(part.start - first, part.stop - first)
        for part, first in zip(parts, corner, strict=True)
    )
    return rows, cols
