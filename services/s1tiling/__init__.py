"""S1tiling: Sentinel-1 on exactly the grid of Sentinel-2 tiles."""

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.grid import Area
from candela.eo.raster.images import gdal_environment
from candela.eo.s1.heights import Dem, ProductHeights
from candela.eo.s1.orbit import StateVectors, read_orbit_file
from candela.eo.s1.product import Product, open_slices
from candela.eo.s1.speckle import Filter
from candela.eo.safe import read_document
from candela.errors import InputError, blamed_on

from .naming import Calibration, Treatment
from .selection import select_tiles
from .slices import open_all
from .tile import Tile, make_tile

logger = logging.getLogger(__name__)


def run(
    *,
    product: list[Path],
    tiles: list[str],
    area: Area | None,
    region: Path | None,
    polarisations: list[str],
    calibration: Calibration,
    noise_removal: bool,
    resolution: int,
    interpolation: Literal["bilinear", "bicubic"],
    speckle_filter: Filter | Literal["none"],
    filter_radius: int,
    looks: float,
    damping: float,
    incidence_angle: bool,
    dem: Path | None,
    geoid: Path | None,
    orbits: list[Path],
    minimum_coverage: float,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Put Sentinel-1 products onto the grid of Sentinel-2 tiles.

    Parameters
    ----------
    product : list of Path
        SAFEs, zip files or folders: slices of one datatake.
    tiles : list of str
        Ids; empty for all tiles that are covered.
    area : Area, optional
        Which of them.
    region : Path, optional
        Likewise, as polygons.
    polarisations : list of str
        Empty for all that there are.
    calibration, noise_removal, resolution, interpolation, speckle_filter, filter_radius, looks, \
damping, incidence_angle, minimum_coverage
        See process.yaml.
    dem : Path, optional
        A raster with heights of the ground; without it those of the product are taken.
    geoid : Path, optional
        A raster with what is to be added to them to have heights above the ellipsoid.
    orbits : list of Path
        Precise orbit files (``.EOF``, as they are or packed by zip or gzip); empty for the
        products' own orbit.
    workdir : Path
        Where the outputs go.
    progress : Progress
        Told what is under way.

    Returns
    -------
    dict of str to Path
        One image for each polarisation (``vv`` ...), ``border_mask``, ``preview``, ``metadata``,
        ``incidence_angle`` if it is wanted, and ``tiles`` (zip) with the images of further tiles.

    Raises
    ------
    InputError
        If products or tiles cannot be used; the message says why.
    """
    progress(0, "Reading the products' metadata")
    treatment = Treatment(
        calibration,
        noise_removal,
        resolution,
        interpolation,
        None if speckle_filter == "none" else speckle_filter,
        filter_radius,
        looks,
        damping,
        incidence_angle,
    )
    if dem is None and (treatment.is_flattened or incidence_angle):
        what = "gamma0_rtc" if treatment.is_flattened else "local incidence angles"
        raise InputError(f"{what} cannot be had without a DEM", "dem")
    with gdal_environment():
        with blamed_on("product"):
            products = open_slices(product)
        wanted = _choose(products[0], polarisations)
        ground = _open_dem(dem, geoid)
        vectors = [_read_orbit(path, products[0].platform) for path in orbits]
        shares = select_tiles(products, tiles, area, region, minimum_coverage)
        logger.info("%d slices, %s, tiles %s", len(products), wanted, ", ".join(shares))
        with (
            blamed_on("product"),
            open_all(
                products, wanted, treatment.quantity, vectors, workdir, noise_removal=noise_removal
            ) as slices,
        ):
            heights = ground or ProductHeights(*(item.annotation.grid for item in slices))
            made = []
            for number, name in enumerate(shares):
                step = part(progress, *(98 * n / len(shares) for n in (number, number + 1)))
                made.append(make_tile(name, slices, heights, treatment, workdir, step))
                if number:
                    _pack(workdir / "tiles.zip", made[-1])
    outputs = _outputs(made[0])
    outputs["metadata"] = output_file(
        workdir, made[0].mask.stem.removesuffix("_BorderMask"), ".json"
    )
    text = json.dumps(_facts(products, made, shares, treatment), indent=2)
    outputs["metadata"].write_text(text + "\n", encoding="utf-8")
    if len(made) > 1:
        outputs["tiles"] = workdir / "tiles.zip"
    progress(100, "Done")
    return outputs


def _choose(product: Product, polarisations: Sequence[str]) -> list[str]:
    """Return the polarisations that are wanted, co-polarised first."""
    missing = [name for name in polarisations if name not in product.polarisations]
    if missing:
        raise InputError(
            f"{product.name} has no polarisation {missing[0]} "
            f"(found: {', '.join(product.polarisations)})",
            "polarisations",
        )
    wanted = set(polarisations or product.polarisations)
    return [name for name in ("VV", "HH", "VH", "HV") if name in wanted]


def _open_dem(dem: Path | None, geoid: Path | None) -> Dem | None:
    if dem is None:
        if geoid is not None:
            raise InputError("a geoid is given without the DEM that it belongs to", "geoid")
        return None
    with blamed_on("dem"):
        return Dem(dem, geoid)


def _read_orbit(path: Path, platform: str) -> StateVectors:
    with blamed_on("orbits"):
        return read_orbit_file(read_document(path), platform, name=path.name)


def _outputs(tile: Tile) -> dict[str, Path]:
    images = {name.lower(): path for name, path in tile.images.items()}
    if tile.incidence is not None:
        images["incidence_angle"] = tile.incidence
    return images | {"border_mask": tile.mask, "preview": tile.preview}


def _pack(path: Path, tile: Tile) -> None:
    """Move the files of a tile into the zip file; they are compressed already."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for file in tile.files:
            archive.write(file, f"{tile.name}/{file.name}")
            file.unlink()


def _facts(
    products: Sequence[Product],
    made: Sequence[Tile],
    shares: Mapping[str, float],
    treatment: Treatment,
) -> dict[str, object]:
    """Return what was done, as JSON values."""
    return {
        "products": [item.name for item in products],
        "platform": products[0].platform,
        "relative_orbit": products[0].relative_orbit,
        "direction": products[0].direction,
        "start": products[0].start.isoformat(),
        "stop": products[-1].stop.isoformat(),
        "treatment": vars(treatment),
        "tiles": [
            {
                "tile": tile.name,
                "products": [item.name for item in tile.products],
                "files": [file.name for file in tile.files],
                "covered": round(shares[tile.name], 4),
                "valid_pixels": tile.valid,
            }
            for tile in made
        ],
    }
