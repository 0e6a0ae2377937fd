import numpy as np
import pytest
from rasterio.windows import Window

from candela.eo.s2.mask import (
    Usability,
    from_scene_classes,
    grow_clouds,
    open_clouds,
    validity,
)
from candela.eo.s2.product import open_product
from candela.errors import InputError

WINDOW = Window(0, 0, 120, 120)


@pytest.fixture
def classes():
    """Vegetation with a cloud that has a hole, its shadow, cirrus and snow; edges on 60 m."""
    values = np.full((60, 60), 4, dtype=np.uint8)
    values[6:24, 6:24] = 9
    values[12:18, 12:18] = 4
    values[30:36, 6:24] = 3
    values[30:36, 30:36] = 10
    values[42:48, 42:48] = 11
    return values


def clouds(path, window=WINDOW, part=None):
    granule = open_product(path).granule()
    grid = granule.base_grid.cut(part) if part else granule.base_grid
    with open_clouds(granule, grid) as read:
        return read(window)


def test_validity_needs_all_bands():
    bands = np.array([[[5, 0, 5, 65535]], [[5, 5, 65535, 0]]], dtype=np.uint16)
    np.testing.assert_array_equal(
        validity(bands),
        [[Usability.USABLE, Usability.NO_DATA, Usability.SATURATED, Usability.NO_DATA]],
    )


def test_every_scene_class_has_a_meaning():
    u = Usability
    expected = [
        u.NO_DATA, u.SATURATED, u.USABLE, u.CLOUD_SHADOW, u.USABLE, u.USABLE, u.USABLE, u.USABLE,
        u.CLOUD, u.CLOUD, u.CIRRUS, u.SNOW,
    ]  # fmt: skip
    np.testing.assert_array_equal(from_scene_classes(np.arange(12)), expected)


def test_level_2a_masks_come_from_the_scene_classification(write_product, classes):
    found = clouds(write_product(level="L2A", classes=classes))
    expected = from_scene_classes(classes).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("baseline", ["02.14", "04.00"])
def test_level_1c_masks_know_cloud_and_cirrus(write_product, classes, baseline):
    found = clouds(write_product(level="L1C", classes=classes, baseline=baseline))
    fine = from_scene_classes(classes).repeat(2, axis=0).repeat(2, axis=1)
    for kind in (Usability.CLOUD, Usability.CIRRUS):
        np.testing.assert_array_equal(found == kind, fine == kind)
    assert not (found == Usability.CLOUD_SHADOW).any()


def test_level_1c_masks_know_snow_since_baseline_4(write_product, classes):
    found = clouds(write_product(level="L1C", classes=classes, baseline="04.00"))
    fine = classes.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(found == Usability.SNOW, fine == 11)


@pytest.mark.parametrize(
    ("level", "baseline"), [("L2A", "04.00"), ("L1C", "02.14"), ("L1C", "04.00")]
)
def test_a_part_shows_what_the_whole_shows(write_product, classes, level, baseline):
    path = write_product(level=level, classes=classes, baseline=baseline)
    whole = clouds(path)
    part, window = Window(13, 5, 70, 80), Window(3, 9, 50, 61)
    np.testing.assert_array_equal(clouds(path, window, part), whole[14:75, 16:66])


def test_a_clear_level_1c_image_has_no_clouds(write_product):
    clear = np.full((60, 60), 4, dtype=np.uint8)
    assert (clouds(write_product(level="L1C", classes=clear)) == Usability.USABLE).all()


def test_without_cloud_information_the_other_choices_are_named(write_product):
    with pytest.raises(InputError, match=r"no cloud information .* choose the mask model, val"):
        clouds(write_product(level="L1C"))


def test_clouds_grow_over_usable_pixels_only_and_win_over_what_they_cast():
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 1], mask[4, 4], mask[4, 7] = Usability.CLOUD, Usability.CLOUD_SHADOW, Usability.CIRRUS
    mask[0, 1], mask[8, 8] = Usability.NO_DATA, Usability.SNOW
    grown = grow_clouds(mask, 2)
    assert grown[4].tolist() == [3, 3, 3, 3, 4, 4, 4, 5, 5]
    assert grown[2].tolist() == [0, 3, 0, 0, 4, 0, 0, 5, 0]
    assert (grown[0, 1], grown[8, 8]) == (Usability.NO_DATA, Usability.SNOW)
    assert grow_clouds(mask, 0) is mask


OUTLINE = """<m xmlns:gml="g"><MaskFeature><maskType>{kind}</maskType>
<gml:{tag} srsDimension="{step}">{text}</gml:{tag}></MaskFeature></m>"""
SQUARE = "300000 4900020 300600 4900020 300600 4899420 300000 4899420 300000 4900020"


@pytest.fixture
def outlined(write_product):
    """Return a function that reads the mask of a product whose outlines are given."""

    def read(text, *, tag="posList", step=2, kind="OPAQUE"):
        path = write_product(level="L1C", classes=np.full((60, 60), 9, np.uint8))
        mask = next(path.rglob("MSK_CLOUDS*.gml"))
        mask.write_text(OUTLINE.format(tag=tag, text=text, step=step, kind=kind))
        return clouds(path)

    return read


@pytest.mark.parametrize(
    ("text", "tag", "step"),
    [
        (SQUARE, "posList", 2),
        ("300000 4900020 0 300600 4900020 0 300600 4899420 0 300000 4899420 0", "posList", 3),
        ("300000,4900020 300600,4900020 300600,4899420 300000,4899420", "coordinates", 2),
    ],
    ids=["gml3", "heights-not-closed", "gml2"],
)
def test_outlines_are_read_in_old_and_new_dialects(outlined, text, tag, step):
    found = outlined(text, tag=tag, step=step)
    assert (found[:60, :60] == Usability.CLOUD).all()
    assert (found == Usability.CLOUD).sum() == 3600


@pytest.mark.parametrize(
    ("text", "step", "reason"),
    [
        (SQUARE.removesuffix(" 4900020"), 2, "has 9 numbers, expected 2 for each corner"),
        ("", 2, "has 0 numbers"),
        ("300000 4900020 300600 4900020", 2, "has 4 numbers"),
        (SQUARE.replace("300600", "nan"), 2, "not finite"),
        (SQUARE.replace("300600", "x"), 2, "expected numbers"),
        (SQUARE, 0, "has 0 numbers for each corner"),
        (SQUARE, 3, "has 10 numbers, expected 3"),
        (SQUARE, "two", "has two numbers for each corner"),
    ],
)
def test_an_outline_that_is_no_polygon_is_an_error_of_the_input(outlined, text, step, reason):
    with pytest.raises(InputError, match=rf"MSK_CLOUDS_B00\.gml: posList .*{reason}"):
        outlined(text, step=step)
