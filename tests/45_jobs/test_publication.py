"""The last step of a job: it waits for the map server, and undoes what is refused."""

import dataclasses
import errno
import json
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from geoserver_double import PASSWORD, USER, GeoServerDouble
from pydantic import TypeAdapter

from candela.backoff import Backoff
from candela.contract.job import OutputFile, ResultDocument
from candela.errors import PublicationError, PublisherAwayError, StorageError
from candela.jobs.model import Link, State
from candela.jobs.principal import SYSTEM
from candela.jobs.publication import Publication, reconcile
from candela.jobs.reconciler import Reconciler
from candela.jobs.request import ExecuteRequest
from candela.publish.geoserver.publisher import GeoServerPublisher, Site
from candela.publish.geoserver.rest import Account, GeoServerRest
from candela.storage.copies import LocalCopies


def publishing(engine, *, raster=None, parcels=None):
    """Bring a job to publishing, with what ChangeDetect could have made."""
    job_id = engine.service.submit(SYSTEM, "Echo", ExecuteRequest(inputs={})).id
    change = OutputFile(file="change_20200101.tif", media_type="image/tiff", size=1, sha256="0")
    if raster is not None:
        engine.service.storage.put(f"jobs/{job_id}/outputs/{change.file}", raster)
    outputs = {"change": change}
    if parcels is not None:
        made = OutputFile(file="p.geojson", media_type="application/geo+json", size=1, sha256="0")
        outputs["parcels"] = made
        engine.service.storage.put(f"jobs/{job_id}/outputs/{made.file}", parcels)
    result = ResultDocument(job=job_id, status="succeeded", outputs=outputs)
    runner = engine.service.runner.name
    move = engine.store.move
    version = engine.service.specs.version("ChangeDetect")
    process = {"process": "ChangeDetect", "description": version.digest}
    move(job_id, [State.ACCEPTED], State.DISPATCHING, runner=runner, **process)
    move(job_id, [State.DISPATCHING], State.RUNNING)
    return move(job_id, [State.RUNNING], State.PUBLISHING, result=result)


@pytest.fixture
def parcels(tmp_path):
    """A parcel as ChangeDetect writes it."""
    square = [[[9, 48], [9.1, 48], [9.1, 48.1], [9, 48.1], [9, 48]]]
    feature = {
        "type": "Feature", "id": 1, "properties": {"change_level": 2},
        "geometry": {"type": "Polygon", "coordinates": square},
    }  # fmt: skip
    path = tmp_path / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


@pytest.fixture
def publication(engine):
    """Return a publication that tries again at once, and its engine."""
    made = engine()
    step = Publication(made.service, backoff=Backoff(0.01, 0.1))
    yield step, made
    step.stop()


def wait_until(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def offer_until(step, engine, job_id, condition):
    def moved():
        job = engine.store.get(job_id)
        if job.state is State.PUBLISHING:
            step.offer(job)
        return condition(job)

    wait_until(moved)
    return engine.store.get(job_id)


def test_a_job_waits_while_the_map_server_is_away_and_says_so(publication, monkeypatch):
    step, engine = publication
    publish = engine.board.publish
    tries = []

    def away(layer):
        tries.append(layer)
        raise PublisherAwayError("the board is away")

    monkeypatch.setattr(engine.board, "publish", away)
    job = publishing(engine)
    job = offer_until(step, engine, job.id, lambda _: len(tries) >= 3)
    assert job.state is State.PUBLISHING
    wait_until(lambda: "try 3" in engine.store.get(job.id).message)
    message = "waiting for the map server (try 3 to publish): the board is away"
    assert engine.store.get(job.id).message == message
    monkeypatch.setattr(engine.board, "publish", publish)
    job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
    assert (job.state, job.message) == (State.SUCCEEDED, "succeeded")
    assert set(job.links) == {"change"}


def test_polygons_become_layers_beside_rasters(publication, parcels):
    step, engine = publication
    job = publishing(engine, parcels=parcels)
    step.publish(job)
    job = engine.store.get(job.id)
    assert set(job.links) == {"change", "parcels"}
    (layer,) = [layer for layer in engine.board.layers() if layer.output == "parcels"]
    assert (layer.style, layer.path.name) == ("parcels", "p.geojson")


def test_where_polygons_cannot_be_shown_the_job_succeeds_without(publication, parcels, monkeypatch):
    step, engine = publication
    monkeypatch.setattr(engine.board, "shows_polygons", False)
    job = publishing(engine, parcels=parcels)
    step.publish(job)
    job = engine.store.get(job.id)
    assert (job.state, set(job.links)) == (State.SUCCEEDED, {"change"})
    reconcile(engine.service)
    assert [layer.output for layer in engine.board.layers()] == ["change"]


def test_a_raster_in_pixel_coordinates_is_published_nowhere(publication, monkeypatch):
    step, engine = publication
    job = publishing(engine)
    change = job.result.outputs["change"].model_copy(update={"unplaced": True})
    result = job.result.model_copy(update={"outputs": {"change": change}})
    monkeypatch.setattr(
        engine.service.publisher, "publish", lambda layer: pytest.fail(f"published {layer.name}")
    )
    step.publish(dataclasses.replace(job, result=result))
    assert engine.store.get(job.id).state == State.SUCCEEDED


def test_links_of_jobs_from_before_there_was_a_wfs_can_still_be_read():
    link = TypeAdapter(Link).validate_python({"layer": "a", "wms": "b", "wcs": "c"})
    assert link == Link("a", "b", "c", "")


def test_pauses_grow_and_no_job_is_tried_within_its_pause(publication, monkeypatch):
    _, engine = publication
    step = Publication(engine.service, backoff=Backoff(60, 60))
    tries = []

    def away(layer):
        tries.append(layer)
        raise PublisherAwayError("away")

    monkeypatch.setattr(engine.board, "publish", away)
    job = publishing(engine)
    step.offer(job)
    wait_until(lambda: "try 1" in engine.store.get(job.id).message)
    time.sleep(0.05)
    assert not any(step.offer(job) for _ in range(20))
    step.stop()
    assert len(tries) == 1


def test_one_that_waits_does_not_keep_others_waiting(publication, monkeypatch):
    step, engine = publication
    publish = engine.board.publish
    first, second = publishing(engine), publishing(engine)

    def away_for_one(layer):
        if layer.job_id == first.id:
            raise PublisherAwayError("away")
        return publish(layer)

    monkeypatch.setattr(engine.board, "publish", away_for_one)
    step.offer(first)
    assert offer_until(step, engine, second.id, lambda job: job.state.is_final).state == "succeeded"
    assert engine.store.get(first.id).state is State.PUBLISHING


def test_what_is_refused_fails_the_job_and_leaves_no_layer(publication, monkeypatch):
    step, engine = publication
    publish = engine.board.publish

    def half(layer):
        publish(layer)
        raise PublicationError("no such colours")

    monkeypatch.setattr(engine.board, "publish", half)
    job = publishing(engine)
    step.publish(job)
    job = engine.store.get(job.id)
    assert (job.state, job.error.kind) == (State.FAILED, "PublicationError")
    assert "no such colours" in job.error.message
    assert engine.board.layers() == []


@pytest.mark.parametrize(
    "error",
    [
        ValueError("of /srv/candela/secret"),
        ModuleNotFoundError("of /srv/candela/secret"),
        OSError(errno.EIO, "of /srv/candela/secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_error_ends_the_job_after_five_tries(publication, monkeypatch, caplog, error):
    step, engine = publication
    tries = []

    def broken(layer):
        tries.append(layer)
        raise error

    monkeypatch.setattr(engine.board, "publish", broken)
    job = publishing(engine)
    step.offer(job)
    kind = type(error).__name__
    told = f"internal error while publishing: {kind} (try 1)"
    wait_until(lambda: engine.store.get(job.id).message == told)
    job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
    assert (job.state, job.error.kind, len(tries)) == (State.FAILED, "InternalError", 5)
    assert job.message == f"internal error while publishing: {kind}, job {job.id}"
    assert job.result.outputs.keys() == {"change"}
    assert f"Job {job.id} is not published: internal error (5 of 5)" in caplog.text
    assert "of /srv/candela/secret" in caplog.text
    assert engine.board.layers() == []


def test_a_publisher_that_can_remove_nothing_keeps_no_job_in_publishing(publication, monkeypatch):
    step, engine = publication

    def broken(_):
        raise ModuleNotFoundError("No module named 'pyogrio'")

    monkeypatch.setattr(engine.board, "publish", broken)
    monkeypatch.setattr(engine.board, "remove", broken)
    job = publishing(engine)
    job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
    assert (job.state, job.error.kind) == (State.FAILED, "InternalError")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PublisherAwayError("of /srv/candela/x"), "map server was away for 0.5 s: of .../x"),
        (StorageError("of /srv/candela/x"), "storage was away for 0.5 s"),
        (OSError(errno.ENOSPC, "x"), "storage was away for 0.5 s: its disk is full"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_part_that_stays_away_fails_the_job_and_keeps_its_outputs(
    publication, monkeypatch, tmp_path, error, reason
):
    _, engine = publication
    step = Publication(engine.service, timeout_s=0.5, backoff=Backoff(0.01, 0.02))

    def away(_):
        raise error

    monkeypatch.setattr(engine.board, "publish", away)
    raster = tmp_path / "raster.tif"
    raster.write_bytes(b"x")
    job = publishing(engine, raster=raster)
    job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
    step.stop()
    assert (job.state, job.error.kind) == (State.FAILED, "UnavailableError")
    assert job.message == f"not published: the {reason}"
    (output,) = job.result.outputs.values()
    assert engine.service.storage.read(f"jobs/{job.id}/outputs/{output.file}") == b"x"
    tries = [event for event in engine.store.events(job.id) if "(try " in event.message]
    assert len(tries) >= 2


def test_a_job_that_was_moved_on_since_it_was_offered_is_not_published(publication):
    step, engine = publication
    job = publishing(engine)
    engine.store.move(job.id, [State.PUBLISHING], State.FAILED, message="no")
    step.offer(job)
    step.stop()
    assert engine.board.layers() == []


def test_an_unexpected_error_that_passes_costs_no_result(publication, monkeypatch):
    step, engine = publication
    publish, tries = engine.board.publish, []

    def broken_twice(layer):
        tries.append(layer)
        if len(tries) <= 2:
            raise RuntimeError("for a moment")
        return publish(layer)

    monkeypatch.setattr(engine.board, "publish", broken_twice)
    job = publishing(engine)
    job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
    assert (job.state, job.message) == (State.SUCCEEDED, "succeeded")


def test_a_layer_that_is_refused_for_good_is_logged_once(publication, caplog):
    step, engine = publication
    job = publishing(engine)
    step.publish(job)
    engine.board.shown.clear()
    engine.board.is_broken = True
    reconciler = Reconciler(engine.service)
    for _ in range(3):
        reconciler.look_at_layers()
    assert caplog.text.count(f"The layers of job {job.id} cannot be published again") == 1
    assert caplog.text.count("the board is broken") == 2  # the line and its traceback
    engine.board.is_broken = False
    reconciler.look_at_layers()
    assert [layer.job_id for layer in engine.board.layers()] == [job.id]


def test_a_job_dismissed_while_it_is_published_leaves_nothing(publication, monkeypatch):
    step, engine = publication
    publish = engine.board.publish

    def slow(layer):
        engine.service.dismiss(SYSTEM, layer.job_id)
        return publish(layer)

    monkeypatch.setattr(engine.board, "publish", slow)
    job = publishing(engine)
    step.publish(job)
    assert engine.store.get(job.id).state is State.DISMISSED
    assert engine.board.layers() == []


def test_a_dismissal_does_not_wait_for_the_map_server(publication, monkeypatch):
    step, engine = publication
    job = publishing(engine)
    step.publish(job)
    remove = engine.board.remove

    def away(_):
        raise PublisherAwayError("away")

    monkeypatch.setattr(engine.board, "remove", away)
    engine.service.dismiss(SYSTEM, job.id)
    assert len(engine.board.layers()) == 1
    Reconciler(engine.service).remove_litter()  # harmless while it is away
    monkeypatch.setattr(engine.board, "remove", remove)
    reconcile(engine.service)
    assert engine.board.layers() == []


def test_layers_that_are_missing_are_published_again(publication):
    step, engine = publication
    job = publishing(engine)
    step.publish(job)
    engine.board.shown.clear()
    reconcile(engine.service)
    assert [layer.job_id for layer in engine.board.layers()] == [job.id]


@pytest.mark.parametrize(("reads_in_place", "kept"), [(True, 1), (False, 0)])
def test_copies_of_rasters_are_kept_only_for_map_servers_that_read_them(
    publication, tmp_path, monkeypatch, reads_in_place, kept
):
    step, engine = publication
    raster = tmp_path / "raster.tif"
    raster.write_bytes(b"x")
    job = publishing(engine, raster=raster)
    monkeypatch.setattr(engine.service.storage, "local_path", lambda _: None)  # as in a bucket
    copies = LocalCopies(engine.service.storage, tmp_path / "cache")
    object.__setattr__(engine.service, "copies", copies)
    monkeypatch.setattr(engine.board, "reads_in_place", reads_in_place)
    step.publish(job)
    assert len(list((tmp_path / "cache").rglob("*.tif"))) == kept
    assert engine.store.get(job.id).state is State.SUCCEEDED


def test_the_layers_of_a_failed_job_are_removed(publication):
    step, engine = publication
    job = publishing(engine)
    step.publish(job)
    other = publishing(engine)
    step.publish(other)
    engine.store.purge(job.id)
    reconcile(engine.service)
    assert [layer.job_id for layer in engine.board.layers()] == [other.id]


def test_a_job_goes_through_an_outage_of_geoserver_and_expires_without_a_trace(
    publication, tmp_path, parcels
):
    step, engine = publication
    path = tmp_path / "change.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=8, width=8, nodata=np.nan,
        crs="EPSG:32632", transform=Affine(10, 0, 6e5, 0, -10, 5.4e6),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((1, 8, 8), 0.5, "float32"))
        dataset.update_tags(End_date="20200101")
    with GeoServerDouble() as double:
        rest = GeoServerRest(double.url, Account(USER, PASSWORD))
        site = Site("https://maps.example", folder=tmp_path / "published")
        publisher = GeoServerPublisher(rest, site, backoff=Backoff(0.001, 0.1))
        object.__setattr__(engine.service, "publisher", publisher)
        double.break_all("after")
        job = publishing(engine, raster=path, parcels=parcels)
        job = offer_until(step, engine, job.id, lambda job: "try 2" in job.message)
        assert job.state is State.PUBLISHING
        double.break_all(None)
        job = offer_until(step, engine, job.id, lambda job: job.state.is_final)
        assert job.state is State.SUCCEEDED
        assert job.links["change"].wms.startswith("https://maps.example/candela_all/ChangeDetect_")
        assert job.links["parcels"].wfs == f"{job.links['parcels'].wms[:-3]}wfs"
        assert len(double.catalog.layers) == 3  # the raster, its time series, and the parcels
        place = double.catalog.workspaces["candela_all"]
        (name,) = (name for name in place.datastores if name.endswith("_parcels"))
        double.catalog.delete_datastore("candela_all", name, recurse=True)
        reconcile(engine.service)
        assert name in place.datastores
        engine.service.dismiss(SYSTEM, job.id)
        assert double.catalog.layers == {}
        assert (place.stores, place.datastores) == ({}, {})
        assert [item for item in (tmp_path / "published").rglob("*") if item.is_file()] == []
        assert double.violations == []
