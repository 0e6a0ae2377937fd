import numpy as np
import pytest

from candela.eo.raster.blocks import split
from candela.eo.raster.grid import Shape


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(64, 64), Shape(100, 37), Shape(7, 300)])
def test_inner_windows_tile_the_image(shape):
    seen = np.zeros(shape, dtype=int)
    for block in split(shape, 32, halo=5):
        seen[block.inner.toslices()] += 1
    assert (seen == 1).all()


def test_the_halo_surrounds_a_block_and_ends_at_the_edge_of_the_image():
    blocks = list(split(Shape(96, 96), 32, halo=5))
    assert blocks[0].outer.toslices() == (slice(0, 37), slice(0, 37))
    assert blocks[4].outer.toslices() == (slice(27, 69), slice(27, 69))
    assert blocks[8].outer.toslices() == (slice(59, 96), slice(59, 96))


def test_the_crop_finds_the_inner_part_in_what_was_read():
    image = np.arange(50 * 70).reshape(50, 70)
    for block in split(Shape(50, 70), 16, halo=3):
        read = image[block.outer.toslices()]
        np.testing.assert_array_equal(read[block.crop], image[block.inner.toslices()])
