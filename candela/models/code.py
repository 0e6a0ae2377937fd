"""The code of an image, computed no further than it is needed."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.models.units import weighted_units

STRIP_PIXELS = 2048  # about; all units of so many stay in the processor's cache
STRIP_SAMPLES = 256  # likewise, with four neighbours each

Image = NDArray[np.float32]
Matrix = NDArray[np.float32]


class Code(NamedTuple):
    """What the encoder's last layer makes of what met there, at 20 m.

    All units of a block are hundreds of megabytes; what is asked of them is little.

    Attributes
    ----------
    met : ndarray, shape (channels + 1, rows, cols), float32
        The last is one everywhere.
    kernel : ndarray, shape (units, channels + 1), float32
        The last column is the bias.
    """

    met: Image
    kernel: Matrix

    def cropped(self, rows: slice, cols: slice) -> "Code":
        """Return the code of a part, given in pixels of 10 m, from even to even ones."""
        return self._replace(met=self.met[:, _halved(rows), _halved(cols)])

    def units(self) -> Image:
        """Return all of it, shape (units, rows, cols)."""
        sums: Image = self.kernel @ self.met.reshape(len(self.met), -1)
        return np.maximum(sums, 0, out=sums).reshape(-1, *self.met.shape[1:])

    def strips(self) -> Iterator[tuple[slice, Image]]:
        """Yield rows and all units there, strip by strip."""
        for rows in self._strips():
            yield rows, self._replace(met=self.met[:, rows]).units()

    def weighted(self, weights: Matrix, out: Image) -> None:
        """Weight and add the units.

        Parameters
        ----------
        weights : ndarray, shape (sums, units), float32
        out : ndarray, shape (sums, rows, cols), float32
            Where the sums are written.
        """
        for rows in self._strips():
            out[:, rows] = weighted_units(weights, self.kernel, self.met[:, rows])

    def doubled_at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Image:
        """Return some pixels of the code, doubled in resolution as ``double`` does it.

        Parameters
        ----------
        rows, cols : ndarray, shape (pixels,), int
            Where, in pixels of 10 m.

        Returns
        -------
        ndarray, shape (units, pixels), float32
        """
        down, right = (rows + 0.5) / 2 - 0.5, (cols + 0.5) / 2 - 0.5
        top, left = np.floor(down).astype(int), np.floor(right).astype(int)
        low, far = (down - top).astype(np.float32), (right - left).astype(np.float32)
        last_row, last_col = self.met.shape[1] - 1, self.met.shape[2] - 1
        corner_rows = np.clip([top, top, top + 1, top + 1], 0, last_row)
        corner_cols = np.clip([left, left + 1, left, left + 1], 0, last_col)
        shares = np.stack([(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far])
        total = np.empty((len(rows), len(self.kernel)), np.float32)
        for first in range(0, len(rows), STRIP_SAMPLES):
            some = slice(first, first + STRIP_SAMPLES)
            # A ReLU of something times a share, which is not negative, is the ReLU times the share.
            near = self.met[:, corner_rows[:, some], corner_cols[:, some]] * shares[:, some]
            units = near.reshape(len(near), -1).T @ self.kernel.T
            np.maximum(units, 0, out=units)
            units.reshape(len(shares), -1, len(self.kernel)).sum(axis=0, out=total[some])
        return total.T

    def _strips(self) -> Iterator[slice]:
        _, rows, cols = self.met.shape
        step = max(1, STRIP_PIXELS // cols)
        for row in range(0, rows, step):
            yield slice(row, min(row + step, rows))


def halve(image: Image, out: Image) -> None:
    """Write the means of two by two pixels of an image, (bands, 2 rows, 2 cols), to ``out``."""
    for source, target in zip(image, out, strict=True):
        cv2.resize(source, target.shape[::-1], dst=target, interpolation=cv2.INTER_AREA)


def double(image: Image, out: Image | None = None) -> Image:
    """Double the resolution by bilinear interpolation.

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
    """Return some rows and the first columns of what ``double`` would make of an image.

    Parameters
    ----------
    image : ndarray, shape (bands, half the rows, half the cols), float32
    rows : slice
        Of the doubled image; the first is even.
    cols : int

    Returns
    -------
    ndarray, shape (bands, rows, cols), float32
    """
    first = max(0, rows.start // 2 - 1)  # with the neighbours that are interpolated
    near = image[:, first : (rows.stop + 1) // 2 + 1]
    return double(near)[:, rows.start - 2 * first : rows.stop - 2 * first, :cols]


def _halved(pixels: slice) -> slice:
    """Turn a range of pixels into one of pairs; the last pair may be half outside."""
    return slice(pixels.start // 2, -(-pixels.stop // 2))
