"""Places on Earth: found, or told to be none, always soon."""

import math

import pytest
from rasterio.crs import CRS

from candela.eo.placement import geographic_bounds

SITES = [
    ("EPSG:32631", (300_000, 4_890_240, 409_800, 5_000_040), (0.5, 44.1, 1.9, 45.2)),
    ("EPSG:3857", (-20037508, -20037508, 20037508, 20037508), (-180, -85.1, 180, 85.1)),
    ("EPSG:4326", (0, -90, 360, 90), (0, -90, 360, 90)),
    ("EPSG:3035", (2_600_000, 1_500_000, 7_400_000, 5_500_000), (-33.3, 30.6, 73, 72.7)),
]


@pytest.mark.parametrize(("crs", "bounds", "degrees"), SITES)
def test_a_rectangle_on_earth_is_found(crs, bounds, degrees):
    assert geographic_bounds(CRS.from_user_input(crs), bounds) == pytest.approx(degrees, abs=0.1)


@pytest.mark.parametrize(
    ("crs", "edge"),
    [
        ("EPSG:32631", 5e8), ("EPSG:32631", 1e308), ("EPSG:32631", math.nan),
        ("EPSG:3857", 1e12), ("EPSG:3857", 1e30), ("EPSG:3857", math.inf),
        ("EPSG:4326", 1e30), ("EPSG:4326", 600.0), ("EPSG:3035", 1e8),
        ('LOCAL_CS["a plan",UNIT["metre",1]]', 5.0), ("+proj=longlat +R=1737400", 5.0),
    ],
)  # fmt: skip
def test_a_rectangle_elsewhere_is_told(crs, edge):
    with pytest.raises(ValueError, match=r"outside|finite|cannot be placed on Earth"):
        geographic_bounds(CRS.from_user_input(crs), (edge - 1, edge - 1, edge, edge))
