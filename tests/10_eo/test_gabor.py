import numpy as np
import pytest
from scipy.signal import fftconvolve

from candela.eo.texture.gabor import BANK, REACH, SPACING, GaborBank, gabor_magnitudes

SIDE = 512
INNER = slice(96, SIDE - 96, 4)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).random((SIDE, SIDE)).astype(np.float32)


def wave(frequency, degrees):
    rows, cols = np.mgrid[:SIDE, :SIDE]
    angle = np.radians(degrees)
    phase = 2 * np.pi * frequency * (cols * np.cos(angle) + rows * np.sin(angle))
    return (0.5 * np.cos(phase)).astype(np.float32)


def means(image):
    """Return the mean of each filter's magnitude away from the edges, (scales, orientations)."""
    found = []
    for scale, step in zip(gabor_magnitudes(image), SPACING, strict=True):
        edge = -(-len(image) // 8 // step)
        found.append(scale[:, edge:-edge, edge:-edge].mean(axis=(1, 2)))
    return np.array(found)


def test_frequencies_and_widths_are_those_of_the_paper():
    """The bank of Manjunath and Ma: 4 scales from 0.4 to 0.05, an octave apart."""
    assert BANK.frequencies == pytest.approx([0.4, 0.2, 0.1, 0.05])
    along, across = BANK.widths(0.4)
    assert along == pytest.approx((2 - 1) * 0.4 / ((2 + 1) * np.sqrt(2 * np.log(2))))
    neighbour = 0.4 * np.tan(np.pi / 12)  # half way, by angle, to the next orientation
    half_peak = np.exp(-0.5 * (neighbour / across) ** 2)
    assert half_peak == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("scale", [0, 1, 2, 3])
@pytest.mark.parametrize("orientation", [0, 1, 4])
def test_the_response_is_that_of_scikit_image(noise, scale, orientation):
    filters = pytest.importorskip("skimage.filters")
    frequency = BANK.frequencies[scale]
    along, across = BANK.widths(frequency)
    kernel = filters.gabor_kernel(
        frequency,
        theta=np.pi * orientation / 6,
        sigma_x=1 / (2 * np.pi * along),
        sigma_y=1 / (2 * np.pi * across),
        n_stds=4,
    )
    kernel -= np.abs(kernel) * kernel.sum() / np.abs(kernel).sum()  # no answer to even ground
    expected = np.abs(fftconvolve(noise, kernel, mode="same"))[INNER, INNER]
    step = SPACING[scale]
    inner = slice(INNER.start // step, INNER.stop // step, 4 // step)
    found = gabor_magnitudes(noise)[scale][orientation, inner, inner]
    # What is left out of the plane at the finest scale shows in single pixels.
    worst = 0.02 if scale else 0.2
    np.testing.assert_allclose(found, expected, atol=worst * expected.mean())
    assert found.mean() == pytest.approx(expected.mean(), rel=5e-3)
    assert found.std() == pytest.approx(expected.std(), rel=0.015)


@pytest.mark.parametrize(("scale", "orientation"), [(1, 0), (2, 2), (2, 3), (3, 5)])
def test_a_wave_answers_where_its_frequency_and_direction_are(scale, orientation):
    image = wave(BANK.frequencies[scale], 30 * orientation)
    found = means(image)
    assert np.unravel_index(found.argmax(), found.shape) == (scale, orientation)
    assert found.max() == pytest.approx(0.25, rel=0.02)  # half of the amplitude


def test_an_even_image_has_no_texture():
    assert means(np.full((128, 128), 7.0, np.float32)).max() < 1e-5


def test_a_gain_scales_the_texture_and_an_offset_does_not_matter(noise):
    one, other = means(noise), means(3 * noise + 1)
    np.testing.assert_allclose(other, 3 * one, rtol=1e-4)


def test_a_turn_by_90_degrees_moves_the_orientations_by_three(noise):
    textured = noise + wave(0.2, 30) + wave(0.1, 120)
    one, turned = means(textured), means(np.rot90(textured).copy())
    np.testing.assert_allclose(np.roll(one, 3, axis=1), turned, rtol=0.02)


def test_blocks_with_their_margin_have_the_texture_of_the_whole(noise):
    wide = slice(200 - REACH, 280 + REACH)
    of_both = (gabor_magnitudes(image) for image in (noise, noise[wide, wide]))
    for whole, block, step in zip(*of_both, SPACING, strict=True):
        inner, edge = slice(200 // step, 280 // step), REACH // step
        expected = whole[:, inner, inner].mean(axis=(1, 2))
        found = block[:, edge:-edge, edge:-edge].mean(axis=(1, 2))
        np.testing.assert_allclose(found, expected, rtol=0.02)


def test_another_bank_has_other_scales_and_orientations(noise):
    found = gabor_magnitudes(noise, GaborBank(scales=3, orientations=8))
    assert [scale.shape for scale in found] == [(8, 256, 256), (8, 256, 256), (8, 128, 128)]
    assert {scale.dtype for scale in found} == {np.dtype("float32")}
