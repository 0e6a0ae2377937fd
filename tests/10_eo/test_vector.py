"""Vector files of users: three forms, their reference systems, attributes and damages."""

import json
import zipfile

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS

from candela.eo.vector import files as vector
from candela.eo.vector import geojson as geojson_reader
from candela.eo.vector.files import find_kind, read_features
from candela.errors import InputError

SQUARES = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]
PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@pytest.fixture
def geojson(tmp_path):
    """Return a function that writes a GeoJSON object."""

    def write(content):
        path = tmp_path / "parcels.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


def collection(*features, **members):
    return {"type": "FeatureCollection", "features": list(features), **members}


def feature(geometry=SQUARES[0], **members):
    shape = None if geometry is None else shapely.geometry.mapping(geometry)
    return {"type": "Feature", "geometry": shape, "properties": {}, **members}


def write_ogr(path, driver, *, layer=None, append=False, crs="EPSG:2154"):
    columns = [np.array(["Haut-Médoc", None], object), np.array([7, 8], np.int32)]
    pyogrio.raw.write(
        path, shapely.to_wkb(SQUARES), columns, fields=["name", "rows"], driver=driver,
        geometry_type="Polygon", crs=crs, layer=layer, append=append,
    )  # fmt: skip
    return path


def zipped(folder, *names, inside="data/"):
    path = folder / "parcels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(folder / name, inside + name)
    return path


@pytest.fixture
def shapefile(tmp_path):
    write_ogr(tmp_path / "vines.shp", "ESRI Shapefile")
    return tmp_path


def test_a_geopackage_is_read_with_its_attributes_and_reference_system(tmp_path):
    path = write_ogr(tmp_path / "parcels.gpkg", "GPKG").rename(tmp_path / "parcels.bin")
    assert find_kind(path) == "geopackage"
    found = read_features(path)
    assert found.crs.to_epsg() == 2154
    assert [each.properties for each in found.features] == [
        {"name": "Haut-Médoc", "rows": 7},
        {"name": None, "rows": 8},
    ]
    assert [each.id for each in found.features] == [1, 2]
    assert all(each.geometry.equals(s) for each, s in zip(found.features, SQUARES, strict=True))


def test_a_zipped_shapefile_is_read_from_any_folder_in_the_archive(shapefile):
    found = read_features(zipped(shapefile, *(f"vines{part}" for part in PARTS)))
    assert found.crs.to_epsg() == 2154
    assert found.features[0].properties == {"name": "Haut-Médoc", "rows": 7}
    assert found.features[1].geometry.equals(SQUARES[1])


def test_geojson_keeps_ids_and_nested_attributes(geojson):
    properties = {"owner": {"name": "é"}, "ha": 1.5, "n": 3}
    found = read_features(geojson(collection(feature(id="a-1", properties=properties), feature())))
    assert found.crs.to_epsg() == 4326
    assert found.features[0].id == "a-1"
    assert found.features[0].properties == properties
    assert found.features[1].id is None


@pytest.mark.parametrize("bare", [feature(), shapely.geometry.mapping(SQUARES[0])])
def test_a_feature_or_a_geometry_alone_is_a_collection_of_one(geojson, bare):
    [found] = read_features(geojson(bare)).features
    assert found.geometry.equals(SQUARES[0])


def test_an_old_geojson_may_name_another_reference_system(geojson):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    assert read_features(geojson(collection(feature(), crs=crs))).crs.to_epsg() == 32631


def test_heights_are_left_out(geojson):
    [found] = read_features(geojson(feature(shapely.force_3d(SQUARES[0], 7)))).features
    assert not found.geometry.has_z


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "parcels.json is no JSON"),
        ('{"type": "Topology"}', "is JSON but no GeoJSON object"),
        ('{"type": "FeatureCollection"}', "without a list of features"),
        (collection(3), "feature 1 of parcels.json is no GeoJSON object"),
        (
            collection(feature(), feature() | {"geometry": {"type": "Circle"}}),
            "feature 2 of .* no GeoJSON geometry",
        ),
        (
            feature() | {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}},
            "feature 1 of .* damaged",
        ),
        (collection(crs={"type": "name"}), "names no reference system"),
        (collection(crs={"properties": {"name": "EPSG:99999999"}}), "unknown reference system"),
        ('{"type": "Feature", "properties": {"a": NaN}}', "NaN is not a JSON value"),
        ("<kml/>", "neither GeoJSON nor a GeoPackage nor a zipped shapefile"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_geojson_is_told(geojson, content, reason):
    with pytest.raises(InputError, match=reason):
        read_features(geojson(content))


def test_layers_of_a_geopackage_are_told_where_it_has_several(tmp_path):
    path = write_ogr(tmp_path / "a.gpkg", "GPKG", layer="vines")
    write_ogr(path, "GPKG", layer="woods", append=True)
    with pytest.raises(InputError, match=r"one layer of polygons, found: vines \(Poly.*woods \(Po"):
        read_features(path)


def test_an_empty_layer_of_a_geopackage_does_not_count(tmp_path):
    path = write_ogr(tmp_path / "a.gpkg", "GPKG", layer="vines")
    pyogrio.raw.write(
        path, np.array([], object), [], fields=[], layer="left", geometry_type="Polygon",
        crs="EPSG:2154", append=True,
    )  # fmt: skip
    assert {layer for layer, _ in pyogrio.list_layers(path)} == {"vines", "left"}
    assert len(read_features(path).features) > 0


def test_a_damaged_geopackage_is_refused_without_its_folder(tmp_path):
    path = write_ogr(tmp_path / "a.gpkg", "GPKG")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a\.gpkg cannot be read") as caught:
        read_features(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["vines.dbf"], "one shapefile in it, found: none"),
        (["vines.shp", "vines.dbf", "vines.shx"], r"data/vines\.shp .* lacks its \.prj"),
        (["vines.shp", "copy.shp"], r"found: data/copy\.shp, data/vines\.shp"),
    ],
)
def test_an_archive_without_one_whole_shapefile_is_refused(shapefile, names, reason):
    (shapefile / "copy.shp").write_bytes((shapefile / "vines.shp").read_bytes())
    with pytest.raises(InputError, match=reason):
        read_features(zipped(shapefile, *names))


def test_a_file_that_names_other_files_is_no_shapefile(shapefile):
    (shapefile / "vines.shp").write_text("<OGRVRTDataSource/>")
    with pytest.raises(InputError, match=r"the \.shp in parcels\.zip is no shapefile"):
        read_features(zipped(shapefile, *(f"vines{part}" for part in PARTS)))


def test_archives_and_files_that_are_too_large_are_refused_unread(shapefile, geojson, monkeypatch):
    monkeypatch.setattr(vector, "LARGEST_BYTES", 100)
    with pytest.raises(InputError, match="at most 100 are read"):
        read_features(zipped(shapefile, *(f"vines{part}" for part in PARTS)))
    with pytest.raises(InputError, match="at most 100 are read"):
        read_features(geojson(collection(feature())))


def test_too_many_features_are_refused(shapefile, geojson, monkeypatch):
    monkeypatch.setattr(geojson_reader, "MOST_FEATURES", 1)
    for path in (
        zipped(shapefile, *(f"vines{part}" for part in PARTS)),
        geojson(collection(feature(), feature())),
    ):
        with pytest.raises(InputError, match="has 2 features; at most 1 are read"):
            read_features(path)


def test_a_damaged_archive_is_refused(shapefile):
    path = zipped(shapefile, *(f"vines{part}" for part in PARTS))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="nor a readable zip file"):
        read_features(path)


def test_a_geojson_that_names_a_file_as_its_reference_system_does_not_have_it_read(
    geojson, tmp_path
):
    definition = tmp_path / "secret.prj"
    definition.write_text(CRS.from_epsg(2154).to_wkt())
    assert CRS.from_user_input(str(definition)).is_projected  # the library would
    crs = {"type": "name", "properties": {"name": str(definition)}}
    with pytest.raises(InputError, match="expected a name such as EPSG:32631"):
        read_features(geojson(collection(feature(), crs=crs)))


UTM = shapely.geometry.mapping(shapely.box(300_300, 4_899_120, 300_900, 4_899_720))


@pytest.mark.parametrize(
    "member",
    [
        {"type": "EPSG", "properties": {"code": 32631}},
        {"type": "EPSG", "properties": {"code": "32631"}},
        {"type": "EPSG", "properties": {"code": "EPSG:32631"}},
        {"type": "name", "properties": {"name": "http://www.opengis.net/def/crs/EPSG/0/32631"}},
        {"type": "OGC", "properties": {"urn": "urn:ogc:def:crs:EPSG::32631"}},
        {"type": "link", "properties": {"href": "http://spatialreference.org/ref/epsg/32631/"}},
        {"init": "epsg:32631"},
        "EPSG:32631",
        32631,
    ],
)
@pytest.mark.parametrize("place", ["collection", "feature", "geometry"])
def test_a_reference_system_is_read_in_every_dialect_and_place(geojson, member, place):
    first = {"type": "Feature", "properties": {}, "geometry": dict(UTM)}
    content = collection(first)
    {"collection": content, "feature": first, "geometry": first["geometry"]}[place]["crs"] = member
    assert read_features(geojson(content)).crs.to_epsg() == 32631


@pytest.mark.parametrize("member", [None, {}, ""])
def test_an_empty_reference_system_is_none(geojson, member):
    assert read_features(geojson(collection(feature(), crs=member))).crs.to_epsg() == 4326


@pytest.mark.parametrize(
    "member",
    [[4326], [], 1e400, -1, True, {"properties": [1]}, {"properties": {"name": {}}},
     {"type": "name", "properties": {"name": ["EPSG:4326"]}}, {"properties": {"code": 10**400}}],
)  # fmt: skip
def test_a_reference_system_that_makes_no_sense_is_an_error_of_the_input(geojson, member):
    text = json.dumps(collection(feature(), crs=member)).replace("Infinity", "1e999")
    with pytest.raises(InputError, match="reference system"):
        read_features(geojson(text))


def test_several_reference_systems_in_one_file_are_refused(geojson):
    features = [feature() | {"crs": f"EPSG:{code}"} for code in (32631, 32632)]
    with pytest.raises(InputError, match="several reference systems: EPSG:32631, EPSG:32632"):
        read_features(geojson(collection(*features)))


def test_a_number_that_is_not_finite_is_refused_with_its_place(geojson):
    text = json.dumps(collection(feature(), feature(properties={"a": {"b": [1, "X"]}})))
    with pytest.raises(InputError, match=r"feature 2 of .* not finite: a"):
        read_features(geojson(text.replace('"X"', "1e999")))


def test_a_coordinate_that_is_not_finite_costs_its_feature_only(geojson):
    text = json.dumps(collection(feature(), feature())).replace("1.0", "1e999", 1)
    first, second = read_features(geojson(text)).features
    assert first.geometry is None
    assert "not finite" in first.note
    assert second.geometry.equals(SQUARES[0])


def test_halves_of_characters_become_signs_that_can_be_written(geojson):
    text = json.dumps(collection(feature(properties={"a": "X", "bX": ["cX"]}, id="X")))
    [found] = read_features(geojson(text.replace("X", "\\ud800"))).features
    json.dumps([found.id, found.properties], ensure_ascii=False).encode()
    assert found.properties == {"a": "?", "b?": ["c?"]}


def test_rings_that_are_not_closed_and_measures_are_tidied(geojson):
    ring = [[0, 0, 9, 1], [1, 0, 9, 1], [1, 1, 9, 1], [0, 1, 9, 1]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    [found] = read_features(geojson(feature() | {"geometry": shape})).features
    assert found.geometry.equals(SQUARES[0])
    several = {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}
    [found] = read_features(geojson(feature() | {"geometry": several})).features
    assert len(found.geometry.geoms) == 2
