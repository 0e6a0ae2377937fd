"""Open Sentinel-1 products: ground-range detected (GRD), interferometric wide swath, any IPF."""

import datetime as dt
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window

from candela.eo.file_names import output_file
from candela.eo.raster.grid import Shape
from candela.eo.raster.images import open_image
from candela.eo.s1.annotation import Annotation, read_annotation
from candela.eo.s1.manifest import Manifest
from candela.eo.safe import Safe, open_safe
from candela.errors import InputError

POLARISATIONS = ("VV", "VH", "HH", "HV")
MODE = "IW"
RELATIVE_ORBITS = 175
NODATA = 0
DIRECTIONS = {"ASCENDING": "ASC", "DESCENDING": "DES"}
_MARKER = re.compile(r"manifest\.safe")
_FILE = re.compile(
    r"(?P<kind>calibration-|noise-)?s1[a-d]-iw-grd-(?P<polarisation>vv|vh|hh|hv)-.*\.(?:xml|tiff)"
)
_EXPECTED = "expected a Sentinel-1 product of type GRD in mode IW"


@dataclass(frozen=True)
class ImageFiles:
    """The files of one polarisation, by their paths below the product's folder.

    Attributes
    ----------
    annotation, calibration, noise, measurement : str
        Empty where the product lacks the file.
    """

    annotation: str = ""
    calibration: str = ""
    noise: str = ""
    measurement: str = ""


@dataclass(frozen=True)
class Product:
    """An opened product: one slice of a datatake.

    Attributes
    ----------
    safe : Safe
        Its files.
    platform : str
        ``S1A`` to ``S1D``.
    absolute_orbit, relative_orbit : int
        The second 1..175.
    direction : str
        ``ASC`` or ``DES``.
    datatake : int
        What slices that belong together have in common.
    start, stop : datetime
        UTC, of the first and the last line.
    processor : tuple of int
        Version of ESA's processor: (3, 40) for IPF 003.40.
    outline : shapely polygon
        What it covers, degrees of longitude and latitude; longitudes go on beyond 180.
    images : mapping of str to ImageFiles
        By polarisation.
    """

    safe: Safe
    platform: str
    absolute_orbit: int
    relative_orbit: int
    direction: str
    datatake: int
    start: dt.datetime
    stop: dt.datetime
    processor: tuple[int, int]
    outline: shapely.Polygon
    images: Mapping[str, ImageFiles]

    @property
    def name(self) -> str:
        """The product's name without ``.SAFE``."""
        return self.safe.name.removesuffix(".SAFE").removesuffix(".zip")

    @cached_property
    def polarisations(self) -> tuple[str, ...]:
        """The polarisations that were measured and are here."""
        return tuple(name for name in POLARISATIONS if name in self.images)

    def annotation(self, polarisation: str) -> Annotation:
        """Read the annotation of a polarisation.

        Raises
        ------
        InputError
            If it is missing or damaged.
        """
        name = self.file(polarisation, "annotation")
        return read_annotation(self.safe.read(name), name=self.called(polarisation, "annotation"))

    def file(self, polarisation: str, kind: str) -> str:
        """Return the path of a file below the product's folder.

        Parameters
        ----------
        polarisation : str
            ``VV``, ``VH``, ``HH`` or ``HV``.
        kind : str
            ``annotation``, ``calibration``, ``noise`` or ``measurement``.

        Raises
        ------
        InputError
            If it is missing.
        """
        if polarisation not in self.images:
            found = ", ".join(self.polarisations)
            raise InputError(f"{self.name} has no polarisation {polarisation} (found: {found})")
        name = str(getattr(self.images[polarisation], kind))
        if not name:
            raise InputError(f"{self.name} lacks the {kind} file of polarisation {polarisation}")
        return name

    def called(self, polarisation: str, kind: str) -> str:
        """Return how messages call a file; see ``file``."""
        return f"{self.file(polarisation, kind)} of {self.name}"

    def document(self, polarisation: str, kind: str) -> Element:
        """Return the root of one of the XML files of a polarisation; see ``file``."""
        return self.safe.read_xml(self.file(polarisation, kind))


def open_product(path: Path) -> Product:
    """Open a Sentinel-1 product.

    Parameters
    ----------
    path : Path
        A ``.SAFE`` folder (whatever it is called), a folder with exactly one in it, or a zip file.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        If it is no Sentinel-1 GRD product of mode IW, or a damaged one; the message says what it
        is.
    """
    safe = open_safe(path, _MARKER, "manifest.safe")
    manifest = Manifest(safe.read_xml("manifest.safe"), safe.name)
    _check_kind(manifest, safe.name)
    start, stop = manifest.time("startTime"), manifest.time("stopTime")
    if stop <= start:
        raise InputError(
            f"manifest.safe of {safe.name}: stopTime is {stop}, expected a time after startTime, "
            f"{start}"
        )
    images = _find_images(safe)
    if not images:
        raise InputError(f"{safe.name} has no measurement: there is no file measurement/s1*.tiff")
    return Product(
        safe=safe,
        platform="S1" + manifest.one_of("platform/number", ("A", "B", "C", "D")),
        absolute_orbit=manifest.integer("orbitNumber"),
        relative_orbit=manifest.integer("relativeOrbitNumber", most=RELATIVE_ORBITS),
        direction=DIRECTIONS[manifest.one_of("pass", tuple(DIRECTIONS))],
        datatake=manifest.integer("missionDataTakeID"),
        start=start,
        stop=stop,
        processor=manifest.processor,
        outline=manifest.outline,
        images=images,
    )


def open_slices(paths: Sequence[Path]) -> list[Product]:
    """Open products that are slices of one datatake.

    Returns
    -------
    list of Product
        In order of time; of equal ones the first.

    Raises
    ------
    InputError
        If one cannot be opened, or they do not belong together: the message says why not.
    """
    products = sorted((open_product(path) for path in paths), key=lambda product: product.start)
    for first, second in pairwise(products):
        for what, one, other in (
            ("platforms", first.platform, second.platform),
            ("relative orbits", first.relative_orbit, second.relative_orbit),
            ("directions of flight", first.direction, second.direction),
            ("datatakes", f"{first.datatake:06X}", f"{second.datatake:06X}"),
            ("polarisations", first.polarisations, second.polarisations),
        ):
            if one != other:
                raise InputError(
                    f"the products are no slices of one datatake: {first.name} and {second.name} "
                    f"have different {what} ({_shown(one)}, {_shown(other)})"
                )
        if first.start == second.start:
            raise InputError(f"{first.name} and {second.name} show the same slice")
    return products


@contextmanager
def open_measurement(
    product: Product, polarisation: str, annotation: Annotation, folder: Path
) -> Iterator["Measurement"]:
    """Open the amplitudes of a polarisation.

    Parameters
    ----------
    product : Product
    polarisation : str
    annotation : Annotation
        Says the size.
    folder : Path
        An image in a zip file is unpacked to here and removed at the end, so that it can be read
        in parts.

    Raises
    ------
    InputError
        If it is missing, damaged, or not of the annotation's size.
    """
    name = product.file(polarisation, "measurement")
    unpacked = output_file(folder, name)
    archive = product.safe.archive
    try:
        if archive is not None:
            archive.unpack(product.safe.inside(name), unpacked)
        location = product.safe.location(name) if archive is None else str(unpacked)
        with _without_georeference(), open_image(location) as dataset:
            found, expected = dataset.shape, (annotation.lines, annotation.samples)
            if found != expected or dataset.count != 1 or dataset.dtypes[0] != "uint16":
                raise InputError(
                    f"{name} of {product.name} has {found[0]} x {found[1]} pixels of type "
                    f"{dataset.dtypes[0]}, expected {expected[0]} x {expected[1]} of type uint16"
                )
            yield Measurement(dataset, f"{name} of {product.name}")
    finally:
        unpacked.unlink(missing_ok=True)


@dataclass(frozen=True)
class Measurement:
    """The amplitudes of one polarisation; only one thread may read.

    Attributes
    ----------
    dataset : rasterio dataset
    name : str
        What messages call it.
    """

    dataset: rasterio.DatasetReader
    name: str

    @property
    def shape(self) -> Shape:
        """Lines and samples."""
        return Shape(self.dataset.height, self.dataset.width)

    def read(self, window: Window) -> NDArray[np.uint16]:
        """Read digital numbers, shape (lines, pixels); 0 is nodata.

        Raises
        ------
        InputError
            If the file ends too early or is damaged.
        """
        try:
            numbers: NDArray[np.uint16] = self.dataset.read(1, window=window)
        except RasterioIOError as error:
            raise InputError(
                f"{self.name} cannot be read at lines {int(window.row_off)} to "
                f"{int(window.row_off + window.height) - 1}: it is truncated or damaged"
            ) from error
        return numbers


@contextmanager
def _without_georeference() -> Iterator[None]:
    """Accept images that do not tell where they lie: the annotation does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _find_images(safe: Safe) -> dict[str, ImageFiles]:
    """Return the files of each polarisation that has a measurement."""
    found: dict[str, dict[str, str]] = {}
    for name in sorted(safe.sizes):
        match = _FILE.fullmatch(PurePosixPath(name).name.lower())
        folder = name.split("/")[0]
        if match and folder in {"annotation", "measurement"}:
            kind = (match["kind"] or folder).removesuffix("-")
            found.setdefault(match["polarisation"].upper(), {})[kind] = name
    return {
        polarisation: ImageFiles(**files)
        for polarisation, files in found.items()
        if "measurement" in files
    }


def _check_kind(manifest: Manifest, name: str) -> None:
    family = manifest.find("platform/familyName") or "unknown"
    kind = manifest.find("productType") or name[7:10].strip("_") or "unknown"
    mode = manifest.find("mode") or name[4:6]
    if not family.upper().startswith("SENTINEL-1"):
        raise InputError(f"{name} is of the mission {family}; {_EXPECTED}")
    if kind != "GRD" or mode != MODE:
        raise InputError(f"{name} is of type {kind} in mode {mode}; {_EXPECTED}")


def _shown(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)
