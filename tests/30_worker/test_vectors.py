"""Vector files of users: plain tables with not too many attributes, and nothing that computes."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from candela.worker.formats import MOST_GIVEN_ATTRIBUTES, check_format

ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS fid, NULL AS geom FROM n"
)


def geopackage(path: Path, *, attributes: int = 2) -> Path:
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array([shapely.box(10, 48, 11, 49)] * 3, object)),
        [np.arange(3)] * attributes, [f"a{number}" for number in range(attributes)],
        layer="parcels", driver="GPKG", geometry_type="Polygon", crs="EPSG:4326",
    )  # fmt: skip
    return path


def change(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(script)
    return path


def geojson(path: Path, *properties: dict) -> Path:
    shape = {"type": "Point", "coordinates": [1, 2]}
    features = [{"type": "Feature", "geometry": shape, "properties": item} for item in properties]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_geopackage_as_gdal_writes_it_passes(tmp_path) -> None:
    path = geopackage(tmp_path / "a.gpkg")
    check_format("vector", path)
    check_format("geopackage", path)


COMPUTING = {
    "has a view": f"CREATE VIEW endless AS {ENDLESS}",
    "has a view ('gpkg_contents')": (
        "ALTER TABLE gpkg_contents RENAME TO c;"
        f"CREATE VIEW gpkg_contents AS SELECT * FROM c WHERE (SELECT max(fid) FROM ({ENDLESS})) > 0"
    ),
    "has a virtual table": "CREATE VIRTUAL TABLE words USING fts5(word)",
    "has generated columns": (
        "ALTER TABLE parcels ADD COLUMN big AS (length(hex(zeroblob(400000000))))"
    ),
    "more than 1000 tables": ";".join(f"CREATE TABLE t{number} (x)" for number in range(1001)),
}


@pytest.mark.parametrize("kind", ["vector", "geopackage"])
@pytest.mark.parametrize("reason", COMPUTING)
def test_a_geopackage_that_computes_is_refused_at_once(tmp_path, reason, kind) -> None:
    path = geopackage(tmp_path / "a.gpkg")
    change(path, f"PRAGMA writable_schema = ON; BEGIN; {COMPUTING[reason]}; COMMIT")
    start = time.monotonic()
    with pytest.raises(ValueError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        check_format(kind, path)
    assert time.monotonic() - start < 5


def test_pages_that_refer_to_each_other_are_refused(tmp_path) -> None:
    """A small file with more rows than anybody could read."""
    path = geopackage(tmp_path / "a.gpkg")
    change(path, "CREATE TABLE many (x); INSERT INTO many SELECT randomblob(900) FROM "
                 "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400) "
                 "SELECT i FROM n)")  # fmt: skip
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'many'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    assert content[start] == 5  # an interior page of a table
    cells = int.from_bytes(content[start + 3 : start + 5], "big")
    assert cells > 1
    for cell in range(cells):  # all children are the first one
        place = start + int.from_bytes(content[start + 12 + 2 * cell :][:2], "big")
        if cell == 0:
            child = content[place : place + 4]
        content[place : place + 4] = child
    path.write_bytes(content)
    with pytest.raises(ValueError, match="it is damaged"):
        check_format("vector", path)


@pytest.mark.parametrize("content", [b"", bytes(60), b"\xff" * 5000])
def test_what_only_begins_like_a_geopackage_is_refused(tmp_path, content) -> None:
    path = tmp_path / "a.gpkg"
    path.write_bytes(b"SQLite format 3\x00" + bytes(52) + b"GPKG" + content)
    for kind in ("vector", "geopackage"):
        with pytest.raises(ValueError, match=r"it is no GeoPackage|it is damaged"):
            check_format(kind, path)


def test_too_many_attributes_are_refused_before_anything_is_computed(tmp_path) -> None:
    names = [f"a{number}" for number in range(MOST_GIVEN_ATTRIBUTES + 1)]
    half = len(names) // 2
    check_format("vector", geojson(tmp_path / "a.geojson", dict.fromkeys(names[1:], 1)))
    check_format("vector", geopackage(tmp_path / "a.gpkg", attributes=len(names) - 10))
    many = [
        geojson(
            tmp_path / "b.geojson", dict.fromkeys(names[:half]), dict.fromkeys(names[half:])
        ),
        geopackage(tmp_path / "b.gpkg", attributes=len(names)),
    ]  # fmt: skip
    for path in many:
        with pytest.raises(ValueError, match=f"at most {MOST_GIVEN_ATTRIBUTES}"):
            check_format("vector", path)


@pytest.mark.parametrize("kind", ["geojson", "geopackage"])
def test_a_result_with_more_attributes_than_a_layer_can_have_is_refused(tmp_path, kind) -> None:
    names = [f"a{number}" for number in range(1001)]
    path = (
        geojson(tmp_path / "a", dict.fromkeys(names, 1))
        if kind == "geojson"
        else geopackage(tmp_path / "a.gpkg", attributes=len(names))
    )
    with pytest.raises(ValueError, match="at most 1000"):
        check_format(kind, path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"type": "Feature", "properties": {"a": 1e999}}', "a number that is too large: 1e999"),
        ('{"type": "Feature", "properties": {"a": -1E+400}}', "a number that is too large"),
        ("[" * 100_000, "too many levels"),
        ('{"a": ' * 100_000, "too many levels"),
        (f'{{"type": "Feature", "properties": {{"a": {"9" * 5000}}}}}', "Exceeds the limit"),
    ],
)
@pytest.mark.parametrize("kind", ["json", "geojson", "vector"])
def test_json_that_no_number_or_stack_can_hold_is_refused(tmp_path, kind, text, reason) -> None:
    if kind == "vector" and text.startswith("["):
        reason = "it is neither"
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason.replace("+", r"\+")):
        check_format(kind, path)


@pytest.mark.parametrize("encoding", ["no-such", "utf-7", "zlib", "hex", "shift_jis", "utf-16"])
def test_xml_in_an_encoding_that_nobody_knows_is_refused(tmp_path, encoding) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><a>\u00e4</a>'.encode())
    with pytest.raises(ValueError, match="it is no XML"):
        check_format("xml", path)
