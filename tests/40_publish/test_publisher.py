"""The life of layers: published, published again, removed, found again by another process."""

import dataclasses
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
import requests
from owslib.wms import WebMapService

from candela.errors import PublicationError
from candela.publish.base import Layer, LegendEntry
from candela.publish.mapserver import MapServerPublisher
from candela.publish.styles import load_style, style_names


@pytest.fixture
def publisher(tmp_path: Path) -> MapServerPublisher:
    """A publisher whose server is not started: publishing needs none."""
    return MapServerPublisher(tmp_path / "state", "https://maps.example/")


def served(gateway) -> list[str]:
    return list(WebMapService(f"{gateway.url}/ows", version="1.3.0").contents)


def test_publishing_again_changes_nothing(publisher, change_layer, image_layer) -> None:
    first = publisher.publish(change_layer)
    publisher.publish(image_layer)
    before = publisher.layers()
    assert publisher.publish(change_layer) == first
    assert publisher.layers() == before
    assert [layer.name for layer in before] == [change_layer.name, image_layer.name]


def test_links_are_clean_addresses_under_the_public_one(publisher, change_layer) -> None:
    links = publisher.publish(change_layer)
    assert links.wms == f"https://maps.example/ows/{change_layer.name}/wms"
    assert links.wcs == f"https://maps.example/ows/{change_layer.name}/wcs"


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


def test_removing_a_job_removes_its_layers_only(new_gateway, change_layer, image_layer) -> None:
    publisher = new_gateway.publisher
    second = dataclasses.replace(image_layer, name="Second_1_image", job_id=change_layer.job_id)
    for layer in (change_layer, image_layer, second):
        publisher.publish(layer)
    assert len(served(new_gateway)) == 3
    publisher.remove(change_layer.job_id)
    publisher.remove(change_layer.job_id)
    publisher.remove("no-such-job")
    assert served(new_gateway) == [image_layer.name]
    assert [layer.name for layer in publisher.layers()] == [image_layer.name]
    link = publisher.links(change_layer.name).wms
    assert requests.get(link, timeout=10).status_code == 404
    assert not [path for path in publisher.folder.rglob("*") if change_layer.name in path.name]


def test_a_restart_finds_the_layers_again(new_gateway, change_layer, image_layer) -> None:
    new_gateway.publisher.publish(change_layer)
    new_gateway.publisher.publish(image_layer)
    new_gateway.publisher.stop()
    again = MapServerPublisher(new_gateway.publisher.folder, new_gateway.url)
    again.start()
    try:
        assert [layer.name for layer in again.layers()] == [change_layer.name, image_layer.name]
        assert served(new_gateway) == [change_layer.name, image_layer.name]
    finally:
        again.stop()


def test_a_start_repairs_what_a_crash_left_half_done(
    new_gateway, change_layer, image_layer
) -> None:
    publisher = new_gateway.publisher
    publisher.publish(change_layer)
    publisher.publish(image_layer)
    assert len(served(new_gateway)) == 2
    shutil.rmtree(publisher.folder / "all")
    (publisher.folder / "layers" / "Half_1_made").mkdir()
    (publisher.folder / "layers" / change_layer.name / "wms.map").unlink()
    publisher.start()
    assert served(new_gateway) == [change_layer.name, image_layer.name]
    link = publisher.links(change_layer.name).wms
    assert list(WebMapService(link, version="1.3.0").contents) == [change_layer.name]
    assert not (publisher.folder / "layers" / "Half_1_made").exists()


def test_another_address_is_taken_over_at_the_next_start(publisher, change_layer) -> None:
    publisher.publish(change_layer)
    moved = MapServerPublisher(publisher.folder, "https://new.example")
    moved.repair()
    text = (publisher.folder / "layers" / change_layer.name / "wms.map").read_text()
    assert f"https://new.example/ows/{change_layer.name}/wms" in text
    assert "maps.example" not in text


def test_processes_may_publish_at_the_same_time(new_gateway, change_layer) -> None:
    folder, url = new_gateway.publisher.folder, new_gateway.url
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=publish_some, args=(folder, url, change_layer, number))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = {f"Layer_{number}_{index}" for number in range(3) for index in range(5)}
    assert {layer.name for layer in new_gateway.publisher.layers()} == names
    assert set(served(new_gateway)) == names


def publish_some(folder: Path, url: str, layer: Layer, number: int) -> None:
    publisher = MapServerPublisher(folder, url)
    for index in range(5):
        publisher.publish(dataclasses.replace(layer, name=f"Layer_{number}_{index}"))


@pytest.mark.parametrize(
    "title",
    [
        '"',
        "\\",
        '\\"',
        "'",
        "a\nEND\nb",
        "[x] %x% ${x}",
        "</Title><x>",
        "\x00\x07",
        "日本\U0001f6f0",
    ],
)
def test_no_title_breaks_the_services(new_gateway, change_layer, title) -> None:
    new_gateway.publisher.publish(dataclasses.replace(change_layer, title=title, abstract=title))
    wms = WebMapService(f"{new_gateway.url}/ows", version="1.3.0")
    expected = title.replace("\n", " ").replace("\x00\x07", " ").strip()
    assert (wms[change_layer.name].title or "").strip() == expected


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
    with pytest.raises(PublicationError, match="styles: change, grey, true_colour"):
        publisher.publish(dataclasses.replace(change_layer, style=style))


@pytest.mark.parametrize("name", ["", "a/b", "..", "1a", "a-b", "a" * 300, "ä"])
def test_a_name_that_is_no_layer_name_is_refused(publisher, change_layer, name) -> None:
    with pytest.raises(PublicationError, match="no layer name"):
        publisher.publish(dataclasses.replace(change_layer, name=name))


def test_every_style_can_be_read() -> None:
    assert style_names() == ["change", "grey", "true_colour"]
    for name in style_names():
        assert load_style(name).title


def test_a_missing_program_is_named_with_its_package(publisher, monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(PublicationError, match="Debian package lighttpd"):
        publisher.start()
