"""Cut an image into square patches of several sizes: each patch has four children, a quad-tree."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.grid import Shape
from candela.errors import InputError

SIZES = (240, 120, 60)  # pixels; 120 pixels of 10 m are a patch of BigEarthNet
LEAST_SIZE = 16  # pixels; texture filters need some ground

Cells = NDArray[np.float32]


class Level(NamedTuple):
    """All patches of one size: ``shape.rows`` x ``shape.cols`` of them, from the upper left on."""

    size: int
    shape: Shape


def quad_tree(shape: Shape, sizes: Sequence[int] = SIZES) -> list[Level]:
    """Lay out patches of several sizes over an image.

    Only whole patches are laid out; what is left over at the right and lower edge belongs to none.

    Parameters
    ----------
    shape : Shape
        The size of the image in pixels.
    sizes : sequence of int
        Sides of the patches in pixels, in any order: each the double of the next smaller one.

    Returns
    -------
    list of Level
        The largest patches first; sizes that the image has no room for are left out.

    Raises
    ------
    InputError
        If the sizes make no quad-tree, or the image has no room for the smallest.
    """
    ordered = sorted(set(sizes), reverse=True)
    doubled = all(large == 2 * small for large, small in pairwise(ordered))
    if not ordered or not doubled or ordered[-1] < LEAST_SIZE or ordered[-1] % 4:
        found = ", ".join(str(size) for size in ordered) or "none"
        raise InputError(
            f"patch sizes {found}: expected each to be twice the next smaller one, and the "
            f"smallest at least {LEAST_SIZE} pixels and a multiple of 4"
        )
    levels = [Level(size, Shape(shape.rows // size, shape.cols // size)) for size in ordered]
    levels = [level for level in levels if level.shape.rows and level.shape.cols]
    if not levels or levels[-1].size != ordered[-1]:
        raise InputError(
            f"the image of {shape.cols} x {shape.rows} pixels has no room for a patch of "
            f"{ordered[-1]} x {ordered[-1]}"
        )
    return levels


def gather(cells: Cells, level: Level, smallest: int) -> Cells:
    """Return the mean of a level's patches from that of the smallest ones.

    Parameters
    ----------
    cells : ndarray, shape (statistics, rows, cols), float32
        Means over the patches of the smallest size.
    level : Level
        The level wanted.
    smallest : int
        The size of the smallest patches in pixels.

    Returns
    -------
    ndarray, shape (statistics, level.shape.rows, level.shape.cols), float32
    """
    factor = level.size // smallest
    rows, cols = level.shape
    whole = cells[:, : rows * factor, : cols * factor]
    parts = whole.reshape(len(cells), rows, factor, cols, factor)
    means: Cells = parts.mean(axis=(2, 4), dtype=np.float32)
    return means
