"""The code of an image, computed no further than it is needed."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .product import weighted_sums, weighted_units

STRIP_PIXELS = 2048  # about; all units of so many stay in the processor's cache

Image = NDArray[np.float32]
Matrix = NDArray[np.float32]


class Code(NamedTuple):
    """What the encoder's last layer makes of what met there, at 20 m.

    All units of a block are hundreds of megabytes; what is asked of them is little.

    Attributes
    ----------
    met : ndarray, shape (channels, rows, cols), float32
    kernel : ndarray, shape (units, channels), float32
    bias : ndarray, shape (units,), float32
    """

    met: Image
    kernel: Matrix
    bias: Matrix

    def cropped(self, rows: slice, cols: slice) -> "Code":
        """Return the code of a part, given in pixels of 10 m, from even to even ones."""
        part = self.met[:, _halved(rows), _halved(cols)]
        return self._replace(met=np.ascontiguousarray(part))

    def units(self) -> Image:
        """Return all of it, shape (units, rows, cols)."""
        flat = self.met.reshape(len(self.met), -1)
        return self._bend(flat).reshape(-1, *self.met.shape[1:])

    def strips(self) -> Iterator[tuple[slice, Image]]:
        """Yield rows and all units there, strip by strip."""
        for rows in self._strips():
            yield rows, self._replace(met=self.met[:, rows]).units()

    def weighted(self, weights: Matrix) -> Image:
        """Weight and add the units.

        Parameters
        ----------
        weights : ndarray, shape (sums, units), float32

        Returns
        -------
        ndarray, shape (sums, rows, cols), float32
        """
        sums = np.empty((len(weights), *self.met.shape[1:]), np.float32)
        for rows in self._strips():
            sums[:, rows] = weighted_units(weights, self.kernel, self.bias, self.met[:, rows])
        return sums

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
        last_row, last_col = self.met.shape[1] - 1, self.met.shape[2] - 1
        down, right = (rows + 0.5) / 2 - 0.5, (cols + 0.5) / 2 - 0.5
        top, left = np.floor(down).astype(int), np.floor(right).astype(int)
        low, far = (down - top).astype(np.float32), (right - left).astype(np.float32)
        total = np.zeros((len(self.kernel), len(rows)), np.float32)
        for row, row_weight in ((top, 1 - low), (top + 1, low)):
            for col, col_weight in ((left, 1 - far), (left + 1, far)):
                near = self.met[:, np.clip(row, 0, last_row), np.clip(col, 0, last_col)]
                total += self._bend(near) * (row_weight * col_weight)
        return total

    def _bend(self, met: Matrix) -> Matrix:
        """Return the units of pixels, shape (units, pixels)."""
        sums = weighted_sums(self.kernel, met)
        sums += self.bias[:, None]
        return np.maximum(sums, 0, out=sums)

    def _strips(self) -> Iterator[slice]:
        _, rows, cols = self.met.shape
        step = max(1, STRIP_PIXELS // cols)
        for row in range(0, rows, step):
            yield slice(row, min(row + step, rows))


def double(image: Image) -> Image:
    """Double the resolution by bilinear interpolation.

    Parameters
    ----------
    image : ndarray, shape (bands, rows, cols), float32

    Returns
    -------
    ndarray, shape (bands, 2 rows, 2 cols), float32
    """
    bands, rows, cols = image.shape
    doubled = np.empty((bands, 2 * rows, 2 * cols), np.float32)
    for source, target in zip(image, doubled, strict=True):
        cv2.resize(source, (2 * cols, 2 * rows), dst=target, interpolation=cv2.INTER_LINEAR)
    return doubled


def _halved(pixels: slice) -> slice:
    """Turn a range of pixels into one of pairs; the last pair may be half outside."""
    return slice(pixels.start // 2, -(-pixels.stop // 2))
