"""WFS of published polygons, asked by OWSLib, GDAL and by hand."""

import dataclasses
import io
import json
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
import requests
import shapely
from lxml import etree
from owslib.wfs import WebFeatureService
from owslib.wms import WebMapService
from PIL import Image
from schemas import WFS, assert_valid, schema_folder, schema_of_features

from candela.publish.metadata import ATTRIBUTION
from candela.publish.polygonmap import MOST_IN_ANSWER
from candela.publish.styles import load_style

NAMES = {
    "c": "urn:candela:layers",
    "g": "http://www.opengis.net/gml/3.2",
    "o": "http://www.opengis.net/ows/1.1",
    "w": "http://www.opengis.net/wfs/2.0",
}


@pytest.fixture(scope="module")
def polygons(gateway, parcels_layer, patches_layer):
    """The gateway with three rasters, parcels and patches."""
    for layer in (parcels_layer, patches_layer):
        gateway.publisher.publish(layer)
    return gateway


def ask(gateway, layer=None, **query):
    path = f"/ows/{layer.name}/wfs" if layer else "/ows"
    query = {"service": "WFS", "version": "2.0.0", **query}
    return requests.get(f"{gateway.url}{path}", params=query, timeout=20)


def features(gateway, layer, **query) -> list[dict]:
    query = {"request": "GetFeature", "typenames": layer.name, "outputformat": "geojson"} | query
    answer = ask(gateway, layer, **query)
    assert answer.headers["Content-Type"] == "application/geo+json", answer.text
    return answer.json()["features"]


def ids(gateway, layer, **query) -> list[int]:
    return [item["properties"]["feature_id"] for item in features(gateway, layer, **query)]


@pytest.mark.parametrize("version", ["2.0.0", "1.1.0"])
def test_the_capabilities_list_polygons_and_nothing_else(
    polygons, parcels_layer, patches_layer, version
) -> None:
    wfs = WebFeatureService(f"{polygons.url}/ows", version=version)
    names = {name.partition(":")[2] for name in wfs.contents}
    assert names == {parcels_layer.name, patches_layer.name}
    told = wfs.contents[f"candela:{parcels_layer.name}"]
    assert told.title == parcels_layer.title
    assert ATTRIBUTION in told.abstract
    assert {"Copernicus", "ChangeDetect", "parcels"} <= set(told.keywords)
    assert told.boundingBoxWGS84 == (10.1, 48.1, 10.6, 48.4)
    assert any(code.getcode() == "EPSG:4326" for code in told.crsOptions)


def test_a_layers_link_alone_is_its_whole_service(polygons, parcels_layer) -> None:
    (link,) = [
        layer.links.wfs for layer in polygons.publisher.layers() if layer.name == parcels_layer.name
    ]
    assert link == f"{polygons.url}/ows/{parcels_layer.name}/wfs"
    wfs = WebFeatureService(link, version="2.0.0")
    assert list(wfs.contents) == [f"candela:{parcels_layer.name}"]
    for operation in ("GetCapabilities", "GetFeature"):
        for method in wfs.getOperationByName(operation).methods:
            assert method["url"].rstrip("?") == link
    assert parcels_layer.lineage in requests.get(link, timeout=10).text


def test_geojson_equals_the_source(polygons, parcels_layer, parcels) -> None:
    found = features(polygons, parcels_layer)
    assert [item["properties"]["feature_id"] for item in found] == [item["id"] for item in parcels]
    for item, parcel in zip(found, parcels, strict=True):
        shape = shapely.from_geojson(json.dumps(item["geometry"]))
        assert shape.normalize() == parcel["geometry"].normalize()
        for name in ("change_level", "change_mean", "name", "area"):
            assert (item["properties"].get(name) or None) == parcel["properties"][name]
    first = found[0]["properties"]
    assert (first["number"], first["is_organic"], first["Groe_m2"]) == (2**53 + 1, 1, 3)


def test_gml_equals_the_source_and_leaves_out_what_is_missing(
    polygons, parcels_layer, parcels
) -> None:
    answer = ask(polygons, parcels_layer, request="GetFeature", typenames=parcels_layer.name)
    root = etree.fromstring(answer.content)
    members = root.findall(f"w:member/c:{parcels_layer.name}", NAMES)
    assert root.get("numberReturned") == str(len(parcels))
    assert [member.get(f"{{{NAMES['g']}}}id") for member in members] == [
        f"{parcels_layer.name}.{parcel['id']}" for parcel in parcels
    ]
    for member, parcel in zip(members, parcels, strict=True):
        for name in ("change_level", "change_mean", "area"):
            wanted, text = parcel["properties"][name], member.findtext(f"c:{name}", None, NAMES)
            assert (None if text is None else float(text)) == wanted
        assert member.findtext("c:name", None, NAMES) == parcel["properties"]["name"]
        rings = [
            np.fromstring(text, sep=" ").reshape(-1, 2)[:, ::-1]
            for text in member.xpath(".//g:posList/text()", namespaces=NAMES)
        ]  # EPSG:4326 has the latitude first
        corners = np.unique(np.concatenate(rings), axis=0)
        assert np.array_equal(
            corners, np.unique(shapely.get_coordinates(parcel["geometry"]), axis=0)
        )
    found = [member.get(f"{{{NAMES['g']}}}id") for member in root.iter() if len(member.attrib)]
    found = [name for name in found if name]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["parcels_layer", "patches_layer"])
def test_what_a_wfs_answers_is_valid(polygons, request, tmp_path, name) -> None:
    if schema_folder(WFS) is None:
        pytest.skip("the schemas of the OGC are not at hand (`make schemas`)")
    layer = request.getfixturevalue(name)
    for operation in ("GetCapabilities", "ListStoredQueries", "DescribeStoredQueries"):
        assert_valid(ask(polygons, layer, request=operation).content)
    assert_valid(ask(polygons, request="GetCapabilities").content)
    refused = assert_valid(ask(polygons, layer, request="GetFeature", count="x").content)
    assert refused.tag == f"{{{NAMES['o']}}}ExceptionReport"
    described = ask(polygons, layer, request="DescribeFeatureType", typenames=layer.name).content
    schema = schema_of_features(described, tmp_path)
    for query in ({}, {"count": 2, "startindex": 1}, {"resulttype": "hits"}):
        asked = {"request": "GetFeature", "typenames": layer.name} | query
        answer = etree.fromstring(ask(polygons, layer, **asked).content)
        assert schema.validate(answer), schema.error_log


def test_the_schema_has_the_types_of_the_attributes(polygons, parcels_layer) -> None:
    wfs = WebFeatureService(f"{polygons.url}/ows/{parcels_layer.name}/wfs", version="2.0.0")
    schema = wfs.get_schema(parcels_layer.name)
    assert schema["geometry"] == "MultiSurface" or schema["geometry"]
    types = schema["properties"]
    assert types["change_level"] in {"integer", "long"}
    assert (types["change_mean"], types["name"]) == ("double", "string")
    assert "fid" not in types


def test_gdal_opens_it_as_qgis_does(polygons, patches_layer) -> None:
    url, layer = f"WFS:{polygons.url}/ows?version=2.0.0", f"candela:{patches_layer.name}"
    # GDAL lets no other thread of its process answer meanwhile.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        assert layer in {name for name, _ in process.submit(pyogrio.list_layers, url).result()}
        meta, _, shapes, columns = process.submit(pyogrio.raw.read, url, layer=layer).result()
    source, _, wanted, values = pyogrio.raw.read(patches_layer.path, layer="patch")
    assert meta["crs"] == "EPSG:32632"
    assert [shape.normalize() for shape in shapely.from_wkb(shapes)] == [
        shape.normalize() for shape in shapely.from_wkb(wanted)
    ]
    found = dict(zip(meta["fields"], columns, strict=True))
    for name, column in zip(source["fields"], values, strict=True):
        assert np.array_equal(found[name].astype(column.dtype), column)


def test_a_box_gives_what_touches_it(polygons, patches_layer, parcels_layer) -> None:
    left, top = 600_000 + 100, 5_400_000 - 100
    box = f"{left},{top - 499},{left + 1000},{top},urn:ogc:def:crs:EPSG::32632"
    assert len(features(polygons, patches_layer, bbox=box)) == 2
    degrees = "48.25,10.0,48.5,10.25,urn:ogc:def:crs:EPSG::4326"
    assert ids(polygons, parcels_layer, bbox=degrees) == [5]


def test_pages_follow_each_other_without_gap_or_overlap(polygons, patches_layer) -> None:
    pages = [
        ids(polygons, patches_layer, count=250, startindex=start) for start in range(0, 1000, 250)
    ]
    assert [len(page) for page in pages] == [250, 250, 250, 150]
    assert sorted(number for page in pages for number in page) == list(range(1, 901))
    hits = ask(
        polygons, patches_layer, request="GetFeature", typenames=patches_layer.name,
        resulttype="hits",
    )  # fmt: skip
    assert etree.fromstring(hits.content).get("numberMatched") == "900"


@pytest.mark.parametrize("form", ["geojson", "application/json", "text/xml; subtype=gml/3.1.1"])
def test_a_count_is_xml_whatever_is_asked_for(polygons, parcels_layer, form) -> None:
    answer = ask(
        polygons, request="GetFeature", typenames=parcels_layer.name, resulttype="hits",
        outputformat=form,
    )  # fmt: skip
    assert etree.fromstring(answer.content).get("numberMatched") == "4"
    body = (
        '<GetFeature xmlns="http://www.opengis.net/wfs/2.0" service="WFS" version="2.0.0"'
        f' resultType="hits" outputFormat="{form}"><Query typeNames="{parcels_layer.name}"/>'
        "</GetFeature>"
    )
    answer = requests.post(
        f"{polygons.url}/ows", body, headers={"Content-Type": "text/xml"}, timeout=10
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        {"count": 0}, {"startindex": 99}, {"propertyname": "name"}, {"propertyname": "geom"},
        {"sortby": "change_mean DESC"}, {"srsname": "EPSG:99999"}, {"bbox": "a,b,c,d"},
        {"bbox": "1,2,3"}, {"resourceid": "ChangeDetect_4_parcels.99"}, {"filter": "<Filter/>"},
        {"outputformat": "none"}, {"propertyname": "none"}, {"version": "9.9.9"},
        {"typenames": "none"}, {"storedquery_id": "none"}, {"srsname": ""},
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["", "geojson"])
def test_no_request_ends_a_worker(polygons, parcels_layer, query, form) -> None:
    asked = {"request": "GetFeature", "typenames": parcels_layer.name, "outputformat": form}
    answer = ask(polygons, parcels_layer, **{k: v for k, v in (asked | query).items() if v != ""})
    assert answer.status_code in {200, 400, 404}
    assert answer.content


FILTER = (
    '<fes:Filter xmlns:fes="http://www.opengis.net/fes/2.0"><fes:{operator}>'
    "<fes:ValueReference>{name}</fes:ValueReference><fes:Literal>{value}</fes:Literal>"
    "</fes:{operator}></fes:Filter>"
)
LEVEL = {"operator": "PropertyIsGreaterThanOrEqualTo", "name": "change_level", "value": "2"}


def test_a_filter_finds_features(polygons, parcels_layer) -> None:
    assert ids(polygons, parcels_layer, filter=FILTER.format(**LEVEL)) == [3, 5]
    named = {"operator": "PropertyIsEqualTo", "name": "name", "value": 'it\'s "one"'}
    assert ids(polygons, parcels_layer, filter=FILTER.format(**named)) == [3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t"])
def test_a_filter_may_have_several_lines(polygons, parcels_layer, end) -> None:
    text = FILTER.format(**LEVEL).replace("><", f">{end}<")
    assert ids(polygons, parcels_layer, filter=text) == [3, 5]


def test_owslib_posts_keys_and_values_without_saying_so(polygons, parcels_layer) -> None:
    wfs = WebFeatureService(f"{polygons.url}/ows", version="1.0.0")
    for method in ("Get", "Post"):
        content = wfs.getfeature(typename=[parcels_layer.name], method=method).read()
        root = etree.fromstring(content)
        assert etree.QName(root).localname == "FeatureCollection"
        assert len(root.findall(f".//c:{parcels_layer.name}", NAMES)) == 4


def test_metadata_links_of_polygons_lead_to_metadata(polygons, parcels_layer) -> None:
    for path in ("/ows", f"/ows/{parcels_layer.name}/wms", f"/ows/{parcels_layer.name}/wfs"):
        answer = requests.get(
            f"{polygons.url}{path}?request=GetMetadata&layer={parcels_layer.name}",
            allow_redirects=False, timeout=10,
        )  # fmt: skip
        assert answer.status_code == 200
        assert "<gmd:MD_Metadata" in answer.text


def test_a_request_may_be_xml(polygons, parcels_layer) -> None:
    body = (
        '<wfs:GetFeature xmlns:wfs="http://www.opengis.net/wfs/2.0" service="WFS" version="2.0.0"'
        f' outputFormat="geojson"><wfs:Query typeNames="{parcels_layer.name}">'
        f"{FILTER.format(**LEVEL)}</wfs:Query></wfs:GetFeature>"
    )
    for path in ("/ows", f"/ows/{parcels_layer.name}/wfs"):
        answer = requests.post(
            polygons.url + path, body, headers={"Content-Type": "text/xml"}, timeout=10
        )
        found = [item["properties"]["feature_id"] for item in answer.json()["features"]]
        assert found == [3, 5]


@pytest.mark.parametrize(
    "query",
    [
        {"filter": FILTER.format(**(LEVEL | {"name": 'a" OR 1=1 --'}))},
        {"filter": FILTER.format(**(LEVEL | {"name": "a' UNION SELECT 1"}))},
        {"filter": FILTER.format(**(LEVEL | {"name": "count(x)"}))},
        {"filter": '<!DOCTYPE a [<!ENTITY b "c">]><Filter/>'},
        {"filter": "<Filter>" * 40 + "</Filter>" * 40},
        {"filter": "<Filter"},
        {"filter": "<Filter/>" * 3700},
        {"sortby": "change_level; DROP TABLE x"},
        {"propertyname": 'name" FROM x'},
        {"resourceid": "a.1' OR '1'='1"},
        {"typenames": "a'b"},
        {"count": "-1"},
        {"startindex": "99999999999999999999"},
    ],
)
def test_hostile_requests_are_refused(polygons, parcels_layer, query) -> None:
    asked = {"request": "GetFeature", "typenames": parcels_layer.name} | query
    answer = ask(polygons, parcels_layer, **asked)
    assert answer.status_code == 400
    report = etree.fromstring(answer.content)
    assert report.tag == f"{{{NAMES['o']}}}ExceptionReport"
    assert report.find("o:Exception", NAMES).get("locator") in query


@pytest.mark.parametrize("value", ["' OR '1'='1", '" OR "1"="1', "\\' OR 1=1 --", "%", "a'); --"])
def test_what_looks_like_sql_is_a_literal(polygons, parcels_layer, value) -> None:
    escaped = value.replace("&", "&amp;").replace("<", "&lt;")
    text = FILTER.format(operator="PropertyIsEqualTo", name="name", value=escaped)
    assert ids(polygons, parcels_layer, filter=text) == []
    number = FILTER.format(operator="PropertyIsEqualTo", name="change_level", value=escaped)
    answer = ask(
        polygons, parcels_layer, request="GetFeature", typenames=parcels_layer.name, filter=number
    )
    assert "member>" not in answer.text


def test_a_filter_is_nothing_to_a_wms(polygons, parcels_layer) -> None:
    query = {
        "service": "WMS", "version": "1.3.0", "request": "GetMap", "layers": parcels_layer.name,
        "crs": "EPSG:4326", "bbox": "48,10,49,11", "width": 64, "height": 64,
        "format": "image/png", "filter": "<Filter",
    }  # fmt: skip
    answer = requests.get(f"{polygons.url}/ows", params=query, timeout=10)
    assert answer.headers["Content-Type"] == "image/png"


def test_polygons_have_no_wcs_and_rasters_no_wfs(polygons, parcels_layer, change_layer) -> None:
    for path in (f"{parcels_layer.name}/wcs", f"{change_layer.name}/wfs", "no_such/wfs"):
        answer = requests.get(f"{polygons.url}/ows/{path}", timeout=10)
        assert answer.status_code == 404
        assert "Exception" in answer.text
    answer = ask(polygons, request="GetFeature", typenames=change_layer.name)
    assert "ExceptionReport" in answer.text
    assert "member>" not in answer.text


def test_more_than_the_most_comes_in_pages(polygons, patches_layer) -> None:
    text = (polygons.publisher.store.path(patches_layer.name) / "wfs.map").read_text()
    assert f'"wfs_maxfeatures" "{MOST_IN_ANSWER}"' in text


# pictures


def picture(gateway, layer, srs: str, box: tuple, size: tuple[int, int]) -> np.ndarray:
    wms = WebMapService(f"{gateway.url}/ows", version="1.3.0")
    answer = wms.getmap(
        layers=[layer.name], srs=srs, bbox=box, size=size, format="image/png", transparent=True
    )
    return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))


def rgb(look: object) -> np.ndarray:
    return np.array([int(look.colour[i : i + 2], 16) for i in (1, 3, 5)])


def assert_looks(pixel: np.ndarray, look: object) -> None:
    """Check a fill: a picture keeps colour times opacity in 8 bits, rounded by MapServer twice."""
    assert abs(int(pixel[3]) - look.opacity * 2.55) <= 1
    assert np.abs(pixel[:3] * (pixel[3] / 255) - rgb(look) * look.opacity / 100).max() <= 3


def test_parcels_are_drawn_in_the_colours_of_their_levels(polygons, parcels_layer, parcels) -> None:
    drawn = picture(polygons, parcels_layer, "CRS:84", (10, 48, 11, 49), (500, 500))
    looks = dict(zip((1, 2, 3, None), load_style("parcels").symbols, strict=True))
    for parcel in parcels:
        x, y = parcel["geometry"].representative_point().coords[0]
        look = looks[parcel["properties"]["change_level"]]
        assert_looks(drawn[int((49 - y) * 500), int((x - 10) * 500)], look)
    assert not drawn[int((49 - 48.135) * 500), int((10.535 - 10) * 500)].any()  # the hole
    assert not drawn[10, 10].any()
    outlined = {tuple(pixel[:3]) for pixel in drawn[drawn[..., 3] == 255]}
    assert {tuple(rgb(look)) for look in looks.values()} <= outlined


def test_patches_are_drawn_by_the_share_of_usable_pixels(polygons, patches_layer) -> None:
    left, top = 600_000.0, 5_400_000.0
    box = (left, top - 18_000, left + 18_000, top)
    drawn = picture(polygons, patches_layer, "EPSG:32632", box, (600, 600))
    style = load_style("patches")
    for row, col in [(0, 0), (10, 3), (29, 20), (25, 20), (29, 29), (28, 29)]:
        usable = (row + col) / 58
        (look,) = [
            item for item in style.classes
            if item.low <= usable < item.high or usable == item.high == 1
        ]  # fmt: skip
        assert_looks(drawn[20 * row + 10, 20 * col + 10], look)


def test_the_legend_has_the_colours_of_the_style(polygons, parcels_layer) -> None:
    query = {
        "service": "WMS", "version": "1.3.0", "request": "GetLegendGraphic", "sld_version": "1.1.0",
        "layer": parcels_layer.name, "format": "image/png",
    }  # fmt: skip
    answer = requests.get(f"{polygons.url}/ows", params=query, timeout=10)
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    found = {tuple(pixel) for pixel in drawn.reshape(-1, 4)}
    assert {(*rgb(look), 255) for look in load_style("parcels").symbols} <= found


def info_at(gateway, layer, x: float, y: float, **query) -> etree._Element:
    query = {
        "service": "WMS", "version": "1.3.0", "request": "GetFeatureInfo", "crs": "EPSG:4326",
        "layers": layer.name, "query_layers": layer.name, "bbox": "48,10,49,11", "width": 1000,
        "height": 1000, "i": int((x - 10) * 1000), "j": int((49 - y) * 1000), "feature_count": 10,
        "info_format": "application/vnd.ogc.gml", **query,
    }  # fmt: skip
    answer = requests.get(f"{gateway.url}/ows", params=query, timeout=10)
    return etree.fromstring(answer.content)


def test_a_click_gives_the_attributes(polygons, parcels_layer) -> None:
    found = info_at(polygons, parcels_layer, 10.15, 48.15)
    assert found.findtext(".//name") == "Äcker & <Wiesen>"
    assert float(found.findtext(".//change_mean")) == 0.1234
    assert found.find(".//fid") is None
    assert info_at(polygons, parcels_layer, 10.8, 48.8).find(".//name") is None


# owners, and layers that come and go


def test_owners_see_their_own_polygons_only(private_gateway, parcels_layer, patches_layer) -> None:
    mine = dataclasses.replace(parcels_layer, owner="alice")
    private_gateway.publisher.publish(mine)
    private_gateway.publisher.publish(dataclasses.replace(patches_layer, owner="bob"))

    def ask_as(user: str, path: str, **query: str) -> requests.Response:
        query = {"service": "WFS", "version": "2.0.0", **query}
        return requests.get(
            private_gateway.url + path, params=query, headers={"X-User": user}, timeout=10
        )

    assert mine.name in ask_as("alice", "/ows").text
    assert mine.name not in ask_as("bob", "/ows").text
    wanted = {"request": "GetFeature", "typenames": mine.name, "outputformat": "geojson"}
    assert len(ask_as("alice", "/ows", **wanted).json()["features"]) == 4
    for path in ("/ows", f"/ows/{patches_layer.name}/wfs"):
        assert "Äcker" not in ask_as("bob", path, **wanted).text
    assert ask_as("bob", f"/ows/{mine.name}/wfs", **wanted).status_code == 404
    both = wanted | {"typenames": f"{patches_layer.name},{mine.name}"}
    assert "Äcker" not in ask_as("bob", "/ows", **both).text
    by_id = {
        "request": "GetFeature", "storedquery_id": "urn:ogc:def:query:OGC-WFS::GetFeatureById",
        "id": f"{mine.name}.7",
    }  # fmt: skip
    assert "Äcker" in ask_as("alice", "/ows", **by_id).text
    assert "Äcker" not in ask_as("bob", "/ows", **by_id).text
    body = (
        '<GetFeature xmlns="http://www.opengis.net/wfs/2.0" service="WFS" version="2.0.0">'
        f'<Query typeNames="{mine.name}"/></GetFeature>'
    )
    answer = requests.post(
        f"{private_gateway.url}/ows", body, timeout=10,
        headers={"X-User": "bob", "Content-Type": "text/xml"},
    )  # fmt: skip
    assert "Äcker" not in answer.text


def test_layers_come_and_go_while_features_are_asked_for(new_gateway, patches_layer) -> None:
    publisher = new_gateway.publisher
    kept = dataclasses.replace(patches_layer, name="Kept_1_model", job_id="kept")
    publisher.publish(kept)
    stopped, wrong = threading.Event(), []

    def come_and_go() -> None:
        for number in range(12):
            passing = dataclasses.replace(
                patches_layer, name=f"Passing_{number}_model", job_id=f"passing-{number}"
            )
            publisher.publish(passing)
            publisher.publish(kept)
            publisher.remove(passing.job_id)
        stopped.set()

    def read() -> None:
        while not stopped.is_set():
            if len(features(new_gateway, kept)) != 900:
                wrong.append("features are missing")
            passing = dataclasses.replace(patches_layer, name="Passing_5_model")
            answer = ask(
                new_gateway, passing, request="GetFeature", typenames=passing.name,
                outputformat="geojson",
            )  # fmt: skip
            is_whole = answer.status_code == 200 and "geo+json" in answer.headers["Content-Type"]
            if not (
                (is_whole and len(answer.json()["features"]) == 900) or answer.status_code == 404
            ):
                wrong.append(f"{answer.status_code} {answer.text[:500]}")

    threads = [threading.Thread(target=come_and_go), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {layer.name for layer in publisher.layers()} == {kept.name}


def test_polygons_are_there_after_a_restart_and_their_maps_are_mended(
    new_gateway, parcels_layer
) -> None:
    publisher = new_gateway.publisher
    publisher.publish(parcels_layer)
    folder: Path = publisher.store.path(parcels_layer.name)
    (folder / "wfs.map").unlink()
    publisher.repair()
    assert len(features(new_gateway, parcels_layer)) == 4


@pytest.mark.parametrize("code", [32632, 3857, 3035, 2154])
def test_polygons_come_in_the_systems_of_maps(polygons, parcels_layer, parcels, code) -> None:
    wfs = WebFeatureService(f"{polygons.url}/ows", version="2.0.0")
    offered = {item.getcode() for item in wfs[f"candela:{parcels_layer.name}"].crsOptions}
    assert f"EPSG:{code}" in offered
    found = features(polygons, parcels_layer, srsname=f"urn:ogc:def:crs:EPSG::{code}")
    put = pyproj.Transformer.from_crs(4326, code, always_xy=True).transform
    for item, parcel in zip(found, parcels, strict=True):
        shape = shapely.from_geojson(json.dumps(item["geometry"]))
        wanted = shapely.transform(parcel["geometry"], put, interleaved=False)
        assert shapely.hausdorff_distance(shape, wanted) < 0.01
