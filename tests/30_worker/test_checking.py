"""Checking: a process that breaks its own description is found out, and files are stored once."""

import datetime as dt
import hashlib
import itertools
import sqlite3
import zipfile
from contextlib import closing

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.contract.job import Box, OutputFile, OutputLiteral
from candela.eo.raster.grid import Area, Bounds
from candela.errors import LimitError, OutputError
from candela.spec import ProcessSpec
from candela.worker.checking import check_outputs
from candela.worker.delivery import deliver


def spec_of(**outputs: object) -> ProcessSpec:
    return ProcessSpec.model_validate(
        {
            "identifier": "Test",
            "version": "1.0.0",
            "title": "Test",
            "abstract": "A test.",
            "outputs": {
                name: {"title": name, "type": kind, "optional": name.startswith("optional")}
                | ({"oneOf": ["json", "csv"]} if kind == "mixed" else {})
                for name, kind in outputs.items()
            },
        }
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("kind", "made", "wanted"),
    [
        ("string", "a", "a"),
        ("integer", 3, 3),
        ("integer", np.int64(3), 3),
        ("float", 3, 3.0),
        ("float", np.float32(0.5), 0.5),
        ("boolean", False, False),
        ("date", dt.date(2020, 1, 31), "2020-01-31"),
        ("datetime", dt.datetime(2020, 1, 31, 10), "2020-01-31T10:00:00"),
    ],
)
def test_a_literal_of_the_right_type_passes(folder, kind, made, wanted):
    assert check_outputs(spec_of(y=kind), {"y": made}, folder) == {"y": wanted}


def test_a_literal_that_is_too_long_for_a_result_is_refused(folder):
    check_outputs(spec_of(y="string"), {"y": "x" * 100_000}, folder)
    with pytest.raises(LimitError, match="has 150000 characters, a literal has at most 131072"):
        check_outputs(spec_of(y="string"), {"y": "x" * 150_000}, folder)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("string", 1),
        ("integer", 1.0),
        ("integer", True),
        ("integer", "1"),
        ("float", "1"),
        ("float", float("nan")),
        ("float", float("inf")),
        ("boolean", 1),
        ("date", dt.datetime(2020, 1, 31)),
        ("bbox", (1, 2, 3, 4)),
        ("raster", "image.tif"),
    ],
)
def test_a_value_of_another_type_is_an_error_of_the_process(folder, kind, made):
    with pytest.raises(OutputError, match="output 'y' of Test: expected"):
        check_outputs(spec_of(y=kind), {"y": made}, folder)


def test_an_area_becomes_a_box(folder):
    area = Area(Bounds(1, 2, 3, 4), "EPSG:32631")
    box = check_outputs(spec_of(y="bbox"), {"y": area}, folder)["y"]
    assert box == Box(bbox=(1, 2, 3, 4), crs="EPSG:32631")


def test_an_output_that_was_not_made_is_an_error_unless_optional(folder):
    spec = spec_of(y="string", optional="string")
    assert check_outputs(spec, {"y": "a", "optional": None}, folder) == {"y": "a"}
    with pytest.raises(OutputError, match="did not make its output 'y'"):
        check_outputs(spec, {"optional": "a"}, folder)


def test_an_output_that_is_not_described_is_an_error(folder):
    with pytest.raises(OutputError, match="has no output 'z'"):
        check_outputs(spec_of(y="string"), {"y": "a", "z": "b"}, folder)


def test_something_else_than_a_dict_is_an_error(folder):
    with pytest.raises(OutputError, match="returned list"):
        check_outputs(spec_of(y="string"), ["y"], folder)


def test_a_raster_that_opens_passes(folder, make_image):
    path = make_image(folder / "image.tif")
    assert check_outputs(spec_of(y="raster"), {"y": path}, folder) == {"y": path}


def test_a_raster_that_names_other_files_is_an_error(folder, make_image):
    path = make_image(folder / "image.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/passwd")
    with pytest.raises(OutputError, match="overviews in another file"):
        check_outputs(spec_of(y="raster"), {"y": path}, folder)


def test_a_raster_that_lies_nowhere_is_an_error(folder):
    path = folder / "image.tif"
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": 4, "width": 4,
        "crs": "EPSG:32631", "transform": Affine(10, 0, 5e8, 0, -10, 5e9),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.ones((1, 4, 4), "uint8"))
    with pytest.raises(OutputError, match="it lies outside its reference system"):
        check_outputs(spec_of(y="raster"), {"y": path}, folder)


def test_a_virtual_raster_is_an_error(folder):
    path = folder / "image.tif"
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    with pytest.raises(OutputError, match="is no GeoTIFF"):
        check_outputs(spec_of(y="raster"), {"y": path}, folder)


def test_xml_that_explodes_is_refused(folder):
    names = "abcdefghij"
    entities = "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in itertools.pairwise(names)
    )
    path = folder / "x.xml"
    path.write_text(f'<!DOCTYPE r [<!ENTITY a "{"a" * 1000}">{entities}]><r>&j;</r>')
    with pytest.raises(OutputError, match="is not of type xml"):
        check_outputs(spec_of(y="xml"), {"y": path}, folder)


def geopackage() -> bytes:
    """Return an empty database with the mark of a GeoPackage."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript("PRAGMA application_id = 0x47504B47; CREATE TABLE gpkg_contents (x)")
        return database.serialize()


GOOD = {
    "json": b'{"a": [1, null]}',
    "geojson": b'{"type": "FeatureCollection", "features": []}',
    "geopackage": geopackage(),
    "csv": b"a,b\r\n1,2\r\n",
    "xml": b"<a><b/></a>",
    "text": "\u00e4".encode(),
}
BAD = [
    ("raster", b"pixels"),
    ("json", b"{"),
    ("json", b'{"a": NaN}'),
    ("json", b"\xff\xfe"),
    ("geojson", b'{"a": 1}'),
    ("geopackage", b""),
    ("geopackage", b"SQLite format 3\x00" + bytes(60)),
    ("csv", b""),
    ("csv", b"\xff\xff"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("xml", b"<a><b></a>"),
    ("text", b"\xff"),
    ("zip", b"PK"),
    ("product", b"PK"),
]


@pytest.mark.parametrize("kind", GOOD)
def test_a_file_that_is_what_it_is_said_to_be_passes(folder, kind):
    (folder / "file").write_bytes(GOOD[kind])
    check_outputs(spec_of(y=kind), {"y": folder / "file"}, folder)


@pytest.mark.parametrize(("kind", "content"), BAD)
def test_a_file_that_is_something_else_is_an_error(folder, kind, content):
    (folder / "file").write_bytes(content)
    with pytest.raises(OutputError, match=f"file is not of type {kind}"):
        check_outputs(spec_of(y=kind), {"y": folder / "file"}, folder)


def test_a_real_zip_passes(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a", "a")
    check_outputs(spec_of(y="zip"), {"y": folder / "a.zip"}, folder)


def test_a_jpeg_2000_is_no_geotiff(folder, shared_data):
    image = next(shared_data("sentinelhub-jp2").glob("*.jp2"))
    (folder / "image.tif").write_bytes(image.read_bytes())
    with pytest.raises(OutputError, match="it is no GeoTIFF"):
        check_outputs(spec_of(y="raster"), {"y": folder / "image.tif"}, folder)


def test_a_file_that_is_missing_or_a_folder_is_an_error(folder):
    for path in (folder / "nothing", folder):
        with pytest.raises(OutputError, match="there is no file"):
            check_outputs(spec_of(y="text"), {"y": path}, folder)


def test_a_file_outside_of_the_work_folder_is_an_error(folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    for path in (tmp_path / "secret", folder / "link", folder / ".." / "secret"):
        with pytest.raises(OutputError, match="leads out of the work folder"):
            check_outputs(spec_of(y="text"), {"y": path}, folder)


def test_files_are_stored_with_size_and_checksum(folder, storage):
    (folder / "a.txt").write_bytes(b"text")
    outputs = deliver(spec_of(y="text"), "1", {"y": folder / "a.txt"}, storage)
    assert outputs["y"] == OutputFile(
        file="a.txt",
        media_type="text/plain",
        size=4,
        sha256=hashlib.sha256(b"text").hexdigest(),
    )
    assert storage.read("jobs/1/outputs/a.txt") == b"text"


def test_files_of_one_name_are_stored_beside_each_other(folder, storage):
    for part in ("1", "2", "3"):
        (folder / part).mkdir()
        (folder / part / "a.txt").write_text(part)
    made = {f"y{part}": folder / part / "a.txt" for part in ("1", "2", "3")}
    outputs = deliver(spec_of(y1="text", y2="text", y3="text"), "1", made, storage)
    stored = [storage.read(f"jobs/1/outputs/{output.file}") for output in outputs.values()]
    assert stored == [b"1", b"2", b"3"]
    assert len({output.file for output in outputs.values()}) == 3


def test_one_file_may_be_two_outputs(folder, storage):
    (folder / "a.txt").write_text("a")
    made = {"y1": folder / "a.txt", "y2": folder / "a.txt"}
    outputs = deliver(spec_of(y1="text", y2="text"), "1", made, storage)
    assert {storage.read(f"jobs/1/outputs/{output.file}") for output in outputs.values()} == {b"a"}


def test_literals_are_not_stored(storage):
    outputs = deliver(spec_of(y="float"), "1", {"y": 0.5}, storage)
    assert outputs == {"y": OutputLiteral(value=0.5)}
    assert storage.list("jobs") == ()


def test_a_mixed_output_has_the_media_type_of_its_suffix(folder, storage):
    (folder / "table.csv").write_text("a,b\n")
    spec = spec_of(table="mixed")
    checked = check_outputs(spec, {"table": folder / "table.csv"}, folder)
    assert deliver(spec, "1", checked, storage)["table"].media_type == "text/csv"


def test_a_mixed_output_of_another_kind_is_refused(folder):
    (folder / "table.xml").write_text("<a/>")
    with pytest.raises(OutputError, match=r"table.xml is none of json, csv"):
        check_outputs(spec_of(table="mixed"), {"table": folder / "table.xml"}, folder)
