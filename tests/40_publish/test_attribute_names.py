"""Attributes of any name: no feature gets lost on the way to WFS and WMS clients."""

import json

import pytest
import requests
import shapely

from candela.layers.polygons import served_names
from candela.publish.base import Layer

SPECIAL = [
    "rowid", "ROWID", "_rowid_", "oid", "OID", "fid", "FID", "ogc_fid", "OGC_FID", "geom", "Geom",
    "geometry", "the_geom", "id", "ID", "minx", "maxx", "miny", "maxy", "feature_id", "gml_id",
    "boundedBy", "msGeometry", "select", "from", "where", "order", "group", "index", "table",
    "null", "name", "Name", "NAME", "name_2", "a b", "a.b", "a-b", "1st", "xml", "Größe", "",
    "x\"y", "x'y", "[x]", "%x%", "description", "location", "OGR_GEOMETRY", "OGR_STYLE",
    "ogr_geom_area",
]  # fmt: skip


@pytest.fixture(scope="module")
def layers(gateway, tmp_path_factory) -> dict[str, Layer]:
    """One layer for each name, and one with all of them."""
    folder = tmp_path_factory.mktemp("names")
    made = {}
    for number, names in enumerate([*([name] for name in SPECIAL), SPECIAL]):
        features = [
            {
                "type": "Feature",
                "properties": {"change_level": value, **dict.fromkeys(names, 100 * value)},
                "geometry": json.loads(shapely.to_geojson(shapely.box(10, 48 + value, 11, 48.5))),
            }
            for value in (1, 2, 3)
        ]
        path = folder / f"{number}.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        layer = Layer(f"Names_{number}_x", f"names-{number}", path, "Names", "", "parcels")
        gateway.publisher.publish(layer)
        made["all" if len(names) > 1 else names[0]] = layer
    return made


@pytest.mark.parametrize("name", [*SPECIAL, "all"])
def test_no_feature_is_lost_whatever_an_attribute_is_called(gateway, layers, name) -> None:
    layer = layers[name]
    url = f"{gateway.url}/ows/{layer.name}/wfs"
    common = {
        "service": "WFS", "version": "2.0.0", "request": "GetFeature", "typenames": layer.name,
        "outputformat": "geojson",
    }  # fmt: skip
    box = "47,9,52,12,urn:ogc:def:crs:EPSG::4326"
    (served,) = [each.attributes for each in gateway.publisher.layers() if each.name == layer.name]
    for query in [
        {},
        {"bbox": box},
        *({"sortby": item} for item in served),
        {"bbox": box, "count": "3"},
    ]:
        answer = requests.get(url, params=common | query, timeout=20)
        assert answer.headers["Content-Type"] == "application/geo+json", (query, answer.text)
        found = answer.json()["features"]
        assert sorted(item["properties"]["change_level"] for item in found) == [1, 2, 3], query
        for item in found:
            own = {key: value for key, value in item["properties"].items() if key != "feature_id"}
            level = own.pop("change_level")
            assert set(own.values()) == {100 * level}, query
            assert len(own) == len(served) - 2
    if name == "all":
        return
    own = served[-1]
    condition = (
        '<fes:Filter xmlns:fes="http://www.opengis.net/fes/2.0"><fes:PropertyIsEqualTo>'
        f"<fes:ValueReference>{own}</fes:ValueReference><fes:Literal>200</fes:Literal>"
        "</fes:PropertyIsEqualTo></fes:Filter>"
    )
    answer = requests.get(url, params=common | {"filter": condition}, timeout=20)
    found = answer.json()["features"]
    assert [item["properties"]["change_level"] for item in found] == [2]


def test_names_that_sql_does_not_tell_apart_are_served_under_different_ones() -> None:
    served = served_names(SPECIAL)
    assert len({name.lower() for name in served}) == len(SPECIAL)
    for word in ("rowid", "_rowid_", "oid", "fid", "ogc_fid", "geom"):
        assert word not in {name.lower() for name in served}
