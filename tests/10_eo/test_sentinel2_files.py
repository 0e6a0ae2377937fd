"""Images of catalogues: one file for each band, with a STAC item or none."""

import datetime as dt
import json
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.eo.raster.band_names import band_of
from candela.eo.s2.bands import open_band
from candela.eo.s2.product import open_product
from candela.errors import InputError

PRODUCT = "S2B_MSIL2A_20230621T105629_N0509_R094_T31TCJ_20230621T150000"
TIME = dt.datetime(2023, 6, 21, 10, 56, 29, tzinfo=dt.UTC)
NATIVE_M = {"B02": 10, "B03": 10, "B8A": 20, "B11": 20, "SCL": 20, "B01": 60}
NAMES_OF_EARTH_SEARCH = {"B02": "blue", "B03": "green", "B8A": "nir08", "B11": "swir16",
                         "SCL": "scl", "B01": "coastal"}  # fmt: skip


def write_band(path, pixel, *, value=3000, dtype="uint16", **options):
    side = 240 // pixel
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"crs": "EPSG:32631", "transform": Affine(pixel, 0, 300_000, 0, -pixel, 4_900_020)}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=dtype, count=1, width=side, height=side,
        **profile | options,
    ) as image:  # fmt: skip
        image.write(np.full((1, side, side), value, dtype))
    return path


def write_item(folder, properties, assets=None, name="item.json"):
    item = {"type": "Feature", "id": "x", "properties": properties, "assets": assets or {}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(item))


def value_of(granule, band="B02"):
    grid = granule.grid(20)
    with open_band(granule, band, grid, "nearest") as reader:
        return int(reader.read(rasterio.windows.Window(0, 0, 12, 12))[3, 3])


def earth_search(folder, *, applied):
    for band, pixel in NATIVE_M.items():
        write_band(folder / f"{NAMES_OF_EARTH_SEARCH[band]}.tif", pixel)
    assets = {
        name: {"href": f"https://h/{name}.tif", "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
        for name in NAMES_OF_EARTH_SEARCH.values()
    }  # fmt: skip
    properties = {
        "datetime": "2023-06-21T11:02:03.000000Z", "platform": "sentinel-2b",
        "grid:code": "MGRS-31TCJ", "s2:product_uri": f"{PRODUCT}.SAFE",
        "s2:processing_baseline": "05.09", "s2:product_type": "S2MSI2A",
    }  # fmt: skip
    write_item(folder, properties | ({"earthsearch:boa_offset_applied": True} if applied else {}),
               assets)  # fmt: skip
    return folder


def planetary_computer(folder, baseline="05.09"):
    for band, pixel in NATIVE_M.items():
        write_band(folder / f"R{pixel}m" / f"T31TCJ_20230621T105629_{band}_{pixel}m.tif", pixel)
    write_item(
        folder,
        {"datetime": "2023-06-21T10:56:29.024Z", "platform": "Sentinel-2B",
         "s2:mgrs_tile": "31TCJ", "sat:relative_orbit": 94, "s2:processing_baseline": baseline,
         "s2:product_type": "S2MSI2A", "s2:product_uri": f"{PRODUCT}.SAFE",
         "s2:datatake_id": "GS2B_20230621T105629_032855_N05.09"},
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("applied", [True, False])
def test_an_item_of_earth_search_is_a_product(tmp_path, applied):
    granule = open_product(earth_search(tmp_path / "item", applied=applied)).granule()
    data = granule.metadata
    assert (data.product_id, data.sensing_time, data.tile_id) == (PRODUCT, TIME, "T31TCJ")
    assert (data.platform, data.level, data.relative_orbit) == ("S2B", "L2A", 94)
    assert data.processing_baseline == "05.09"
    assert {band for band, _ in granule.images} == set(NATIVE_M)
    assert value_of(granule) == (3000 if applied else 2000)
    assert value_of(granule, "B8A") == (3000 if applied else 2000)


@pytest.mark.parametrize(("baseline", "value"), [("02.14", 3000), ("04.00", 2000), ("05.09", 2000)])
def test_an_item_of_the_planetary_computer_is_a_product(tmp_path, baseline, value):
    granule = open_product(planetary_computer(tmp_path / "item", baseline)).granule()
    assert (granule.metadata.sensing_time, granule.metadata.tile_id) == (TIME, "T31TCJ")
    assert granule.metadata.processing_baseline == baseline
    assert value_of(granule) == value


def test_a_zip_file_of_an_item_is_a_product(tmp_path):
    folder = planetary_computer(tmp_path / "item")
    with zipfile.ZipFile(tmp_path / "item.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    assert value_of(open_product(tmp_path / "item.zip").granule()) == 2000


def test_without_an_item_names_tell_what_the_images_are(tmp_path):
    write_band(tmp_path / "S2A_31TCJ_20200219_0_L2A" / "B02.tif", 10)
    granule = open_product(tmp_path / "S2A_31TCJ_20200219_0_L2A").granule()
    data = granule.metadata
    assert (data.platform, data.tile_id, data.level) == ("S2A", "T31TCJ", "L2A")
    assert data.sensing_time == dt.datetime(2020, 2, 19, tzinfo=dt.UTC)
    write_band(tmp_path / PRODUCT / "B02.tif", 10)
    granule = open_product(tmp_path / PRODUCT).granule()
    assert granule.metadata.sensing_time == TIME
    assert value_of(granule) == 2000


def test_scale_and_offset_of_the_files_count(tmp_path):
    path = write_band(tmp_path / PRODUCT / "B02.tif", 10)
    with rasterio.open(path, "r+") as image:
        image.scales, image.offsets = [0.0002], [-0.2]
    assert value_of(open_product(tmp_path / PRODUCT).granule()) == 4000


def test_images_that_tell_no_date_are_refused_with_what_helps(tmp_path):
    write_band(tmp_path / "images" / "B02.tif", 10)
    with pytest.raises(InputError, match="when its images were taken: put the STAC item beside"):
        open_product(tmp_path / "images")


def test_several_images_of_a_band_are_named(tmp_path):
    for day in ("20200101", "20200102"):
        write_band(tmp_path / "x" / f"T31TCJ_{day}T105629_B02_10m.tif", 10)
    with pytest.raises(InputError, match=r"several images of band B02 in 10 m: .*0101.*0102"):
        open_product(tmp_path / "x")


def test_addresses_in_an_item_are_not_followed(tmp_path):
    folder = tmp_path / "x"
    write_band(tmp_path / "secret" / "B03.tif", 10)
    write_band(folder / "B02.tif", 10)
    write_item(folder, {"datetime": "2020-01-01T00:00:00Z", "s2:product_uri": "../../escaped"},
               {"green": {"href": "../secret/B03.tif"}})  # fmt: skip
    granule = open_product(folder).granule()
    assert {band for band, _ in granule.images} == {"B02"}
    assert "/" not in granule.metadata.product_id


@pytest.mark.parametrize(
    "item", [{"type": "Feature", "properties": {"datetime": 7}, "assets": {"red": []}},
             {"type": "Feature", "properties": {"datetime": "yesterday"}, "assets": {}},
             {"type": "Feature", "properties": {"datetime": "2020-01-01T00:00:00Z"},
              "assets": {"red": {"raster:bands": [{"scale": 0, "offset": 1}]}}}, [1], "cut off"],
)  # fmt: skip
def test_an_item_that_makes_no_sense_is_an_error_of_the_input(tmp_path, item):
    write_band(tmp_path / "x" / "B02.tif", 10)
    (tmp_path / "x" / "item.json").write_text("{" if item == "cut off" else json.dumps(item))
    with pytest.raises(InputError):
        open_product(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "band"),
    [("B02", "B02"), ("B2", "B02"), ("b8a", "B8A"), ("T31TCJ_20230621T105629_B12_20m", "B12"),
     ("blue", "B02"), ("swir22", "B12"), ("rededge1", "B05"), ("S2_nir", "B08"), ("scl", "SCL"),
     ("visual", ""), ("TCI", ""), ("preview", ""), ("infrared", ""), ("AOT", ""), ("B02 copy", "")],
)  # fmt: skip
def test_bands_are_known_by_the_names_of_catalogues(name, band):
    assert band_of(name) == band


def test_the_real_item_of_the_samples_is_a_product(shared_data):
    folder = next(shared_data("s2-cog-29RKH").rglob("B02.tif")).parent
    data = open_product(folder).granule().metadata
    assert data.product_id == "S2A_MSIL2A_20200219T112111_N0214_R037_T29RKH_20200219T123947"
    assert (data.tile_id, data.relative_orbit, data.platform) == ("T29RKH", 37, "S2A")


@pytest.mark.parametrize("way", ["mask", "nodata"])
def test_no_data_of_a_file_is_no_data_of_the_product(tmp_path, way):
    path = write_band(tmp_path / PRODUCT / "B02.tif", 10, nodata=7 if way == "nodata" else None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as image:
        if way == "mask":
            mask = np.full((24, 24), 255, np.uint8)
            mask[:12] = 0
            image.write_mask(mask)
        else:
            image.write(np.full((1, 12, 24), 7, np.uint16), window=((0, 12), (0, 24)))
    granule = open_product(tmp_path / PRODUCT).granule()
    with open_band(granule, "B02", granule.base_grid, "nearest") as reader:
        found = reader.read(rasterio.windows.Window(0, 0, 24, 24))
        small = reader.read_small(rasterio.windows.Window(0, 0, 24, 24), 4, 4)
    assert (found[:12] == 0).all()
    assert (found[12:] == 2000).all()
    assert (small[:2] == 0).all()
    assert (small[2:] == 2000).all()


def test_images_since_2022_need_a_processing_baseline(tmp_path):
    for year, folder in (("2021", "a"), ("2023", "b")):
        write_band(tmp_path / folder / f"T31TCJ_{year}0621T105629_B02_10m.tif", 10)
    assert value_of(open_product(tmp_path / "a").granule()) == 3000
    with pytest.raises(InputError, match=r"b does not tell its processing baseline.*MTD_MSIL2A"):
        open_product(tmp_path / "b")


@pytest.mark.parametrize("told", [
    {"processing:version": "05.09"}, {"s2:processing_baseline": 5.9},
    {"s2:processing_baseline": "05.09", "datetime": None, "start_datetime": "2023-06-21"},
])  # fmt: skip
def test_other_dialects_of_an_item_tell_the_offset_too(tmp_path, told):
    write_band(tmp_path / "x" / "B02.tif", 10)
    write_item(tmp_path / "x", {"datetime": "2023-06-21T10:56:29Z"} | told)
    granule = open_product(tmp_path / "x").granule()
    assert granule.metadata.processing_baseline == "05.09"
    assert value_of(granule) == 2000


@pytest.mark.parametrize("asset", [
    {"raster:scale": 1e-4, "raster:offset": -0.2},
    {"bands": [{"name": "B02", "raster:scale": 1e-4, "raster:offset": -0.2}]},
    {"raster:bands": [{"scale": 1e-4, "offset": -0.2}]},
])  # fmt: skip
def test_scale_and_offset_of_any_version_of_stac_count(tmp_path, asset):
    write_band(tmp_path / "x" / "B02.tif", 10)
    write_item(tmp_path / "x", {"datetime": "2023-06-21T10:56:29Z"}, {"B02": asset})
    assert value_of(open_product(tmp_path / "x").granule()) == 1000


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(scale, "-0.1") for scale in ("NaN", "Infinity", "-1e-4", "0", "1e-30", "1e30", HUGE)]
    + [("1e-4", offset) for offset in ("NaN", "-Infinity", "1e30", HUGE)],
)
def test_a_scale_or_offset_that_cannot_be_is_refused(tmp_path, scale, offset):
    write_band(tmp_path / "x" / "B02.tif", 10)
    item = {"properties": {"datetime": "2023-06-21T10:56:29Z"}, "assets": {"B02": "asset"}}
    text = json.dumps(item).replace('"asset"', f'{{"scale": {scale}, "offset": {offset}}}')
    (tmp_path / "x" / "item.json").write_text(text)
    with pytest.raises(InputError, match=r"B02 has scale .* and offset .*, expected a scale from"):
        open_product(tmp_path / "x")


def test_the_document_of_the_product_beside_flat_images_tells_what_they_are(
    tmp_path, write_product
):
    document = next(write_product(baseline="04.00").rglob("MTD_MSIL2A.xml"))
    write_band(tmp_path / "flat" / "T31TCJ_20210605T105031_B02_10m.tif", 10)
    (tmp_path / "flat" / document.name).write_text(document.read_text())
    granule = open_product(tmp_path / "flat").granule()
    assert (granule.metadata.tile_id, granule.metadata.processing_baseline) == ("T31TCJ", "04.00")
    assert value_of(granule) == 2000


@pytest.mark.parametrize("given", ["item.json", ""])
def test_an_item_without_its_images_is_told_what_to_give(tmp_path, given):
    write_item(tmp_path / "x", {"datetime": "2023-06-21T10:56:29Z"})
    with pytest.raises(InputError, match=r"such as a STAC item, without images: give a folder"):
        open_product(tmp_path / "x" / given)
