"""What GeoServer is told: workspaces, stores, coverages, styles, mosaics, rules."""

import copy
import dataclasses
import json
import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from geoserver_double import PASSWORD, USER, api
from lxml import etree

from candela.backoff import Backoff
from candela.errors import PublicationError, PublisherAwayError
from candela.layers.rasters import read_header
from candela.publish.geoserver.documents import workspace_name
from candela.publish.geoserver.publisher import GeoServerPublisher, Site
from candela.publish.geoserver.rest import Account, GeoServerRest
from candela.publish.metadata import ATTRIBUTION
from candela.publish.polygonmap import MOST_IN_ANSWER
from candela.publish.styles import load_style
from candela.publish.styles.sld import sld_text


def workspace(double, name="candela_all"):
    return double.catalog.workspaces[name]


def coverage(double, name, store=None):
    return double.catalog.coverage("candela_all", store or name, name)


def test_a_layer_says_what_it_is_whose_it_is_and_where_it_comes_from(
    geoserver, double, dated_layer
) -> None:
    layer = dated_layer("2020-03-01")
    geoserver().publish(layer)
    told = coverage(double, layer.name).document
    assert told["title"] == "Change: 2020-03-01"
    assert {"Copernicus", "ChangeDetect", "change", "2020-03-01"} <= set(told["keywords"]["string"])
    assert told["metadataLinks"]["metadataLink"][0]["content"] == layer.lineage
    assert told["srs"] == "EPSG:32632"
    assert double.catalog.layers[f"candela_all:{layer.name}"]["attribution"]["title"] == ATTRIBUTION


def test_bands_keep_their_names_and_nodata(geoserver, double, image_layer) -> None:
    geoserver().publish(image_layer)
    bands = coverage(double, image_layer.name).document["dimensions"]["coverageDimension"]
    assert [band["name"] for band in bands] == ["B02", "B03", "B04", "B08"]
    assert [band["nullValues"]["double"] for band in bands] == [0] * 4


def test_geoserver_sees_links_in_its_folder_and_they_go_with_the_layer(
    geoserver, double, change_layer, tmp_path
) -> None:
    publisher = geoserver()
    publisher.publish(change_layer)
    (link,) = (tmp_path / "published").rglob("*.tif")
    assert link.samefile(change_layer.path)
    assert workspace(double).stores[change_layer.name].document["url"] == link.as_uri()
    publisher.remove(change_layer.job_id)
    assert list((tmp_path / "published").rglob("*.*")) == []
    assert change_layer.path.exists()


def test_a_raster_on_another_file_system_is_copied(
    geoserver, change_layer, monkeypatch, tmp_path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    geoserver().publish(change_layer)
    (copy,) = (tmp_path / "published").rglob("*.tif")
    assert copy.read_bytes() == change_layer.path.read_bytes()


@pytest.mark.parametrize(
    ("mode", "url", "reader"),
    [
        ("s3", "cog://s3://bucket/jobs/1/outputs/change.tif", "S3"),
        ("http", "cog://https://maps.example/outputs/job-1/change.tif", "HTTP"),
    ],
)
def test_rasters_elsewhere_are_read_as_cogs(
    geoserver, double, change_layer, mode, url, reader, monkeypatch
) -> None:
    monkeypatch.setattr("geoserver_double.mosaics.read_header", lambda _: {"bounds": (0, 0, 1, 1)})
    layer = dataclasses.replace(change_layer, href="s3://bucket/jobs/1/outputs/change.tif")
    geoserver(mode=mode, outputs_url="https://maps.example/outputs").publish(layer)
    store = workspace(double).stores[layer.name].document
    assert store["url"] == url
    (settings,) = [e["cogSettings"] for e in store["metadata"]["entry"] if "cogSettings" in e]
    assert settings["rangeReaderSettings"] == reader
    assert "password" not in json.dumps(store).lower()


def test_cogs_whose_name_ends_with_the_date_are_a_series(
    geoserver, double, dated_layer, monkeypatch
) -> None:
    monkeypatch.setattr("geoserver_double.mosaics.read_header", lambda _: {"bounds": (0, 0, 1, 1)})
    publisher = geoserver(mode="http", outputs_url="https://maps.example/outputs")
    for date in ("2020-01-31", "2020-03-01"):
        publisher.publish(dated_layer(date))
    (series,) = publisher.series()
    assert coverage(double, series.name).times == (
        "2020-01-31T00:00:00.000Z", "2020-03-01T00:00:00.000Z",
    )  # fmt: skip


def test_a_series_advertises_its_times_and_its_box_as_they_are(
    geoserver, double, dated_layer
) -> None:
    publisher = geoserver()
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01", east_m=3000)
    publisher.publish(first)
    (series,) = publisher.series()
    assert coverage(double, series.name).times == ("2020-01-31T00:00:00.000Z",)
    publisher.publish(second)
    mosaic = coverage(double, series.name)
    assert mosaic.times == ("2020-01-31T00:00:00.000Z", "2020-03-01T00:00:00.000Z")
    assert mosaic.bounds == (600_000, 5_397_000, 606_000, 5_400_000)
    (entry,) = mosaic.document["metadata"]["entry"]
    assert entry["dimensionInfo"]["presentation"] == "LIST"
    assert entry["dimensionInfo"]["defaultValue"] == {"strategy": "MAXIMUM"}
    publisher.remove(first.job_id)
    mosaic = coverage(double, series.name)
    assert mosaic.times == ("2020-03-01T00:00:00.000Z",)
    assert mosaic.bounds == (603_000, 5_397_000, 606_000, 5_400_000)


def test_a_series_that_all_layers_have_left_is_gone(geoserver, double, dated_layer) -> None:
    publisher, layer = geoserver(), dated_layer("2020-01-31")
    publisher.publish(layer)
    publisher.publish(dataclasses.replace(layer, style="grey"))
    assert len(workspace(double).stores) == 2
    publisher.remove(layer.job_id)
    assert workspace(double).stores == {}


def test_publishing_again_adds_no_second_granule(geoserver, double, dated_layer) -> None:
    publisher, layer = geoserver(), dated_layer("2020-01-31")
    publisher.publish(layer)
    publisher.publish(layer)
    geoserver().publish(layer)
    (series,) = publisher.series()
    assert len(workspace(double).stores[series.name].granules) == 1


def test_removing_a_series_leaves_the_rasters_of_others(geoserver, dated_layer) -> None:
    publisher, layer = geoserver(), dated_layer("2020-01-31")
    publisher.publish(layer)
    publisher.remove(layer.job_id)
    assert layer.path.exists()


def test_tiles_of_a_layer_that_is_published_again_are_forgotten(
    geoserver, double, change_layer
) -> None:
    publisher = geoserver()
    publisher.publish(change_layer)
    assert double.catalog.truncated == []
    publisher.publish(change_layer)
    assert double.catalog.truncated == [f"candela_all:{change_layer.name}"]


def test_the_layers_of_a_job_that_has_several_are_a_group(
    geoserver, double, change_layer, image_layer
) -> None:
    publisher = geoserver()
    second = dataclasses.replace(image_layer, job_id=change_layer.job_id)
    publisher.publish(change_layer)
    assert workspace(double).groups == {}
    publisher.publish(second)
    (group,) = workspace(double).groups.values()
    members = {item["name"] for item in group["publishables"]["published"]}
    assert members == {f"candela_all:{change_layer.name}", f"candela_all:{second.name}"}
    publisher.remove(change_layer.job_id)
    assert workspace(double).groups == {}


def test_layers_of_one_style_share_it_and_a_grey_ones_own_goes_with_it(
    geoserver, double, change_layer, grey_layer
) -> None:
    publisher = geoserver()
    publisher.publish(change_layer)
    publisher.publish(dataclasses.replace(change_layer, name="Other_1_change"))
    (shared,) = workspace(double).styles
    publisher.publish(grey_layer)
    assert len(workspace(double).styles) == 2
    publisher.remove(grey_layer.job_id)
    publisher.remove(change_layer.job_id)
    assert list(workspace(double).styles) == [shared]


def test_a_grey_series_takes_all_its_styles_with_it(geoserver, double, dated_layer) -> None:
    publisher = geoserver()
    layers = [
        dataclasses.replace(dated_layer(f"2020-0{month}-01", value=month / 10), style="grey")
        for month in (1, 2, 3)
    ]
    for layer in layers:
        publisher.publish(layer)
    assert len(workspace(double).styles) == 3
    for layer in reversed(layers):
        publisher.remove(layer.job_id)
    assert workspace(double).styles == {}
    assert workspace(double).stores == {}


def test_threads_of_a_gateway_may_publish_at_the_same_time(geoserver, double, dated_layer) -> None:
    publisher = geoserver()
    layers = [dated_layer(f"2020-01-{day:02}") for day in range(1, 13)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publisher.publish, layers))
        list(pool.map(lambda layer: publisher.remove(layer.job_id), layers[:8]))
    (series,) = publisher.series()
    assert len(series.times) == 4
    assert len(workspace(double).stores[series.name].granules) == 4


def test_what_the_operator_has_is_never_touched(geoserver, double, change_layer) -> None:
    catalog = double.catalog
    for name in ("topp", "candela", "candela_all"):
        catalog.add_workspace({"name": name})
        roads = {"name": "roads", "type": "GeoTIFF", "url": "file:roads.tif"}
        catalog.add_store(name, {**roads, "workspace": {"name": name}})
    before = {name: dict(workspace(double, name).stores) for name in catalog.workspaces}
    publisher = geoserver()
    publisher.publish(change_layer)
    assert [layer.name for layer in publisher.layers()] == [change_layer.name]
    publisher.remove(change_layer.job_id)
    publisher.remove("")
    assert {name: dict(workspace(double, name).stores) for name in catalog.workspaces} == before
    assert not [call for call in double.calls if "/topp" in call or "/candela/" in call]


def test_workspaces_of_different_owners_differ_and_are_plain_names() -> None:
    owners = ["", "alice", "Alice", "a lice", "älice", "../x", "a" * 300, "日本", "all", "x.y@z"]
    names = [workspace_name("candela", owner) for owner in owners]
    assert len(set(names)) == len(owners)
    assert all(re.fullmatch(r"candela_[a-z0-9_]{1,60}", name) for name in names)


def test_private_workspaces_are_for_the_role_of_their_name(geoserver, double, change_layer) -> None:
    publisher = geoserver(private=True)
    name = workspace_name("candela", "alice")
    mine = dataclasses.replace(change_layer, owner="alice")
    publisher.publish(mine)
    publisher.publish(mine)
    assert double.catalog.rules[f"{name}.*.r"] == f"{name.upper()},ADMIN"
    double.catalog.rules[f"{name}.*.r"] = "*"
    publisher.publish(mine)
    assert double.catalog.rules[f"{name}.*.r"] == f"{name.upper()},ADMIN"
    publisher.publish(dataclasses.replace(change_layer, name="Public_1_change"))
    assert "candela_all.*.r" not in double.catalog.rules


def test_a_layer_that_the_operator_deleted_is_missing_until_published_again(
    geoserver, double, change_layer
) -> None:
    publisher = geoserver()
    publisher.publish(change_layer)
    double.catalog.delete_store("candela_all", change_layer.name, recurse=True)
    assert publisher.layers() == []
    assert publisher.jobs() == set()
    publisher.publish(change_layer)
    double.catalog.delete_coverage(
        "candela_all", change_layer.name, change_layer.name, recurse=True
    )
    assert publisher.layers() == []
    assert publisher.jobs() == {change_layer.job_id}
    publisher.publish(change_layer)
    assert len(publisher.layers()) == 1


# polygons


def data_store(double, name, workspace_name="candela_all"):
    return double.catalog.datastore(workspace_name, name)


def test_polygons_are_a_read_only_geopackage_with_one_feature_type(
    geoserver, double, parcels_layer, tmp_path
) -> None:
    geoserver().publish(parcels_layer)
    store = data_store(double, parcels_layer.name)
    entries = store.document["connectionParameters"]["entry"]
    (path,) = (tmp_path / "published").rglob("*.gpkg")
    assert {entry["@key"]: entry["$"] for entry in entries} == {
        "dbtype": "geopkg", "database": path.as_uri(), "read_only": "true",
        "namespace": "http://candela_all",
    }  # fmt: skip
    told = store.types[parcels_layer.name]
    assert (told["title"], told["srs"]) == (parcels_layer.title, "EPSG:4326")
    assert {"Copernicus", "ChangeDetect", "parcels"} <= set(told["keywords"]["string"])
    assert told["metadataLinks"]["metadataLink"][0]["content"] == parcels_layer.lineage
    assert told["numDecimals"] == 15
    assert told["maxFeatures"] == MOST_IN_ANSWER
    assert told["nativeBoundingBox"] == {"minx": 10.1, "miny": 48.1, "maxx": 10.6, "maxy": 48.4}
    layer = double.catalog.layers[f"candela_all:{parcels_layer.name}"]
    assert (layer["type"], layer["attribution"]["title"]) == ("VECTOR", ATTRIBUTION)
    (style,) = workspace(double).styles
    assert layer["defaultStyle"]["name"] == f"candela_all:{style}"
    assert style.startswith("parcels_")


@pytest.mark.parametrize("mode", ["s3", "http"])
def test_polygons_are_files_even_where_rasters_are_read_elsewhere(
    geoserver, double, parcels_layer, mode, tmp_path
) -> None:
    publisher = geoserver(mode=mode, outputs_url="https://maps.example/outputs")
    publisher.publish(parcels_layer)
    assert len(list((tmp_path / "published").rglob("*.gpkg"))) == 1
    publisher.remove(parcels_layer.job_id)
    assert workspace(double).datastores == {}
    assert list((tmp_path / "published").rglob("*.*")) == []


def test_without_a_folder_polygons_are_not_shown_and_this_is_said(
    geoserver, double, parcels_layer, caplog
) -> None:
    publisher = geoserver(mode="s3", folder=None)
    publisher.start()
    assert not publisher.shows_polygons
    assert "CANDELA_GEOSERVER_FOLDER" in caplog.text
    with pytest.raises(PublicationError, match="needs the folder CANDELA_GEOSERVER_FOLDER"):
        publisher.publish(parcels_layer)
    assert "candela_all" not in double.catalog.workspaces


def test_rasters_and_polygons_of_a_job_are_a_group(
    geoserver, double, parcels_layer, dated_layer
) -> None:
    raster = dated_layer("2020-03-01")
    polygons = dataclasses.replace(parcels_layer, job_id=raster.job_id)
    publisher = geoserver()
    publisher.publish(raster)
    publisher.publish(polygons)
    (group,) = workspace(double).groups.values()
    assert {item["name"] for item in group["publishables"]["published"]} == {
        f"candela_all:{raster.name}", f"candela_all:{polygons.name}",
    }  # fmt: skip
    publisher.remove(raster.job_id)
    assert (workspace(double).groups, double.catalog.layers) == ({}, {})
    assert (workspace(double).stores, workspace(double).datastores) == ({}, {})


def test_data_stores_of_the_operator_are_never_touched(geoserver, double, parcels_layer) -> None:
    catalog = double.catalog
    catalog.add_workspace({"name": "candela_all"})
    roads = {"name": "roads", "connectionParameters": {"entry": []}}
    catalog.add_datastore("candela_all", roads)
    publisher = geoserver()
    publisher.publish(parcels_layer)
    assert publisher.jobs() == {parcels_layer.job_id}
    publisher.remove(parcels_layer.job_id)
    publisher.remove("")
    assert list(workspace(double).datastores) == ["roads"]


def test_private_polygons_are_for_the_role_of_their_workspace(
    geoserver, double, parcels_layer
) -> None:
    geoserver(private=True).publish(dataclasses.replace(parcels_layer, owner="alice"))
    name = workspace_name("candela", "alice")
    assert double.catalog.rules[f"{name}.*.r"] == f"{name.upper()},ADMIN"
    assert list(workspace(double, name).datastores) == [parcels_layer.name]


def test_polygons_without_their_feature_type_are_missing_until_published_again(
    geoserver, double, parcels_layer
) -> None:
    publisher = geoserver()
    publisher.publish(parcels_layer)
    name = parcels_layer.name
    double.catalog.delete_type("candela_all", name, name, recurse=True)
    assert publisher.layers() == []
    assert publisher.jobs() == {parcels_layer.job_id}
    publisher.publish(parcels_layer)
    assert [layer.name for layer in publisher.layers()] == [name]


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0, None), (1, 0), (1.99, 0), (2, 1), (3, 2), (4, 2), (4.1, None), (None, 3)],
)
def test_the_sld_of_polygons_has_a_rule_for_each_value(level, expected) -> None:
    root = etree.fromstring(sld_text(load_style("parcels"), lambda _: 1, name="parcels"))
    names = {"s": "http://www.opengis.net/sld", "o": "http://www.opengis.net/ogc"}
    looks = load_style("parcels").symbols
    fits = []
    for rule, look in zip(root.iterfind(".//s:Rule", names), looks, strict=True):
        (condition,) = rule.find("o:Filter", names)
        assert condition.findtext(".//o:PropertyName", None, names) == "change_level"
        fits.append(satisfies(condition, level))
        parameters = {p.get("name"): p.text for p in rule.iterfind(".//s:CssParameter", names)}
        assert parameters == {
            "fill": look.colour, "fill-opacity": f"{look.opacity / 100:g}",
            "stroke": look.colour, "stroke-width": "1",
        }  # fmt: skip
        assert rule.findtext("s:Title", None, names) == look.label
    assert [index for index, fit in enumerate(fits) if fit] == (
        [] if expected is None else [expected]
    )


def satisfies(condition: etree._Element, level: float | None) -> bool:
    """Evaluate a filter of ours as the standard says: nothing compares with a missing value."""
    name = etree.QName(condition).localname
    if name == "And":
        return all(satisfies(part, level) for part in condition)
    if name == "PropertyIsNull" or level is None:
        return name == "PropertyIsNull" and level is None
    limit = float(condition[1].text)
    return {
        "PropertyIsGreaterThanOrEqualTo": level >= limit,
        "PropertyIsLessThan": level < limit,
        "PropertyIsLessThanOrEqualTo": level <= limit,
    }[name]


# trouble


def state(double) -> dict:
    """Return all that GeoServer knows, without its numbers and what is made up for each mosaic."""
    text = json.dumps(known(double), default=vars, sort_keys=True)
    return json.loads(re.sub(r"(_[0-9a-f]{8})_[0-9a-f]{8}\b", r"\1", text))


def known(double) -> dict:
    return {
        name: {
            "styles": sorted(place.styles),
            "groups": place.groups,
            "stores": {
                key: (
                    re.sub(r'"published[^,]*', "", json.dumps(store.document, sort_keys=True)),
                    {k: (c.document, c.times, c.bounds) for k, c in store.coverages.items()},
                    sorted(granule["location"] for granule in store.granules.values()),
                )
                for key, store in place.stores.items()
            },
            "datastores": {
                key: (
                    re.sub(r'"published[^,]*', "", json.dumps(store.document, sort_keys=True)),
                    store.types,
                )
                for key, store in place.datastores.items()
            },
        }
        for name, place in double.catalog.workspaces.items()
    } | {
        "layers": double.catalog.layers, "files": sorted(double.catalog.resources),
        "tiles": double.catalog.tile_layers, "indexes": sorted(double.catalog.tables),
    }  # fmt: skip


def test_whichever_call_is_cut_the_end_is_right(
    geoserver, double, dated_layer, parcels_layer
) -> None:
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01")
    polygons = dataclasses.replace(parcels_layer, job_id=second.job_id)
    steps = [
        ("publish a first", lambda publisher: publisher.publish(first)),
        ("publish a second", lambda publisher: publisher.publish(second)),
        ("publish polygons, of the same job", lambda publisher: publisher.publish(polygons)),
        ("publish them again", lambda publisher: publisher.publish(polygons)),
        ("remove one", lambda publisher: publisher.remove(first.job_id)),
        ("remove all", lambda publisher: publisher.remove(second.job_id)),
    ]
    for what, step in steps:
        before, start = copy.deepcopy(double.catalog), len(double.calls)
        step(geoserver())
        length, after, expected = len(double.calls) - start, double.catalog, state(double)
        assert length > 8
        # What is cut before it is done leaves GeoServer as what is cut after the call before.
        cuts = [(call, "after") for call in range(length)]
        for call, how in [*cuts, *((call, "before") for call in range(0, length, 5))]:
            double.catalog = copy.deepcopy(before)
            double.break_call(call, how)
            step(geoserver())
            assert state(double) == expected, (what, call, how)
        double.catalog = after


def test_a_publication_that_is_given_up_half_way_can_be_undone(
    geoserver, double, dated_layer
) -> None:
    layer, other = dated_layer("2020-01-31"), dated_layer("2020-03-01")
    publisher = geoserver()
    publisher.publish(other)
    before = state(double)
    start = len(double.calls)
    publisher.publish(layer)
    length = len(double.calls) - start
    publisher.remove(layer.job_id)
    assert state(double) == before
    for call in range(length):
        limit = len(double.calls) + call
        double.trouble = lambda number, limit=limit: "after" if number >= limit else None
        with pytest.raises(PublisherAwayError):
            geoserver().publish(layer)
        double.break_all(None)
        geoserver().remove(layer.job_id)
        assert state(double) == before, call
        assert geoserver().jobs() == {other.job_id}


@pytest.mark.parametrize("status", [401, 403, 500, 502, 503])
def test_while_geoserver_is_away_or_does_not_let_us_in_it_is_said_to_be_away(
    geoserver, double, change_layer, status
) -> None:
    double.break_all(status)
    publisher = geoserver()
    publisher.start()
    with pytest.raises(PublisherAwayError, match=str(status)):
        publisher.publish(change_layer)


def test_a_refusal_is_final(geoserver, double, change_layer) -> None:
    double.break_call(3, 400)
    with pytest.raises(PublicationError, match="400 injected") as caught:
        geoserver().publish(change_layer)
    assert not isinstance(caught.value, PublisherAwayError)


def test_a_server_that_is_not_there_or_answers_nonsense_is_away(change_layer, tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rest = GeoServerRest(f"http://127.0.0.1:{port}/geoserver", Account("a", "b"))
    publisher = GeoServerPublisher(rest, Site("", folder=tmp_path), backoff=Backoff(0.001, 0.1))
    with pytest.raises(PublisherAwayError, match="no connection"):
        publisher.publish(change_layer)
    assert "b" not in repr(Account("a", "b")).replace("Account", "").replace("'a'", "")


def test_two_gateways_may_publish_at_the_same_time(geoserver, double, dated_layer) -> None:
    layers = [dated_layer(f"2020-01-{day:02}") for day in range(1, 9)]
    failures = []

    def publish(some) -> None:
        publisher = geoserver()
        for layer in some:
            try:
                publisher.publish(layer)
            except PublisherAwayError:  # as a job would: again, later
                failures.append(layer)

    threads = [threading.Thread(target=publish, args=(layers[i::2],)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layer in failures:
        geoserver().publish(layer)
    (series,) = geoserver().series()
    assert len(series.times) == 8
    assert len(workspace(double).stores[series.name].granules) == 8


# styles


def evaluate(sld: bytes, value: float) -> tuple[str, float]:
    """Return colour and opacity of a value, by the rules of an intervals colour map."""
    names = {"s": "http://www.opengis.net/sld"}
    (colours,) = etree.fromstring(sld).iterfind(".//s:ColorMap", names)
    assert colours.get("type") == "intervals"
    for entry in colours:
        if np.float32(value) < np.float32(entry.get("quantity")):
            return entry.get("color"), float(entry.get("opacity"))
    return "", 0.0


@pytest.mark.parametrize("value", [0, 0.1, 0.2, 0.349, 0.35, 0.5, 0.65, 0.79, 0.8, 0.99, 1.0])
def test_the_sld_gives_each_value_the_colour_of_its_class(value) -> None:
    style = load_style("change")
    colour, opacity = evaluate(sld_text(style, lambda _: 1, name="change"), value)
    inside = [
        item for item in style.classes
        if np.float32(item.low) <= np.float32(value) < np.float32(item.high)
    ] or [item for item in style.classes if item.high == value]  # fmt: skip
    if inside:
        assert (colour, opacity) == (inside[0].colour, inside[0].opacity / 100)
    else:
        assert opacity == 0


def test_the_sld_names_what_is_not_drawn_in_the_legend() -> None:
    root = etree.fromstring(sld_text(load_style("change"), lambda _: 1, name="change"))
    labels = [entry.get("label") for entry in root.iter("{*}ColorMapEntry")]
    assert labels[0] == "below 0.2  not drawn"
    assert all(labels)


def test_the_sld_of_true_colour_takes_bands_by_name(image_layer) -> None:
    header = read_header(image_layer.path)
    root = etree.fromstring(
        sld_text(load_style("true_colour"), header.band_position, name="true_colour")
    )
    names = {"s": "http://www.opengis.net/sld"}
    assert root.xpath("//s:SourceChannelName/text()", namespaces=names) == ["3", "2", "1"]
    highs = root.xpath("//s:VendorOption[@name='maxValue']/text()", namespaces=names)
    assert highs == ["3000"] * 3


# the double itself


def test_the_double_refuses_what_geoserver_would(double) -> None:
    def ask(method, path, status, **content):
        answer = requests.request(
            method, double.url + path, auth=(USER, PASSWORD), timeout=5, **content
        )
        assert answer.status_code == status, (method, path, answer.text)
        return answer

    assert requests.get(f"{double.url}/rest/workspaces.json", timeout=5).status_code == 401
    assert ask("GET", "/rest/workspaces.json", 200).json() == {"workspaces": ""}
    ask("GET", "/rest/nothing.json", 404)
    ask("PATCH", "/rest/workspaces", 500)
    ask("POST", "/rest/workspaces", 415, data="x", headers={"Content-Type": "text/plain"})
    ask("POST", "/rest/workspaces", 201, json={"workspace": {"name": "a", "colour": "red"}})
    ask("POST", "/rest/workspaces", 409, json={"workspace": {"name": "a"}})
    nowhere = {"coverageStore": {"name": "s", "type": "GeoTIFF", "url": "file:///no.tif"}}
    ask("POST", "/rest/workspaces/a/coveragestores", 500, json=nowhere)
    store = {"coverageStore": {**nowhere["coverageStore"], "workspace": {"name": "a"}}}
    ask("POST", "/rest/workspaces/a/coveragestores", 201, json=store)
    ask("POST", "/rest/workspaces/a/coveragestores", 500, json=store)
    ask("DELETE", "/rest/workspaces/a", 403)
    ask("PUT", "/rest/layers/a:none", 500, json={"layer": {}})
    ask("DELETE", "/rest/workspaces/a/layergroups/none", 500)
    data = {"dataStore": {"name": "d", "connectionParameters": {"entry": []}}}
    ask("POST", "/rest/workspaces/a/datastores", 201, json=data)
    ask("POST", "/rest/workspaces/a/datastores", 500, json=data)
    ask("POST", "/rest/workspaces/b/datastores", 500, json=data)
    ask("POST", "/rest/workspaces/a/datastores", 500, json={"dataStore": {"name": "e", "url": ""}})
    ask("GET", "/rest/workspaces/a/datastores/e.json", 404)
    ask("GET", "/rest/workspaces/a/datastores/d/featuretypes/t.json", 404)
    ask("DELETE", "/rest/workspaces/a/datastores/d?purge=all", 200)
    ask("GET", "/rest/layers.json?colour=red", 200)
    assert len(double.violations) == 5
    double.violations.clear()


def test_the_first_coverage_is_named_after_the_file_unless_told_otherwise(
    double, change_layer
) -> None:
    double.catalog.add_workspace({"name": "a"})
    requests.put(
        f"{double.url}/rest/workspaces/a/coveragestores/s/external.geotiff",
        data=change_layer.path.as_uri(), headers={"Content-Type": "text/plain"},
        auth=(USER, PASSWORD), timeout=5,
    ).raise_for_status()  # fmt: skip
    assert list(double.catalog.store("a", "s").coverages) == [change_layer.path.stem]


def test_a_table_that_is_not_there_is_no_feature_type(geoserver, double, parcels_layer) -> None:
    geoserver().publish(parcels_layer)
    place = f"{double.url}/rest/workspaces/candela_all/datastores/{parcels_layer.name}"
    ask = {"auth": (USER, PASSWORD), "timeout": 5}
    wrong = {"featureType": {"name": "none"}}
    assert requests.post(f"{place}/featuretypes", json=wrong, **ask).status_code == 400
    twice = {"featureType": {"name": parcels_layer.name}}
    assert requests.post(f"{place}/featuretypes", json=twice, **ask).status_code == 500
    assert requests.delete(place, **ask).status_code == 403
    assert requests.delete(f"{place}/featuretypes/{parcels_layer.name}", **ask).status_code == 403


def test_every_template_is_found_by_its_own_path() -> None:
    for template in api.OPERATIONS:
        path = template.replace("{method}.{format}", "file.imagemosaic")
        path = re.sub(r"\{(\w+)\}", r"x_\1", path)
        found = api.find(path)
        assert found is not None
        assert found[0] == template


def test_an_untrusted_certificate_is_no_connection(tmp_path: Path, change_layer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = self_signed(tmp_path)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def shake_hands() -> None:
            for _ in range(4):
                connection, _ = server.accept()
                with connection:
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/geoserver"
        publisher = GeoServerPublisher(
            GeoServerRest(url, Account("a", "b")),
            Site("", folder=tmp_path),
            backoff=Backoff(0.001, 0.1),
        )
        with pytest.raises(PublisherAwayError, match="certificate is not trusted"):
            publisher.publish(change_layer)
        thread.join()


def self_signed(folder: Path) -> Path:
    """Write a certificate that nobody vouches for, with its key."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
