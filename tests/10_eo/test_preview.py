import numpy as np
from PIL import Image

from candela.eo.raster.preview import colour, preview_shape, write_png


def test_nodata_is_transparent_and_the_rest_opaque():
    bands = np.random.default_rng(1).uniform(0, 0.3, (3, 20, 30))
    bands[1, 3, 4] = np.nan
    picture = colour(bands)
    assert picture.shape == (20, 30, 4)
    assert picture[3, 4].tolist() == [0, 0, 0, 0]
    assert (np.delete(picture[..., 3].ravel(), 3 * 30 + 4) == 255).all()


def test_an_image_without_any_data_is_fully_transparent():
    assert not colour(np.full((3, 4, 4), np.nan)).any()


def test_brighter_stays_brighter():
    ramp = np.linspace(0.01, 0.4, 200).reshape(1, 10, 20).repeat(3, axis=0)
    shown = colour(ramp)[..., 0].ravel().astype(int)
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[-1] == 255


def test_the_colours_of_a_grey_image_are_grey():
    grey = np.random.default_rng(2).uniform(0.05, 0.3, (1, 20, 20))
    picture = colour(grey)
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 1] == picture[..., 2]).all()


def test_noise_over_dark_water_is_not_stretched_to_white():
    noise = 0.03 + np.random.default_rng(3).normal(0, 0.0005, (3, 50, 50))
    assert colour(noise)[..., :3].mean() < 100


def test_a_preview_keeps_proportions_and_is_never_enlarged():
    assert preview_shape(10980, 10980) == (1024, 1024)
    assert preview_shape(10980, 5490) == (1024, 512)
    assert preview_shape(100, 60) == (100, 60)
    assert preview_shape(100_000, 1) == (1024, 1)


def test_a_picture_is_written_as_png(tmp_path):
    picture = np.random.default_rng(4).integers(0, 255, (5, 7, 4), dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)
