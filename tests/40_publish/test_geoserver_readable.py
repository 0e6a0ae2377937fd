"""What a GeoServer can read, what it says where it cannot, and what it leaves behind."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
import rasterio
import requests
from geoserver_double import PASSWORD, USER, VERSIONS, GeoServerDouble

from candela.backoff import Backoff
from candela.errors import PublicationError, PublisherAwayError
from candela.publish.geoserver.publisher import GeoServerPublisher, Site
from candela.publish.geoserver.rest import Account, GeoServerRest

SPI = "SPI=org.geotools.data.postgis.PostgisNGJNDIDataStoreFactory"


@pytest.fixture(params=VERSIONS)
def of_version(request, tmp_path):
    """Return a double of each version, and a function that makes publishers for it."""
    with GeoServerDouble(request.param) as double:

        def make(**site):
            rest = GeoServerRest(double.url, Account(USER, PASSWORD))
            values = {"public_url": double.url, "folder": tmp_path / "published"} | site
            return GeoServerPublisher(rest, Site(**values), backoff=Backoff(0.01, 0.1))

        yield double, make
        assert double.violations == []


@pytest.fixture
def apart(image_layer, tmp_path):
    """A layer of four bands as others write them: apart, with a predictor."""
    path = tmp_path / "apart.tif"
    with rasterio.open(image_layer.path) as image:
        profile = image.profile | {"interleave": "band", "predictor": 2}
        with rasterio.open(path, "w", **profile) as target:
            target.write(image.read())
            target.update_tags(FROM="elsewhere")
            for index, name in enumerate(image.descriptions, 1):
                target.set_band_description(index, name)
    with rasterio.open(path, "r+") as image:
        image.build_overviews([2])
    return dataclasses.replace(image_layer, path=path)


def test_rasters_and_series_are_published_on_each_version(of_version, dated_layer) -> None:
    double, make = of_version
    layers = [dated_layer("2020-01-31"), dated_layer("2020-03-01")]
    publisher = make()
    for layer in layers:
        publisher.publish(layer)
    (series,) = publisher.series()
    store = double.catalog.store("candela_all", series.name)
    assert len(store.granules) == 2
    told = double.catalog.coverage("candela_all", layers[0].name, layers[0].name).document
    assert told["nativeName"] == next(iter(store.granules.values()))["location"].split("/")[-1][:-4]
    for layer in layers:
        publisher.remove(layer.job_id)
    assert (double.catalog.resources, double.catalog.tables) == (set(), {})
    assert double.catalog.workspaces["candela_all"].datastores == {}


def test_bands_that_geoserver_cannot_decode_are_copied_without_their_predictor(
    of_version, apart, tmp_path
) -> None:
    _, make = of_version
    make().publish(apart)
    (copy,) = (tmp_path / "published").rglob("*.tif")
    with rasterio.open(copy) as ours, rasterio.open(apart.path) as theirs:
        assert "PREDICTOR" not in ours.tags(ns="IMAGE_STRUCTURE")
        assert np.array_equal(ours.read(), theirs.read())
        assert (ours.descriptions, ours.nodata) == (theirs.descriptions, theirs.nodata)
        assert (ours.tags()["FROM"], ours.overviews(1)) == ("elsewhere", [2])
        assert ours.block_shapes == theirs.block_shapes
    made = copy.stat().st_mtime_ns
    make().publish(apart)
    assert copy.stat().st_mtime_ns == made
    make().remove(apart.job_id)
    assert not copy.exists()


def test_a_layer_that_cannot_be_read_is_refused_with_geoservers_reason(
    of_version, apart, monkeypatch
) -> None:
    monkeypatch.setattr("candela.publish.geoserver.granules.is_readable", lambda _: True)
    _, make = of_version
    with pytest.raises(
        PublicationError, match=r"cannot read apart\.tif .*GetFeatureInfo"
    ) as caught:
        make().publish(apart)
    assert not isinstance(caught.value, PublisherAwayError)


def test_a_pixel_that_is_read_otherwise_is_logged(
    geoserver, double, change_layer, write_raster, tmp_path, caplog
) -> None:
    publisher = geoserver()
    publisher.publish(change_layer)
    assert "which has" not in caplog.text
    other = np.full((1, 300, 300), 0.125, "float32")
    path = write_raster(tmp_path / "other.tif", other, nodata=np.nan, bands=["change"])
    (link,) = (tmp_path / "published").rglob("*.tif")
    link.unlink()
    link.write_bytes(path.read_bytes())
    (link.parent / "x").mkdir()

    def keep(*_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("candela.publish.geoserver.granules.link_file", keep)
        publisher.publish(change_layer)
    assert "0.125" in caplog.text


@pytest.mark.parametrize("container", ["jetty", "tomcat"])
def test_the_reason_is_found_in_what_a_servlet_container_writes(
    container, change_layer, tmp_path
) -> None:
    with GeoServerDouble(container=container) as double:
        rest = GeoServerRest(double.url, Account(USER, PASSWORD))
        rest.post("rest", "workspaces", document={"workspace": {"name": "a"}})
        with pytest.raises(PublicationError, match=r"409 Workspace 'a' already exists$"):
            rest.post("rest", "workspaces", document={"workspace": {"name": "a"}})
        rest.close()


def test_a_series_has_tiles_for_each_of_its_times_and_forgets_the_old_ones(
    geoserver, double, dated_layer
) -> None:
    from geoserver_double.tiles import times_of

    publisher, first = geoserver(), dated_layer("2020-01-31")
    publisher.publish(first)
    (series,) = publisher.series()
    layer = f"candela_all:{series.name}"
    publisher.publish(dated_layer("2020-03-01"))
    assert times_of(double.catalog.tile_layers[layer]) == [
        "2020-03-01T00:00:00.000Z", "2020-01-31T00:00:00.000Z", "2020-03-01T00:00:00.000Z",
    ]  # fmt: skip
    assert "<gridSetName>EPSG:4326" in double.catalog.tile_layers[layer]
    double.catalog.truncated.clear()
    publisher.remove(first.job_id)
    assert times_of(double.catalog.tile_layers[layer]) == ["2020-03-01T00:00:00.000Z"] * 2
    assert double.catalog.truncated == [layer]


def test_no_tiles_are_kept_of_private_layers(geoserver, double, dated_layer) -> None:
    first, second = (dataclasses.replace(dated_layer("2020-01-31"), owner="ann") for _ in range(2))
    second = dataclasses.replace(second, job_id=first.job_id)
    geoserver().publish(first)
    assert double.catalog.tile_layers != {}
    publisher = geoserver(private=True)
    publisher.start()
    assert double.catalog.tile_layers == {}
    publisher.publish(second)
    publisher.publish(dated_layer("2020-01-31"))
    assert {name.partition(":")[0] for name in double.catalog.tile_layers} == {"candela_all"}


def test_what_a_deleted_workspace_left_behind_is_in_no_series(
    geoserver, double, dated_layer
) -> None:
    geoserver().publish(dated_layer("2020-01-31"))
    double.catalog.delete_workspace("candela_all", recurse=True)
    assert double.catalog.resources
    publisher = geoserver()
    publisher.publish(dated_layer("2020-03-01"))
    (series,) = publisher.series()
    granules = double.catalog.store("candela_all", series.name).granules
    assert [granule["time"] for granule in granules.values()] == ["2020-03-01T00:00:00.000Z"]


def test_two_prefixes_share_a_database_of_indexes(geoserver, double, dated_layer) -> None:
    layers = {prefix: dated_layer("2020-01-31") for prefix in ("one", "two")}
    for prefix, layer in layers.items():
        geoserver(prefix=prefix, mosaic_index=SPI).publish(layer)
    geoserver(prefix="one", mosaic_index=SPI).remove(layers["one"].job_id)
    (series,) = geoserver(prefix="two", mosaic_index=SPI).series()
    assert len(double.catalog.store("two_all", series.name).granules) == 1
    geoserver(prefix="one", mosaic_index=SPI).publish(layers["one"])
    assert len(double.catalog.store("one_all", series.name).granules) == 1


def test_whenever_a_removal_breaks_off_nothing_stays_that_no_record_tells_of(
    geoserver, double, grey_layer, parcels_layer, tmp_path
) -> None:
    polygons = dataclasses.replace(parcels_layer, job_id=grey_layer.job_id)
    for limit in range(4, 17):
        publisher = geoserver()
        publisher.publish(grey_layer)
        publisher.publish(polygons)
        last = len(double.calls) + limit
        double.trouble = lambda number, last=last: "after" if number >= last else None
        with contextlib.suppress(PublisherAwayError):
            geoserver().remove(grey_layer.job_id)
        double.break_all(None)
        for job_id in geoserver().jobs():
            geoserver().remove(job_id)
        assert list((tmp_path / "published").rglob("*.*")) == [], limit
        place = double.catalog.workspaces["candela_all"]
        assert not any(style.startswith("grey") for style in place.styles), limit
        assert double.catalog.resources == set(), limit


def test_the_namespace_of_polygons_outlives_another_publication(
    geoserver, double, parcels_layer
) -> None:
    publisher = geoserver()
    publisher.publish(parcels_layer)
    publisher.publish(parcels_layer)
    store = double.catalog.datastore("candela_all", parcels_layer.name)
    assert "http://candela_all" in json.dumps(store.document["connectionParameters"])


def test_addresses_of_files_are_harvested_from_2_26_on_only_if_a_url_check_lets_them(
    of_version, dated_layer
) -> None:
    double, make = of_version
    make().publish(dated_layer("2020-01-31"))
    (series,) = make().series()
    other = dated_layer("2020-03-01").path
    target = other.with_name("x_20200301T000000.tif")
    other.rename(target)
    ask = {
        "auth": (USER, PASSWORD), "timeout": 5, "data": target.as_uri(),
        "headers": {"Content-Type": "text/plain"},
    }  # fmt: skip
    url = f"{double.url}/rest/workspaces/candela_all/coveragestores/{series.name}"
    answer = requests.post(f"{url}/external.imagemosaic", **ask)
    assert answer.status_code == (400 if double.version.startswith("2.26") else 202)
    double.catalog.url_checks.append("file:///.*")
    assert requests.post(f"{url}/external.imagemosaic", **ask).status_code == 202
