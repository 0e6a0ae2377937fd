"""The code of an image: a layer of ReLUs, evaluated lazily."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.models.units import weighted_units

STRIP_PIXELS = 2048  # about; their units fit into the processor's cache
STRIP_SAMPLES = 256  # likewise, with four neighbours each

Image = NDArray[np.float32]
Matrix = NDArray[np.float32]


class Code(NamedTuple):
    """The encoder's last layer at 20 m, u = max(0, K x), as its inputs x and kernel K.

    All units of a block take hundreds of megabytes, so they are computed strip by strip where they
    are weighted or sampled.

    Attributes
    ----------
    inputs : ndarray, shape (channels + 1, rows, cols), float32
        The last channel is 1 everywhere.
    kernel : ndarray, shape (units, channels + 1), float32
        The last column is the bias.
    """

    inputs: Image
    kernel: Matrix

    def cropped(self, rows: slice, cols: slice) -> "Code":
        """Return the code of a window in pixels of 10 m, whose limits are even."""
        return self._replace(inputs=self.inputs[:, _halved(rows), _halved(cols)])

    def units(self) -> Image:
        """Return all units, shape (units, rows, cols), float32, 0 or above."""
        sums: Image = self.kernel @ self.inputs.reshape(len(self.inputs), -1)
        return np.maximum(sums, 0, out=sums).reshape(-1, *self.inputs.shape[1:])

    def strips(self) -> Iterator[tuple[slice, Image]]:
        """Yield strips: their rows and the units there, shape (units, rows, cols)."""
        for rows in self._strips():
            yield rows, self._replace(inputs=self.inputs[:, rows]).units()

    def weighted(self, weights: Matrix, out: Image) -> None:
        """Compute the linear combinations W max(0, K x) of the units.

        Parameters
        ----------
        weights : ndarray, shape (targets, units), float32
            W.
        out : ndarray, shape (targets, rows, cols), float32
            Where the result is written.
        """
        for rows in self._strips():
            out[:, rows] = weighted_units(weights, self.kernel, self.inputs[:, rows])

    def doubled_at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Image:
        """Sample the code at pixels of 10 m by bilinear interpolation, as ``double`` upsamples.

        Parameters
        ----------
        rows, cols : ndarray, shape (pixels,), int
            Indices at 10 m.

        Returns
        -------
        ndarray, shape (units, pixels), float32
        """
        corner_rows, corner_cols, shares = _corners(rows, cols, self.inputs.shape)
        total = np.empty((len(rows), len(self.kernel)), np.float32)
        for first in range(0, len(rows), STRIP_SAMPLES):
            some = slice(first, first + STRIP_SAMPLES)
            # ReLU is positively homogeneous: ReLU(s x) = s ReLU(x) for a weight s >= 0.
            near = self.inputs[:, corner_rows[:, some], corner_cols[:, some]] * shares[:, some]
            units = near.reshape(len(near), -1).T @ self.kernel.T
            np.maximum(units, 0, out=units)
            units.reshape(len(shares), -1, len(self.kernel)).sum(axis=0, out=total[some])
        return total.T

    def _strips(self) -> Iterator[slice]:
        _, rows, cols = self.inputs.shape
        step = max(1, STRIP_PIXELS // cols)
        for row in range(0, rows, step):
            yield slice(row, min(row + step, rows))


def halve(image: Image, out: Image) -> None:
    """Downsample an image, (bands, 2 rows, 2 cols), by means of 2 x 2 pixels into ``out``."""
    for source, target in zip(image, out, strict=True):
        cv2.resize(source, target.shape[::-1], dst=target, interpolation=cv2.INTER_AREA)


def double(image: Image, out: Image | None = None) -> Image:
    """Upsample by two, by bilinear interpolation.

    Parameters
    ----------
    image : ndarray, shape (bands, rows, cols), float32
    out : ndarray, shape (bands, 2 rows, 2 cols), float32, optional
        Where the result is written; contiguous.

    Returns
    -------
    ndarray, shape (bands, 2 rows, 2 cols), float32
    """
    bands, rows, cols = image.shape
    doubled = np.empty((bands, 2 * rows, 2 * cols), np.float32) if out is None else out
    for source, target in zip(image, doubled, strict=True):
        cv2.resize(source, (2 * cols, 2 * rows), dst=target, interpolation=cv2.INTER_LINEAR)
    return doubled


def doubled_rows(image: Image, rows: slice, cols: int) -> Image:
    """Upsample by two as ``double`` does, but only some rows and the first columns.

    Parameters
    ----------
    image : ndarray, shape (bands, half the rows, half the cols), float32
    rows : slice
        Of the upsampled image; the first is even.
    cols : int

    Returns
    -------
    ndarray, shape (bands, rows, cols), float32
    """
    first = max(0, rows.start // 2 - 1)  # with the neighbours that are interpolated
    near = image[:, first : (rows.stop + 1) // 2 + 1]
    return double(near)[:, rows.start - 2 * first : rows.stop - 2 * first, :cols]


def doubled_pixels(image: Image, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Image:
    """Upsample by two as ``double`` does, but only some pixels.

    Parameters
    ----------
    image : ndarray, shape (bands, half the rows, half the cols), float32
    rows, cols : ndarray, shape (pixels,), int
        Indices in the upsampled image.

    Returns
    -------
    ndarray, shape (bands, pixels), float32
    """
    corner_rows, corner_cols, shares = _corners(rows, cols, image.shape)
    total = np.zeros((len(image), len(rows)), np.float32)
    for near_rows, near_cols, share in zip(corner_rows, corner_cols, shares, strict=True):
        total += image[:, near_rows, near_cols] * share
    return total


def _corners(
    rows: NDArray[np.intp], cols: NDArray[np.intp], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp], Matrix]:
    """Return rows, columns and weights of the four neighbours at half the resolution."""
    down, right = (rows + 0.5) / 2 - 0.5, (cols + 0.5) / 2 - 0.5
    top, left = np.floor(down).astype(int), np.floor(right).astype(int)
    low, far = (down - top).astype(np.float32), (right - left).astype(np.float32)
    corner_rows = np.clip([top, top, top + 1, top + 1], 0, shape[1] - 1)
    corner_cols = np.clip([left, left + 1, left, left + 1], 0, shape[2] - 1)
    shares = np.stack([(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far])
    return corner_rows, corner_cols, shares


def _halved(pixels: slice) -> slice:
    """Return the range of pixels at half the resolution that covers a range of pixels."""
    return slice(pixels.start // 2, -(-pixels.stop // 2))
