"""Open Sentinel-2 products: Level-1C and Level-2A, old and new names, folders and zip files."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from affine import Affine

from candela.eo.projection import check_box, move_box, shown
from candela.eo.raster.grid import Area, Bounds, Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.raster.values import is_placed
from candela.eo.reference_system import reference_system
from candela.eo.s2.files import find_band_files, is_lone_item, pixel_size, read_facts
from candela.eo.s2.metadata import (
    BANDS,
    Metadata,
    ProductDocument,
    Radiometry,
    find_tile,
    read_geocoding,
    read_product_document,
    read_tile_id,
)
from candela.eo.safe import Safe, open_safe
from candela.errors import InputError, blamed_on

BASE_PIXEL_M = 10
REFERENCE_BAND = "B02"  # all bands are brought to the grid of the blue one
_PRODUCT_FILE = re.compile(
    r"(?:MTD_MSI(?:L1C|L2A).*|S2._(?:OPER|USER)_MTD_SAFL(?:1C|2A).*)\.xml", re.IGNORECASE
)
_PLAIN_FILES = {"MTD_MSIL1C.xml", "MTD_MSIL2A.xml"}  # others may be copies beside them
_EXPECTED = "MTD_MSIL1C.xml or MTD_MSIL2A.xml"
_OTHER_PRODUCT = re.compile(r"manifest\.safe|MTD_.*\.xml|xfdumanifest\.xml")
_GRANULE_FILE = re.compile(r"(?:MTD_TL|S2._(?:OPER|USER)_MTD_L(?:1C|2A)_TL.*)\.xml", re.IGNORECASE)
_IMAGE = re.compile(r".*_(?P<band>B\d[\dA]|SCL|TCI)(?:_(?P<pixel>10|20|60)m)?\.jp2", re.IGNORECASE)
_NATIVE_M = {"B01": 60, "B09": 60, "B10": 60} | dict.fromkeys(("B02", "B03", "B04", "B08"), 10)


@dataclass(frozen=True)
class ImageFile:
    """One image file of a granule.

    Attributes
    ----------
    name : str
        Path below the product's folder, for messages.
    location : str
        What GDAL opens.
    size : int
        Bytes.
    pixel_m : int
        Pixel size that the name promises, in metres.
    """

    name: str
    location: str
    size: int
    pixel_m: int


@dataclass(frozen=True)
class Granule:
    """The images of one tile of a product.

    Attributes
    ----------
    metadata : Metadata
        Names and dates.
    radiometry : Radiometry
        How digital numbers become reflectance.
    safe : Safe
        The files of the whole product.
    images : dict
        ``(band, pixel size in metres)`` to file; ``SCL`` counts as a band.
    masks : dict of str to ImageFile
        Files in ``QI_DATA``, by name.
    geocoding : dict of int to Grid
        Grids by pixel size as the tile's metadata has them; may be empty.
    """

    metadata: Metadata
    radiometry: Radiometry
    safe: Safe
    images: Mapping[tuple[str, int], ImageFile]
    masks: Mapping[str, ImageFile]
    geocoding: Mapping[int, Grid]

    def image(self, band: str, pixel_m: int) -> ImageFile:
        """Return the file of a band that suits a pixel size best.

        That is the one of exactly this size (Level-2A products have some bands in two or three),
        else the finest.

        Raises
        ------
        InputError
            If the band is missing, or its file is empty.
        """
        files = {pixel: file for (name, pixel), file in self.images.items() if name == band}
        if not files:
            present = ", ".join(sorted({name for name, _ in self.images})) or "none"
            hint = " (Level-2A has no B10)" if band == "B10" else ""
            raise InputError(
                f"band {band} is missing in {self.metadata.image_id}{hint}; images found: {present}"
            )
        file = files.get(pixel_m) or files[min(files)]
        if file.size == 0:
            raise InputError(f"band {band} is empty: {file.name} has 0 bytes")
        return file

    @property
    def coarsest(self) -> ImageFile:
        """The image of a band with the largest pixels, for a quick look."""
        _, band = max((pixel, name) for name, pixel in self.images if name in BANDS)
        return self.image(band, max(pixel for name, pixel in self.images if name == band))

    @cached_property
    def base_grid(self) -> Grid:
        """The 10 m grid of the blue band (where it is missing, of the finest band there is).

        Raises
        ------
        InputError
            If no band can be read, none tells where it lies, or the tile's metadata another place.
        """
        bands = sorted(
            {name for name, _ in self.images if name in BANDS}, key=lambda band: _native_m(band)
        )
        if not bands:
            raise InputError(f"{self.metadata.image_id} has no image of any band")
        band = REFERENCE_BAND if REFERENCE_BAND in bands else bands[0]
        file = self.image(band, BASE_PIXEL_M)
        grid = self.grid_of(file)
        self._check_place(file, grid)
        factor = _whole_ratio(grid.transform.a, BASE_PIXEL_M, file.name)
        rows, cols = grid.shape
        return Grid(
            grid.crs, grid.transform @ Affine.scale(1 / factor), Shape(rows * factor, cols * factor)
        )

    def grid(self, pixel_m: int) -> Grid:
        """Return the grid with another pixel size: same upper left, whole pixels only."""
        base = self.base_grid
        factor = pixel_m // BASE_PIXEL_M
        return Grid(
            base.crs,
            base.transform @ Affine.scale(factor),
            Shape(base.shape.rows // factor, base.shape.cols // factor),
        )

    def grid_of(self, file: ImageFile) -> Grid:
        """Return where an image lies: what the file says, else the tile's metadata.

        Raises
        ------
        InputError
            If the file cannot be read, or neither tells.
        """
        with open_image(file.location) as dataset:
            grid = Grid.of(dataset)
        if grid.crs is not None and is_placed(grid):
            return grid
        for known in self.geocoding.values():
            if known.shape == grid.shape:
                return known
        sizes = ", ".join(f"{g.shape.rows} x {g.shape.cols}" for g in self.geocoding.values())
        raise InputError(
            f"{file.name} has no georeference, and its size of {grid.shape.rows} x "
            f"{grid.shape.cols} pixels is none of the tile's (tile: {sizes or 'unknown'})"
        )

    def _check_place(self, file: ImageFile, grid: Grid) -> None:
        """Refuse an image that is not north up, or not where the tile's metadata has it."""
        numbers = tuple(grid.transform)[:6]
        if grid.transform.b or grid.transform.d or grid.transform.a <= 0 or grid.transform.e >= 0:
            raise InputError(f"{file.name} is not north up (transform {numbers}): warp it first")
        for known in self.geocoding.values():
            if known.shape == grid.shape and not known.matches(grid):
                raise InputError(
                    f"{file.name} lies in {grid.crs} at {numbers[2]:.10g}, {numbers[5]:.10g}; "
                    f"its tile's metadata says in {known.crs} at {known.transform.c:.10g}, "
                    f"{known.transform.f:.10g}"
                )


@dataclass(frozen=True)
class Product:
    """An opened product.

    Attributes
    ----------
    document : ProductDocument
        What its metadata file says.
    granules : tuple of Granule
        One for each tile; more than one only before the end of 2016.
    """

    document: ProductDocument
    granules: tuple[Granule, ...]

    def granule(self, area: Area | None = None) -> Granule:
        """Return the tile to work on.

        Parameters
        ----------
        area : Area, optional
            Chooses the tile if the product has several: the only one that contains it.

        Raises
        ------
        InputError
            If the choice is not clear: the message says what to give.
        """
        if len(self.granules) == 1:
            return self.granules[0]
        names = ", ".join(granule.metadata.tile_id for granule in self.granules)
        if area is None:
            raise InputError(
                f"{self.document.product_id} has {len(self.granules)} tiles ({names}): "
                "give an area of interest that lies in one of them"
            )
        fitting = [granule for granule in self.granules if _contains(granule.base_grid, area)]
        if not fitting:
            raise InputError(
                f"no tile of {self.document.product_id} contains the whole area of interest "
                f"{tuple(area.bounds)} in {area.crs} (tiles: {names}): give a smaller area"
            )
        return fitting[0]  # tiles overlap and show the same there


def granule_grid(granule: Granule, pixel_m: int, area: Area | None) -> Grid:
    """Return the grid of a granule, cut to an area and widened to whole pixels.

    Raises
    ------
    InputError
        If the area does not touch it.
    """
    grid = granule.grid(pixel_m)
    if area is None:
        return grid
    with blamed_on("area"):
        window = grid.window(area)
        if window.width == 0 or window.height == 0:
            covered = grid.bounds_in(area.crs)
            raise InputError(
                f"the area {shown(area.bounds)} in {area.crs} does not touch tile "
                f"{granule.metadata.tile_id}, which covers {shown(covered)}"
            )
    return grid.cut(window)


def open_product(path: Path) -> Product:
    """Open a Sentinel-2 product.

    Parameters
    ----------
    path : Path
        A ``.SAFE`` folder (whatever it is called), a folder with exactly one in it, or a zip file;
        or a folder or zip file with one GeoTIFF or JPEG 2000 for each band.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        If it is no Sentinel-2 Level-1C or Level-2A product, or a damaged one.
    """
    try:
        safe = open_safe(path, _PRODUCT_FILE, _EXPECTED)
    except InputError as error:
        loose = find_band_files(path, unless=_PRODUCT_FILE) if _is_listable(path) else None
        if loose is not None:
            return _open_files(*loose, None)
        _explain_other_product(path, error)
        raise
    documents = [name for name in sorted(safe.sizes) if _PRODUCT_FILE.fullmatch(name)]
    document_name = min(documents, key=lambda name: (name not in _PLAIN_FILES, name))
    document = read_product_document(
        safe.read_xml(document_name), document_name, safe.name.removesuffix(".SAFE")
    )
    folders = sorted(
        {"/".join(name.split("/")[:2]) for name in safe.sizes if name.count("/") >= 2
         and name.startswith("GRANULE/")}
    )  # fmt: skip
    if not folders:
        loose = find_band_files(path)
        if loose is not None:
            return _open_files(*loose, document)
        raise InputError(f"{safe.name} has no granule: there is nothing in its folder GRANULE")
    with_images = [folder for folder in folders if _has_images(safe, folder)]
    granules = (_open_granule(safe, folder, document) for folder in with_images or folders[:1])
    return Product(document, tuple(granules))


def _has_images(safe: Safe, folder: str) -> bool:
    """Tell whether a granule has any image: one without is what another program left behind."""
    return any(
        size and "/IMG_DATA/" in name and _IMAGE.fullmatch(PurePosixPath(name).name)
        for name, size in safe.sizes.items()
        if name.startswith(f"{folder}/")
    )


def _is_listable(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))


def _open_files(
    files: Safe, bands: dict[str, list[str]], beside: ProductDocument | None
) -> Product:
    """Open images that are no SAFE: one file for each band, or for each of its pixel sizes.

    The product's own document may lie beside them.
    """
    images: dict[tuple[str, int], ImageFile] = {}
    for band, names in bands.items():
        for name in names:
            pixel = pixel_size(files, name)
            if (band, pixel) in images:
                raise InputError(
                    f"{files.path.name} has several images of band {band} in {pixel} m: "
                    f"{images[band, pixel].name}, {name}"
                )
            images[band, pixel] = ImageFile(name, files.location(name), files.sizes[name], pixel)
    example = next(names[0] for band, names in bands.items() if band != "SCL")
    metadata, radiometry = read_facts(files, example, beside)
    granule = Granule(metadata, radiometry, files, images, {}, {})
    document = ProductDocument(
        product_id=metadata.product_id,
        sensing_time=metadata.sensing_time,
        relative_orbit=metadata.relative_orbit,
        platform=metadata.platform,
        level=metadata.level,
        processing_baseline=metadata.processing_baseline,
        radiometry=radiometry,
    )
    return Product(document, (granule,))


def _open_granule(safe: Safe, folder: str, document: ProductDocument) -> Granule:
    names = [name for name in safe.sizes if name.startswith(f"{folder}/")]
    images: dict[tuple[str, int], ImageFile] = {}
    masks: dict[str, ImageFile] = {}
    geocoding: dict[int, Grid] = {}
    tile_id = ""
    for name in sorted(names):
        base = PurePosixPath(name).name
        found = _IMAGE.fullmatch(base)
        if "/QI_DATA/" in name:
            masks[base] = ImageFile(name, safe.location(name), safe.sizes[name], 0)
        elif found and "/IMG_DATA/" in name:
            band = found["band"].upper()
            pixel = int(found["pixel"] or _native_m(band))
            file = ImageFile(name, safe.location(name), safe.sizes[name], pixel)
            key = band, pixel
            if key not in images or _is_listed(file, document):
                images[key] = file
        elif _GRANULE_FILE.fullmatch(base) and safe.sizes[name]:
            told = safe.read_xml(name)
            geocoding, tile_id = read_geocoding(told, name), read_tile_id(told)
    told_elsewhere = (folder, document.product_id, safe.name, *map(_base_name, images.values()))
    tile_id = next(filter(None, (tile_id, *map(find_tile, told_elsewhere))), "")
    metadata = document.metadata(tile_id)
    return Granule(metadata, document.radiometry, safe, images, masks, geocoding)


def _base_name(file: ImageFile) -> str:
    return PurePosixPath(file.name).name


def _is_listed(file: ImageFile, document: ProductDocument) -> bool:
    """Tell whether the product lists an image as its own, by its name at least."""
    return PurePosixPath(file.name).stem in document.image_names


def _explain_other_product(path: Path, cause: InputError) -> None:
    """Raise an error that names the product, if it is one of another kind."""
    if is_lone_item(path):
        raise InputError(
            f"{path.name} is JSON, such as a STAC item, without images: give a folder or zip file "
            "with the item and one GeoTIFF or JPEG 2000 for each band"
        ) from cause
    kind = re.search(r"S1[A-D]_\w{2}_\w{4}|S2[A-D]_MSIL\w\w|S3[A-D]_\w{2}", path.name)
    if kind:
        raise InputError(
            f"{path.name} looks like a product {kind[0]}..., but has no file {_EXPECTED}; "
            "expected a Sentinel-2 Level-1C or Level-2A product"
        ) from cause
    try:
        open_safe(path, _OTHER_PRODUCT, "manifest.safe")
    except InputError:
        return
    raise InputError(
        f"{path.name} is a product, but not Sentinel-2 Level-1C or Level-2A: "
        f"it has no file {_EXPECTED}"
    ) from cause


def _native_m(band: str) -> int:
    return _NATIVE_M.get(band, 20)


def _whole_ratio(coarse: float, fine: float, name: str) -> int:
    """Return how often one pixel size contains another."""
    ratio = coarse / fine
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise InputError(f"{name} has pixels of {coarse:g} m, not a multiple of {fine:g} m")
    return round(ratio)


def _contains(grid: Grid, area: Area) -> bool:
    crs = reference_system(area.crs, "the area")
    check_box(area.bounds, crs, "the area")
    if grid.crs is None:
        return False
    whole = Bounds(*move_box(grid.bounds, grid.crs, crs, "the tile"))
    if not _lies_in(area.bounds, whole):
        return False
    return _lies_in(Bounds(*move_box(area.bounds, crs, grid.crs, "the area")), grid.bounds)


def _lies_in(inner: Bounds, outer: Bounds) -> bool:
    return (
        outer.left <= inner.left
        and outer.bottom <= inner.bottom
        and inner.right <= outer.right
        and inner.top <= outer.top
    )
