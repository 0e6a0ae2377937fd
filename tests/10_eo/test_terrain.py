"""Incidence angles, layover, shadow and the brightness of slopes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from candela.eo.ellipsoid import GEOGRAPHIC, project
from candela.eo.raster.grid import Grid, Shape
from candela.eo.s1.annotation import read_annotation
from candela.eo.s1.geocoding import Geocoding
from candela.eo.s1.geometry import RangeDoppler
from candela.eo.s1.heights import Dem
from candela.eo.s1.relief import flattening, incidence_angles
from candela.eo.s1.terrain import (
    ellipsoid_incidence_angle,
    facing,
    flattening_factor,
    layover,
    local_incidence_angle,
    shadow,
    slopes,
)
from candela.synthetic.sentinel1 import Acquisition
from candela.synthetic.sentinel1_xml import ProductSlice, annotation_xml

SAMPLES = Path(__file__).parents[1] / "support" / "samples"
SIDE = 240
INNER = Window(1, 1, SIDE - 2, SIDE - 2)


@pytest.fixture(scope="module", params=["ASC", "DES"])
def scene(request):
    """Return a geocoding around the middle of an image, and its annotation."""
    acquisition = Acquisition(lines=1200, samples=1500, direction=request.param)
    annotation = read_annotation(
        annotation_xml(ProductSlice(acquisition, 0, 1200, ("VV",)), "VV").encode()
    )
    utm = CRS.from_epsg(32631)
    x, y = project(GEOGRAPHIC, utm, np.array([1.2]), np.array([43.6]))
    left, top = round(float(x[0]) - SIDE * 5, -1), round(float(y[0]) + SIDE * 5, -1)
    grid = Grid(utm, Affine(10, 0, left, 0, -10, top), Shape(SIDE, SIDE))
    return Geocoding(RangeDoppler.of(annotation), grid), annotation


def tilted(geocoding, degrees):
    """Return heights of a plane that rises towards the radar, when ``degrees`` is above 0."""
    directions = geocoding.view.directions(INNER, np.zeros((SIDE - 2, SIDE - 2), np.float32))
    across, down, _ = directions.mean(axis=(1, 2))
    rows, cols = np.mgrid[:SIDE, :SIDE]
    distance = (cols * across + rows * down) / np.hypot(across, down) * 10
    # What rises towards the radar faces away from it.
    return (500 - np.tan(np.radians(degrees)) * (distance - distance.mean())).astype(np.float32)


def seen_slopes(geocoding, heights):
    view = geocoding.view
    return slopes(heights, *view.pixel), view.directions(INNER, heights[1:-1, 1:-1])


def test_on_flat_ground_both_angles_are_those_of_the_annotation(scene):
    geocoding, annotation = scene
    surface, directions = seen_slopes(geocoding, np.zeros((SIDE, SIDE), np.float32))
    ellipsoid = ellipsoid_incidence_angle(directions)
    assert np.abs(local_incidence_angle(surface, directions) - ellipsoid).max() < 1e-2
    near, far = annotation.grid.incidence_angles.min(), annotation.grid.incidence_angles.max()
    assert near < ellipsoid.min() < ellipsoid.max() < far
    assert ellipsoid.mean() == pytest.approx((near + far) / 2, abs=0.05)


@pytest.mark.parametrize("degrees", [-20, 15, 30])
def test_a_slope_that_faces_the_radar_is_seen_more_directly(scene, degrees):
    geocoding, _ = scene
    surface, directions = seen_slopes(geocoding, tilted(geocoding, degrees))
    change = local_incidence_angle(surface, directions) - ellipsoid_incidence_angle(directions)
    assert np.abs(change + degrees).max() < 0.1


def test_slopes_steeper_than_the_line_of_sight_are_in_layover(scene):
    geocoding, _ = scene
    _, directions = seen_slopes(geocoding, np.zeros((SIDE, SIDE), np.float32))
    incidence = float(ellipsoid_incidence_angle(directions).mean())
    for degrees, expected in ((incidence - 3, False), (incidence + 3, True)):
        surface, directions = seen_slopes(geocoding, tilted(geocoding, degrees))
        assert (layover(surface, directions) == expected).all()
        assert not shadow(surface, directions).any()


def test_ground_that_faces_away_is_in_shadow(scene):
    geocoding, _ = scene
    _, directions = seen_slopes(geocoding, np.zeros((SIDE, SIDE), np.float32))
    incidence = float(ellipsoid_incidence_angle(directions).mean())
    for degrees, expected in ((incidence - 87, False), (incidence - 93, True)):
        surface, directions = seen_slopes(geocoding, tilted(geocoding, degrees))
        assert (shadow(surface, directions) == expected).all()
        assert not layover(surface, directions).any()


def factor_of(geocoding, heights):
    surface, directions = seen_slopes(geocoding, heights)
    positions = geocoding.positions(INNER, heights[1:-1, 1:-1].copy())
    view = geocoding.view
    area = facing(surface, directions) * np.float32(view.pixel.across * view.pixel.down)
    reference = view.lattice.spread(view.slant_areas.astype(np.float32), INNER)
    factor = flattening_factor(*positions, area, reference)
    return factor, local_incidence_angle(surface, directions)


@pytest.mark.parametrize("degrees", [-15, 0, 12, 20])
def test_a_plane_is_as_bright_as_the_cotangent_of_its_angle(scene, degrees):
    geocoding, _ = scene
    factor, angle = factor_of(geocoding, tilted(geocoding, degrees))
    inside = np.s_[40:-40, 40:-40]
    ratio = factor[inside] * np.tan(np.radians(angle[inside]))
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio.std() < 0.03


def test_slopes_in_layover_share_their_brightness(scene):
    geocoding, _ = scene
    rows, cols = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    ridge = (400 * np.exp(-(np.hypot(rows, cols) ** 2) / (2 * 18.0**2))).astype(np.float32)
    factor, _ = factor_of(geocoding, ridge)
    surface, directions = seen_slopes(geocoding, ridge)
    over = layover(surface, directions)
    flat = 1 / np.tan(np.radians(ellipsoid_incidence_angle(directions)))
    assert over.any()
    assert np.median((factor / flat)[over]) > 2


def test_nothing_is_told_of_unknown_places(scene):
    geocoding, _ = scene
    heights = np.full((SIDE, SIDE), 100, np.float32)
    heights[100:104] = np.nan
    factor, angle = factor_of(geocoding, heights)
    assert np.isnan(angle[98:104]).all()
    assert np.isnan(factor[98:104]).all()
    assert np.isfinite(factor[20:90, 20:200]).all()
    nowhere = np.full((5, 5), np.nan, np.float32)
    assert np.isnan(flattening_factor(nowhere, nowhere, nowhere, nowhere)).all()


def test_facets_have_the_area_that_sarsen_gives_them(shared_data):
    folder = shared_data("s1-safe-sarsen")
    (path,) = folder.glob("*.SAFE/annotation/*.xml")
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, 290000, 0, -10, 4655000), Shape(700, 600))
    geocoding = Geocoding(RangeDoppler.of(read_annotation(path.read_bytes())), grid)
    heights, view = Dem(folder / "Rome-30m-DEM.tif").read(grid), geocoding.view
    window = Window(1, 1, 598, 698)
    area = facing(slopes(heights, *view.pixel), view.directions(window, heights[1:-1, 1:-1]))
    area *= view.pixel.across * view.pixel.down
    with (SAMPLES / "sentinel1_sarsen.csv").open() as file:
        points = list(csv.DictReader(line for line in file if not line.startswith("#")))
    ratios = []
    for point in points:
        col, row = ~grid.transform @ (float(point["easting"]), float(point["northing"]))
        ratios.append(area[int(row) - 1, int(col) - 1] / float(point["gamma_area"]))
    assert np.median(ratios) == pytest.approx(1, abs=1e-3)
    assert np.abs(np.array(ratios) - 1).max() < 0.05  # facets are cut along other edges


class Hills:
    """Heights that are known everywhere."""

    def read(self, grid, window=None):
        grid = grid.cut(window) if window else grid
        cols, rows = np.meshgrid(np.arange(grid.shape.cols), np.arange(grid.shape.rows))
        x, y = grid.transform @ (cols + 0.5, rows + 0.5)
        return (400 + 250 * np.sin(x / 500) * np.cos(y / 400)).astype(np.float32)

    def tags(self):
        return {}


def test_blocks_are_flattened_as_the_whole_is(scene):
    geocoding, _ = scene
    whole = flattening(geocoding, Hills(), Window(0, 0, SIDE, SIDE))
    part = flattening(geocoding, Hills(), Window(70, 90, 100, 80))
    assert np.isfinite(part).all()
    assert np.abs(part / whole[90:170, 70:170] - 1).max() < 0.005


def test_angles_of_a_block_are_those_of_the_whole(scene):
    geocoding, _ = scene
    whole = incidence_angles(geocoding, Hills(), Window(0, 0, SIDE, SIDE))
    part = incidence_angles(geocoding, Hills(), Window(70, 90, 100, 80))
    assert np.abs(part - whole[90:170, 70:170]).max() < 0.01
    assert np.ptp(whole) > 20


def test_flattening_takes_the_relief_out_of_a_simulated_image(scene):
    geocoding, _ = scene
    grid, view, window = geocoding.lattice.grid, geocoding.view, Window(40, 40, 150, 150)
    ground = Hills().read(grid.cut(Window(39, 39, 152, 152)))
    surface = slopes(ground, *view.pixel)
    across, down, cosine = view.directions(window, ground[1:-1, 1:-1])
    sine = np.hypot(across, down)
    rise = (surface.across * across + surface.down * down) / sine  # towards the radar
    # Of ground with gamma0 = 0.2, facet by facet: area facing the radar over area in slant range.
    simulated = 0.2 * (cosine - rise * sine) / (sine + rise * cosine)
    flat = simulated / flattening(geocoding, Hills(), window)
    assert np.std(simulated) / np.mean(simulated) > 0.3
    assert np.std(flat) / np.mean(flat) < 0.03
    assert np.mean(flat) == pytest.approx(0.2, rel=0.01)
