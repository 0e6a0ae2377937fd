"""Write Sentinel-1 GRD products: SAFE folders or zip files, geometrically consistent, of any size.

Where the pixels lie is known exactly (``Acquisition.swath``), so geocoding can be tested without
a real product.
"""

import datetime as dt
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint

from candela.synthetic.sentinel1_orbit import Orbit, Swath
from candela.synthetic.sentinel1_xml import (
    ProductSlice,
    annotation_xml,
    calibration_xml,
    manifest_xml,
    noise_xml,
)


@dataclass(frozen=True)
class Acquisition:
    """A stretch of a satellite's way and what its instrument saw.

    Attributes
    ----------
    longitude, latitude : float
        The middle of the image, degrees, on the ellipsoid.
    lines, samples : int
        Size of the whole image; a product may hold a part of its lines.
    pixel_m : float
        Pixel size, metres; 10 in real products.
    direction : str
        ``ASC`` or ``DES``.
    platform, mode, product_type, ipf, absolute_orbit, relative_orbit, datatake
        As in the product's name and manifest; IPF ``002.72`` has the noise format before 2.90.
    middle : datetime
        When the middle line was seen.
    height : float
        Height of the ground above the ellipsoid in the geolocation grid, metres.
    middle_range : float
        Slant range of the middle column on the ellipsoid, metres.
    """

    longitude: float = 1.2
    latitude: float = 43.6
    lines: int = 400
    samples: int = 500
    pixel_m: float = 10.0
    direction: Literal["ASC", "DES"] = "DES"
    platform: str = "S1B"
    mode: str = "IW"
    product_type: str = "GRD"
    ipf: str = "003.40"
    absolute_orbit: int = 30148
    relative_orbit: int = 22
    datatake: int = 0x39993
    middle: dt.datetime = dt.datetime(2021, 12, 23, 6, 2, 14, 123456)
    height: float = 0.0
    middle_range: float = 880_000.0

    @cached_property
    def swath(self) -> Swath:
        """Where the pixels lie."""
        orbit = Orbit.over(self.longitude, self.latitude, self.middle_range, self.direction)
        return Swath(orbit, self.lines, self.samples, self.pixel_m, self.middle_range)


def write_product(
    folder: Path,
    acquisition: Acquisition,
    images: Mapping[str, NDArray[np.uint16]],
    *,
    lines: tuple[int, int] | None = None,
    archive: bool = False,
) -> Path:
    """Write a product.

    Parameters
    ----------
    folder : Path
        Where the product goes.
    acquisition : Acquisition
        What was seen, when and from where.
    images : mapping of str to ndarray of uint16, shape (lines, samples)
        Amplitudes of the whole acquisition by polarisation (``VV``, ``VH`` ...); 0 is nodata.
    lines : tuple of int, optional
        First line and the one after the last, for a slice of the acquisition.
    archive : bool
        A zip file in place of a folder.

    Returns
    -------
    Path
        ``<product>.SAFE``, or ``<product>.zip`` with that folder in it.
    """
    first, stop = lines or (0, acquisition.lines)
    part = ProductSlice(acquisition, first, stop - first, tuple(images))
    if archive:
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            safe = write_product(Path(staging), acquisition, images, lines=lines)
            return _zip(safe, folder / f"{part.name}.zip")
    safe = folder / f"{part.name}.SAFE"
    if safe.exists():
        shutil.rmtree(safe)
    (safe / "annotation" / "calibration").mkdir(parents=True)
    (safe / "measurement").mkdir()
    for polarisation, image in images.items():
        stem = part.stem(polarisation)
        documents = {
            f"annotation/{stem}.xml": annotation_xml(part, polarisation),
            f"annotation/calibration/calibration-{stem}.xml": calibration_xml(part, polarisation),
            f"annotation/calibration/noise-{stem}.xml": noise_xml(part, polarisation),
        }
        for name, text in documents.items():
            (safe / name).write_text(text, encoding="utf-8")
        _write_measurement(safe / "measurement" / f"{stem}.tiff", part, image[first:stop])
    (safe / "manifest.safe").write_text(manifest_xml(part), encoding="utf-8")
    return safe


def _write_measurement(path: Path, part: ProductSlice, image: NDArray[Any]) -> None:
    """Write amplitudes as ESA does: strips of one line, not compressed, ground control points."""
    points = [
        GroundControlPoint(row=line, col=pixel, x=lon, y=lat, z=height)
        for line, pixel, lon, lat, height in part.grid_points()
    ]
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint16", count=1, height=image.shape[0],
        width=image.shape[1], gcps=points, crs="EPSG:4326",
    ) as dataset:  # fmt: skip
        a = part.acquisition
        dataset.update_tags(
            TIFFTAG_IMAGEDESCRIPTION=f"Sentinel-{a.platform[1:]} {a.mode} {a.product_type} HR L1",
            TIFFTAG_SOFTWARE=f"Sentinel-1 IPF {a.ipf}",
        )
        dataset.write(image, 1)


def _zip(safe: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(safe.rglob("*")):
            archive.write(file, Path(safe.name, file.relative_to(safe)))
    return path
