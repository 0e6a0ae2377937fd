"""Staging: values of a request become arguments of run, files under their own names."""

import base64
import datetime as dt
import gzip
import itertools
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from rasterio.crs import CRS

from candela.contract.job import Box, Inline, JobDocument, Reference, Staging
from candela.eo.progress import silent
from candela.eo.raster.grid import Area, Bounds
from candela.errors import (
    InputError,
    InvalidValueError,
    MissingValueError,
    PublicError,
    ReferenceUnavailableError,
    TooLargeError,
)
from candela.spec import ProcessSpec
from candela.storage.folder import FolderStorage
from candela.worker.staging import Stager

LOOPBACK = Staging(allowed_hosts=("127.0.0.1",))
OUTPUTS_URL = "http://gateway.test/outputs"
SAFE = "S2A_MSIL2A_20200101T103421_N0500_R108_T31TDH_20230101T000000.SAFE"


@pytest.fixture
def stage(tmp_path, storage):
    """Stage one input x; return its argument."""
    numbers = itertools.count()

    def stage(described: dict[str, object], *values: object, staging: Staging | None = None):
        spec = spec_of(x=described)
        folder = tmp_path / "inputs" / str(next(numbers))
        stager = Stager(staging or LOOPBACK, storage, folder, silent)
        return stager.stage(spec, job_with(x=list(values)).inputs)["x"]

    return stage


def spec_of(**inputs: dict[str, object]) -> ProcessSpec:
    described = {name: {"title": name, **value} for name, value in inputs.items()}
    return ProcessSpec.model_validate(
        {
            "identifier": "Test",
            "version": "1.0.0",
            "title": "Test",
            "abstract": "A test.",
            "inputs": described,
            "outputs": {"y": {"title": "y", "type": "string"}},
        }
    )


def job_with(**inputs: object) -> JobDocument:
    return JobDocument(id="1", process="Test", version="1.0.0", inputs=inputs)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("string", "1", "1"),
        ("integer", 3, 3),
        ("integer", "3", 3),
        ("float", 3, 3.0),
        ("float", "2.5", 2.5),
        ("boolean", True, True),
        ("boolean", "false", False),
        ("date", "2020-01-31", dt.date(2020, 1, 31)),
        ("datetime", "2020-01-31T10:00:00", dt.datetime(2020, 1, 31, 10)),
    ],
)
def test_a_literal_has_the_python_type_of_its_description(stage, kind, given, wanted):
    argument = stage({"type": kind}, given)
    assert argument == wanted
    assert type(argument) is type(wanted)


def test_a_literal_that_is_not_of_its_type_is_refused(stage):
    with pytest.raises(InvalidValueError, match="'x': 'three' is not of type integer") as caught:
        stage({"type": "integer"}, "three")
    assert caught.value.locator == "x"


def test_the_limits_of_a_literal_hold(stage):
    with pytest.raises(InvalidValueError, match="above the maximum 10"):
        stage({"type": "integer", "maximum": 10}, 11)


def test_an_absent_input_is_its_default_or_none(stage):
    assert stage({"type": "integer", "default": 10}) == 10
    assert stage({"type": "integer", "minOccurs": 0}) is None
    assert stage({"type": "raster", "minOccurs": 0}) is None


def test_an_input_of_several_values_is_a_list(stage):
    many = {"type": "float", "minOccurs": 0, "maxOccurs": 3}
    assert stage(many) == []
    assert stage(many, 1) == [1.0]
    assert stage(many, 1, 2) == [1.0, 2.0]


def test_too_few_or_too_many_values_are_refused(stage):
    with pytest.raises(MissingValueError, match="at least 1"):
        stage({"type": "float"})
    with pytest.raises(InvalidValueError, match="at most 1"):
        stage({"type": "float"}, 1, 2)


def test_an_input_that_is_not_described_is_refused(tmp_path, storage):
    stager = Stager(Staging(), storage, tmp_path, silent)
    with pytest.raises(InvalidValueError, match="no input 'z'"):
        stager.stage(spec_of(x={"type": "string"}), job_with(z=["1"]).inputs)


def test_a_bounding_box_is_an_area(stage):
    area = stage({"type": "bbox"}, Box(bbox=(1, 2, 3, 4), crs="EPSG:3857"))
    assert area == Area(Bounds(1, 2, 3, 4), "EPSG:3857")


def test_a_bounding_box_with_swapped_corners_is_refused(stage):
    with pytest.raises(InvalidValueError, match="swapped"):
        stage({"type": "bbox"}, Box(bbox=(3, 2, 1, 4)))


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:32631",
        "epsg:4326",
        "OGC:CRS84",
        "urn:ogc:def:crs:EPSG::32631",
        "urn:ogc:def:crs:EPSG:6.6:4326",
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "http://www.opengis.net/def/crs/EPSG/0/4326",
        "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
    ],
)
def test_a_coordinate_reference_system_has_the_name_of_an_authority(stage, crs):
    assert stage({"type": "bbox"}, Box(bbox=(1, 2, 3, 4), crs=crs)).crs == crs


@pytest.mark.parametrize(
    "crs",
    [
        "",
        "nonsense",
        "EPSG:",
        "EPSG:999999",
        "EPSG:5773",  # heights
        "urn:ogc:def:crs:EPSG::0",
        "http://127.0.0.1/x.prj",
        "http://www.opengis.net.example/def/crs/EPSG/0/4326",
        "+proj=utm +zone=31",
        "+init=/etc/passwd:1",
        'GEOGCS["a",DATUM["b",SPHEROID["c",6378137,298]],PRIMEM["d",0],UNIT["degree",0.017]]',
    ],
)
def test_a_wrong_coordinate_reference_system_is_named(stage, crs):
    with pytest.raises(InputError, match="expected a name such as EPSG:32631") as caught:
        stage({"type": "bbox"}, Box(bbox=(1, 2, 3, 4), crs=crs))
    assert caught.value.locator == "x"


def test_a_definition_in_a_file_is_not_read(stage, tmp_path):
    path = tmp_path / "x.prj"
    path.write_text(CRS.from_epsg(32631).to_wkt())
    assert CRS.from_user_input(str(path)).is_projected  # the library would
    with pytest.raises(InputError, match="is no coordinate reference system"):
        stage({"type": "bbox"}, Box(bbox=(1, 2, 3, 4), crs=str(path)))


def test_an_inline_text_becomes_a_file(stage):
    path = stage({"type": "json"}, '{"a": 1}')
    assert path.name == "x.json"
    assert path.read_text() == '{"a": 1}'


def test_base64_becomes_a_file(stage):
    content = bytes(range(256))
    given = Inline(value=base64.b64encode(content).decode(), encoding="base64")
    path = stage({"type": "raster"}, given)
    assert path.name == "x.tif"
    assert path.read_bytes() == content


def test_the_media_type_decides_between_kinds_of_raster(stage):
    given = Inline(value="", media_type="image/jp2")
    assert stage({"type": "raster"}, given).name == "x.jp2"


def test_broken_base64_is_refused(stage):
    with pytest.raises(InputError, match="not valid base64") as caught:
        stage({"type": "raster"}, Inline(value="?", encoding="base64"))
    assert caught.value.locator == "x"


def test_an_inline_value_above_the_limit_is_refused(stage):
    with pytest.raises(TooLargeError, match="at most 4"):
        stage({"type": "text"}, "12345", staging=Staging(max_input_bytes=4))


@pytest.mark.parametrize("kind", ["json", "geojson", "vector", "xml", "png", "zip"])
def test_content_that_is_not_what_it_should_be_is_the_users_mistake(stage, kind):
    with pytest.raises(InputError, match=f"is not of type {kind}") as caught:
        stage({"type": kind}, "[neither")
    assert caught.value.locator == "x"


def test_a_vector_is_taken_in_any_of_its_forms(stage):
    point = '{"type": "Point", "coordinates": [1, 2]}'
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript("PRAGMA application_id = 0x47504B47; CREATE TABLE gpkg_contents (x)")
        content = database.serialize()
    package = Inline(
        value=base64.b64encode(content).decode(),
        encoding="base64",
        media_type="application/geopackage+sqlite3",
    )
    assert stage({"type": "vector"}, point).name == "x.geojson"
    assert stage({"type": "vector"}, package).name == "x.gpkg"


@pytest.mark.parametrize("content", ["<kml/>", '{"type": "Topology"}', "PK\x03\x04"])
def test_a_file_that_is_no_vector_is_refused(stage, content):
    with pytest.raises(InputError, match=r"x\.geojson is not of type vector"):
        stage({"type": "vector"}, content)


def test_a_reference_is_fetched_under_its_own_name(stage, web, answer):
    path = stage({"type": "product"}, Reference(href=web.serve(f"/{SAFE}.zip", answer(b"zip"))))
    assert path.name == f"{SAFE}.zip"


def test_two_files_of_one_name_do_not_collide(stage, web, answer):
    many = {"type": "text", "maxOccurs": 2}
    first = web.serve("/a/image.txt", answer(b"1"))
    second = web.serve("/b/image.txt", answer(b"2"))
    paths = stage(many, Reference(href=first), Reference(href=second))
    assert [path.read_text() for path in paths] == ["1", "2"]
    assert [path.name for path in paths] == ["image.txt", "image.txt"]


def test_a_reference_that_is_not_there_is_blamed_on_its_input(stage, web):
    with pytest.raises(ReferenceUnavailableError, match="404") as caught:
        stage({"type": "raster"}, Reference(href=f"{web.url}/nothing.tif"))
    assert caught.value.locator == "x"


@pytest.mark.parametrize("href", ["ftp://host/a.tif", "s3://bucket/a.tif", "/etc/passwd"])
def test_an_address_of_another_kind_is_refused(stage, href):
    with pytest.raises(ReferenceUnavailableError):
        stage({"type": "raster"}, Reference(href=href))


def test_the_output_of_another_job_is_used_where_it_is(stage, storage):
    storage.write("jobs/7/outputs/image.tif", b"pixels")
    staging = Staging(outputs_url=OUTPUTS_URL)
    path = stage({"type": "raster"}, Reference(href=f"{OUTPUTS_URL}/7/image.tif"), staging=staging)
    assert path.name == "image.tif"
    assert path.resolve() == storage.local_path("jobs/7/outputs/image.tif")


def test_an_output_in_a_storage_elsewhere_is_copied(tmp_path):
    class Bucket(FolderStorage):
        def local_path(self, *_) -> None:
            return None

    storage = Bucket(tmp_path / "storage")
    storage.write("jobs/7/outputs/image.tif", b"pixels")
    stager = Stager(Staging(outputs_url=OUTPUTS_URL), storage, tmp_path / "inputs", silent)
    job = job_with(x=Reference(href=f"{OUTPUTS_URL}/7/image.tif"))
    path = stager.stage(spec_of(x={"type": "raster"}), job.inputs)["x"]
    assert path.read_bytes() == b"pixels"
    assert not path.is_symlink()


def test_an_output_that_is_not_there_is_reported(stage):
    staging = Staging(outputs_url=OUTPUTS_URL)
    with pytest.raises(ReferenceUnavailableError, match=r"image\.tif of job 7 does not exist"):
        stage({"type": "raster"}, Reference(href=f"{OUTPUTS_URL}/7/image.tif"), staging=staging)


@pytest.mark.parametrize(
    "tail", ["7", "7/", "7/../job.json", "7/%2e%2e%2fjob.json", "../7/a", "7/a/b", "%2e%2e/a"]
)
def test_only_outputs_are_had_from_storage(stage, storage, tail):
    storage.write("jobs/7/job.json", b"{}")
    staging = Staging(outputs_url=OUTPUTS_URL)
    with pytest.raises(ReferenceUnavailableError):
        stage({"type": "text"}, Reference(href=f"{OUTPUTS_URL}/{tail}"), staging=staging)


UNNAMEABLE = [
    *itertools.product(
        ["outputs", "file"],
        ["..%5cjob.json", "a%00b", "a%0ab", "%5c", "a" * 256, "%ff%00", "a\ud800", "%7f", "[a"],
    ),
    *itertools.product(["bucket"], ["a" * 256, "a/" * 513 + "a", "a\ud800", "..\\a", "a\n", "a\0"]),
]


@pytest.mark.parametrize(("base", "name"), UNNAMEABLE)
@pytest.mark.parametrize("kind", ["text", "raster", "product"])
def test_a_name_that_no_storage_can_have_is_the_users_mistake(stage, tmp_path, base, kind, name):
    places = {
        "outputs": f"{OUTPUTS_URL}/7",
        "file": tmp_path.as_uri(),
        "bucket": "s3://open",
    }  # fmt: skip
    staging = Staging(
        outputs_url=OUTPUTS_URL, allowed_folders=(str(tmp_path),), allowed_buckets=("open",)
    )
    described = {"type": kind} | ({"access": "header"} if kind == "raster" else {})
    with pytest.raises(ReferenceUnavailableError) as caught:
        stage(described, Reference(href=f"{places[base]}/{name}"), staging=staging)
    assert caught.value.locator == "x"
    caught.value.message.encode()  # it can be told


@pytest.mark.parametrize("scheme", ["file", "http", "https", "s3"])
@pytest.mark.parametrize("rest", ["[a/b", "[::1/b", "a:b:c/d", "a:999999/b", "%00/a", "\x00", ""])
def test_an_address_that_is_none_is_the_users_mistake(stage, scheme, rest):
    with pytest.raises((InputError, InvalidValueError, ReferenceUnavailableError)) as caught:
        stage({"type": "text"}, Reference(href=f"{scheme}://{rest}"))
    assert caught.value.locator == "x"


def test_a_file_of_an_allowed_folder_is_used_where_it_is(stage, tmp_path):
    (tmp_path / "my data").mkdir()
    source = tmp_path / "my data" / "image.tif"
    source.write_bytes(b"pixels")
    staging = Staging(allowed_folders=(str(tmp_path / "my data"),))
    path = stage({"type": "raster"}, Reference(href=source.as_uri()), staging=staging)
    assert path.name == "image.tif"
    assert path.resolve() == source


def test_a_product_folder_is_used_where_it_is(stage, tmp_path):
    source = tmp_path / "data" / SAFE
    source.mkdir(parents=True)
    (source / "manifest.safe").write_text("<a/>")
    staging = Staging(allowed_folders=(str(tmp_path / "data"),))
    path = stage({"type": "product"}, Reference(href=source.as_uri()), staging=staging)
    assert path.name == SAFE
    assert (path / "manifest.safe").read_text() == "<a/>"


def test_a_product_folder_with_a_link_to_elsewhere_is_refused(stage, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "manifest.safe").write_text("<secret/>")
    for number, (link, target) in enumerate(
        [("manifest.safe", "secret/manifest.safe"), ("GRANULE", "secret")]
    ):
        source = tmp_path / "data" / f"{number}" / SAFE
        source.mkdir(parents=True)
        (source / link).symlink_to(tmp_path / target)
        staging = Staging(allowed_folders=(str(tmp_path / "data"),))
        with pytest.raises(ReferenceUnavailableError, match="links out of the folders"):
            stage({"type": "product"}, Reference(href=source.as_uri()), staging=staging)


def test_a_folder_is_no_raster(stage, tmp_path):
    staging = Staging(allowed_folders=(str(tmp_path),))
    with pytest.raises(InputError, match="is a folder"):
        stage({"type": "raster"}, Reference(href=tmp_path.as_uri()), staging=staging)


@pytest.mark.parametrize("staging", [Staging(), "allowed"])
def test_a_file_elsewhere_is_refused(stage, tmp_path, staging):
    for folder in ("allowed", "allowed-secret"):
        (tmp_path / folder).mkdir()
    (tmp_path / "allowed-secret" / "a").write_text("secret")
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "allowed-secret" / "a")
    if staging == "allowed":
        staging = Staging(allowed_folders=(str(tmp_path / "allowed"),))
    allowed = (tmp_path / "allowed").as_uri()
    for href in (
        f"{allowed}-secret/a",
        f"{allowed}/link",
        f"{allowed}/../allowed-secret/a",
        f"{allowed}/%2e%2e/allowed-secret/a",
        "file://server/allowed/a",
        "file:///etc/passwd",
        "file:///%00",
    ):
        with pytest.raises(ReferenceUnavailableError):
            stage({"type": "text"}, Reference(href=href), staging=staging)


def test_whether_a_forbidden_file_exists_is_not_told(stage, tmp_path):
    (tmp_path / "there").write_text("")
    messages = set()
    for name in ("there", "none"):
        with pytest.raises(ReferenceUnavailableError) as caught:
            stage({"type": "text"}, Reference(href=(tmp_path / name).as_uri()))
        messages.add(caught.value.message.replace("there", "").replace("none", ""))
    assert len(messages) == 1


HEADER = {"type": "raster", "access": "header"}


def test_an_output_of_which_only_the_header_matters_is_opened_in_storage(stage, storage):
    storage.write("jobs/7/outputs/image.tif", b"pixels")
    href = f"{OUTPUTS_URL}/7/image.tif"
    source = stage(HEADER, Reference(href=href), staging=Staging(outputs_url=OUTPUTS_URL))
    assert source.href == href
    assert Path(source.location).read_bytes() == b"pixels"


def test_the_bytes_of_inputs_are_counted(storage, tmp_path, web, answer):
    href = web.serve("/a.txt", answer(b"12345"))
    stager = Stager(LOOPBACK, storage, tmp_path / "inputs", silent)
    spec = spec_of(x={"type": "text"}, z={"type": "text"})
    stager.stage(spec, job_with(x=Reference(href=href), z="123").inputs)
    assert stager.input_bytes == 8


def test_every_refusal_can_be_shown_to_the_user(stage):
    for given in (Reference(href="ftp://a/b"), Box(bbox=(1, 2, 3, 4)), 7):
        with pytest.raises(PublicError) as caught:
            stage({"type": "raster"}, given)
        assert caught.value.locator == "x"


def test_a_zip_file_is_taken_for_a_document_only_where_that_is_described(stage, tmp_path):
    path = tmp_path / "a.EOF.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.EOF", "<a/>")
    _check_packed(stage, path)


def test_a_gzip_file_is_taken_for_a_document_only_where_that_is_described(stage, tmp_path):
    path = tmp_path / "a.EOF.gz"
    path.write_bytes(gzip.compress(b"<a/>"))
    _check_packed(stage, path)


def _check_packed(stage, path):
    reference = Reference(href=path.as_uri())
    folder = LOOPBACK.model_copy(update={"allowed_folders": (str(path.parent),)})
    assert stage({"type": "xml", "zipped": True}, reference, staging=folder).name == path.name
    with pytest.raises(InputError, match="is not of type xml"):
        stage({"type": "xml"}, reference, staging=folder)


def test_the_text_of_a_literal_may_stand_elsewhere(stage, web, answer):
    href = web.serve("/pause.txt", answer(b"2.5\n"))
    assert stage({"type": "float"}, Reference(href=href)) == 2.5


def test_a_text_too_long_for_a_literal_is_refused(stage, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("x" * 200_000)
    staging = Staging(allowed_folders=(str(tmp_path),))
    with pytest.raises(TooLargeError, match="has 200000 bytes, at most 131072"):
        stage({"type": "string"}, Reference(href=path.as_uri()), staging=staging)


MIXED = {"type": "mixed", "oneOf": ["json", "png"]}
PNG = b"\x89PNG\r\n\x1a\n" + b"IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("value", "suffix"),
    [
        (Inline(value='{"a": 1}', media_type="application/json"), ".json"),
        (Inline(value='"text"'), ".json"),
        (Inline(value=base64.b64encode(PNG).decode(), encoding="base64"), ".png"),
    ],
)
def test_a_mixed_input_has_the_suffix_of_what_it_is(stage, value, suffix):
    assert stage(MIXED, value).suffix == suffix


def test_a_mixed_input_is_what_its_media_type_says_or_refused(stage):
    with pytest.raises(InputError, match="not of type png "):
        stage(MIXED, Inline(value="{}", media_type="image/png"))
    with pytest.raises(InputError, match="not of type json or png "):
        stage(MIXED, Inline(value="{"))
