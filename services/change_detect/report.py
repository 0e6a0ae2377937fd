"""What is counted while a change map is written: statistics and a small picture."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from rasterio.windows import Window

from candela.eo.grid import Shape

PREVIEW_SIDE = 1024  # pixels at most
BINS = 20
CHANGED = 0.5
COLOURS = np.array(
    [[255, 237, 160], [254, 178, 76], [240, 59, 32], [189, 0, 38]], np.float64
)  # yellow to red: Brewer's YlOrRd
SHOWN = (0.25, 1.0)  # probabilities from which colour begins, and where it is fullest

Image = NDArray[np.float32]


class Report:
    """Collects blocks of a change map, in any order."""

    def __init__(self, shape: Shape) -> None:
        self.step = max(1, -(-max(shape) // PREVIEW_SIDE))
        rows, cols = -(-shape.rows // self.step), -(-shape.cols // self.step)
        self.change = np.full((rows, cols), np.nan, np.float32)
        self.brightness = np.full((rows, cols), np.nan, np.float32)
        self.histogram = np.zeros(BINS, np.int64)
        self.pixels = shape.rows * shape.cols
        self.changed = 0
        self.total = 0.0

    def add(self, window: Window, change: Image, visible: Image) -> None:
        """Count a block.

        Parameters
        ----------
        window : Window
            Where it lies.
        change : ndarray, shape (rows, cols), float32
            Probability, NaN without data.
        visible : ndarray, shape (rows, cols), float32
            Brightness of the later image, any unit.
        """
        values = change[~np.isnan(change)]
        self.histogram += np.histogram(values, bins=BINS, range=(0, 1))[0]
        self.changed += int((values >= CHANGED).sum())
        self.total += float(values.sum(dtype=np.float64))
        row, col = -int(window.row_off) % self.step, -int(window.col_off) % self.step
        near = cv2.dilate(np.nan_to_num(change), np.ones((self.step, self.step), np.uint8))
        thin = np.where(np.isnan(change), np.float32(np.nan), near)[
            row :: self.step, col :: self.step
        ]
        top = (int(window.row_off) + row) // self.step
        left = (int(window.col_off) + col) // self.step
        place = (slice(top, top + thin.shape[0]), slice(left, left + thin.shape[1]))
        self.change[place] = thin
        self.brightness[place] = visible[row :: self.step, col :: self.step]

    def statistics(self) -> dict[str, object]:
        """Return the counts as JSON values."""
        valid = int(self.histogram.sum())
        return {
            "pixels": self.pixels,
            "valid_pixels": valid,
            "valid_fraction": valid / self.pixels,
            "changed_pixels": self.changed,
            "changed_fraction": self.changed / valid if valid else None,
            "changed_threshold": CHANGED,
            "mean_probability": self.total / valid if valid else None,
            "histogram": {
                "edges": np.linspace(0, 1, BINS + 1).round(4).tolist(),
                "counts": self.histogram.tolist(),
            },
        }

    def write_preview(self, path: Path) -> None:
        """Draw the change in colour over the later image in grey; no data is transparent."""
        grey = _stretch(self.brightness)
        change = np.nan_to_num(self.change)
        low, high = SHOWN
        strength = np.clip((change - low) / (high - low), 0, 1)
        stops = np.linspace(0, 1, len(COLOURS))
        colour = np.stack([np.interp(strength, stops, COLOURS[:, k]) for k in range(3)], axis=-1)
        cover = np.clip(2 * strength, 0, 1)[..., None]
        pixels = (1 - cover) * grey[..., None] + cover * colour
        opaque = np.where(np.isnan(self.change), 0, 255)[..., None]
        Picture.fromarray(np.concatenate([pixels, opaque], axis=-1).astype(np.uint8)).save(path)


def _stretch(brightness: Image) -> NDArray[np.float64]:
    """Map 2 to 98 % of the brightness to a grey from 40 to 220: colour stays readable on it."""
    known = brightness[brightness > 0]
    if known.size == 0:
        return np.zeros(brightness.shape)
    low, high = np.percentile(known, [2, 98])
    share = (np.nan_to_num(brightness) - low) / max(float(high - low), 1e-6)
    return np.asarray(40 + 180 * np.clip(share, 0, 1))
