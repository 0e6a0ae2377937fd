import numpy as np
import pytest
import shapely
from rasterio.crs import CRS

from candela.eo.ellipsoid import ellipsoidal_area
from candela.eo.projection import (
    check_box,
    geographic_bounds,
    move_box,
    move_geometry,
    move_points,
)
from candela.errors import InputError

DEGREES, UTM31 = CRS.from_epsg(4326), CRS.from_epsg(32631)
MERCATOR, LAEA = CRS.from_epsg(3857), CRS.from_epsg(3035)


def test_points_without_a_place_do_not_cost_the_others():
    longitudes = np.array([3.0, 300_100, np.nan, np.inf, 3, 3])
    latitudes = np.array([45.0, 4_899_000, 45, 45, 91, 46])
    x, y = move_points(longitudes, latitudes, DEGREES, UTM31)
    assert np.isfinite(x).tolist() == [True, False, False, False, False, True]
    assert x[0] == pytest.approx(500_000, abs=1e-6)
    assert y[5] == pytest.approx(5_094_000, abs=2000)


@pytest.mark.parametrize(
    ("x", "y", "source", "target"),
    [
        (5e8, 5e9, UTM31, DEGREES),
        (1e308, 1e308, UTM31, DEGREES),
        (3e7, 0.0, MERCATOR, DEGREES),  # once around the Earth and on
        (3e7, 5e6, MERCATOR, LAEA),
        (100.0, -89.0, DEGREES, LAEA),
        (3.0, 90.0, DEGREES, MERCATOR),
    ],
)
def test_a_point_that_does_not_come_back_has_no_place(x, y, source, target):
    moved = move_points(np.array([x]), np.array([y]), source, target)
    back = move_points(*moved, target, source)
    assert not np.isfinite(moved[0][0]) or back[0][0] == pytest.approx(x, abs=1)


@pytest.mark.parametrize("longitude", [-183.0, 177.0, 180.0, -180.0, 183.0])
def test_the_antimeridian_is_no_border(longitude):
    x, _ = move_points(np.array([longitude]), np.array([10.0]), DEGREES, CRS.from_epsg(32660))
    assert np.isfinite(x).all()


def test_a_geometry_with_a_corner_that_has_no_place_is_none():
    shape = shapely.box(300_100, 4_899_000, 300_500, 4_899_500)
    assert move_geometry(shape, DEGREES, UTM31) is None
    assert move_geometry(shape, UTM31, DEGREES).area == pytest.approx(2.25e-5, rel=0.05)


def test_a_box_of_metres_is_not_taken_for_degrees():
    bounds = (300_100.0, 4_899_000.0, 300_500.0, 4_899_500.0)
    with pytest.raises(InputError, match=r"the area .* is not in degrees.* such as EPSG:32631"):
        check_box(bounds, DEGREES, "the area")
    check_box(bounds, UTM31, "the area")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_box_whose_numbers_are_not_finite_is_refused(value):
    with pytest.raises(InputError, match="not finite"):
        move_box((0.0, 0.0, value, 1.0), DEGREES, UTM31, "the area")


def test_a_box_beyond_the_projection_is_refused():
    with pytest.raises(InputError, match=r"nowhere on the Earth|without a place"):
        move_box((5e8, 5e9, 6e8, 6e9), UTM31, DEGREES, "the area")


@pytest.mark.parametrize("latitude", [-80.0, 0.0, 44.2, 60.0, 85.0])
def test_areas_are_those_on_the_ellipsoid(latitude):
    """Closed form of a zone between two parallels (Snyder, eq. 3-12)."""
    outline = shapely.box(10, latitude, 10.3, latitude + 0.2)
    e2 = (1 / 298.257223563) * (2 - 1 / 298.257223563)
    e = e2**0.5

    def q(degrees):
        s = np.sin(np.radians(degrees))
        return (1 - e2) * (s / (1 - e2 * s**2) + np.log((1 + e * s) / (1 - e * s)) / (2 * e))

    expected = 6_378_137.0**2 * np.radians(0.3) * (q(latitude + 0.2) - q(latitude)) / 2
    assert ellipsoidal_area(outline) == pytest.approx(expected, rel=1e-9)


def test_areas_agree_with_a_projection_of_small_distortion():
    square = shapely.box(499_500, 4_899_000, 500_500, 4_900_000)  # scale 0.9996 on the meridian
    area = ellipsoidal_area(move_geometry(square, UTM31, DEGREES))
    assert area == pytest.approx(1e6 / 0.9996**2, rel=1e-6)


SITES = [
    ("EPSG:32631", (300_000, 4_890_240, 409_800, 5_000_040), (0.5, 44.1, 1.9, 45.2)),
    ("EPSG:3857", (-20037508, -20037508, 20037508, 20037508), (-180, -85.1, 180, 85.1)),
    ("EPSG:4326", (0, -90, 360, 90), (0, -90, 360, 90)),
    ("EPSG:3035", (2_600_000, 1_500_000, 7_400_000, 5_500_000), (-33.3, 30.6, 73, 72.7)),
]


@pytest.mark.parametrize(("crs", "bounds", "degrees"), SITES)
def test_a_rectangle_on_earth_is_found(crs, bounds, degrees):
    assert geographic_bounds(bounds, CRS.from_user_input(crs), "a map") == pytest.approx(
        degrees, abs=0.1
    )


@pytest.mark.parametrize(
    ("crs", "edge"),
    [
        ("EPSG:32631", 5e8), ("EPSG:32631", 1e308), ("EPSG:32631", np.nan),
        ("EPSG:3857", 1e12), ("EPSG:3857", 1e30), ("EPSG:3857", np.inf),
        ("EPSG:4326", 1e30), ("EPSG:4326", 600.0), ("EPSG:3035", 1e8),
        ('LOCAL_CS["a plan",UNIT["metre",1]]', 5.0), ("+proj=longlat +R=1737400", 5.0),
    ],
)  # fmt: skip
def test_a_rectangle_elsewhere_is_told(crs, edge):
    with pytest.raises(InputError, match=r"outside|finite|cannot be placed on Earth"):
        geographic_bounds((edge - 1, edge - 1, edge, edge), CRS.from_user_input(crs), "a map")
