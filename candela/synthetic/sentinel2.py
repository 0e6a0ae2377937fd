"""Write Sentinel-2 products: SAFE folders or zip files with JPEG 2000 bands and metadata."""

import datetime as dt
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import shapes

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.threads import thread_count
from candela.synthetic.scene import EARLY, LATE, Scene, Weather, make_pair
from candela.synthetic.sentinel2_names import OFFSET, Identity, granule_xml, product_xml

TILE = "31TCJ"
TILE_CORNER = (300_000, 4_900_020)  # left and top of the tile in EPSG:32631, metres
JPEG_BLOCKS = {10: 1024, 20: 640, 60: 192}  # as in ESA's files
TIME_OF_DAY = dt.time(10, 50, 31)


@dataclass(frozen=True)
class Tile:
    """The images of one granule.

    Attributes
    ----------
    name : str
        Five characters, such as ``31TCJ``.
    grid : Grid
        The lattice of the 10 m bands.
    bands : mapping of str to ndarray of uint16
        Digital numbers of each band at its own pixel size; 0 is nodata.
    classification : ndarray of uint8, optional
        Scene classification, 20 m; becomes ``SCL`` (Level-2A) or the cloud mask (Level-1C).
    """

    name: str
    grid: Grid
    bands: Mapping[str, NDArray[np.uint16]]
    classification: NDArray[np.uint8] | None = None


class DemoProducts(NamedTuple):
    """Two products of one tile and a GeoTIFF of what changed between them."""

    before: Path
    after: Path
    truth: Path


def make_products(
    folder: Path,
    *,
    seed: int = 3,
    size: int = 1098,
    level: Literal["L1C", "L2A"] = "L2A",
    archive: bool = True,
    early: Weather = EARLY,
    late: Weather = LATE,
    baselines: tuple[str, str] = ("02.14", "04.00"),
) -> DemoProducts:
    """Write two synthetic products of one place, and the truth.

    Parameters
    ----------
    folder : Path
        Where to; made if need be.
    seed, size
        As in ``scene.make_pair``; 1098 pixels are 11 km, 10980 a full tile.
    level : str
        ``L1C`` or ``L2A``.
    archive : bool
        Zip files in place of folders.
    early, late : Weather
        How each date is seen.
    baselines : tuple of str
        Processing baseline of each product; from 04.00 on digital numbers have an offset.

    Returns
    -------
    DemoProducts
    """
    folder.mkdir(parents=True, exist_ok=True)
    pair = make_pair(seed=seed, size=size, early=early, late=late, top=level == "L1C")
    grid = demo_grid(size)
    paths = []
    for scene, weather, baseline in zip(
        (pair.before, pair.after), (early, late), baselines, strict=True
    ):
        sensing = dt.datetime.combine(weather.day, TIME_OF_DAY, dt.UTC)
        identity = Identity(sensing, level=level, baseline=baseline)
        paths.append(
            write_safe(folder, identity, [tile_of(scene, grid, identity)], archive=archive)
        )
    truth = folder / "truth.tif"
    with create_image(truth, grid, dtype="uint8", nodata=255, bands=["change"]) as image:
        image.write(pair.truth, 1)
    return DemoProducts(paths[0], paths[1], truth)


def demo_grid(size: int) -> Grid:
    """Return a grid of 10 m at the upper left of the demo's tile."""
    left, top = TILE_CORNER
    return Grid(CRS.from_epsg(32631), Affine(10, 0, left, 0, -10, top), Shape(size, size))


def tile_of(scene: Scene, grid: Grid, identity: Identity) -> Tile:
    """Turn the reflectances of a scene into the digital numbers of a product."""
    shift = np.uint16(-OFFSET if identity.has_offset else 0)
    bands = {name: values + shift for name, values in scene.bands.items()}
    return Tile(TILE, grid, bands, scene.classification)


def write_safe(
    folder: Path, identity: Identity, tiles: Sequence[Tile], *, archive: bool = False
) -> Path:
    """Write a product.

    Parameters
    ----------
    folder : Path
        Where the product goes.
    identity : Identity
        What it is called; says the level, the baseline and the naming.
    tiles : sequence of Tile
        One; several only with the old naming.
    archive : bool
        A zip file in place of a folder.

    Returns
    -------
    Path
        ``<product>.SAFE``, or ``<product>.zip`` with that folder in it.
    """
    product = identity.product.format(tile=tiles[0].name)
    if archive:
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            safe = write_safe(Path(staging), identity, tiles)
            return _zip(safe, folder / f"{product}.zip")
    safe = folder / f"{product}.SAFE"
    if safe.exists():
        shutil.rmtree(safe)
    with ThreadPoolExecutor(thread_count()) as pool:
        images = {
            tile_id: list(pool.map(lambda job: _write_jpeg2000(*job), jobs))
            for tile_id, jobs in ((tile.name, _images(safe, identity, tile)) for tile in tiles)
        }
    for tile in tiles:
        _write_granule_metadata(safe, identity, tile)
    listed = {
        identity.granule(name): [
            path.relative_to(safe).with_suffix("").as_posix() for path in paths
        ]
        for name, paths in images.items()
    }
    (safe / identity.product_metadata).write_text(
        product_xml(identity, product, listed), encoding="utf-8"
    )
    (safe / "manifest.safe").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" '
        'version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_user_product"/>\n',
        encoding="utf-8",
    )
    return safe


def _images(
    safe: Path, identity: Identity, tile: Tile
) -> Iterator[tuple[Path, NDArray[Any], Grid, int]]:
    """List the images of a granule: path, pixels, grid, pixel size."""
    granule = safe / "GRANULE" / identity.granule(tile.name)
    for band, values in tile.bands.items():
        if identity.level == "L2A" and band == "B10":
            continue  # the atmosphere's band has no surface reflectance
        pixel = 10 * tile.grid.shape.rows // values.shape[0]
        yield granule / identity.image(tile.name, band, pixel), values, _coarse(tile, pixel), pixel
        if identity.level == "L2A" and pixel == 10 and band != "B08":
            half = _halve(values)
            yield granule / identity.image(tile.name, band, 20), half, _coarse(tile, 20), 20
    if tile.classification is None:
        return
    if identity.level == "L2A":
        path = granule / identity.image(tile.name, "SCL", 20)
        yield path, tile.classification, _coarse(tile, 20), 20
    elif identity.has_offset:
        path = granule / "QI_DATA" / "MSK_CLASSI_B00.jp2"
        yield path, _flags(tile.classification), _coarse(tile, 60), 60


def _coarse(tile: Tile, pixel: int) -> Grid:
    factor = pixel // 10
    rows, cols = tile.grid.shape
    transform = tile.grid.transform @ Affine.scale(factor)
    return Grid(tile.grid.crs, transform, Shape(rows // factor, cols // factor))


def _halve(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    shape = (values.shape[1] // 2, values.shape[0] // 2)
    half = cv2.resize(values, shape, interpolation=cv2.INTER_AREA)
    half[cv2.resize((values == 0).astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST) > 0] = 0
    return np.asarray(half, dtype=np.uint16)


def _flags(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return opaque cloud, cirrus and snow at 60 m, shape (3, rows, cols), 1 where present."""
    coarse = classes[1::3, 1::3]
    return np.stack([np.isin(coarse, [8, 9]), coarse == 10, coarse == 11]).astype(np.uint8)


def _write_jpeg2000(path: Path, values: NDArray[Any], grid: Grid, pixel: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = values if values.ndim == 3 else values[None]
    bits = {"NBITS": 15} if values.dtype == np.uint16 and values.max() < 2**15 else {}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", dtype=values.dtype, count=len(planes),
        height=grid.shape.rows, width=grid.shape.cols, crs=grid.crs, transform=grid.transform,
        quality=100, reversible="YES", ycbcr420="NO", resolutions=5,
        blockxsize=JPEG_BLOCKS[pixel], blockysize=JPEG_BLOCKS[pixel], **bits,
    ) as image:  # fmt: skip
        image.write(planes)
    return path


def _write_granule_metadata(safe: Path, identity: Identity, tile: Tile) -> None:
    granule = safe / "GRANULE" / identity.granule(tile.name)
    (granule / identity.granule_metadata(tile.name)).write_text(
        granule_xml(identity, tile.name, tile.grid), encoding="utf-8"
    )
    if tile.classification is not None and identity.level == "L1C" and not identity.has_offset:
        path = granule / "QI_DATA" / "MSK_CLOUDS_B00.gml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_cloud_gml(tile), encoding="utf-8")


def _cloud_gml(tile: Tile) -> str:
    """Return the outlines of clouds, as products before baseline 04.00 have them."""
    classes = tile.classification
    assert classes is not None
    members = []
    for kind, wanted in (("OPAQUE", [8, 9]), ("CIRRUS", [10])):
        mask = np.isin(classes, wanted)
        outlines = shapes(mask.astype(np.uint8), mask=mask, transform=_coarse(tile, 20).transform)
        for index, (geometry, _) in enumerate(outlines):
            rings = [
                f'<gml:{side}><gml:LinearRing><gml:posList srsDimension="2">'
                + " ".join(f"{x:.0f} {y:.0f}" for x, y in ring)
                + f"</gml:posList></gml:LinearRing></gml:{side}>"
                for side, ring in zip(
                    ["exterior"] + ["interior"] * len(geometry["coordinates"]),
                    geometry["coordinates"],
                    strict=False,
                )
            ]
            members.append(
                f'<eop:MaskFeature gml:id="{kind}.{index}"><eop:maskType>{kind}</eop:maskType>'
                f'<eop:extentOf><gml:Polygon gml:id="{kind}.{index}_Polygon">{"".join(rings)}'
                "</gml:Polygon></eop:extentOf></eop:MaskFeature>"
            )
    inside = f"<eop:maskMembers>{''.join(members)}</eop:maskMembers>" if members else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
        'xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="MSK_CLOUDS">'
        f"<gml:name>MSK_CLOUDS pixels mask</gml:name>{inside}</eop:Mask>\n"
    )


def _zip(safe: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in sorted(safe.rglob("*")):
            file.write(path, path.relative_to(safe.parent))
    return target
