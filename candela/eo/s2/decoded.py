"""Images whose blocks are decoded once, however often and in whatever order they are read.

Decoding JPEG 2000 takes most of the time of a process that reads a product, and windows rarely end
where its tiles do. What is decoded is kept in a scratch file, at the pixel size of the image; the
system keeps as much of it in memory as there is room for.
"""

import tempfile
import threading
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

SMALLEST_UNIT = 512  # pixels: rows of a striped GeoTIFF are read together

Image = NDArray[np.uint16]


class DecodedImage:
    """One band of an image, decoded block by block when it is needed first.

    Parameters
    ----------
    dataset : rasterio dataset
        Of one band; several threads may read, and take turns.
    folder : Path
        Where the scratch file is; it has no name, and vanishes with this object.
    """

    def __init__(self, dataset: rasterio.DatasetReader, folder: Path) -> None:
        self._dataset = dataset
        self._unit = tuple(side * -(-SMALLEST_UNIT // side) for side in dataset.block_shapes[0])
        counts = [-(-side // unit) for side, unit in zip(dataset.shape, self._unit, strict=True)]
        self._known = np.zeros(counts, np.bool_)
        self._lock = threading.Lock()
        with tempfile.TemporaryFile(dir=folder) as file:
            self._pixels: Image = np.memmap(file, dataset.dtypes[0], "w+", shape=dataset.shape)

    def read(self, window: Window) -> Image:
        """Return the pixels of a window, which lies within the image.

        Raises
        ------
        RasterioIOError
            If the file is damaged there.
        """
        rows, cols = window.toslices()
        (first_row, last_row), (first_col, last_col) = (
            (part.start // unit, -(-part.stop // unit))
            for part, unit in zip((rows, cols), self._unit, strict=True)
        )
        with self._lock:
            for row, col in np.ndindex(last_row - first_row, last_col - first_col):
                self._decode(first_row + row, first_col + col)
        return np.array(self._pixels[rows, cols])

    def _decode(self, row: int, col: int) -> None:
        if self._known[row, col]:
            return
        height, width = self._unit
        part = np.s_[row * height : (row + 1) * height, col * width : (col + 1) * width]
        shape = self._pixels[part].shape
        self._pixels[part] = self._dataset.read(
            1, window=Window(col * width, row * height, shape[1], shape[0])
        )
        self._known[row, col] = True
