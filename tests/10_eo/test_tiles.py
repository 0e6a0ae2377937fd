from collections import Counter, defaultdict

import numpy as np
import pytest
import shapely
from rasterio.warp import transform

from candela.eo.raster.grid import Area, Bounds
from candela.eo.s2.tiles import (
    outline_of,
    pack_ids,
    tile_corner,
    tile_grid,
    tile_ids,
    tile_outline,
    tiles_over,
    unpack_ids,
)
from candela.errors import InputError

# Upper left corners as products of Sentinel-2 have them in their metadata.
KNOWN_CORNERS = {
    "30TYQ": (32630, 699960, 5000040),
    "31TCJ": (32631, 300000, 4900020),
    "33XVP": (32633, 399960, 9400020),
    "29RKH": (32629, 199980, 2800020),
    "31TDH": (32631, 399960, 4800000),
    "46RER": (32646, 499980, 3100020),
}


@pytest.mark.parametrize("tile", KNOWN_CORNERS)
def test_corners_are_those_of_real_products(tile):
    assert tile_corner(tile) == KNOWN_CORNERS[tile]


def test_the_name_may_have_a_t_before_it_and_small_letters():
    assert tile_corner(" t31tcj ") == KNOWN_CORNERS["31TCJ"]


def test_a_tile_is_10980_pixels_of_10_m():
    grid = tile_grid("31TCJ")
    assert (grid.crs.to_epsg(), grid.shape) == (32631, (10980, 10980))
    assert grid.bounds == Bounds(300000, 4790220, 409800, 4900020)


@pytest.mark.parametrize("tile", ["33XVP", "01CCV", "19HBD", "56HLH", "22MHE"])
def test_a_coarser_grid_has_the_same_bounds(tile):
    assert tile_grid(tile, 100).bounds == tile_grid(tile).bounds


def test_corners_of_the_south_lie_on_the_lattice_of_the_equator():
    southern = [tile_corner(name) for name in sorted(tile_ids()) if name[2] < "N"][::97]
    assert {corner.epsg // 100 for corner in southern} == {327}
    assert {corner.top_from_equator % 60 for corner in southern} == {0}
    assert {corner.left % 60 for corner in southern} == {0}
    assert max(corner.top for corner in southern) <= 10_000_000 + 100_020


@pytest.mark.parametrize("name", ["31TC", "31ICJ", "61TCJ", "31TAA", "nonsense", "31TCJ5"])
def test_what_is_no_tile_is_refused(name):
    with pytest.raises(InputError, match="tile"):
        tile_corner(name)


def test_pixels_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="pixels of 7 m"):
        tile_grid("31TCJ", 7)


def test_ids_survive_packing():
    ids = sorted(tile_ids())
    assert list(unpack_ids(pack_ids(ids))) == ids
    assert len(ids) == 56_686


def test_the_middle_of_a_tile_lies_in_that_tile():
    for name in sorted(tile_ids())[::499]:
        assert name in tiles_over(tile_outline(name).centroid.buffer(0.05))


def test_an_area_at_a_border_of_zones_has_tiles_of_both():
    shares = tiles_over(shapely.box(6.2, 48.0, 6.4, 48.1))
    assert {name[:2] for name in shares} == {"31", "32"}


def test_the_widened_zone_32v_reaches_far_west():
    shares = tiles_over(shapely.box(3.4, 60.3, 3.6, 60.4))
    assert {name[:3] for name in shares} <= {"31V", "32V"}
    assert any(name.startswith("32V") for name in shares)


def test_shares_are_those_of_the_tile_that_lie_in_the_area():
    corner = tile_corner("31TCJ")
    half = Bounds(corner.left, corner.top - 109_800, corner.left + 54_900, corner.top)
    shares = tiles_over(outline_of(Area(half, "EPSG:32631")))
    assert shares["31TCJ"] == pytest.approx(0.5, abs=1e-4)
    assert list(shares) == sorted(shares)


def test_an_area_across_the_antimeridian_has_tiles_on_both_sides():
    shares = tiles_over(shapely.box(178.0, 66.0, 182.0, 66.5))
    assert {name[:2] for name in shares} == {"01", "60"}


def test_an_area_near_the_pole_has_no_tiles():
    assert tiles_over(shapely.box(-30.5, 86.0, -30.0, 86.5)) == {}


def test_tiles_north_and_south_of_the_equator_are_found():
    shares = tiles_over(shapely.box(10.0, -0.2, 10.3, 0.2))
    assert {name[2] for name in shares} == {"M", "N"}


def test_an_area_that_is_nowhere_is_refused():
    with pytest.raises(InputError, match="nowhere on the Earth"):
        outline_of(Area(Bounds(1e12, 0, 2e12, 1e6), "EPSG:32631"))


@pytest.fixture(scope="module")
def published_grid(shared_data):
    """Return the ids and outlines of the tiling grid as it was published."""
    import pyogrio

    file = shared_data("s2-mgrs-grid") / "s2_mgrs_tiles_world.gpkg.zip"
    _, _, outlines, fields = pyogrio.raw.read(f"/vsizip/{file}")
    return fields[0].astype(str), shapely.from_wkb(outlines)


def test_the_shipped_ids_are_those_of_the_published_grid(published_grid):
    names, _ = published_grid
    assert tile_ids() == frozenset(names.tolist())


def test_all_uncut_tiles_lie_where_the_published_grid_has_them(published_grid):
    names, outlines = published_grid
    times = Counter(names.tolist())  # tiles across the antimeridian are in two parts
    by_zone = defaultdict(list)
    for name, outline in zip(names.tolist(), outlines, strict=True):
        if times[name] == 1:
            by_zone[tile_corner(name).epsg].append((name, outline))
    checked = 0
    for epsg, tiles in by_zone.items():
        points, index = shapely.get_coordinates([tile[1] for tile in tiles], return_index=True)
        x, y = map(np.array, transform("EPSG:4326", f"EPSG:{epsg}", *points.T))
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        corners = np.array([tile_corner(name)[1:] for name, _ in tiles])
        found = np.column_stack(
            [
                np.minimum.reduceat(x, starts),
                np.maximum.reduceat(x, starts) - 109_800,
                np.minimum.reduceat(y, starts) + 109_800,
                np.maximum.reduceat(y, starts),
            ]
        )
        assert np.abs(found - corners[:, [0, 0, 1, 1]]).max() < 2
        checked += len(tiles)
    assert checked == 56_388
