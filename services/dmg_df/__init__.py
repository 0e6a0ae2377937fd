"""DMG-DF: the patch model of one Sentinel-1 and Sentinel-2 pair, in files and in a database."""

import json
import logging
from pathlib import Path

from candela.eo.progress import Progress, part
from candela.eo.raster.images import gdal_environment
from candela.eo.raster.patches import SIZES, quad_tree
from candela.errors import InputError
from candela.patches.store.database import open_database
from candela.patches.store.load import store_model
from candela.patches.store.model import PatchModel
from candela.patches.store.target import NOBODY, PatchTarget

from .feature_sets import USUAL
from .geopackage import write_geopackage
from .model import build_model
from .pair import Pair, open_pair
from .quicklooks import add_quicklooks, write_archive, write_contact_sheet

logger = logging.getLogger(__name__)

MIDDLE_SIZE = 120  # pixels; quick-looks are of this size, or else of the largest


def run(
    *,
    s1: list[Path],
    s2: Path,
    s2_mask: Path | None,
    s1_unit: str,
    sizes: list[int],
    features: list[str],
    least_usable: float,
    bands: list[str],
    name: str | None,
    owner: str | None,
    visibility: str,
    patches: PatchTarget,
    workdir: Path,
    progress: Progress,
) -> dict[str, Path]:
    """Make a patch model and put it into the operator's database, where there is one.

    Parameters
    ----------
    s1 : list of Path
        One image with the bands VV and VH, or one of each.
    s2 : Path
        The ten bands of 10 m and 20 m as Jpeg2Tiff makes them, on the same grid.
    s2_mask : Path, optional
        0 where pixels can be used, on the same grid.
    s1_unit, sizes, features, least_usable, visibility
        See process.yaml.
    bands : list of str
        Names of the bands of ``s2``, in their order; empty where it tells them.
    name : str, optional
        What the model is called; a model of the same name and owner is replaced.
    owner : str, optional
        Whose it is; where the gateway knows who asks, nobody else.
    patches : PatchTarget
        The operator's patch database and the user who asks; without a database the model goes into
        files only.
    workdir : Path
        Where the outputs go.
    progress : Progress

    Returns
    -------
    dict of str to Path
        ``model`` (GeoPackage), ``quicklooks`` (zip), ``sheet`` (PNG) and ``summary`` (JSON).

    Raises
    ------
    InputError
        If the images do not belong together, or nothing of them can be used.
    StorageError
        If the database refuses.
    """
    responsible = _owner(patches, owner)
    with gdal_environment(), open_pair(s1, s2, s2_mask, unit=s1_unit, names=bands) as pair:
        levels = quad_tree(pair.grid.shape, sizes or _fitting_sizes(pair))
        model = build_model(
            pair,
            levels,
            features or USUAL,
            name=name or f"{pair.s2.name} {pair.s1.name}",
            least_usable=least_usable / 100,
            progress=part(progress, 1, 60),
        )
        shown = MIDDLE_SIZE if (model.patches.size == MIDDLE_SIZE).any() else model.patches.size[0]
        add_quicklooks(pair, model, int(shown), part(progress, 60, 75))
    progress(75, "writing files")
    outputs = _write_files(workdir, model)
    product = None
    if patches.url:
        progress(85, "writing to the database")
        product = _store(patches.url, model, responsible, visibility)
    summary = _summary(pair, model, responsible, visibility, product)
    outputs["summary"].write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    progress(100, f"{len(model.patches)} patches")
    return outputs


def _owner(patches: PatchTarget, named: str | None) -> str:
    if patches.owner and named not in {None, "", patches.owner}:
        raise InputError(f"the owner can be nobody but {patches.owner!r}, who asks", "owner")
    return patches.owner or named or NOBODY


def _fitting_sizes(pair: Pair) -> list[int]:
    """Return the usual sizes without those that the image has no room for."""
    return [size for size in SIZES if size <= min(pair.grid.shape)] or [SIZES[-1]]


def _write_files(workdir: Path, model: PatchModel) -> dict[str, Path]:
    outputs = {
        "model": workdir / "model.gpkg",
        "quicklooks": workdir / "quicklooks.zip",
        "sheet": workdir / "contact_sheet.png",
        "summary": workdir / "summary.json",
    }
    write_geopackage(outputs["model"], model)
    write_archive(outputs["quicklooks"], model)
    write_contact_sheet(outputs["sheet"], model)
    return outputs


def _store(url: str, model: PatchModel, owner: str, visibility: str) -> int:
    database = open_database(url)
    try:
        return store_model(database, model, owner=owner, visibility=visibility)
    finally:
        database.close()


def _summary(
    pair: Pair, model: PatchModel, owner: str, visibility: str, product: int | None
) -> dict[str, object]:
    return {
        "name": model.name,
        "owner": owner,
        "visibility": visibility,
        "product": product,
        "s1": {"name": model.s1.name, "time": _iso(model.s1.time), "in_decibel": pair.is_decibel},
        "s2": {"name": model.s2.name, "time": _iso(model.s2.time)},
        "crs": str(pair.grid.crs),
        "transform": list(pair.grid.transform)[:6],
        "levels": [
            {
                "size": level.size,
                "rows": level.shape.rows,
                "cols": level.shape.cols,
                "patches": int((model.patches.size == level.size).sum()),
            }
            for level in model.levels
        ],
        "quicklooks": len(model.quicklooks),
        "feature_sets": [
            {
                "name": record.name,
                "version": record.version,
                "sensor": record.sensor,
                "dimension": record.dimension,
                "reference": record.reference,
            }
            for record in model.feature_sets
        ],
    }


def _iso(time: object) -> str | None:
    return str(time) if time is not None else None
