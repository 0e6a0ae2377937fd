"""Which pixels of a Sentinel-2 image can be used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any
from xml.etree.ElementTree import Element

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window

from candela.eo.raster.grid import Grid
from candela.eo.raster.images import open_image
from candela.eo.s2.bands import NODATA, SATURATED, open_band
from candela.eo.s2.product import Granule
from candela.errors import InputError

Mask = NDArray[np.uint8]
CloudReader = Callable[[Window], Mask]


class Usability(IntEnum):
    """The values of a mask; where two apply, the one that stands first in the file wins."""

    USABLE = 0
    NO_DATA = 1
    SATURATED = 2
    CLOUD = 3
    CLOUD_SHADOW = 4
    CIRRUS = 5
    SNOW = 6


# Sen2Cor's scene classification (Level-2A): 2 dark area, 4 vegetation, 5 bare, 6 water and
# 7 unclassified are usable.
_SCENE_CLASSES = np.zeros(256, dtype=np.uint8)
_SCENE_CLASSES[[0, 1]] = Usability.NO_DATA, Usability.SATURATED
_SCENE_CLASSES[[3, 8, 9]] = Usability.CLOUD_SHADOW, Usability.CLOUD, Usability.CLOUD
_SCENE_CLASSES[[10, 11]] = Usability.CIRRUS, Usability.SNOW

_FLAG_PLANES = (Usability.CLOUD, Usability.CIRRUS, Usability.SNOW)  # of MSK_CLASSI_B00.jp2
RING_TAGS = ("posList", "coordinates")
_OUTLINE_KINDS = {"OPAQUE": Usability.CLOUD, "CIRRUS": Usability.CIRRUS}


def validity(bands: NDArray[np.uint16]) -> Mask:
    """Tell where every band has data and none is saturated.

    Parameters
    ----------
    bands : ndarray, shape (bands, rows, cols), uint16
        Reflectance x 10 000, 0 nodata, 65535 saturated.

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        ``Usability.USABLE``, ``NO_DATA`` or ``SATURATED``.
    """
    mask = np.where((bands == SATURATED).any(axis=0), Usability.SATURATED, Usability.USABLE)
    mask[(bands == NODATA).any(axis=0)] = Usability.NO_DATA
    return mask.astype(np.uint8)


def grow_clouds(mask: Mask, radius: int) -> Mask:
    """Let clouds, their shadows and cirrus reach further, onto usable pixels.

    Parameters
    ----------
    mask : ndarray, shape (rows, cols), uint8
        Values of ``Usability``.
    radius : int
        How far, in pixels.

    Returns
    -------
    ndarray, same shape, uint8
        Where several reach, cloud wins over its shadow, and that over cirrus.
    """
    if radius == 0:
        return mask
    offsets = np.arange(-radius, radius + 1)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    grown = mask.copy()
    for kind in (Usability.CIRRUS, Usability.CLOUD_SHADOW, Usability.CLOUD):
        reached = cv2.dilate((mask == kind).astype(np.uint8), disc)
        grown[(reached > 0) & (mask == Usability.USABLE)] = kind
    return grown


def from_scene_classes(classes: NDArray[Any]) -> Mask:
    """Translate Sen2Cor's scene classification (0..11) into ``Usability``."""
    return _SCENE_CLASSES[classes.astype(np.uint8)]


@contextmanager
def open_clouds(granule: Granule, grid: Grid) -> Iterator[CloudReader]:
    """Open the best cloud information that a granule has.

    That is the scene classification (Level-2A), the classification mask (Level-1C since processing
    baseline 04.00), or the outlines of clouds (Level-1C before).

    Yields
    ------
    callable
        Takes a window of the grid and returns its ``Usability``, shape (rows, cols), uint8.

    Raises
    ------
    InputError
        If the granule has none.
    """
    flags = granule.masks.get("MSK_CLASSI_B00.jp2")
    outlines = next((name for name in granule.masks if "MSK_CLOUDS" in name), None)
    if any(name == "SCL" for name, _ in granule.images):
        with open_band(granule, "SCL", grid, "nearest") as reader:
            yield lambda window: from_scene_classes(reader.read_codes(window))
    elif flags is not None and flags.size:
        with open_image(flags.location) as dataset:
            yield lambda window: _from_flags(
                dataset.read(window=_same_place(grid, window, dataset.transform.a, granule),
                             out_shape=(dataset.count, int(window.height), int(window.width)))
            )  # fmt: skip
    elif outlines is not None and granule.masks[outlines].size:
        name = granule.masks[outlines].name
        shapes = list(_read_outlines(granule.safe.read_xml(name), name))
        yield lambda window: _from_outlines(shapes, grid.cut(window))
    else:
        raise InputError(
            f"{granule.metadata.image_id} has no cloud information (neither SCL, MSK_CLASSI nor "
            "MSK_CLOUDS): choose the mask model, validity or none"
        )


def _from_flags(planes: NDArray[Any]) -> Mask:
    if len(planes) < len(_FLAG_PLANES):
        raise InputError(f"MSK_CLASSI_B00.jp2 has {len(planes)} channels, expected 3")
    mask = np.zeros(planes.shape[1:], dtype=np.uint8)
    for plane, meaning in zip(planes[2::-1], _FLAG_PLANES[::-1], strict=True):
        mask[plane > 0] = meaning
    return mask


def _same_place(grid: Grid, window: Window, pixel_m: float, granule: Granule) -> Window:
    """Return the window in a mask of another pixel size that covers the whole tile."""
    base = granule.base_grid.transform
    ratio = grid.transform.a / pixel_m
    col = (grid.transform.c - base.c) / pixel_m
    row = (base.f - grid.transform.f) / pixel_m
    return Window(
        col + window.col_off * ratio,
        row + window.row_off * ratio,
        window.width * ratio,
        window.height * ratio,
    )


def _from_outlines(shapes: list[tuple[dict[str, Any], int]], grid: Grid) -> Mask:
    if not shapes:
        return np.zeros(grid.shape, dtype=np.uint8)
    mask: Mask = rasterize(
        shapes, out_shape=tuple(grid.shape), transform=grid.transform, dtype="uint8"
    )
    return mask


def _read_outlines(root: Element, name: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Read the polygons of a GML mask, in the coordinate reference system of the tile.

    Cirrus comes first: what is drawn later wins.
    """
    found = []
    for feature in _named(root, "MaskFeature"):
        kind = next((element.text or "" for element in _named(feature, "maskType")), "")
        meaning = _OUTLINE_KINDS.get(kind.strip())
        rings = (
            [_ring(element, name) for tag in RING_TAGS for element in _named(feature, tag)]
            if meaning
            else []
        )
        if meaning and rings:
            found.append(({"type": "Polygon", "coordinates": rings}, int(meaning)))
    yield from sorted(found, key=lambda item: -item[1])


def _ring(element: Element, name: str) -> list[tuple[float, float]]:
    """Read the corners of a polygon, in GML 3 (``posList``) or GML 2 (``coordinates``)."""
    tag, text = element.tag.rpartition("}")[2], element.text or ""
    where = f"{name}: {tag}"
    step = element.get("srsDimension") or "2"
    if tag == "coordinates":
        step = str(len(text.split()[0].split(","))) if text.split() else "2"
        text = text.replace(",", " ")
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        raise InputError(f"{where} has {text.strip()[:40]!r}, expected numbers") from None
    if step not in {"2", "3"}:
        raise InputError(f"{where} has {step} numbers for each corner, expected 2 or 3")
    if len(numbers) % int(step) or len(numbers) < 3 * int(step):
        raise InputError(
            f"{where} has {len(numbers)} numbers, expected {step} for each corner of a polygon"
        )
    if not np.isfinite(numbers).all():
        raise InputError(f"{where} has a number that is not finite")
    ring = list(zip(numbers[:: int(step)], numbers[1 :: int(step)], strict=True))
    return ring if ring[0] == ring[-1] else [*ring, ring[0]]


def _named(root: Element, tag: str) -> Iterator[Element]:
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)
