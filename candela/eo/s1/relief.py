"""What terrain does to a block of an orthorectified radar image."""

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.s1.geocoding import Geocoding
from candela.eo.s1.heights import Heights
from candela.eo.s1.terrain import HALO, facing, flattening_factor, local_incidence_angle, slopes

Singles = NDArray[np.float32]

MARGIN_M = 1500.0  # as far terrain of 1000 m is displaced towards the radar


def incidence_angles(geocoding: Geocoding, heights: Heights, window: Window) -> Singles:
    """Return local incidence angles.

    Parameters
    ----------
    geocoding : Geocoding
        Of the image onto the grid.
    heights : Heights
        Of the ground.
    window : Window
        A part of the grid.

    Returns
    -------
    ndarray, shape (window.height, window.width), float32
        Degrees, 0..180; NaN where the ground is not known.
    """
    ground = heights.read(geocoding.lattice.grid, _enlarge(window, HALO))
    view = geocoding.view
    return local_incidence_angle(
        slopes(ground, *view.pixel), view.directions(window, ground[1:-1, 1:-1])
    )


def flattening(geocoding: Geocoding, heights: Heights, window: Window) -> Singles:
    """Return what beta0 is divided by to become terrain-flattened gamma0.

    Parameters
    ----------
    geocoding, heights, window
        As for ``incidence_angles``.

    Returns
    -------
    ndarray, shape (window.height, window.width), float32
        See ``candela.eo.s1.terrain.flattening_factor``; NaN where it is not known.

    Notes
    -----
    Terrain up to 1.5 km around the window counts, where its heights are known.
    """
    view = geocoding.view
    margin = int(np.ceil(MARGIN_M / min(view.pixel)))
    wide = _enlarge(window, margin)
    ground = heights.read(geocoding.lattice.grid, _enlarge(wide, HALO))
    surface, ground = slopes(ground, *view.pixel), ground[1:-1, 1:-1].copy()
    area = facing(surface, view.directions(wide, ground))
    area *= np.float32(view.pixel.across * view.pixel.down)
    reference = view.lattice.spread(view.slant_areas.astype(np.float32), wide)
    factor = flattening_factor(*geocoding.positions(wide, ground), area, np.asarray(reference))
    return factor[margin:-margin, margin:-margin]


def _enlarge(window: Window, margin: int) -> Window:
    """Return a window with a margin; it may reach beyond the grid."""
    return Window(
        window.col_off - margin,
        window.row_off - margin,
        window.width + 2 * margin,
        window.height + 2 * margin,
    )
