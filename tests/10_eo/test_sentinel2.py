import datetime as dt
import re
import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.eo.raster.grid import Area, Bounds, Shape
from candela.eo.s2.metadata import BANDS, Metadata
from candela.eo.s2.product import open_product
from candela.errors import InputError

LEVELS = ("L1C", "L2A")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("archive", [False, True])
def test_metadata_is_read(write_product, level, archive):
    path = write_product(level=level, archive=archive, platform="S2B", orbit=8)
    granule = open_product(path).granule()
    assert granule.metadata == Metadata(
        product_id=f"S2B_MSI{level}_20210605T105031_N0214_R008_T31TCJ_20210605T165031",
        sensing_time=dt.datetime(2021, 6, 5, 10, 50, 31, tzinfo=dt.UTC),
        tile_id="T31TCJ",
        relative_orbit=8,
        platform="S2B",
        level=level,
        processing_baseline="02.14",
    )


def test_metadata_survives_as_tags(write_product):
    metadata = open_product(write_product()).granule().metadata
    assert Metadata.from_tags(metadata.to_tags()) == metadata
    assert set(metadata.to_tags()) == {
        "PRODUCT_ID", "SENSING_TIME", "TILE_ID", "RELATIVE_ORBIT", "PLATFORM", "LEVEL",
        "PROCESSING_BASELINE",
    }  # fmt: skip


@pytest.mark.parametrize("tags", [{}, {"SENSING_TIME": ""}])
def test_tags_without_a_date_are_refused(tags):
    with pytest.raises(InputError, match="no tag SENSING_TIME"):
        Metadata.from_tags(tags)


def test_tags_with_a_wrong_date_are_refused():
    with pytest.raises(InputError, match="yesterday is no ISO 8601 time"):
        Metadata.from_tags({"SENSING_TIME": "yesterday"})


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("baseline", "offset"), [("03.01", 0), ("04.00", -1000), ("05.11", -1000)])
def test_offsets_follow_the_processing_baseline(write_product, level, baseline, offset):
    radiometry = open_product(write_product(level=level, baseline=baseline)).granule().radiometry
    assert radiometry.offsets == dict.fromkeys(BANDS, offset)
    assert radiometry.quantification == 10_000
    assert (radiometry.nodata, radiometry.saturated) == (0, 65535)


def test_all_bands_of_a_level_1c_product_are_found(write_product):
    granule = open_product(write_product(level="L1C")).granule()
    assert {band for band, _ in granule.images} == set(BANDS)


def test_the_grid_of_each_pixel_size_shares_the_upper_left_corner(write_product):
    granule = open_product(write_product()).granule()
    for pixel, side in ((10, 120), (20, 60), (60, 20)):
        grid = granule.grid(pixel)
        assert grid.shape == Shape(side, side)
        assert grid.bounds == granule.base_grid.bounds
        assert grid.transform.a == pixel


def test_a_band_that_exists_at_the_wanted_pixel_size_is_taken_as_it_is(write_product):
    granule = open_product(write_product(level="L2A")).granule()
    assert granule.image("B02", 20).name.endswith("B02_20m.jp2")
    assert granule.image("B02", 10).name.endswith("B02_10m.jp2")


def test_otherwise_the_finest_file_is_taken(write_product):
    granule = open_product(write_product(level="L2A")).granule()
    assert granule.image("B02", 60).name.endswith("B02_10m.jp2")
    assert granule.image("B05", 10).name.endswith("B05_20m.jp2")


def test_an_old_product_is_read(write_product):
    path = write_product(level="L1C", naming="old", baseline="02.02")
    granule = open_product(path).granule()
    assert granule.metadata.tile_id == "T31TCJ"
    assert granule.metadata.product_id.startswith("S2A_OPER_PRD_MSIL1C_PDMC_")
    assert granule.metadata.image_id.endswith("_T31TCJ")
    assert granule.base_grid.shape == Shape(120, 120)


def test_an_old_product_with_several_tiles_asks_for_an_area(write_product):
    path = write_product(level="L1C", naming="old", tiles=("31TCJ", "31TDJ"))
    with pytest.raises(InputError, match=r"2 tiles \(T31TCJ, T31TDJ\): give an area of interest"):
        open_product(path).granule()


def test_the_area_chooses_the_tile(write_product):
    product = open_product(write_product(level="L1C", naming="old", tiles=("31TCJ", "31TDJ")))
    area = Area(Bounds(301_300, 4_899_000, 301_500, 4_899_500), "EPSG:32631")
    assert product.granule(area).metadata.tile_id == "T31TDJ"


def test_an_area_across_two_tiles_is_refused(write_product):
    product = open_product(write_product(level="L1C", naming="old", tiles=("31TCJ", "31TDJ")))
    area = Area(Bounds(301_000, 4_899_000, 301_500, 4_899_500), "EPSG:32631")
    with pytest.raises(InputError, match=r"no tile of .* contains the whole area"):
        product.granule(area)


def test_a_missing_band_is_named_with_those_that_are_there(write_product):
    granule = open_product(write_product(level="L1C", bands={"B11": None})).granule()
    with pytest.raises(InputError, match=r"band B11 is missing in S2A_.*images found: B01, B02"):
        granule.image("B11", 10)


def test_level_2a_says_that_it_has_no_cirrus_band(write_product):
    with pytest.raises(InputError, match=r"Level-2A has no B10"):
        open_product(write_product(level="L2A")).granule().image("B10", 10)


def test_an_empty_band_is_refused(write_product):
    path = write_product()
    next(path.rglob("*_B03_10m.jp2")).write_bytes(b"")
    with pytest.raises(InputError, match=r"band B03 is empty: GRANULE/.*B03_10m\.jp2 has 0 bytes"):
        open_product(path).granule().image("B03", 10)


def test_a_product_without_granules_is_refused(write_product):
    path = write_product()
    shutil.rmtree(path / "GRANULE")
    with pytest.raises(InputError, match="has no granule"):
        open_product(path)


def test_a_sentinel_1_product_is_recognised(tmp_path):
    folder = tmp_path / "S1A_IW_GRDH_1SDV_20210119T031653_20210119T031718_036201_043ED0_8255.SAFE"
    folder.mkdir()
    (folder / "manifest.safe").write_text("<a/>")
    with pytest.raises(InputError, match=r"S1A_IW_GRDH.*expected a Sentinel-2 Level-1C or"):
        open_product(folder)


def test_another_product_under_any_name_is_recognised(tmp_path):
    (tmp_path / "manifest.safe").write_text("<a/>")
    with pytest.raises(InputError, match="is a product, but not Sentinel-2"):
        open_product(tmp_path)


def test_a_level_that_is_not_supported_is_named(write_product):
    path = write_product()
    document = path / "MTD_MSIL2A.xml"
    document.write_text(document.read_text().replace("Level-2A<", "Level-1B<"))
    with pytest.raises(InputError, match="level Level-1B is not supported"):
        open_product(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SENSING_ORBIT_NUMBER>51<", "SENSING_ORBIT_NUMBER>x<", "SENSING_ORBIT_NUMBER is 'x'"),
        ("PROCESSING_BASELINE", "OTHER", "has no PROCESSING_BASELINE"),
        (">10000<", ">0<", "QUANTIFICATION_VALUE is '0', expected a number from 1 to 1000000"),
        ('band_id="3"', 'band_id="77"', "band_id '77', expected 0..12"),
        ("2021-06-05T", "05/06/2021 ", "is no ISO 8601 time"),
        ("SENSING_ORBIT_NUMBER>51<", "SENSING_ORBIT_NUMBER>nan<", "SENSING_ORBIT_NUMBER is 'nan'"),
        ("SENSING_ORBIT_NUMBER>51<", "SENSING_ORBIT_NUMBER>inf<", "SENSING_ORBIT_NUMBER is 'inf'"),
        (">10000<", ">1e-320<", "QUANTIFICATION_VALUE is '1e-320', expected a number from 1"),
        (">10000<", ">1e999<", "QUANTIFICATION_VALUE is '1e999'"),
        (">-1000<", ">nan<", "band_id 0 is 'nan', expected a number from -65535 to 65535"),
        (r"2021-06-05T10:50:31.024Z", "0001-01-01T00:00:00+23:59", "is no ISO 8601 time"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(write_product, old, new, message):
    path = write_product(baseline="04.00")
    document = path / "MTD_MSIL2A.xml"
    document.write_text(document.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        open_product(path)


def test_without_the_blue_band_another_one_gives_the_grid(write_product):
    granule = open_product(
        write_product(level="L1C", bands={name: None for name in BANDS if name != "B01"})
    ).granule()
    assert granule.base_grid.shape == Shape(120, 120)
    assert granule.base_grid.transform.a == 10


def test_the_tile_tells_where_a_band_without_georeference_lies(write_product):
    path = write_product()
    band = next(path.rglob("*_B02_10m.jp2"))
    expected = open_product(path).granule().base_grid
    with rasterio.open(
        band, "w", driver="GTiff", dtype="uint16", count=1, width=120, height=120,
        transform=rasterio.Affine(2, 0, 0, 0, 2, 0),
    ) as image:  # fmt: skip
        image.write(np.ones((1, 120, 120), dtype=np.uint16))
    assert open_product(path).granule().base_grid.matches(expected)


@pytest.mark.parametrize("code", ["/etc/passwd", "+proj=utm +zone=31", "http://127.0.0.1:9/x"])
def test_a_reference_system_that_is_no_name_is_refused(write_product, code):
    path = write_product()
    document = next(path.rglob("MTD_TL.xml"))
    document.write_text(document.read_text().replace("EPSG:32631", code))
    with pytest.raises(InputError, match=r"MTD_TL\.xml has the reference system"):
        open_product(path)


def test_a_second_folder_of_a_granule_without_images_does_not_count(write_product):
    path = write_product()
    [granule] = (path / "GRANULE").iterdir()
    leftover = granule.with_name(f"A{granule.name}")
    (leftover / "QI_DATA").mkdir(parents=True)
    (leftover / "IMG_DATA" / "R10m").mkdir(parents=True)
    shutil.copy(granule / "MTD_TL.xml", leftover)
    (leftover / "QI_DATA" / "report.xml").write_text("<a/>")
    (leftover / "IMG_DATA" / "R10m" / "T31TCJ_20210605T105031_B02_10m.jp2").write_bytes(b"")
    product = open_product(path)
    assert len(product.granules) == 1
    assert product.granule().base_grid.shape == Shape(120, 120)


def test_copies_beside_metadata_and_images_do_not_count(write_product):
    path = write_product()
    (path / "MTD_MSIL2A (1).xml").write_text("<old/>")
    band = next(path.rglob("*_B02_10m.jp2"))
    for name in ("T31TCJ_20180605T105031_B02_10m.jp2", "ZZZZ_B02_10m.jp2", f"._{band.name}"):
        band.with_name(name).write_bytes(b"of another day")
    assert open_product(path).granule().image("B02", 10).name.endswith(f"/{band.name}")


def test_the_tile_is_told_by_the_metadata_where_names_fail(write_product, tmp_path):
    path = write_product()
    [granule] = (path / "GRANULE").iterdir()
    granule.rename(granule.with_name("G"))
    short = path.rename(tmp_path / "a")
    granule = open_product(short).granule()
    assert granule.metadata.tile_id == "T31TCJ"
    assert granule.metadata.product_id == path.stem
    document = short / "GRANULE" / "G" / "MTD_TL.xml"
    document.write_text(re.sub("<TILE_ID.*</TILE_ID>", "", document.read_text()))
    assert open_product(short).granule().metadata.tile_id == "T31TCJ"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<ULX>300000</ULX>", "<ULX>inf</ULX>", "ULX is 'inf'"),
        ("<NROWS>120</NROWS>", "<NROWS>nan</NROWS>", "NROWS is 'nan'"),
        ("<XDIM>10</XDIM>", "<XDIM>0</XDIM>", "XDIM is '0', expected a number from 1 to 1000"),
        ('resolution="10"', 'resolution="fine"', "resolution is 'fine'"),
    ],
)
def test_a_place_of_a_tile_that_makes_no_sense_is_refused(write_product, old, new, message):
    path = write_product()
    document = next(path.rglob("MTD_TL.xml"))
    assert old in document.read_text()
    document.write_text(document.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        open_product(path)


def test_names_in_capitals_are_known(write_product):
    path = write_product()
    for name in ("MTD_MSIL2A.xml", "MTD_TL.xml", "*.jp2"):
        for file in path.rglob(name):
            file.rename(file.with_name(file.name.upper()))
    granule = open_product(path).granule()
    assert granule.image("B02", 10).name.endswith("B02_10M.JP2")
    assert granule.geocoding


def test_bands_of_two_products_are_never_taken_for_one(write_product, tmp_path):
    first, second = write_product(bands={"B02": None}), tmp_path / "other"
    second.mkdir()
    shutil.copy(first / "MTD_MSIL2A.xml", second)
    (second / "T31TCJ_20180605T105031_B03_10m.jp2").write_bytes(b"")
    with pytest.raises(InputError, match="has 2 products, expected one"):
        open_product(tmp_path)


def test_documents_of_granules_without_images_are_not_read(write_product):
    path = write_product()
    leftover = path / "GRANULE" / "L2A_T31TDJ_A000000_20210605T105031"
    leftover.mkdir()
    (leftover / "MTD_TL.xml").write_text("<a")
    assert open_product(path).granule().metadata.tile_id == "T31TCJ"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"crs": "EPSG:32632"}, "lies in EPSG:32632 .* metadata says in EPSG:32631"),
        ({"transform": Affine(10, 0, 300_000, 0, 10, 4_898_820)}, "is not north up"),
        ({"transform": Affine(10, 0, 400_000, 0, -10, 4_900_020)}, "at 400000, 4900020"),
        ({"crs": "EPSG:4326"}, "not in degrees"),
    ],
    ids=["zone", "south-up", "place", "degrees"],
)
def test_an_image_elsewhere_than_its_tile_is_refused(write_product, place, reason):
    path = write_product()
    profile = {
        "driver": "GTiff", "dtype": "uint16", "count": 1, "width": 120, "height": 120,
        "crs": "EPSG:32631", "transform": Affine(10, 0, 300_000, 0, -10, 4_900_020),
    }  # fmt: skip
    with rasterio.open(next(path.rglob("*_B02_10m.jp2")), "w", **profile | place) as image:
        image.write(np.ones((1, 120, 120), dtype=np.uint16))
    with pytest.raises(InputError, match=reason):
        _ = open_product(path).granule().base_grid
