"""Where points lie in Sentinel-1 images, and how images come onto grids."""

import csv
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from candela.eo.ellipsoid import GEOGRAPHIC, earth_fixed, project
from candela.eo.raster.grid import Grid, Shape
from candela.eo.s1.annotation import SPEED_OF_LIGHT, GroundRange, read_annotation
from candela.eo.s1.geocoding import Geocoding, Positions, resample
from candela.eo.s1.geometry import Look, RangeDoppler
from candela.eo.s1.heights import Dem
from candela.eo.s1.orbit import seconds_since
from candela.synthetic.sentinel1 import Acquisition
from candela.synthetic.sentinel1_xml import ProductSlice, annotation_xml

SAMPLES = Path(__file__).parents[1] / "support" / "samples"
UTM31, UTM33 = CRS.from_epsg(32631), CRS.from_epsg(32633)


def seen(direction="DES", *, lines=1200, samples=1500, first=0, count=None, **options):
    acquisition = Acquisition(lines=lines, samples=samples, direction=direction, **options)
    part = ProductSlice(acquisition, first, count or lines - first, ("VV",))
    return acquisition, read_annotation(annotation_xml(part, "VV").encode())


def grid_around(acquisition, *, rows=600, cols=700, pixel=10.0):
    shape = Shape(rows, cols)
    x, y = project(
        GEOGRAPHIC, UTM31, np.array([acquisition.longitude]), np.array([acquisition.latitude])
    )
    left = round(float(x[0]), -1) - shape.cols * pixel / 2
    top = round(float(y[0]), -1) + shape.rows * pixel / 2
    return Grid(UTM31, Affine(pixel, 0, left, 0, -pixel, top), shape)


def whole(grid):
    return Window(0, 0, grid.shape.cols, grid.shape.rows)


def exact(model, grid, heights):
    cols, rows = np.meshgrid(np.arange(grid.shape.cols) + 0.5, np.arange(grid.shape.rows) + 0.5)
    x, y = grid.transform @ (cols, rows)
    return model.locate(earth_fixed(*project(grid.crs, GEOGRAPHIC, x, y), heights))


def real_annotation(shared_data, name):
    folder = shared_data(name)
    if name == "s1-safe-sarsen":
        (path,) = folder.glob("*.SAFE/annotation/*.xml")
        return read_annotation(path.read_bytes())
    (path,) = folder.glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        (vv,) = (n for n in archive.namelist() if re.search(r"annotation/s1a-iw-grd-vv", n))
        return read_annotation(archive.read(vv))


def stored(name):
    with (SAMPLES / name).open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


@pytest.mark.parametrize("direction", ["ASC", "DES"])
@pytest.mark.parametrize("height", [0.0, 800.0])
def test_points_are_found_where_they_were_seen(direction, height):
    acquisition, annotation = seen(direction)
    lines, pixels = np.array([0.0, 311.25, 1199.0]), np.array([1499.0, 702.5, 0.0])
    place = acquisition.swath.locate(lines, pixels, height)
    found = RangeDoppler.of(annotation).locate(earth_fixed(*place))
    assert found.lines == pytest.approx(lines, abs=2e-3)
    assert found.pixels == pytest.approx(pixels, abs=2e-3)


def test_what_lies_to_the_left_of_the_satellite_is_not_seen():
    acquisition, annotation = seen()
    model = RangeDoppler.of(annotation)
    middle = np.array([600.0 * annotation.azimuth_time_interval])
    (point,) = earth_fixed(*acquisition.swath.locate(np.array([600.0]), np.array([750.0]))).T
    position, velocity = (f(middle)[:, 0] for f in (model.orbit.position, model.orbit.velocity))
    right = np.cross(velocity, position) / np.linalg.norm(np.cross(velocity, position))
    mirrored = point - 2 * right * ((point - position) @ right)
    found = model.locate(np.stack([point, mirrored], axis=-1))
    assert np.isnan(found.pixels).tolist() == [False, True]


@pytest.mark.parametrize(("epsg", "northing"), [(32733, 5000000), (32601, 4600000), (32650, 20000)])
def test_grids_anywhere_on_earth_are_simply_not_seen(epsg, northing):
    _, annotation = seen()
    grid = Grid(CRS.from_epsg(epsg), Affine(10, 0, 300000, 0, -10, northing), Shape(900, 900))
    geocoding = Geocoding(RangeDoppler.of(annotation), grid)
    assert geocoding.places()[0].size == 0
    assert np.isnan(geocoding.positions(Window(0, 0, 9, 9), 0.0).lines).all()


def test_ground_range_is_blended_between_records():
    _, annotation = seen()
    record = annotation.ground_range
    shifted = replace(annotation, ground_range=replace_offset(record, 1, 200.0))
    before, after = (RangeDoppler.of(a) for a in (annotation, shifted))
    times = seconds_since(record.times, annotation.first_line_time)
    look = Look(np.linspace(times[0], times[1], 5), np.full(5, 880_000.0))
    change = after.place(look).pixels - before.place(look).pixels
    assert change == pytest.approx([0, 5, 10, 15, 20], abs=1e-6)


def replace_offset(record, index, metres):
    coefficients = record.coefficients.copy()
    coefficients[index, 0] += metres
    return GroundRange(record.times, record.origins, coefficients)


@pytest.mark.parametrize("name", ["s1-safe-sarsen", "s1-safe-pyrosar-metadata"])
def test_the_real_geolocation_grid_is_reproduced(shared_data, name):
    annotation = real_annotation(shared_data, name)
    model, grid = RangeDoppler.of(annotation), annotation.grid
    look = model.look(earth_fixed(grid.longitudes, grid.latitudes, grid.heights))
    distance = grid.slant_range_times * SPEED_OF_LIGHT / 2
    assert look.slant_ranges == pytest.approx(distance, abs=1e-3)
    times = seconds_since(grid.times, model.epoch)
    assert np.abs(look.times - times).max() < 0.01 * model.azimuth_time_interval
    # NOTE: the processor worked the grid out with the nearest record alone, not with a blend.
    known = seconds_since(annotation.ground_range.times, model.epoch)
    nearest = np.abs(known[:, None] - look.times).argmin(axis=0)
    pixels = annotation.ground_range.evaluate(nearest, look.slant_ranges) / 10
    assert np.abs(pixels - grid.pixels).max() < 0.02


def test_orfeo_toolbox_puts_points_into_the_same_place(shared_data):
    model = RangeDoppler.of(real_annotation(shared_data, "s1-safe-sarsen"))
    points = stored("sentinel1_otb.csv")
    places = project(UTM33, GEOGRAPHIC, points["easting"], points["northing"])
    found = model.locate(earth_fixed(*places, 0.0))
    assert np.abs(found.lines - points["line"]).max() < 0.1
    assert np.abs(found.pixels - points["pixel"]).max() < 0.1


def test_sarsen_puts_points_of_a_dem_into_the_same_place(shared_data):
    geocoding = Geocoding(
        RangeDoppler.of(real_annotation(shared_data, "s1-safe-sarsen")),
        grid := Grid(UTM33, Affine(10, 0, 290000, 0, -10, 4655000), Shape(700, 600)),
    )
    heights = Dem(shared_data("s1-safe-sarsen") / "Rome-30m-DEM.tif").read(grid)
    positions = geocoding.positions(whole(grid), heights)
    points = stored("sentinel1_sarsen.csv")
    cols, rows = ~grid.transform @ (points["easting"], points["northing"])
    place = (rows.astype(int), cols.astype(int))
    assert heights[place] == pytest.approx(points["height"], abs=0.01)
    assert np.median(np.abs(positions.lines[place] - points["line"])) < 0.02
    assert np.median(np.abs(positions.pixels[place] - points["pixel"])) < 0.02


def test_the_lattice_is_as_good_as_solving_each_pixel():
    acquisition, annotation = seen()
    grid = grid_around(acquisition)
    heights = np.random.default_rng(2).uniform(-400, 8800, grid.shape).astype(np.float32)
    model = RangeDoppler.of(annotation)
    positions = Geocoding(model, grid).positions(whole(grid), heights)
    truth = exact(model, grid, heights.astype(float))
    inside, found = model.contains(truth), np.isfinite(positions.lines)
    assert 0.01 < inside.mean() < 0.9
    assert (inside != found).mean() < 1e-4  # on the very edge
    both = inside & found
    assert np.abs(positions.lines - truth.lines)[both].max() < 0.02
    assert np.abs(positions.pixels - truth.pixels)[both].max() < 0.02


def test_the_lattice_is_good_on_a_whole_real_tile(shared_data):
    model = RangeDoppler.of(real_annotation(shared_data, "s1-safe-sarsen"))
    grid = Grid(UTM33, Affine(10, 0, 300000, 0, -10, 4600020), Shape(10980, 10980))
    geocoding = Geocoding(model, grid)
    random = np.random.default_rng(3)
    for row, col in random.integers(0, 10900, (60, 2)):
        window = Window(int(col), int(row), 20, 20)
        heights = random.uniform(-400, 8800, (20, 20)).astype(np.float32)
        truth = exact(model, grid.cut(window), heights.astype(float))
        found, inside = geocoding.positions(window, heights), model.contains(truth)
        assert np.nanmax(np.abs(found.lines - truth.lines)[inside], initial=0) < 0.02
        assert np.nanmax(np.abs(found.pixels - truth.pixels)[inside], initial=0) < 0.05


def test_blocks_give_what_the_whole_gives():
    acquisition, annotation = seen()
    grid = grid_around(acquisition)
    geocoding = Geocoding(RangeDoppler.of(annotation), grid)
    heights = np.random.default_rng(2).uniform(0, 900, grid.shape).astype(np.float32)
    everything = geocoding.positions(whole(grid), heights)
    part = geocoding.positions(Window(123, 77, 400, 311), heights[77:388, 123:523].copy())
    for axis, other in zip(part, everything, strict=True):
        same = np.isclose(axis, other[77:388, 123:523], rtol=0, atol=2e-3, equal_nan=True)
        assert same.all()


def test_a_constant_height_is_an_array_of_it():
    acquisition, annotation = seen()
    grid = grid_around(acquisition, rows=80, cols=90)
    geocoding = Geocoding(RangeDoppler.of(annotation), grid)
    one = geocoding.positions(whole(grid), 250.0)
    other = geocoding.positions(whole(grid), np.full(grid.shape, 250, np.float32))
    assert one.lines == pytest.approx(other.lines, abs=2e-3)
    assert one.pixels == pytest.approx(other.pixels, abs=2e-3)


def test_unknown_heights_and_points_outside_have_no_position():
    acquisition, annotation = seen()
    grid = grid_around(acquisition, rows=2000, cols=40)
    heights = np.zeros(grid.shape, np.float32)
    heights[1000:1010] = np.nan
    positions = Geocoding(RangeDoppler.of(annotation), grid).positions(whole(grid), heights)
    assert np.isnan(positions.lines).tolist() == np.isnan(positions.pixels).tolist()
    assert np.isnan(positions.lines[1000:1010]).all()
    assert np.isnan(positions.lines[[0, -1]]).all()
    assert np.isfinite(positions.lines[900:990]).all()


def test_where_the_image_does_not_reach_nothing_is_to_be_read():
    _, annotation = seen()
    far = Grid(UTM31, Affine(10, 0, 700000, 0, -10, 5500000), Shape(300, 300))
    geocoding = Geocoding(RangeDoppler.of(annotation), far)
    assert geocoding.places()[0].size == 0
    assert geocoding.window(geocoding.positions(whole(far), 0.0)) is None


def test_the_window_has_what_is_needed_and_no_more():
    acquisition, annotation = seen()
    grid = grid_around(acquisition, rows=50, cols=60)
    geocoding = Geocoding(RangeDoppler.of(annotation), grid)
    positions = geocoding.positions(whole(grid), 0.0)
    window = geocoding.window(positions)
    assert window.row_off <= positions.lines.min() - 2
    assert window.row_off + window.height >= positions.lines.max() + 3
    assert window.height < np.ptp(positions.lines) + 10
    assert window.width < np.ptp(positions.pixels) + 10


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("direction", ["ASC", "DES"])
def test_an_image_of_its_own_coordinates_comes_back(direction, interpolation):
    acquisition, annotation = seen(direction, height=300.0)
    grid = grid_around(acquisition, rows=400, cols=400)
    model = RangeDoppler.of(annotation)
    positions = Geocoding(model, grid).positions(whole(grid), 300.0)
    truth = exact(model, grid, 300.0)
    lines, pixels = (axis.astype(np.float32) + 1 for axis in np.mgrid[:1200, :1500])
    full = Window(0, 0, 1500, 1200)
    found_line = resample(lines, positions, full, interpolation) - 1
    found_pixel = resample(pixels, positions, full, interpolation) - 1
    # NOTE: OpenCV's cubic kernel (a = -0.75) bends straight ramps by up to 0.047 pixels.
    most = {"bilinear": 0.005, "bicubic": 0.047 + 0.005}[interpolation]
    assert np.abs(found_line - truth.lines).max() < most
    assert np.abs(found_pixel - truth.pixels).max() < most


def test_the_real_index_image_comes_back(shared_data):
    annotation = real_annotation(shared_data, "s1-safe-sarsen")
    grid = Grid(UTM33, Affine(10, 0, 335000, 0, -10, 4620000), Shape(500, 500))
    model = RangeDoppler.of(annotation)
    geocoding = Geocoding(model, grid)
    positions = geocoding.positions(whole(grid), 0.0)
    window, truth = geocoding.window(positions), exact(model, grid, 0.0)
    lines, pixels = np.mgrid[: int(window.height), : int(window.width)].astype(np.float32)
    for values, first, expected in (
        (lines, window.row_off, truth.lines),
        (pixels, window.col_off, truth.pixels),
    ):
        found = resample(values + 1, positions, window) - 1 + first
        assert np.abs(found - expected).max() < 0.05


def at(lines, pixels):
    lines, pixels = np.broadcast_arrays(np.float32(lines), np.float32(pixels))
    return Positions(np.atleast_2d(lines).copy(), np.atleast_2d(pixels).copy())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_without_data_do_not_darken_their_neighbours(interpolation):
    values = np.full((20, 20), 0.25, np.float32)
    values[8:12, 8:12] = 0
    found = resample(values, at(9.0, np.arange(2, 18, 0.1)), Window(0, 0, 20, 20), interpolation)
    assert set(np.unique(found.round(6))) == {0.0, 0.25}
    gap = np.arange(2, 18, 0.1)[found[0] == 0]
    assert gap.min() == pytest.approx(7.5, abs=0.2)
    assert gap.max() == pytest.approx(11.5, abs=0.2)


def test_a_pixel_reaches_half_its_size_beyond_its_centre():
    values = np.ones((10, 10), np.float32)
    found = resample(values, at([-0.6, -0.4, 9.4, 9.6, np.nan], 5.0), Window(0, 0, 10, 10))
    assert found[0].tolist() == [0, 1, 1, 0, 0]


def test_bicubic_never_falls_below_the_smallest_power():
    values = np.full((12, 12), 0.01, np.float32)
    values[6, 6] = 100
    found = resample(values, at(6.0, np.arange(2, 9, 0.25)), Window(0, 0, 12, 12), "bicubic")
    assert found.min() == np.float32(1e-7)


def test_two_slices_are_the_whole():
    acquisition, _ = seen()
    grid = grid_around(acquisition, rows=900, cols=300)
    image = np.random.default_rng(1).gamma(4, 0.1, (1200, 1500)).astype(np.float32) + 0.01
    results = []
    for first, count in ((0, 1200), (0, 650), (650, 550)):
        _, annotation = seen(first=first, count=count)
        geocoding = Geocoding(RangeDoppler.of(annotation), grid)
        positions = geocoding.positions(whole(grid), 0.0)
        part = Window(0, 0, 1500, count)
        results.append(resample(image[first : first + count], positions, part))
    together = np.where(results[1] > 0, results[1], results[2])
    assert (together > 0).tolist() == (results[0] > 0).tolist()
    different = np.abs(together - results[0]) > 0.01
    assert different.mean() < 0.01  # along the seam, where one line is missing on either side
    assert np.abs(together - results[0])[~different].max() < 0.01


def test_an_image_too_large_for_one_remap_is_refused():
    values = np.ones((1, 40_000), np.float32)
    with pytest.raises(ValueError, match="32766"):
        resample(values, at(0.0, 0.0), Window(0, 0, 40_000, 1))


def test_a_mountain_with_point_targets_is_set_upright(tmp_path):
    acquisition, annotation = seen(lines=1500, samples=1800)
    grid = grid_around(acquisition, rows=800, cols=900)
    rows, cols = np.mgrid[: grid.shape.rows, : grid.shape.cols]
    mountain = 1500 * np.exp(-((rows - 400) ** 2 + (cols - 450) ** 2) / (2 * 150.0**2))
    path = tmp_path / "mountain.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, crs=grid.crs,
        height=grid.shape.rows, width=grid.shape.cols, transform=grid.transform,
    ) as dataset:  # fmt: skip
        dataset.write(mountain.astype(np.float32), 1)
    # The targets are put into the image after the generator's own equations, not after ours.
    targets = [(250, 300), (400, 450), (420, 600), (600, 500), (330, 420)]
    image = np.full((1500, 1800), 1e-3, np.float32)
    swath = acquisition.swath
    for row, col in targets:
        x, y = grid.transform @ (col + 0.5, row + 0.5)
        lon, lat = project(grid.crs, GEOGRAPHIC, np.array([x]), np.array([y]))
        point = earth_fixed(lon, lat, mountain[row, col])[:, 0]
        line, pixel = see(swath, point)
        distance = np.hypot(*(np.mgrid[:1500, :1800] - np.array([line, pixel])[:, None, None]))
        image += np.exp(-((distance / 1.5) ** 2) / 2).astype(np.float32)
    heights = Dem(path).read(grid)
    positions = Geocoding(RangeDoppler.of(annotation), grid).positions(whole(grid), heights)
    ortho = resample(image, positions, Window(0, 0, 1800, 1500))
    for row, col in targets:
        part = ortho[row - 6 : row + 7, col - 6 : col + 7] - 1e-3
        part = np.where(part > 0.3 * part.max(), part, 0)
        offsets = np.mgrid[-6:7, -6:7]
        centre = (offsets * part).sum(axis=(1, 2)) / part.sum()
        assert np.hypot(*centre) < 0.5


def see(swath, point):
    """Return where a point is seen, by bisection along the generator's orbit."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        position, velocity = swath.orbit.state(np.array(middle))
        low, high = (middle, high) if (point - position) @ velocity > 0 else (low, middle)
    position, _ = swath.orbit.state(np.array(low))
    distance = np.linalg.norm(point - position)
    line = low / swath.line_interval + (swath.lines - 1) / 2
    return line, float(swath.ground_range(distance, np.array(low))) / swath.pixel_m
