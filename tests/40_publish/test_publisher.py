"""The life of layers, the same on every map server: published, changed, removed, found again."""

import dataclasses
import datetime as dt

import numpy as np
import pytest

from candela.errors import PublicationError
from candela.publish.base import LegendEntry
from candela.publish.styles import load_style, style_names


def test_publishing_again_changes_nothing(publisher, change_layer, image_layer) -> None:
    first = publisher.publish(change_layer)
    publisher.publish(image_layer)
    before = publisher.layers()
    assert publisher.publish(change_layer) == first
    assert publisher.layers() == before
    assert [layer.name for layer in before] == [change_layer.name, image_layer.name]


def test_a_served_layer_tells_what_a_map_needs(publisher, change_layer, image_layer) -> None:
    publisher.publish(change_layer)
    publisher.publish(image_layer)
    change, image = publisher.layers()
    west, south, east, north = change.bounds
    assert 10 < west < east < 11
    assert 48 < south < north < 49
    assert change.bands == ("change",)
    assert change.legend[0] == LegendEntry("0.20 to 0.35  unlikely", ("#ffe98a",))
    assert image.bands == ("B02", "B03", "B04", "B08")
    assert [entry.label.split(":")[0] for entry in image.legend] == ["B04", "B03", "B02"]


def test_a_file_that_is_no_raster_is_refused(publisher, change_layer, tmp_path) -> None:
    path = tmp_path / "text.tif"
    path.write_text("no raster")
    with pytest.raises(PublicationError, match=r"text\.tif cannot be read as an image"):
        publisher.publish(dataclasses.replace(change_layer, path=path))
    with pytest.raises(PublicationError, match=r"absent\.tif cannot be read"):
        publisher.publish(dataclasses.replace(change_layer, path=tmp_path / "absent.tif"))
    assert publisher.layers() == []


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_a_place_is_refused(
    publisher, change_layer, write_raster, tmp_path
) -> None:
    pixels = np.zeros((1, 4, 4), "uint8")
    path = write_raster(tmp_path / "lost.tif", pixels, nodata=None, bands=["a"], crs=None)
    with pytest.raises(PublicationError, match="no coordinate reference system"):
        publisher.publish(dataclasses.replace(change_layer, path=path))


def test_colours_that_need_a_missing_band_become_grey(publisher, change_layer) -> None:
    publisher.publish(dataclasses.replace(change_layer, style="true_colour"))
    (layer,) = publisher.layers()
    assert layer.style == "grey"


@pytest.mark.parametrize("style", ["no_such", "../change", ""])
def test_an_unknown_style_is_refused(publisher, change_layer, style) -> None:
    with pytest.raises(PublicationError, match=r"styles: .*change, .*grey, .*true_colour"):
        publisher.publish(dataclasses.replace(change_layer, style=style))


@pytest.mark.parametrize("name", ["", "a/b", "..", "1a", "a-b", "a" * 300, "ä"])
def test_a_name_that_is_no_layer_name_is_refused(publisher, change_layer, name) -> None:
    with pytest.raises(PublicationError, match="no layer name"):
        publisher.publish(dataclasses.replace(change_layer, name=name))


def test_every_style_can_be_read() -> None:
    assert {"change", "grey", "true_colour"} <= set(style_names())
    for name in style_names():
        assert load_style(name).title


def test_links_lead_to_the_layer_and_have_no_query(publisher, change_layer) -> None:
    links = publisher.publish(change_layer)
    assert links.wms.endswith(f"/{change_layer.name}/wms")
    assert links.wcs.endswith(f"/{change_layer.name}/wcs")
    assert "?" not in links.wms + links.wcs
    (layer,) = publisher.layers()
    assert layer.links == links


def test_removing_a_job_removes_its_layers_only(publisher, change_layer, image_layer) -> None:
    second = dataclasses.replace(image_layer, name="Second_1_image", job_id=change_layer.job_id)
    for layer in (change_layer, image_layer, second):
        publisher.publish(layer)
    assert publisher.jobs() == {"job-1", "job-2"}
    publisher.remove(change_layer.job_id)
    publisher.remove(change_layer.job_id)
    publisher.remove("no-such-job")
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]
    assert publisher.jobs() == {"job-2"}


def test_another_gateway_finds_the_layers(publisher, again, change_layer, image_layer) -> None:
    publisher.publish(change_layer)
    publisher.publish(image_layer)
    assert again().layers() == publisher.layers()
    again().remove(change_layer.job_id)
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]


def test_owners_are_told_apart(publisher, change_layer) -> None:
    names = {}
    for owner in ("alice", "bob", ""):
        layer = dataclasses.replace(
            change_layer, name=f"Layer_{owner}_x", job_id=f"job-{owner}", owner=owner
        )
        names[owner] = publisher.publish(layer).wms
    assert {layer.owner: layer.links.wms for layer in publisher.layers()} == names
    publisher.remove("job-alice")
    assert {layer.owner for layer in publisher.layers()} == {"bob", ""}


def test_dated_layers_of_one_kind_are_a_time_series(publisher, dated_layer) -> None:
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01")
    beside = dated_layer("2020-03-01", east_m=3000)
    for layer in (second, first, beside):
        publisher.publish(layer)
    (series,) = publisher.series()
    assert series.times == (utc(2020, 1, 31), utc(2020, 3, 1))
    assert set(series.layers) == {first.name, second.name, beside.name}
    assert series.links.wms.endswith(f"/{series.name}/wms")
    assert {layer.series for layer in publisher.layers()} == {series.name}
    assert {layer.time for layer in publisher.layers()} == set(series.times)


def test_a_series_shrinks_and_goes_with_its_layers(publisher, dated_layer) -> None:
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01")
    publisher.publish(first)
    publisher.publish(second)
    publisher.remove(first.job_id)
    (series,) = publisher.series()
    assert (series.times, series.layers) == ((utc(2020, 3, 1),), (second.name,))
    publisher.remove(second.job_id)
    assert publisher.series() == []
    publisher.publish(first)
    assert publisher.series()[0].times == (utc(2020, 1, 31),)


def test_a_layer_that_is_styled_anew_moves_to_another_series(publisher, dated_layer) -> None:
    first, second = dated_layer("2020-01-31"), dated_layer("2020-03-01")
    publisher.publish(first)
    publisher.publish(second)
    publisher.publish(dataclasses.replace(first, style="grey"))
    found = {series.layers: series.times for series in publisher.series()}
    assert found == {(first.name,): (utc(2020, 1, 31),), (second.name,): (utc(2020, 3, 1),)}
    publisher.publish(dataclasses.replace(second, style="grey"))
    (series,) = publisher.series()
    assert len(series.times) == 2
    for layer in (first, second):
        publisher.remove(layer.job_id)
    assert publisher.series() == []


@pytest.mark.parametrize(
    "changed",
    [{"owner": "alice"}, {"style": "grey"}, {"process": "Other"}, {"output": "other"}],
)
def test_what_is_not_of_one_kind_is_another_series(publisher, dated_layer, changed) -> None:
    publisher.publish(dated_layer("2020-01-31"))
    publisher.publish(dataclasses.replace(dated_layer("2020-03-01"), **changed))
    assert len(publisher.series()) == 2


def test_each_utm_zone_has_a_series_of_its_own(publisher, dated_layer) -> None:
    publisher.publish(dated_layer("2020-01-31"))
    publisher.publish(dated_layer("2020-01-31", crs="EPSG:32633"))
    assert [series.name.split("_")[2] for series in publisher.series()] == ["32632", "32633"]


def test_what_has_no_date_is_in_no_series(publisher, change_layer) -> None:
    publisher.publish(dataclasses.replace(change_layer, process="ChangeDetect", output="change"))
    assert publisher.series() == []


def utc(year: int, month: int, day: int) -> dt.datetime:
    return dt.datetime(year, month, day, tzinfo=dt.UTC)
