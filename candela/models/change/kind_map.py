"""The raster of kinds of change, and its statistics."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray

from candela.eo.raster.grid import Grid
from candela.eo.raster.images import create_image
from candela.models.change.detector import Evidence, Image
from candela.models.change.kind import INDICES, NODATA, Kind

CHANGED = 0.5  # probability from which a pixel has a kind
DIGITS = 4


class ClassifiedWindow(NamedTuple):
    """Kinds of change in a window.

    Attributes
    ----------
    kind : ndarray, shape (rows, cols), uint8
        Values of ``Kind``; nodata 255.
    indices : ndarray, shape (3, rows, cols), float16
        See ``index_changes``; 0 where nothing changed.
    """

    kind: NDArray[np.uint8]
    indices: NDArray[np.float16]


def classified(change: Image, evidence: Evidence | None) -> ClassifiedWindow | None:
    """Return the kinds of the pixels with a probability of 0.5 or more; None if there are none."""
    if evidence is None or evidence.kind is None or evidence.indices is None:
        return None
    changed = change >= CHANGED
    told = np.where(evidence.kind == Kind.UNCHANGED, Kind.OTHER, evidence.kind)
    kind = np.where(changed, told, Kind.UNCHANGED).astype(np.uint8)
    kind[np.isnan(change)] = NODATA
    return ClassifiedWindow(kind, evidence.indices)


def create_kinds(
    path: Path, grid: Grid, tags: dict[str, str]
) -> AbstractContextManager[rasterio.io.DatasetWriter]:
    """Create the raster of kinds; its classes are in the tags."""
    classes = {f"CLASS_{kind.value}": kind.label for kind in Kind}
    return create_image(
        path,
        grid,
        dtype="uint8",
        nodata=NODATA,
        bands=["kind"],
        tags=tags | {"Category": "kind of change"} | classes,
    )


class KindTally:
    """Accumulates pixels and changes of indices by kind."""

    def __init__(self) -> None:
        self._pixels = np.zeros(len(Kind), np.int64)
        self._sums = np.zeros((len(INDICES), len(Kind)))

    def add(self, found: ClassifiedWindow) -> None:
        """Add a window."""
        changed = (found.kind != Kind.UNCHANGED) & (found.kind != NODATA)
        kind = found.kind[changed]
        self._pixels += np.bincount(kind, minlength=len(Kind))
        for total, image in zip(self._sums, found.indices, strict=True):
            total += np.bincount(kind, image[changed], minlength=len(Kind))

    def statistics(self) -> dict[str, dict[str, float]]:
        """Return pixels, share of the change and mean index changes by kind, as JSON values."""
        return {
            kind.name.lower(): {
                "class": kind.value,
                "pixels": int(self._pixels[kind]),
                "share_of_change": round(float(self._pixels[kind] / self._pixels.sum()), DIGITS),
            }
            | {
                f"{name}_change": round(float(sums[kind] / self._pixels[kind]), DIGITS)
                for name, sums in zip(INDICES, self._sums, strict=True)
            }
            for kind in Kind
            if self._pixels[kind]
        }
