"""Python values as inputs of a request."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from candela.client.assignments import read_assignments
from candela.client.descriptions import InputDescription, ProcessDescription
from candela.client.errors import InputValueError
from candela.client.inputs import INLINE_BYTES, Content, Reference, encode_inputs


def process(**inputs: dict[str, object]) -> ProcessDescription:
    """Describe a process with these inputs."""
    described = {
        name: InputDescription(name, name.title(), "", **{"type": "string", **given})  # type: ignore[arg-type]
        for name, given in inputs.items()
    }
    return ProcessDescription("Any", "", "", "1.0.0", described, {})


RASTER = {"type": "file", "media_types": ("image/tiff; subtype=geotiff",)}
JSON = {"type": "file", "media_types": ("application/json",)}
VECTOR = {
    "type": "file",
    "media_types": ("application/geo+json", "application/geopackage+sqlite3", "application/zip"),
}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "a=b", "a=b"),
        ("string", 5, "5"),
        ("integer", 10, "10"),
        ("integer", np.int64(10), "10"),
        ("float", 1, "1.0"),
        ("float", np.float32(0.5), "0.5"),
        ("float", 1e-7, "1e-07"),
        ("boolean", True, "true"),
        ("date", dt.date(2020, 7, 18), "2020-07-18"),
        ("datetime", dt.datetime(2020, 7, 18, 10, 50, tzinfo=dt.UTC), "2020-07-18T10:50:00+00:00"),
        ("integer", "10", "10"),
    ],
)
def test_literals_are_written_as_the_server_reads_them(kind: str, value: object, text: str) -> None:
    assert encode_inputs(process(x={"type": kind}), {"x": value}, files="inline") == [("x", text)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 1.5),
        ("integer", True),
        ("float", True),
        ("boolean", 1),
        ("date", dt.datetime(2020, 7, 18, tzinfo=dt.UTC)),
        ("datetime", dt.date(2020, 7, 18)),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(InputValueError, match=f"of type {kind}"):
        encode_inputs(process(x={"type": kind}), {"x": value}, files="inline")


def test_only_allowed_values_are_sent() -> None:
    described = process(x={"type": "integer", "allowed": (10, 20)})
    assert encode_inputs(described, {"x": 20}, files="inline") == [("x", "20")]
    with pytest.raises(InputValueError, match="one of 10, 20, found 30"):
        encode_inputs(described, {"x": 30}, files="inline")


def test_a_missing_input_is_named_and_none_means_not_given() -> None:
    with pytest.raises(InputValueError, match="needs input 'x': X"):
        encode_inputs(process(x={}), {"x": None}, files="inline")
    assert encode_inputs(process(x={"default": "a"}), {"x": None}, files="inline") == []


def test_several_values_keep_their_order() -> None:
    described = process(x={"max_occurs": 3})
    assert encode_inputs(described, {"x": ["b", "a"]}, files="inline") == [("x", "b"), ("x", "a")]


@pytest.mark.parametrize(
    ("value", "corners", "crs"),
    [
        ((1, 43, 2, 44), (1.0, 43.0, 2.0, 44.0), "EPSG:4326"),
        ([300000, 10, 300100, 20, "EPSG:32631"], (300000.0, 10.0, 300100.0, 20.0), "EPSG:32631"),
    ],
)
def test_a_box_is_four_numbers_and_perhaps_a_crs(
    value: object, corners: tuple[float, ...], crs: str
) -> None:
    ((_, box),) = encode_inputs(process(x={"type": "bbox"}), {"x": value}, files="inline")
    assert (*box.lower_corner, *box.upper_corner) == corners
    assert box.crs == crs


def test_addresses_and_shared_files_are_references(tmp_path: Path) -> None:
    path = tmp_path / "scene 1.tif"
    path.write_bytes(b"x")
    described = process(x={**RASTER, "max_occurs": 2})
    encoded = encode_inputs(described, {"x": ["s3://bucket/a.tif", path]}, files="reference")
    assert [value for _, value in encoded] == [
        Reference("s3://bucket/a.tif"),
        Reference(path.as_uri()),
    ]


def test_a_file_that_is_not_shared_travels_in_the_request(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(b"\x00\xff")
    ((_, content),) = encode_inputs(process(x=RASTER), {"x": path}, files="inline")
    assert content == Content(b"\x00\xff")
    assert content.getXml()[0].get("encoding") == "base64"
    assert content.getXml()[0].text == "AP8="


def test_what_cannot_travel_is_refused_with_what_to_do(tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    with large.open("wb") as file:
        file.truncate(INLINE_BYTES + 1)
    for value, reason in (
        (large, "at most 4194304 travel"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.tif", "does not exist"),
        ("scene.tif", r"give a pathlib\.Path"),
    ):
        with pytest.raises(InputValueError, match=reason):
            encode_inputs(process(x=RASTER), {"x": value}, files="inline")


def test_json_may_be_given_as_a_dictionary() -> None:
    ((_, content),) = encode_inputs(process(x=JSON), {"x": {"a": [1]}}, files="inline")
    assert content == Content('{"a": [1]}', "application/json")


def test_small_vectors_travel_in_the_request_and_large_ones_are_referred_to(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").write_bytes(b"SQLite")
    (tmp_path / "a.geojson").write_text("{}")
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(INLINE_BYTES + 1)
    described = process(x={**VECTOR, "max_occurs": 3})
    paths = [tmp_path / "a.gpkg", str(tmp_path / "a.geojson"), tmp_path / "large.zip"]
    encoded = encode_inputs(described, {"x": paths}, files="auto")
    assert [value for _, value in encoded] == [
        Content(b"SQLite", "application/geopackage+sqlite3"),
        Content("{}", "application/geo+json"),
        Reference(paths[2].as_uri()),
    ]


def test_vectors_may_be_given_as_text_as_a_dictionary_or_as_what_describes_itself() -> None:
    point = {"type": "Point", "coordinates": [1.0, 2.0]}
    described = process(x={**VECTOR, "max_occurs": 3})
    values = [json.dumps(point), point, shapely.Point(1, 2)]
    encoded = encode_inputs(described, {"x": values}, files="inline")
    assert [json.loads(value.data) for _, value in encoded] == [point, point, point]


def test_a_vector_file_that_is_not_there_is_told_before_sending() -> None:
    with pytest.raises(InputValueError, match=r"there is no file 'parcels\.gpkg'"):
        encode_inputs(process(x=VECTOR), {"x": "parcels.gpkg"}, files="auto")


def test_typed_inputs_become_values(tmp_path: Path) -> None:
    described = process(
        name={}, number={"type": "float", "max_occurs": 3}, box={"type": "bbox"}, image=RASTER
    )
    values = read_assignments(
        described,
        [
            "name=a=b",
            "number=1",
            "number=2",
            "box=1,2,3,4,EPSG:32631",
            f"image={tmp_path}/a.tif",
        ],
    )
    assert values == {
        "name": "a=b",
        "number": ["1", "2"],
        "box": (1.0, 2.0, 3.0, 4.0, "EPSG:32631"),
        "image": tmp_path / "a.tif",
    }


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("name", "expected name=value"),
        ("nme=1", r"no input 'nme' \(inputs: name, box\)"),
        ("box=1,2,3", "left,bottom,right,top"),
        ("box=a,2,3,4", "left,bottom,right,top"),
    ],
)
def test_what_is_typed_wrongly_is_told(typed: str, reason: str) -> None:
    with pytest.raises(InputValueError, match=reason):
        read_assignments(process(name={}, box={"type": "bbox"}), [typed])
