"""Parcels: exact weights, tiny and odd parcels, blocks, reference systems."""

from itertools import pairwise

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.vector import parcels as module
from candela.eo.vector.files import LONGITUDE_LATITUDE, Feature, FeatureCollection
from candela.eo.vector.parcels import ParcelTally, parcel_statistics, place_parcels
from candela.errors import InputError

UTM31 = rasterio.CRS.from_epsg(32631)
LEFT, TOP, PIXEL = 300_000.0, 4_900_020.0, 10.0
SHAPE = Shape(40, 50)
GRID = Grid(UTM31, Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP), SHAPE)


@pytest.fixture
def image():
    values = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    values[10:14, 20:30] = np.nan
    return values


def box(left, top, width, height):
    """A rectangle by its distance from the upper left corner of the image, in pixels."""
    return shapely.box(
        LEFT + PIXEL * left, TOP - PIXEL * (top + height), LEFT + PIXEL * (left + width),
        TOP - PIXEL * top,
    )  # fmt: skip


def place(*shapes, crs=UTM31):
    features = [Feature(None, {}, shape) for shape in shapes]
    return place_parcels(FeatureCollection(crs, features), GRID)


def measure(image, parcels, block=None):
    tally = ParcelTally(parcels, GRID)
    rows, cols = block or SHAPE
    for row in range(0, SHAPE.rows, rows):
        for col in range(0, SHAPE.cols, cols):
            part = image[row : row + rows, col : col + cols]
            tally.add(Window(col, row, part.shape[1], part.shape[0]), part)
    return tally.statistics()


def brute_force(image, shape):
    """Cut the polygon with each pixel, one by one."""
    values, weights = [], []
    for row, col in np.ndindex(*SHAPE):
        share = box(col, row, 1, 1).intersection(shape).area / PIXEL**2
        if share > 0 and not np.isnan(image[row, col]):
            values.append(float(image[row, col]))
            weights.append(share)
    order = np.argsort(values)
    values, weights = np.array(values)[order], np.array(weights)[order]
    total = weights.sum()
    edges = [0, 0.2, 0.4, 0.6, 0.8, 1.1]
    return {
        "valid_fraction": total * PIXEL**2 / shape.area,
        "mean": values @ weights / total,
        "p90": values[np.searchsorted(np.cumsum(weights) / total, 0.9 - 1e-9)],
        "shares": [
            weights[(values >= low) & (values < high)].sum() / total
            for low, high in pairwise(edges)
        ],
        "share_above_half": weights[values >= 0.5].sum() / total,
    }


SHAPES = {
    "disc": shapely.Point(LEFT + 213.7, TOP - 141.3).buffer(73.1),
    "with a hole": box(3.3, 4.4, 12.1, 9.7).difference(box(5.1, 6.2, 4.4, 3.3)),
    "in two parts": shapely.union_all([box(1.5, 1.5, 3, 3), box(30.2, 20.7, 5.5, 2.1)]),
    "needle": shapely.LineString([(LEFT + 31, TOP - 55), (LEFT + 391, TOP - 322)]).buffer(0.6),
    "below a pixel": box(7.4, 8.3, 0.2, 0.1),
    "beyond the image": box(45.5, 35.5, 20, 20),
    "partly without data": box(18.5, 8.5, 8, 4),
    "all of the image": box(0, 0, 50, 40),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("block", [None, (16, 16)])
def test_statistics_are_those_of_a_brute_force_computation(image, name, block):
    [found] = measure(image, place(SHAPES[name]), block)
    expected = brute_force(image, SHAPES[name])
    assert found.valid_fraction == pytest.approx(expected["valid_fraction"], rel=1e-4)
    assert found.mean == pytest.approx(expected["mean"], rel=1e-5)
    assert found.p90 == pytest.approx(expected["p90"], abs=0.5 / module.BINS + 1e-6)
    assert found.shares == pytest.approx(expected["shares"], abs=1e-5)
    assert found.share_above_half == pytest.approx(expected["share_above_half"], abs=1e-5)


def test_class_limits_belong_to_the_upper_class():
    steps = np.tile(np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0], np.float32), (40, 9))[:, :50]
    [found] = measure(steps, place(box(0, 0, 6, 1)))
    assert found.shares == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 6, 2 / 6])


def test_a_parcel_outside_of_the_image_has_no_statistics(image):
    inside, outside = place(box(1, 1, 3, 3), box(100, 100, 3, 3))
    found = measure(image, [inside, outside])
    assert found[0].mean is not None
    assert found[1] == (0.0, None, None, (), None, {})


def test_a_parcel_without_valid_pixels_has_no_statistics(image):
    [found] = measure(image, place(box(21, 11, 4, 2)))
    assert found == (0.0, None, None, (), None, {})


def test_blocks_in_any_order_give_the_same_statistics(image):
    parcels = place(*SHAPES.values())
    tally = ParcelTally(parcels, GRID)
    blocks = [(row, col) for row in (0, 20) for col in (0, 25)]
    for row, col in reversed(blocks):
        tally.add(Window(col, row, 25, 20), image[row : row + 20, col : col + 25])
    for found, expected in zip(tally.statistics(), measure(image, parcels), strict=True):
        assert found.mean == pytest.approx(expected.mean, rel=1e-9)
        assert found.shares == pytest.approx(expected.shares)


def test_an_image_in_a_file_gives_the_same_statistics(image, tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    with create_image(path, GRID, dtype="float32", nodata=np.nan, bands=["change"]) as dataset:
        dataset.write(image, 1)
    monkeypatch.setattr(module, "BLOCK", 16)
    parcels = place(*SHAPES.values())
    for found, expected in zip(
        parcel_statistics(path, parcels), measure(image, parcels), strict=True
    ):
        assert found.mean == pytest.approx(expected.mean, rel=1e-9)


@pytest.mark.parametrize("epsg", [4326, 2154, 3857, 32630])
def test_parcels_of_any_reference_system_are_placed_on_the_image(image, epsg):
    crs = rasterio.CRS.from_epsg(epsg)
    shape = SHAPES["disc"]
    moved = shapely.transform(shape, lambda xy: np.column_stack(transform(UTM31, crs, *xy.T)))
    [expected], [found] = measure(image, place(shape)), measure(image, place(moved, crs=crs))
    assert found.mean == pytest.approx(expected.mean, abs=1e-4)
    assert found.valid_fraction == pytest.approx(expected.valid_fraction, abs=1e-4)


def test_long_edges_are_straight_in_the_reference_system_of_the_file():
    [parcel] = place(shapely.box(0.4, 44.2, 1.4, 44.3), crs=LONGITUDE_LATITUDE)
    x, y = transform(LONGITUDE_LATITUDE, UTM31, [0.9], [44.3])
    assert parcel.shape.exterior.distance(shapely.Point(x[0], y[0])) < 1  # m; 65 undivided


def test_a_polygon_that_crosses_itself_is_mended_and_told(image):
    bow_tie = shapely.Polygon(
        [(LEFT, TOP), (LEFT + 50, TOP - 50), (LEFT + 50, TOP), (LEFT, TOP - 50)]
    )
    [parcel] = place(bow_tie)
    assert parcel.area == pytest.approx(1250)
    assert parcel.note.startswith("mended: Self-intersection")
    [found] = measure(image, [parcel])
    assert found.valid_fraction == pytest.approx(1)


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        (None, "has no geometry"),
        (shapely.Polygon(), "has no geometry"),
        (shapely.Polygon([(LEFT, TOP), (LEFT + 9, TOP), (LEFT, TOP)]), "has no area"),
        (shapely.Polygon([(0, 0), (np.inf, 1), (1, 1)]), "has coordinates that are no numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_kept_and_told(image, shape, note):
    parcels = place(box(1, 1, 2, 2), shape)
    assert parcels[1].note == note
    assert measure(image, parcels)[1].mean is None


def test_points_are_refused_by_their_number():
    with pytest.raises(InputError, match="parcel 2 is a Point; expected Polygon or MultiPolygon"):
        place(box(1, 1, 2, 2), shapely.Point(0, 0))


def test_parcels_of_another_place_are_refused_with_both_places():
    with pytest.raises(InputError, match=r"none of the 1 parcels touches .*300900.*the image \(3"):
        place(box(90, 90, 3, 3))


def test_parcels_without_any_geometry_are_refused_with_the_reason_of_the_first():
    with pytest.raises(
        InputError, match="none of the 2 parcels can be placed: parcel 1 has no geo"
    ):
        place(None, shapely.Polygon())


def test_a_file_without_parcels_is_refused():
    with pytest.raises(InputError, match="no parcel in the file"):
        place_parcels(FeatureCollection(UTM31, []), GRID)


def test_one_parcel_among_many_in_the_wrong_units_gets_a_note():
    good = shapely.box(0.497, 44.2235, 0.499, 44.2255)
    metres = shapely.box(300_300, 4_899_120, 300_900, 4_899_720)
    first, second, third = place(good, metres, shapely.box(0, 89, 1, 95), crs=LONGITUDE_LATITUDE)
    assert first.shape is not None
    assert second.shape is None
    assert "is not in degrees" in second.note
    assert "is not in degrees" in third.note


def test_parcels_that_are_all_in_the_wrong_units_are_refused():
    with pytest.raises(InputError, match=r"none of the 1 parcels can be placed.*not in degrees"):
        place(box(1, 1, 5, 5), crs=LONGITUDE_LATITUDE)


def test_parcels_with_swapped_axes_are_told_so():
    swapped = shapely.box(44.22, 0.49, 44.23, 0.51)
    with pytest.raises(InputError, match=r"they would if x and y .* changed places"):
        place(swapped, crs=LONGITUDE_LATITUDE)


def test_classes_are_counted_beside_the_values():
    values = np.array([[0.2, 0.9], [0.6, np.nan]], np.float32)
    classes = np.array([[0, 3], [3, 255]], np.uint8)
    grid = Grid(rasterio.CRS.from_epsg(32631), Affine(10, 0, 0, 0, -10, 20), Shape(2, 2))
    parcels = [module.Parcel(1, {}, None, shapely.box(0, 0, 20, 20), "")]
    tally, plain = ParcelTally(parcels, grid), ParcelTally(parcels, grid)
    tally.add(Window(0, 0, 2, 2), values, classes)
    plain.add(Window(0, 0, 2, 2), values)
    (found,), (alone,) = tally.statistics(), plain.statistics()
    assert found.class_shares == pytest.approx({0: 1 / 3, 3: 2 / 3})
    assert alone.class_shares == {}
    assert found.mean == pytest.approx(alone.mean, abs=1e-6)
    assert found.share_above_half == alone.share_above_half
