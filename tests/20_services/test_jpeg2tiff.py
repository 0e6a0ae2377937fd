import re

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform_bounds

from candela.eo.raster.grid import Area, Bounds
from candela.eo.raster.resample import enlarge, reduce
from candela.eo.s2.mask import Usability
from candela.eo.s2.metadata import BANDS
from candela.errors import InputError
from candela.services.jpeg2tiff import run
from candela.spec import load_specs
from candela.synthetic.noise import fractal
from candela.synthetic.sentinel2 import TILE_CORNER

TEN_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
LEFT, TOP = TILE_CORNER


class Told(list):
    """A progress that remembers."""

    def __call__(self, percent, message):
        self.append((percent, message))


@pytest.fixture
def convert(tmp_path):
    def call(product, **options):
        workdir = tmp_path / "out"
        workdir.mkdir(exist_ok=True)
        settings = {
            "bands": [], "area": None, "resolution": 10, "resampling": "bilinear", "mask": "none",
            "cloud_margin": 0.0, "workdir": workdir, "progress": Told(),
        }  # fmt: skip
        return run(product=product, **settings | options)

    return call


def read(path):
    with rasterio.open(path) as image:
        return image.read()


def random_bands(seed=9, size=120):
    random = np.random.default_rng(seed)
    fine = ("B02", "B03", "B04", "B08")
    return {
        band: random.integers(1, 12_000, (size if band in fine else size // 2,) * 2, np.uint16)
        for band in TEN_BANDS
    }


def test_the_ten_bands_of_10_m_and_20_m_come_by_default(write_product, convert):
    outputs = convert(write_product())
    assert set(outputs) == {"image", "preview"}
    with rasterio.open(outputs["image"]) as image:
        assert image.descriptions == TEN_BANDS
        assert image.dtypes == ("uint16",) * 10
        assert image.nodata == 0
        assert image.transform[:6] == (10, 0, LEFT, 0, -10, TOP)
        assert image.shape == (120, 120)


def test_10_m_bands_are_bit_exact_and_20_m_bands_are_on_the_blue_grid(write_product, convert):
    bands = random_bands()
    stack = read(convert(write_product(bands=bands))["image"])
    for name, found in zip(TEN_BANDS, stack, strict=True):
        values = bands[name]
        if len(values) == 60:
            values = enlarge(values, 2, "bilinear", values == 0)
        np.testing.assert_array_equal(found, values, err_msg=name)


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
def test_an_enlarged_band_lies_where_the_fine_one_lies(write_product, convert, resampling):
    """B8A (20 m) and B08 (10 m) see the same ground: half a pixel of error would show."""
    size = 600
    ground = fractal(np.random.default_rng(4), size, 60, octaves=4)
    fine = np.round(3000 + 500 * ground).astype(np.uint16)
    coarse = reduce(fine, 2, "bilinear", fine == 0)
    bands = dict.fromkeys(BANDS) | {"B02": fine, "B08": fine, "B8A": coarse}
    image = convert(
        write_product(size=size, bands=bands), bands=["B08", "B8A"], resampling=resampling
    )["image"]
    first, second = read(image).astype(np.float64)
    (cols, rows), _ = cv2.phaseCorrelate(first, second, cv2.createHanningWindow((size, size), 6))
    assert abs(rows) < 0.05
    assert abs(cols) < 0.05


def test_an_image_of_several_strips_is_the_same_in_every_strip(write_product, convert):
    size = 1200
    bands = random_bands(size=size)
    bands = dict.fromkeys(BANDS) | {name: bands[name] for name in ("B02", "B05")}
    stack = read(convert(write_product(size=size, bands=bands), bands=["B02", "B05"])["image"])
    np.testing.assert_array_equal(stack[0], bands["B02"])
    np.testing.assert_array_equal(stack[1], enlarge(bands["B05"], 2, "bilinear", bands["B05"] == 0))


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_the_offset_of_newer_baselines_is_removed(write_product, convert, level):
    values = np.full((120, 120), 2500, dtype=np.uint16)
    values[0, :3] = 0, 1, 1000
    product = write_product(level=level, baseline="05.10", bands={"B04": values})
    found = read(convert(product, bands=["B04"])["image"])[0]
    assert found[0, :3].tolist() == [0, 1, 1]
    assert (found[1:] == 1500).all()


def test_bands_come_in_the_order_wanted(write_product, convert):
    with rasterio.open(convert(write_product(), bands=["B11", "B02"])["image"]) as image:
        assert image.descriptions == ("B11", "B02")


def test_a_band_that_is_asked_for_twice_comes_once(write_product, convert):
    with rasterio.open(convert(write_product(), bands=["B02", "B02"])["image"]) as image:
        assert image.descriptions == ("B02",)


def test_all_thirteen_bands_of_level_1c_can_be_had(write_product, convert):
    assert read(convert(write_product(level="L1C"), bands=list(BANDS))["image"]).shape == (
        13,
        120,
        120,
    )


def test_tags_tell_product_date_and_tile(write_product, convert):
    with rasterio.open(convert(write_product())["image"]) as image:
        tags = image.tags()
    assert tags["PRODUCT_ID"] == "S2A_MSIL2A_20210605T105031_N0214_R051_T31TCJ_20210605T165031"
    assert tags["SENSING_TIME"] == "2021-06-05T10:50:31Z"
    assert tags["TILE_ID"] == "T31TCJ"
    assert tags["RELATIVE_ORBIT"] == "51"
    assert tags["PLATFORM"] == "S2A"
    assert tags["LEVEL"] == "L2A"
    assert tags["PROCESSING_BASELINE"] == "02.14"


def test_outputs_are_named_after_the_product(write_product, convert):
    product = write_product()
    outputs = convert(product, mask="validity")
    assert outputs["image"].name == f"{product.stem}.tif"
    assert outputs["mask"].name == f"{product.stem}_mask.tif"
    assert outputs["preview"].name == f"{product.stem}_preview.png"


def test_a_zip_file_gives_what_the_folder_gives(write_product, convert):
    from_folder = read(convert(write_product())["image"])
    np.testing.assert_array_equal(read(convert(write_product(archive=True))["image"]), from_folder)


@pytest.mark.parametrize(("resolution", "side"), [(20, 60), (60, 20)])
def test_another_pixel_size_keeps_the_upper_left_corner(write_product, convert, resolution, side):
    with rasterio.open(convert(write_product(), resolution=resolution)["image"]) as image:
        assert image.shape == (side, side)
        assert image.transform[:6] == (resolution, 0, LEFT, 0, -resolution, TOP)


def test_20_m_bands_are_bit_exact_on_their_own_grid(write_product, convert):
    bands = random_bands()
    found = read(convert(write_product(bands=bands), bands=["B8A"], resolution=20)["image"])[0]
    np.testing.assert_array_equal(found, bands["B8A"])


def test_an_area_is_cut_out_of_the_whole(write_product, convert):
    product = write_product()
    whole = read(convert(product)["image"])
    area = Area(Bounds(LEFT + 205, TOP - 899, LEFT + 601, TOP - 300), "EPSG:32631")
    with rasterio.open(convert(product, area=area)["image"]) as image:
        assert image.bounds == (LEFT + 200, TOP - 900, LEFT + 610, TOP - 300)
        np.testing.assert_array_equal(image.read(), whole[:, 30:90, 20:61])


def test_an_area_may_be_in_degrees(write_product, convert):
    wanted = (LEFT + 300, TOP - 700, LEFT + 500, TOP - 500)
    degrees = Bounds(*transform_bounds("EPSG:32631", "EPSG:4326", *wanted))
    with rasterio.open(convert(write_product(), area=Area(degrees, "EPSG:4326"))["image"]) as image:
        assert image.bounds.left <= wanted[0] <= image.bounds.left + 40
        assert image.bounds.top - 40 <= wanted[3] <= image.bounds.top


def test_an_area_elsewhere_is_refused_with_both_places(write_product, convert):
    area = Area(Bounds(10, 50, 11, 51), "EPSG:4326")
    with pytest.raises(InputError, match="does not touch tile T31TCJ, which covers") as caught:
        convert(write_product(), area=area)
    assert caught.value.locator == "area"


def test_the_area_chooses_the_tile_of_an_old_product(write_product, convert):
    product = write_product(level="L1C", naming="old", tiles=("31TCJ", "31TDJ"))
    area = Area(Bounds(LEFT + 1300, TOP - 900, LEFT + 1500, TOP - 500), "EPSG:32631")
    outputs = convert(product, area=area)
    assert outputs["image"].stem.endswith("_T31TDJ")
    with rasterio.open(outputs["image"]) as image:
        assert image.tags()["TILE_ID"] == "T31TDJ"


def test_the_validity_mask_tells_nodata_and_saturation(write_product, convert):
    bands = {"B02": np.full((120, 120), 2000, np.uint16), "B05": np.full((60, 60), 2000, np.uint16)}
    bands["B02"][:30], bands["B02"][60, 60], bands["B05"][:, :10] = 0, 65535, 0
    outputs = convert(write_product(bands=bands), bands=["B02", "B05"], mask="validity")
    mask = read(outputs["mask"])[0]
    expected = np.zeros((120, 120))
    expected[60, 60] = Usability.SATURATED
    expected[:30], expected[:, :20] = Usability.NO_DATA, Usability.NO_DATA
    np.testing.assert_array_equal(mask, expected)


def test_the_cloud_mask_has_nodata_before_clouds(write_product, convert):
    classes = np.full((60, 60), 4, dtype=np.uint8)
    classes[:20] = 9
    values = np.full((120, 120), 2000, np.uint16)
    values[:, :40] = 0
    product = write_product(bands={"B02": values}, classes=classes)
    mask = read(convert(product, bands=["B02"], mask="cloud")["mask"])[0]
    assert (mask[:, :40] == Usability.NO_DATA).all()
    assert (mask[:40, 40:] == Usability.CLOUD).all()
    assert (mask[40:, 40:] == Usability.USABLE).all()


def test_clouds_reach_as_far_beyond_the_mask_as_wanted(write_product, convert, monkeypatch):
    monkeypatch.setattr("candela.services.jpeg2tiff.mask.BLOCK_PIXELS", 32)
    classes = np.full((60, 60), 4, np.uint8)
    classes[20:22, 20:22] = 9  # a cloud of 4 x 4 pixels of 10 m
    classes[0, 0] = 0
    product = write_product(classes=classes)
    plain = read(convert(product, bands=["B02"], mask="cloud")["mask"])[0]
    grown = read(convert(product, bands=["B02"], mask="cloud", cloud_margin=50)["mask"])[0]
    rows, cols = np.nonzero(plain == Usability.CLOUD)
    for row, col in np.ndindex(*plain.shape):
        near = ((rows - row) ** 2 + (cols - col) ** 2).min() <= 5**2
        assert (grown[row, col] == Usability.CLOUD) == near
    assert (grown == Usability.NO_DATA).sum() == (plain == Usability.NO_DATA).sum() == 4


def test_the_mask_lies_on_the_grid_of_the_image(write_product, convert):
    area = Area(Bounds(LEFT + 200, TOP - 900, LEFT + 600, TOP - 300), "EPSG:32631")
    outputs = convert(write_product(), area=area, resolution=20, mask="validity")
    with rasterio.open(outputs["image"]) as image, rasterio.open(outputs["mask"]) as mask:
        assert (image.transform, image.shape) == (mask.transform, mask.shape)


def test_a_cloud_mask_without_cloud_information_is_refused(write_product, convert):
    with pytest.raises(InputError, match="no cloud information"):
        convert(write_product(level="L1C"), mask="cloud")


def test_the_preview_shows_the_colours(write_product, convert):
    bands = {name: np.full((120, 120), 500, np.uint16) for name in ("B02", "B03", "B04")}
    bands["B04"][:, 60:] = 3000  # red to the right
    for values in bands.values():
        values[:10] = 0
    with Image.open(convert(write_product(bands=bands))["preview"]) as image:
        picture = np.asarray(image)
    assert picture.shape == (120, 120, 4)
    assert (picture[:10, :, 3] == 0).all()
    assert (picture[10:, :, 3] == 255).all()
    red, green = picture[50, 100, 0], picture[50, 100, 1]
    assert red > 200 > 50 > green


def test_the_preview_of_a_product_without_colours_is_grey(write_product, convert):
    others = dict.fromkeys(("B02", "B03", "B04"))
    with Image.open(convert(write_product(bands=others), bands=["B08"])["preview"]) as image:
        picture = np.asarray(image)
    assert (picture[..., 0] == picture[..., 2]).all()


def test_progress_rises_to_the_end_and_names_the_bands(write_product, convert):
    told = Told()
    convert(write_product(), mask="validity", progress=told)
    percents = [percent for percent, _ in told]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] == 100
    assert {f"Decoding band {band}" for band in TEN_BANDS} <= {message for _, message in told}


def test_a_missing_band_is_the_products_fault_and_leaves_nothing_behind(
    write_product, convert, tmp_path
):
    with pytest.raises(InputError, match="band B11 is missing") as caught:
        convert(write_product(bands={"B11": None}))
    assert caught.value.locator == "product"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_band_is_the_products_fault_and_leaves_nothing_behind(
    write_product, convert, tmp_path
):
    product = write_product(size=600, bands=dict.fromkeys(("B01", "B09", "B10")))
    band = next(product.rglob("*_B08_10m.jp2"))
    band.write_bytes(band.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"B08_10m\.jp2 cannot be") as caught:
        convert(product)
    assert caught.value.locator == "product"
    assert list((tmp_path / "out").iterdir()) == []


def test_the_description_has_the_defaults_that_run_knows():
    inputs = load_specs()["Jpeg2Tiff"].inputs
    assert not inputs["bands"].is_required
    assert inputs["resolution"].default == 10
    assert inputs["mask"].allowed == ("none", "validity", "cloud", "model", "both")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("../../../escaped", "escaped"),
        ("/tmp/escaped.SAFE", "escaped"),
        ("..", None),
        ("s3://bucket/tiles/S2A_MSIL2A_X.SAFE", "S2A_MSIL2A_X"),
        ("https://host/S2A_MSIL2A_X.SAFE/", "S2A_MSIL2A_X"),
        ("..\\..\\escaped", "escaped"),
    ],
)
def test_a_product_that_calls_itself_a_path_writes_nothing_outside(
    write_product, convert, tmp_path, uri, name
):
    product = write_product(bands=dict.fromkeys(BANDS) | {"B02": np.full((120, 120), 2000, "u2")})
    document = product / "MTD_MSIL2A.xml"
    document.write_text(
        re.sub("<PRODUCT_URI>.*<", lambda _: f"<PRODUCT_URI>{uri}<", document.read_text())
    )
    before = set(tmp_path.parent.rglob("*"))
    outputs = convert(product, bands=["B02"], mask="validity")
    name = name or product.stem
    assert {path.name for path in set(tmp_path.parent.rglob("*")) - before} == {"out"} | {
        path.name for path in outputs.values()
    }
    assert {path.parent for path in outputs.values()} == {tmp_path / "out"}
    assert outputs["image"].name.startswith(name)
    with rasterio.open(outputs["image"]) as image:
        assert image.tags()["PRODUCT_ID"] == name


def test_an_area_in_metres_without_a_reference_system_is_told_so(write_product, convert):
    area = Area(Bounds(LEFT + 100, TOP - 1000, LEFT + 500, TOP - 500), "EPSG:4326")
    with pytest.raises(InputError, match="is not in degrees") as refusal:
        convert(write_product(), area=area)
    assert refusal.value.locator == "area"


@pytest.mark.parametrize(
    ("bounds", "crs"),
    [((-180, -90, 180, 90), "EPSG:4326"), ((-3e7, -3e7, 3e7, 3e7), "EPSG:32631"),
     ((-20037508, -20037508, 20037508, 20037508), "EPSG:3857")],
)  # fmt: skip
def test_an_area_larger_than_any_projection_reaches_is_the_whole_tile(
    write_product, convert, bounds, crs
):
    bands = dict.fromkeys(BANDS) | {"B02": np.full((120, 120), 2000, "u2")}
    product = write_product(bands=bands)
    image = convert(product, bands=["B02"], area=Area(Bounds(*bounds), crs))["image"]
    assert read(image).shape == (1, 120, 120)


@pytest.mark.parametrize(
    ("bounds", "crs"),
    [((5e9, 5e9, 6e9, 6e9), "EPSG:32631"), ((0, 44, float("nan"), 45), "EPSG:4326"),
     ((0, 44, float("inf"), 45), "EPSG:4326"), ((0, 80, 10, 95), "EPSG:4326")],
)  # fmt: skip
def test_an_area_that_is_nowhere_is_an_error_of_the_input(write_product, convert, bounds, crs):
    with pytest.raises(InputError, match="the area") as refusal:
        convert(write_product(), area=Area(Bounds(*bounds), crs))
    assert refusal.value.locator == "area"


def test_a_mask_that_is_damaged_is_told_before_the_bands_are_decoded(
    write_product, convert, tmp_path
):
    product = write_product(level="L1C", classes=np.full((60, 60), 9, np.uint8))
    mask = next(product.rglob("MSK_CLOUDS*.gml"))
    mask.write_text(re.sub("(<[^>]*posList[^>]*>)[^<]*", r"\g<1>1 2 3", mask.read_text()))
    told = Told()
    with pytest.raises(InputError, match=r"MSK_CLOUDS_B00\.gml: posList") as refusal:
        convert(product, bands=["B02"], mask="cloud", progress=told)
    assert refusal.value.locator == "product"
    assert [percent for percent, _ in told] == [0]
    assert list((tmp_path / "out").iterdir()) == []
