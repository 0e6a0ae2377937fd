"""The labels that a land-cover map has for patches."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject
from sqlalchemy.engine import Connection

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.raster.patches import Level, gather
from candela.eo.reference_system import reference_system
from candela.eo.texture.cells import cell_histograms
from candela.errors import NotFoundError
from candela.patches.query.selection import seen_by
from candela.patches.store.annotate import REFERENCE, LabelAssignment, annotate
from candela.patches.store.tables import GRID, PATCH, PRODUCT

LEAST_SHARE = 0.5  # of a patch that a class must cover to be its label
NOTHING = 0  # where the map has no data


def annotate_from_map(
    connection: Connection,
    owner: str,
    product: str,
    land_cover: Path,
    scheme: str,
    *,
    codes: Mapping[int, str] | None = None,
    least_share: float = LEAST_SHARE,
) -> int:
    """Label all patches of a product with what a map shows most of, in place of earlier ones.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    owner : str
        Who asks, and to whom the labels belong.
    product : str
        Its name.
    land_cover : Path
        A raster of classes in any reference system.
    scheme : str
        Of the labels.
    codes : mapping of int to str, optional
        From values of the raster to labels; by default the values are the codes.
    least_share : float
        Share of a patch that its class must cover; it becomes the confidence.

    Returns
    -------
    int
        How many patches have got a label.

    Raises
    ------
    NotFoundError
        If there is no such product, no such label, or the map does not touch the product.
    """
    query = sa.select(PRODUCT).where(PRODUCT.c.name == product, PRODUCT.c.owner == owner)
    row = connection.execute(query.where(seen_by(owner))).first()
    if row is None:
        raise NotFoundError(f"{owner!r} has no product {product!r}")
    grid = Grid(
        reference_system(row.crs, "the model"), Affine(*row.transform), Shape(row.rows, row.cols)
    )
    classes = _on_grid(land_cover, grid)
    values = np.unique(classes[classes != NOTHING])
    if not len(values):
        raise NotFoundError(f"{land_cover.name} shows nothing of {product!r}")
    names = codes or {int(value): str(value) for value in values}
    levels = [
        Level(level.size, Shape(level.rows, level.cols))
        for level in connection.execute(
            sa.select(GRID).where(GRID.c.product_id == row.id).order_by(GRID.c.size.desc())
        )
    ]
    labels: dict[int, list[LabelAssignment]] = {}
    shares = _shares(classes, values, levels[-1])
    for level in levels:
        of_level = gather(shares, level, levels[-1].size)
        places = sa.select(PATCH.c.id, PATCH.c.grid_row, PATCH.c.grid_col)
        places = places.where(PATCH.c.product_id == row.id, PATCH.c.size == level.size)
        for patch, patch_row, patch_col in connection.execute(places):
            best = int(of_level[:, patch_row, patch_col].argmax())
            share = float(of_level[best, patch_row, patch_col])
            known = share >= least_share and int(values[best]) in names
            labels[patch] = [LabelAssignment(names[int(values[best])], share)] if known else []
    annotate(connection, owner, scheme, labels, source=REFERENCE)
    return sum(bool(given) for given in labels.values())


def _on_grid(land_cover: Path, grid: Grid) -> NDArray[np.int32]:
    """Read a map onto a grid by nearest neighbour; 0 where it has no data."""
    with open_image(land_cover) as image:
        values = image.read(1)
        if image.nodata is not None:
            values = np.where(values == image.nodata, NOTHING, values)
        target = np.zeros(grid.shape, np.int32)
        reproject(
            values.astype(np.int32),
            target,
            src_transform=image.transform,
            src_crs=image.crs,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            src_nodata=NOTHING,
            dst_nodata=NOTHING,
            resampling=Resampling.nearest,
        )
    return target


def _shares(
    classes: NDArray[np.int32], values: NDArray[np.int32], cells: Level
) -> NDArray[np.float32]:
    """Return the share of each class in each of the smallest patches."""
    rows, cols = (count * cells.size for count in cells.shape)
    whole = classes[:rows, :cols]
    index = np.searchsorted(values, whole)
    return cell_histograms(index, len(values), cells.size, usable=whole != NOTHING)
