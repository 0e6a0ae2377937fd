import numpy as np
import pytest

from candela.eo.raster.grid import Shape
from candela.eo.raster.patches import Level, gather, quad_tree
from candela.eo.texture.cells import cell_histograms, cell_means, spread
from candela.errors import InputError


def test_a_tile_has_8281_patches_of_120_pixels():
    levels = quad_tree(Shape(10980, 10980))
    assert levels == [
        Level(240, Shape(45, 45)), Level(120, Shape(91, 91)), Level(60, Shape(183, 183)),
    ]  # fmt: skip
    assert 91 * 91 == 8281


def test_sizes_without_room_are_left_out():
    assert [level.size for level in quad_tree(Shape(130, 500))] == [120, 60]


@pytest.mark.parametrize("sizes", [(240, 60), (100, 60), (), (120, 60, 30, 15), (34, 17)])
def test_sizes_that_make_no_quad_tree_are_refused(sizes):
    with pytest.raises(InputError, match="twice the next smaller"):
        quad_tree(Shape(1000, 1000), sizes)


def test_an_image_without_room_for_a_patch_is_refused():
    with pytest.raises(InputError, match=r"50 x 59 pixels has no room for a patch of 60 x 60"):
        quad_tree(Shape(59, 50), (60,))


def test_what_is_gathered_is_the_mean_of_the_pixels():
    image = np.random.default_rng(1).random((300, 420)).astype(np.float32)
    cells = cell_means(image, 60)[None]
    level = Level(120, Shape(2, 3))
    expected = image[:240, :360].reshape(2, 120, 3, 120).mean(axis=(1, 3))
    np.testing.assert_allclose(gather(cells, level, 60)[0], expected, rtol=1e-5)


def test_means_are_those_of_each_cell_and_band():
    image = np.random.default_rng(1).random((3, 8, 12)).astype(np.float32)
    expected = image.reshape(3, 2, 4, 3, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(cell_means(image, 4), expected, rtol=1e-6)


def test_histograms_count_the_usable_pixels_of_each_cell():
    random = np.random.default_rng(1)
    codes = random.integers(0, 5, (8, 12), np.uint8)
    usable = random.random((8, 12)) < 0.7
    shares = cell_histograms(codes, 5, 4, usable=usable)
    assert shares.shape == (5, 2, 3)
    for row in range(2):
        for col in range(3):
            part = (slice(4 * row, 4 * row + 4), slice(4 * col, 4 * col + 4))
            counted = np.bincount(codes[part][usable[part]], minlength=5) / 16
            np.testing.assert_allclose(shares[:, row, col], counted)
    np.testing.assert_allclose(cell_histograms(codes, 5, 4).sum(axis=0), 1)


def test_the_spread_comes_from_the_squares():
    values = np.random.default_rng(1).normal(3, 2, 1000).astype(np.float32)
    found = spread(values.mean(), np.square(values).mean())
    assert found == pytest.approx(values.std(), rel=1e-4)
