"""Preview of parcels, coloured by their change level, over the later image."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from candela.eo.raster.grid import Area, Bounds, Grid, Shape
from candela.models.change.parcels import LEVELS, MeasuredParcel

LONGEST_SIDE = 1024  # pixels
SHORTEST_SIDE = 480  # pixels: smaller images are enlarged, so that the legend fits
MARGIN = 0.05  # of the extent of the parcels
LEVEL_COLOURS = {1: (255, 237, 160), 2: (253, 141, 60), 3: (189, 0, 38), None: (190, 190, 190)}
FLATTEST = 0.75  # least ratio of the shorter to the longer side
FILLED = {1: 0.3, 2: 0.6, 3: 0.6, None: 0.3}  # opacity of the colours
PALED = 0.7  # desaturation of the image, so that the level colours stand out
SUBPIXEL_BITS = 4
LEGEND_PX = 28  # height

Pixels = NDArray[np.float32]
Background = Callable[[Window, Shape], NDArray[np.uint8]]


def draw_parcels(
    path: Path, parcels: Sequence[MeasuredParcel], grid: Grid, background: Background
) -> None:
    """Draw parcels over the part of an image where they are.

    Parameters
    ----------
    path : Path
        The picture, PNG.
    parcels : sequence of MeasuredParcel
        With at least one on the image.
    grid : Grid
        Of the image.
    background : callable
        Draws a window of the image, reduced to a shape: red, green, blue and opacity.
    """
    window = _extent(grid, [each.parcel.shape for each in parcels])
    sides = (int(window.height), int(window.width))
    scale = min(1.0, LONGEST_SIDE / max(sides)) * max(1, SHORTEST_SIDE // max(sides))
    rows, cols = (max(1, round(side * scale)) for side in sides)
    picture = background(window, Shape(rows, cols))
    drawn = picture[..., :3].astype(np.float32)
    drawn += PALED * (drawn.mean(axis=-1, keepdims=True) - drawn)
    place = _Place(grid, window, cols / window.width)
    for each in parcels:
        if each.parcel.shape is not None:
            _paint(drawn, place.rings(each.parcel.shape), each.level)
    _with_legend(drawn.astype(np.uint8)).save(path)


def _extent(grid: Grid, shapes: Sequence[BaseGeometry | None]) -> Window:
    """Return the window around the parcels that touch the image."""
    frame = shapely.box(*grid.bounds)
    touching = [shape for shape in shapes if shape is not None and shape.intersects(frame)]
    left, bottom, right, top = shapely.total_bounds(np.array(touching, object))
    longest = max(right - left, top - bottom)
    margin = max(MARGIN * longest, 5 * abs(grid.transform.a))
    across = max(0.0, FLATTEST * longest - (right - left)) / 2 + margin
    along = max(0.0, FLATTEST * longest - (top - bottom)) / 2 + margin
    bounds = Bounds(left - across, bottom - along, right + across, top + along)
    return grid.window(Area(bounds, str(grid.crs)))


class _Place:
    """Transformation of coordinates to pixels of a picture."""

    def __init__(self, grid: Grid, window: Window, scale: float) -> None:
        self._to_pixel = ~grid.cut(window).transform
        self._scale = scale

    def rings(self, shape: BaseGeometry) -> list[NDArray[np.int32]]:
        """Return the rings of polygons, in fractions of a pixel (fixed point)."""
        rings = []
        for polygon in shapely.get_parts(shape):
            for ring in (polygon.exterior, *polygon.interiors):
                cols, rows = self._to_pixel @ shapely.get_coordinates(ring).T
                pixels = np.column_stack([cols, rows]) * self._scale - 0.5
                rings.append(np.rint(pixels * 2**SUBPIXEL_BITS).astype(np.int32))
        return rings


def _paint(picture: Pixels, rings: list[NDArray[np.int32]], level: int | None) -> None:
    """Fill a parcel half transparent, and draw its outline."""
    corners = np.concatenate(rings)
    last = np.array(picture.shape[1::-1]) - 1
    low = np.clip((corners.min(axis=0) >> SUBPIXEL_BITS) - 2, 0, last)
    high = np.clip((corners.max(axis=0) >> SUBPIXEL_BITS) + 3, 0, last) + 1
    part = picture[low[1] : high[1], low[0] : high[0]]
    moved = [ring - (low << SUBPIXEL_BITS).astype(np.int32) for ring in rings]
    cover = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(cover, moved, 255, cv2.LINE_AA, SUBPIXEL_BITS)
    colours = np.array(LEVEL_COLOURS[level], np.float32)
    part += FILLED[level] * cover[..., None].astype(np.float32) / 255 * (colours - part)
    lines = np.zeros(part.shape[:2], np.uint8)
    cv2.polylines(lines, moved, True, 255, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    part += lines[..., None].astype(np.float32) / 255 * (colours - part)


def _with_legend(picture: NDArray[np.uint8]) -> Image.Image:
    """Write the legend below the picture."""
    rows, cols = picture.shape[:2]
    whole = Image.new("RGB", (max(cols, SHORTEST_SIDE), rows + LEGEND_PX), (255, 255, 255))
    whole.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(13)
    low, high = (f"{100 * limit:.0f} %" for limit in LEVELS)
    words = {1: f"< {low} changed", 2: f"{low} to {high}", 3: f"{high} or more", None: "no data"}
    left = 8.0
    for level, text in words.items():
        box = (left, rows + 8, left + 12, rows + 20)
        draw.rectangle(box, LEVEL_COLOURS[level], outline=(90, 90, 90))
        draw.text((left + 17, rows + 6), text, (0, 0, 0), font)
        left += 17 + draw.textlength(text, font) + 14
    return whole
