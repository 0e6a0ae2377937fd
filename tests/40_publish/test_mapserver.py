"""What the embedded publisher does beside publishing: files, processes, titles."""

import dataclasses
import itertools
import multiprocessing
import random
import shutil
import threading
import time
from pathlib import Path

import pytest
import requests
from owslib.wms import WebMapService

from candela.errors import PublicationError
from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher


@pytest.fixture
def publisher(tmp_path: Path) -> MapServerPublisher:
    """A publisher whose server is not started: publishing needs none."""
    return MapServerPublisher(tmp_path / "state", "https://maps.example/")


GET_MAP = (
    "service=WMS&version=1.3.0&request=GetMap&layers={}&styles=&crs=EPSG:32632"
    "&bbox=600000,5398000,602000,5400000&width=64&height=64&format=image/png"
)
GET_COVERAGE = (
    "service=WCS&version=2.0.1&request=GetCoverage&coverageId={}&format=image/tiff"
    "&subset=x(600500,601000)&subset=y(5398500,5399000)"
)


def served(gateway) -> list[str]:
    return list(WebMapService(f"{gateway.url}/ows", version="1.3.0").contents)


def test_links_are_clean_addresses_under_the_public_one(publisher, change_layer) -> None:
    links = publisher.publish(change_layer)
    assert links.wms == f"https://maps.example/ows/{change_layer.name}/wms"
    assert links.wcs == f"https://maps.example/ows/{change_layer.name}/wcs"


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


def test_a_missing_program_is_named_with_its_package(publisher, monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(PublicationError, match="Debian package lighttpd"):
        publisher.start()


def test_no_request_fails_and_nothing_is_stale_while_layers_come_and_go(
    new_gateway, change_layer, image_layer
) -> None:
    publisher = new_gateway.publisher
    publisher.publish(image_layer)
    going: set[str] = set()  # a layer is gone before remove() returns
    removed: dict[str, float] = {}
    alive: list[str] = []
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            name, job_id = f"Layer_{number}_x", f"come-{number}"
            publisher.publish(dataclasses.replace(change_layer, name=name, job_id=job_id))
            alive.append(name)
            if number >= 3:
                going.add(f"Layer_{number - 3}_x")
                publisher.remove(f"come-{number - 3}")
                removed[f"Layer_{number - 3}_x"] = time.monotonic()

    changer = threading.Thread(target=change)
    changer.start()
    wrong = []
    try:
        for _ in range(40):
            while not alive:
                time.sleep(0.01)
            for name in (image_layer.name, random.choice(alive[-5:])):
                for query, start in ((GET_MAP, b"\x89PNG"), (GET_COVERAGE, b"II*")):
                    at = time.monotonic()
                    answer = requests.get(f"{new_gateway.url}/ows?{query.format(name)}", timeout=20)
                    is_good = answer.content.startswith(start)
                    if not is_good and name not in going:
                        wrong.append(answer.text)
                    if is_good and removed.get(name, at) < at:
                        wrong.append(f"{name} is stale")
    finally:
        stop.set()
        changer.join()
    assert wrong == []
    assert len(removed) > 3
