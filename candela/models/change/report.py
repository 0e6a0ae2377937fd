"""Statistics and preview of a change map, accumulated while it is written."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from rasterio.windows import Window

from candela.eo.raster.grid import Shape

PREVIEW_SIDE = 1024  # pixels at most, of each panel
GAP = 8  # pixels between panels
LEGEND = 40  # pixels, its height
KEY = (160, 12)  # pixels, width and height of the colour scale
BINS = 20
CHANGED = 0.5
COLOURS = np.array(
    [[255, 237, 160], [254, 178, 76], [240, 59, 32], [189, 0, 38]], np.float64
)  # yellow to red: Brewer's YlOrRd
SHOWN = (0.25, 1.0)  # probabilities at both ends of the colour scale

Image = NDArray[np.float32]


class Report:
    """Accumulates blocks of a change map, in any order."""

    def __init__(self, shape: Shape) -> None:
        self.step = max(1, -(-max(shape) // PREVIEW_SIDE))
        rows, cols = -(-shape.rows // self.step), -(-shape.cols // self.step)
        self.change = np.full((rows, cols), np.nan, np.float32)
        self.brightness = np.full((2, rows, cols), np.nan, np.float32)
        self.histogram = np.zeros(BINS, np.int64)
        self.pixels = shape.rows * shape.cols
        self.changed = 0
        self.total = 0.0

    def add(self, window: Window, change: Image, visible: tuple[Image, Image]) -> None:
        """Add a block to the statistics and the preview.

        Parameters
        ----------
        window : Window
            Its place in the map.
        change : ndarray, shape (rows, cols), float32
            Probability; nodata is NaN.
        visible : tuple of two ndarray, shape (rows, cols), float32
            Brightness of both dates, in any unit.
        """
        missing = np.isnan(change)
        values = change[~missing]
        bins = np.minimum((values * BINS).astype(np.uint8), BINS - 1)
        self.histogram += np.bincount(bins, minlength=BINS)
        self.changed += int((values >= CHANGED).sum())
        self.total += float(values.sum(dtype=np.float64))
        row, col = -int(window.row_off) % self.step, -int(window.col_off) % self.step
        square = np.ones((self.step, self.step), np.uint8)
        near = cv2.dilate(np.where(missing, np.float32(0), change), square)
        near[missing] = np.nan
        thin = near[row :: self.step, col :: self.step]
        top = (int(window.row_off) + row) // self.step
        left = (int(window.col_off) + col) // self.step
        place = (slice(top, top + thin.shape[0]), slice(left, left + thin.shape[1]))
        self.change[place] = thin
        for picture, image in zip(self.brightness, visible, strict=True):
            picture[place] = image[row :: self.step, col :: self.step]

    def statistics(self) -> dict[str, object]:
        """Return the statistics as JSON values."""
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

    def write_preview(self, path: Path, names: tuple[str, str]) -> None:
        """Draw both dates and the change side by side, with a legend; nodata is transparent.

        Parameters
        ----------
        path : Path
        names : tuple of str
            Captions of the dates.
        """
        before, after = (_stretch(image) for image in self.brightness)
        strength = _strength(np.nan_to_num(self.change))
        cover = np.clip(2 * strength, 0, 1)[..., None]
        panels = [
            np.repeat(before[..., None], 3, axis=2),
            np.repeat(after[..., None], 3, axis=2),
            (1 - cover) * after[..., None] + cover * _colour(strength),
        ]
        opaque = np.where(np.isnan(self.change), 0, 255)[..., None]
        pictures = [
            Picture.fromarray(np.concatenate([panel, opaque], axis=-1).astype(np.uint8))
            for panel in panels
        ]
        rows, cols = self.change.shape
        sheet = Picture.new("RGBA", (3 * cols + 2 * GAP, rows + LEGEND))
        for number, picture in enumerate(pictures):
            sheet.paste(picture, (number * (cols + GAP), 0))
        _draw_legend(sheet, [*names, "change"], cols + GAP, rows)
        sheet.save(path)


def _draw_legend(sheet: Picture.Image, names: list[str], step: int, top: int) -> None:
    """Write the captions below the panels, and the colour scale below the last."""
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    draw.rectangle([0, top, *sheet.size], fill="white")
    for number, name in enumerate(names):
        draw.text((number * step + GAP, top + 4), name, fill="black", font=font)
    width, height = KEY
    left = sheet.size[0] - width - 4 * GAP
    if left < (len(names) - 1) * step + 8 * GAP:  # no place beside the name
        return
    probabilities = np.broadcast_to(np.linspace(0, 1, width), (height, width))
    key = Picture.fromarray(_colour(_strength(probabilities)).astype(np.uint8))
    sheet.paste(key, (left, top + 6))
    for share in (0, 0.5, 1):
        draw.text(
            (left + share * width, top + height + 6), f"{share:g}", "black", font, anchor="ma"
        )


def _strength(probability: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    low, high = SHOWN
    return np.asarray(np.clip((probability - low) / (high - low), 0, 1), np.float64)


def _colour(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map strength to red, green and blue, 0 to 255, in a new last axis."""
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(strength, stops, COLOURS[:, k]) for k in range(3)], axis=-1)


def _stretch(brightness: Image) -> NDArray[np.float64]:
    """Stretch brightness linearly, percentiles 2 and 98 to grey levels 40 and 220."""
    known = brightness[brightness > 0]
    if known.size == 0:
        return np.zeros(brightness.shape)
    low, high = np.percentile(known, [2, 98])
    share = (np.nan_to_num(brightness) - low) / max(float(high - low), 1e-6)
    return np.asarray(40 + 180 * np.clip(share, 0, 1))
