import numpy as np
import pytest
from affine import Affine
from PIL import Image

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import create_image
from candela.eo.s2.metadata import BANDS as ALL_BANDS
from candela.errors import InputError
from candela.models.encoder import BANDS, EncoderCard, load_encoder
from candela.models.training.augmentation import crop, two_views
from candela.models.training.images import find_images


def write(path, bands, shape=(60, 48), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(200, 4000, (len(bands), *shape), np.uint16)
    grid = Grid(None, Affine(10, 0, 0, 0, -10, 0), Shape(*shape))
    with create_image(path, grid, dtype="uint16", nodata=0, bands=bands) as image:
        image.write(values)
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images in the three forms that are understood, and files that are none."""
    tmp_path = tmp_path_factory.mktemp("images")
    write(tmp_path / "stack.tif", BANDS)
    write(tmp_path / "all" / "thirteen.tif", [f"number {index}" for index in range(13)], seed=1)
    for band in ALL_BANDS:
        shape = (60, 48) if band in ("B02", "B03", "B04", "B08") else (30, 24)
        write(tmp_path / "product" / f"T31TCJ_{band}.tif", [""], shape, seed=2)
    write(tmp_path / "radar.tif", ["VV", "VH"])
    write(tmp_path / "incomplete" / "B02.tif", [""])
    write(tmp_path / "labelled" / "city.tif", BANDS)
    return tmp_path


def test_images_are_found_in_whatever_form(folder):
    images = list(find_images(folder, exclude=["labelled"]))
    assert [image.name for image in images] == ["all/thirteen.tif", "stack.tif", "product"]
    assert {image.pixels.shape for image in images} == {(60, 48, len(BANDS))}


def test_bands_of_a_whole_product_are_taken_in_the_order_of_esa(tmp_path):
    values = write(tmp_path / "all" / "thirteen.tif", ["?"] * 13, seed=4)
    (image,) = find_images(tmp_path)
    swir = values[ALL_BANDS.index("B12")]
    correlation = np.corrcoef(image.pixels[..., BANDS.index("B12")].ravel(), swir.ravel())
    assert correlation[0, 1] > 0.99


def test_images_are_standardised(folder):
    for image in find_images(folder):
        assert np.median(image.pixels, axis=(0, 1)) == pytest.approx(np.zeros(10), abs=0.02)


def test_a_crop_is_a_part_of_the_image_turned_or_mirrored():
    image = np.arange(40 * 50, dtype=np.float32).reshape(40, 50, 1)
    patch = crop(image, 16, np.random.default_rng(0))
    assert patch.shape == (16, 16, 1)
    assert len(np.unique(patch)) == 256
    steps = {
        abs(float(patch[0, 1, 0] - patch[0, 0, 0])),
        abs(float(patch[1, 0, 0] - patch[0, 0, 0])),
    }
    assert steps == {1.0, 50.0}


def test_a_small_image_is_mirrored_until_it_is_large_enough():
    assert crop(np.ones((5, 7, 2), np.float32), 16, np.random.default_rng(0)).shape == (16, 16, 2)


def test_two_views_differ_in_radiometry_and_agree_on_where_things_are():
    patch = np.zeros((96, 96, 10), np.float32)
    patch[:, 48:] = 2
    views = two_views(patch, np.random.default_rng(1))
    assert views.source.dtype == views.target.dtype == np.float32
    assert not np.allclose(views.source, views.target, atol=0.1)
    edges = np.abs(np.diff(views.target.mean(axis=(0, 2))))
    assert np.argmax(edges) == 47


@pytest.fixture(scope="module")
def train(folder):
    """Return a function that trains a small encoder on the folder."""
    module = pytest.importorskip("candela.models.training.__main__")

    def call(output, *options):
        where = ["--data", str(folder), "--output", str(output), "--name", "compact"]
        module.main([*where, "--seed", "3", *options])

    return call


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """Train for two steps: the folder of the encoder."""
    output = tmp_path_factory.mktemp("trained")
    train(output, "--steps", "2", "--version", "7")
    return output


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_same_seed_gives_the_same_encoder_in_both_forms(train, trained, tmp_path):
    image = np.random.default_rng(0).normal(0, 1, (len(BANDS), 32, 48)).astype(np.float32)
    train(tmp_path, "--steps", "2")
    first, second = (
        load_encoder("onnx", "compact", output)(image) for output in (trained, tmp_path)
    )
    keras = load_encoder("tensorflow", "compact", trained)(image)
    for other, tolerance in ((second, 1e-5), (keras, 1e-4)):
        np.testing.assert_allclose(first.fine, other.fine, atol=tolerance)
        np.testing.assert_allclose(first.code.units(), other.code.units(), atol=tolerance)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_training_goes_on_where_it_was_interrupted(train, tmp_path, monkeypatch):
    module = pytest.importorskip("candela.models.training.autoencoder")
    train(tmp_path / "whole", "--steps", "4")
    monkeypatch.setattr(module, "REPORT_EVERY", 2)
    steps = []
    draw_batch = module.training_batch

    def interrupted(images, seed, number, size):
        steps.append(number)
        if steps.count(number) == 1 and number == 3:
            raise KeyboardInterrupt
        return draw_batch(images, seed, number, size)

    monkeypatch.setattr(module, "training_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", "--steps", "4")
    train(tmp_path / "parts", "--steps", "4")
    assert steps[:4] == [0, 1, 2, 3]
    assert steps[4:6] == [2, 3]  # from the checkpoint on
    whole, parts = (
        np.loadtxt(tmp_path / name / "compact_loss.csv", delimiter=",", skiprows=1)
        for name in ("whole", "parts")
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_training_tells_its_facts_and_draws_its_course(trained):
    facts = EncoderCard.read("compact", trained)
    assert facts.version == 7
    assert facts.bands == BANDS
    for name in ("compact_loss.png", "compact_samples.png"):
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 100


def test_a_folder_without_images_is_refused(tmp_path):
    module = pytest.importorskip("candela.models.training.__main__")
    with pytest.raises(InputError, match="no image with the bands B02"):
        module.main(["--data", str(tmp_path), "--output", str(tmp_path)])
