"""A block of both images, ready for the features: without holes, with a margin around."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from candela.eo.s1.backscatter import decibel
from candela.eo.texture import gabor
from candela.eo.texture.spectral import luminance

from .embedding import COARSEST
from .pair import OPTICAL_BANDS, Seen

HALO = gabor.REACH  # pixels; the features that look furthest
TARGET = 960  # pixels; blocks are about so large

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def block_size(cell: int) -> int:
    """Return the side of a block: whole cells, about ``TARGET`` pixels."""
    return cell * max(1, TARGET // cell)


def padded_size(cell: int) -> int:
    """Return the side of a block with its margin, a length that is fast to transform."""
    side = block_size(cell) + 2 * HALO
    while scipy.fft.next_fast_len(side) != side or side % COARSEST:
        side += 1
    return side


@dataclass(frozen=True)
class Ground:
    """What both sensors see of a block.

    Attributes
    ----------
    optical : ndarray, shape (10, side, side), float32
        Reflectance; pixels that cannot be used have the mean of the others.
    radar : ndarray, shape (2, side, side), float32
        Linear power, likewise.
    usable : ndarray, shape (rows, cols), bool, or None
        The pixels of ``inner`` that can be used; None if all.
    inner : tuple of slice
        Where the block proper is, a whole number of cells.
    cell : int
        The side of the smallest patches in pixels.
    """

    optical: Image
    radar: Image
    usable: Mask | None
    inner: tuple[slice, slice]
    cell: int

    def band(self, name: str) -> Image:
        """Return the reflectance of one band, shape (side, side)."""
        band: Image = self.optical[OPTICAL_BANDS.index(name)]
        return band

    @cached_property
    def luminance(self) -> Image:
        """Luminance of the visible bands, shape (side, side)."""
        return luminance(self.band("B04"), self.band("B03"), self.band("B02"))

    @cached_property
    def decibels(self) -> Image:
        """VV and VH in dB, shape (2, side, side)."""
        return decibel(self.radar)


def make_ground(seen: Seen, crop: tuple[slice, slice], cell: int) -> Ground:
    """Fill the holes of a block and mirror its edges.

    Parameters
    ----------
    seen : Seen
        The block with its halo, as far as the image goes.
    crop : tuple of slice
        Where the block proper is.
    cell : int
        The side of the smallest patches in pixels.
    """
    optical, radar, usable = seen
    rows, cols = (_whole(part, cell) for part in crop)
    whole = bool(usable.all())
    if not whole:
        optical, radar = _filled(optical, usable), _filled(radar, usable)
    side = padded_size(cell)
    top, left = HALO - rows.start, HALO - cols.start
    inner = slice(HALO, HALO + rows.stop - rows.start), slice(HALO, HALO + cols.stop - cols.start)
    return Ground(
        _mirrored(optical, top, left, side),
        _mirrored(radar, top, left, side),
        None if whole else usable[rows, cols],
        inner,
        cell,
    )


def _whole(part: slice, cell: int) -> slice:
    return slice(part.start, part.start + (part.stop - part.start) // cell * cell)


def _filled(bands: Image, usable: Mask) -> Image:
    if not usable.any():
        return np.zeros_like(bands)
    mean = bands[:, usable].mean(axis=1, dtype=np.float64).astype(np.float32)
    return np.where(usable, bands, mean[:, None, None])


def _mirrored(bands: Image, top: int, left: int, side: int) -> Image:
    _, rows, cols = bands.shape
    margins = (top, side - top - rows, left, side - left - cols)
    mirrored = np.empty((len(bands), side, side), np.float32)
    for band, target in zip(bands, mirrored, strict=True):
        cv2.copyMakeBorder(band, *margins, borderType=cv2.BORDER_REFLECT_101, dst=target)
    return mirrored
