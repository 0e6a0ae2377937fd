"""The life of layers of polygons, the same on every map server."""

import dataclasses
import itertools
import json
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pyogrio
import pytest
import shapely

from candela.errors import PublicationError, PublisherAwayError
from candela.layers.polygons import read_polygons, served_names, write_geopackage
from candela.publish.base import LegendEntry
from candela.publish.styles import load_style


def geopackages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.gpkg"))


@pytest.fixture
def served(publisher, parcels_layer, tmp_path) -> Path:
    """The GeoPackage that a map server reads the parcels from."""
    publisher.publish(parcels_layer)
    (path,) = geopackages(tmp_path)
    return path


def test_polygons_have_a_wms_and_a_wfs_and_no_wcs(publisher, parcels_layer) -> None:
    links = publisher.publish(parcels_layer)
    assert links.wms.endswith(f"/{parcels_layer.name}/wms")
    assert links.wfs.endswith(f"/{parcels_layer.name}/wfs")
    assert links.wcs == ""
    (layer,) = publisher.layers()
    assert layer.links == links


def test_a_served_layer_of_polygons_tells_what_a_map_needs(publisher, parcels_layer) -> None:
    publisher.publish(parcels_layer)
    (layer,) = publisher.layers()
    assert layer.bounds == (10.1, 48.1, 10.6, 48.4)
    assert layer.bands == ()
    assert layer.attributes[:3] == ("feature_id", "change_level", "change_mean")
    assert layer.legend[0] == LegendEntry("< 10 % changed", ("#ffeda0",))
    assert layer.legend[-1] == LegendEntry("no data", ("#bebebe",))
    assert (layer.series, layer.time) == ("", None)


def test_attributes_equal_those_of_the_source(served, parcels_layer, parcels) -> None:
    meta, _, shapes, columns = pyogrio.raw.read(served, layer=parcels_layer.name)
    found = dict(zip(meta["fields"], columns, strict=True))
    assert list(found["feature_id"]) == [parcel["id"] for parcel in parcels]
    for name in ("change_level", "change_mean", "name", "area"):
        wanted = [parcel["properties"][name] for parcel in parcels]
        assert [None if value != value else value for value in found[name]] == wanted
    assert found["crops"][0] == '["rye", "oats"]'
    assert found["Groe_m2"][0] == 3
    assert [shape.normalize() for shape in shapely.from_wkb(shapes)] == [
        shapely.multipolygons([parcel["geometry"]]).normalize()
        if parcel["geometry"].geom_type == "Polygon"
        else parcel["geometry"].normalize()
        for parcel in parcels
    ]


def test_the_copy_has_a_spatial_index_and_nothing_but_the_polygons(
    publisher, patches_layer, tmp_path
) -> None:
    publisher.publish(patches_layer)
    (path,) = geopackages(tmp_path)
    assert [name for name, _ in pyogrio.list_layers(path)] == [patches_layer.name]
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert f"rtree_{patches_layer.name}_geom" in tables
    info = pyogrio.read_info(path, layer=patches_layer.name)
    assert (info["features"], info["geometry_type"], info["crs"]) == (900, "Polygon", "EPSG:32632")


def test_publishing_polygons_again_changes_nothing_and_shows_what_is_new(
    publisher, parcels_layer, tmp_path
) -> None:
    first = publisher.publish(parcels_layer)
    before = publisher.layers()
    assert publisher.publish(parcels_layer) == first
    assert publisher.layers() == before
    content = json.loads(parcels_layer.path.read_text())
    content["features"] = content["features"][:1]
    path = tmp_path / "fewer.geojson"
    path.write_text(json.dumps(content))
    publisher.publish(dataclasses.replace(parcels_layer, path=path))
    (copy,) = geopackages(tmp_path)
    assert pyogrio.read_info(copy)["features"] == 1
    assert publisher.layers()[0].bounds == (10.1, 48.1, 10.2, 48.2)


def test_polygons_and_rasters_of_a_job_are_removed_together_and_leave_nothing(
    publisher, parcels_layer, change_layer, patches_layer, tmp_path
) -> None:
    raster = dataclasses.replace(change_layer, job_id=parcels_layer.job_id)
    for layer in (parcels_layer, raster, patches_layer):
        publisher.publish(layer)
    assert publisher.jobs() == {"job-4", "job-5"}
    assert len(geopackages(tmp_path)) == 2
    publisher.remove("job-4")
    assert [layer.name for layer in publisher.layers()] == [patches_layer.name]
    publisher.remove("job-5")
    assert publisher.jobs() == set()
    assert geopackages(tmp_path) == []
    assert parcels_layer.path.exists()


def test_another_gateway_finds_polygons(publisher, again, parcels_layer) -> None:
    publisher.publish(parcels_layer)
    assert again().layers() == publisher.layers()
    again().remove(parcels_layer.job_id)
    assert publisher.layers() == []


def written(folder: Path, *features: dict) -> Path:
    path = folder / "some.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def feature(geometry: object, **properties: object) -> dict:
    return {
        "type": "Feature", "properties": {"change_level": 1, **properties},
        "geometry": None
        if geometry is None
        else json.loads(shapely.to_geojson(geometry)),
    }  # fmt: skip


BOX = shapely.box(10, 48, 11, 49)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature(shapely.Point(1, 2))], "polygons only, found: Point"),
        ([feature(BOX), feature(shapely.LineString([(1, 2), (3, 4)]))], "found: LineString"),
        ([feature(None)], "found: nothing with a place"),
        ([feature(shapely.Polygon())], "found: nothing with a place"),
    ],
)
def test_what_is_no_polygon_is_refused(
    publisher, parcels_layer, tmp_path, features, message
) -> None:
    path = written(tmp_path, *features)
    with pytest.raises(PublicationError, match=message):
        publisher.publish(dataclasses.replace(parcels_layer, path=path))
    assert publisher.jobs() == set()
    assert geopackages(tmp_path) == []


def test_a_file_that_is_damaged_or_absent_is_refused(publisher, parcels_layer, tmp_path) -> None:
    path = tmp_path / "broken.geojson"
    path.write_text('{"type": "FeatureCollection", "features": [')
    for bad in (path, tmp_path / "absent.geojson"):
        with pytest.raises(PublicationError, match=rf"^{bad.name} cannot be read as polygons"):
            publisher.publish(dataclasses.replace(parcels_layer, path=bad))
    assert publisher.layers() == []


def test_a_style_needs_its_attribute(publisher, patches_layer) -> None:
    with pytest.raises(PublicationError, match=r"no attribute 'change_level' .*grid_row"):
        publisher.publish(dataclasses.replace(patches_layer, style="parcels"))


def test_polygons_of_a_point_have_a_box_with_an_area(publisher, parcels_layer, tmp_path) -> None:
    corner = shapely.Polygon([(10, 48), (10, 48), (10, 48), (10, 48)])
    path = written(tmp_path, feature(corner))
    publisher.publish(dataclasses.replace(parcels_layer, path=path))
    assert publisher.layers()[0].bounds == (10, 48, 10, 48)


@pytest.mark.parametrize("suffix", ["geojson", "gpkg"])
def test_ids_titles_and_texts_that_are_unfit_for_xml_do_no_harm(tmp_path, suffix) -> None:
    path = written(tmp_path, feature(BOX, text="a\x01b\ufffe", **{"x:y/<z>": "\u2028 ok"}))
    if suffix == "gpkg":
        write_geopackage(read_polygons(path), tmp_path / "some.gpkg", "t")
        path = tmp_path / "some.gpkg"
    columns = read_polygons(path).columns
    assert columns["text"][0] == "a b "
    assert columns["x_y_z_"][0] == "\u2028 ok"


def test_names_become_plain_and_stay_different() -> None:
    names = ["a", "A", "fid", "geom", "feature_id", "Größe m²", "", "1a", "日本", "中国", "x" * 99]
    names += ["x" * 98, 'a"; DROP TABLE t; --']
    served = served_names(names)
    assert served[0] == "a"
    assert len({name.lower() for name in served}) == len(names)
    assert not {name.lower() for name in served} & {"fid", "geom", "feature_id"}
    assert all(name.isascii() and name.isidentifier() for name in served)


def test_nothing_is_left_of_a_copy_that_cannot_be_written(tmp_path, parcels_layer) -> None:
    features = read_polygons(parcels_layer.path)
    wrong = dict(itertools.islice(features.columns.items(), 2))
    bad = features._replace(columns=wrong | {"change_level": wrong["change_level"][:1]})
    with pytest.raises(ValueError, match="field"):
        write_geopackage(bad, tmp_path / "some.gpkg", "t")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_reason_to_try_again(tmp_path, patches_layer) -> None:
    features = read_polygons(patches_layer.path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
        with pytest.raises(PublisherAwayError, match=r"some\.gpkg cannot be written"):
            write_geopackage(features, tmp_path / "some.gpkg", "t")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_more_attributes_than_a_table_holds_are_refused(publisher, parcels_layer, tmp_path) -> None:
    path = written(tmp_path, feature(BOX, **{f"a{number}": number for number in range(1001)}))
    with pytest.raises(PublicationError, match="1002 attributes; at most 1000"):
        publisher.publish(dataclasses.replace(parcels_layer, path=path))


def test_the_style_of_parcels_has_the_colours_of_their_picture() -> None:
    from candela.models.change.parcels_picture import FILLED, LEVEL_COLOURS

    style = load_style("parcels")
    looks = dict(zip((1, 2, 3, None), style.symbols, strict=True))
    for level, look in looks.items():
        assert look.colour == "#{:02x}{:02x}{:02x}".format(*LEVEL_COLOURS[level])
        assert look.opacity == 100 * FILLED[level]
    assert [item.low for item in style.classes] == [1, 2, 3]
