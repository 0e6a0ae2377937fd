import numpy as np
import pytest

from candela.eo.raster.blocks import split
from candela.eo.raster.crossfade import CrossFade
from candela.eo.raster.grid import Shape

SHAPE = Shape(150, 205)


def faded(size, overlap, values_of, *, order=None):
    fade = CrossFade(SHAPE, size, overlap)
    blocks = list(split(SHAPE, size, halo=overlap + 3))
    image = np.full(SHAPE, -1, np.float32)
    for index in order if order is not None else range(len(blocks)):
        values = values_of(index, blocks[index].outer)[fade.part(blocks[index])]
        for window, complete in fade.add(blocks[index], values):
            assert (image[window.toslices()] == -1).all()
            image[window.toslices()] = complete
    return image


@pytest.mark.parametrize(("size", "overlap"), [(64, 0), (64, 20), (50, 25), (72, 10), (300, 8)])
def test_blocks_that_agree_give_the_image(size, overlap):
    whole = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    image = faded(size, overlap, lambda _, outer: whole[outer.toslices()])
    np.testing.assert_allclose(image, whole, rtol=1e-5)


def test_the_order_of_blocks_does_not_matter():
    def constant(index, outer):
        return np.full((int(outer.height), int(outer.width)), index + 1, np.float32)

    forth = faded(64, 20, constant)
    order = np.random.default_rng(2).permutation(12)
    np.testing.assert_allclose(faded(64, 20, constant, order=order), forth, rtol=1e-5)


def test_between_blocks_that_differ_the_value_passes_linearly():
    def column(_, outer):
        height, width = int(outer.height), int(outer.width)
        middle = outer.col_off + outer.width / 2
        return np.full((height, width), 0 if middle < 100 else 1, np.float32)

    row = faded(100, 20, column)[75]
    np.testing.assert_array_equal(row[:80], 0)
    np.testing.assert_allclose(row[80:120], (np.arange(40) + 0.5) / 40, rtol=1e-4)
    np.testing.assert_array_equal(row[120:190], 1)


def test_a_pixel_without_a_value_has_none_afterwards():
    whole = np.ones(SHAPE, np.float32)
    whole[60:70, 90:110] = np.nan
    image = faded(64, 20, lambda _, outer: whole[outer.toslices()])
    np.testing.assert_allclose(image, whole, rtol=1e-6)


def test_an_overlap_beyond_half_a_block_is_refused():
    with pytest.raises(ValueError, match="33 pixels; 0 to 32"):
        CrossFade(SHAPE, 64, 33)
