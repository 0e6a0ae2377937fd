"""Which tiles are to be made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from candela.eo.raster.grid import Area
from candela.eo.s1.product import Product
from candela.eo.s2.tiles import known_tile, outline_of, tiles_over, to_degrees
from candela.eo.vector.files import read_features
from candela.errors import InputError, blamed_on

TOUCHES = 1e-4  # share of a tile below which outlines, which are coarse, say nothing


def select_tiles(
    products: Sequence[Product],
    names: Sequence[str],
    area: Area | None,
    region: Path | None,
    minimum_coverage: float,
) -> dict[str, float]:
    """Choose the tiles.

    Parameters
    ----------
    products : sequence of Product
    names : sequence of str
        Ids of tiles; empty for all in the areas of interest.
    area : Area, optional
    region : Path, optional
        A vector file with polygons.
    minimum_coverage : float
        Share of a tile that products must cover, percent.

    Returns
    -------
    dict of str to float
        The share of each tile that the outlines of the products cover, 0..1: in the order of
        ``names``, else those covered most first.

    Raises
    ------
    InputError
        If there are none, or a named one is not covered: the message says which are.
    """
    covered = {
        name: share
        for name, share in tiles_over(shapely.union_all([p.outline for p in products])).items()
        if share > TOUCHES
    }
    enough = {name: share for name, share in covered.items() if share >= minimum_coverage / 100}
    if names:
        with blamed_on("tiles"):
            return _named(names, covered, minimum_coverage)
    if not enough:
        raise InputError(
            f"the products cover no tile by {minimum_coverage:g} % (covered: {_shown(covered)})",
            "minimum_coverage",
        )
    for locator, shape in (
        ("area", _outline_of_area(area) if area else None),
        ("region", _outline_of_file(region) if region else None),
    ):
        if shape is not None:
            wanted = tiles_over(shape)
            enough = {name: share for name, share in enough.items() if name in wanted}
            if not enough:
                raise InputError(
                    f"no tile in the area of interest is covered by {minimum_coverage:g} % or more "
                    f"(covered: {_shown(covered)})",
                    locator,
                )
    return dict(sorted(enough.items(), key=lambda item: -item[1]))


def _outline_of_area(area: Area) -> shapely.Polygon:
    with blamed_on("area"):
        return outline_of(area)


def _outline_of_file(path: Path) -> shapely.Geometry:
    with blamed_on("region"):
        crs, features = read_features(path)
        shapes = [feature.geometry for feature in features if feature.geometry is not None]
        polygons = shapely.union_all(shapely.make_valid(np.array(shapes)))
        if polygons.area == 0:
            raise InputError(f"{path.name} has no polygons")
        return to_degrees(polygons, crs)


def _named(
    names: Sequence[str], covered: dict[str, float], minimum_coverage: float
) -> dict[str, float]:
    chosen = {}
    for name in map(known_tile, names):
        share = covered.get(name, 0.0)
        if not share:
            raise InputError(f"the products do not cover tile {name} (covered: {_shown(covered)})")
        if share < minimum_coverage / 100:
            raise InputError(
                f"the products cover {100 * share:.1f} % of tile {name}, less than the "
                f"{minimum_coverage:g} % asked for"
            )
        chosen[name] = share
    return chosen


def _shown(shares: dict[str, float]) -> str:
    most_first = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in most_first) or "none"
