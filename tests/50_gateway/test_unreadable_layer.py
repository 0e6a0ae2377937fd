"""A gateway with a layer whose record nobody can read: all but this layer goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from candela.contract.job import OutputFile, ResultDocument
from candela.gateway.app import Gateway
from candela.jobs.model import Link, State
from candela.jobs.principal import SYSTEM
from candela.jobs.publication import layers_of, reconcile
from candela.jobs.request import ExecuteRequest
from candela.settings import Settings

BASE = "http://candela.test"


def assembled(folder: Path) -> Gateway:
    return Gateway.assemble(Settings(url=BASE, data=folder, grace_s=0))


def succeeded(gateway: Gateway, path: Path) -> str:
    """Bring a job of ChangeDetect to its end, with a layer; nothing runs yet."""
    service, move = gateway.jobs, gateway.jobs.store.move
    job_id = service.submit(SYSTEM, "Echo", ExecuteRequest(inputs={})).id
    runner = service.runner.name
    made = OutputFile(file="change.tif", media_type="image/tiff", size=1, sha256="0")
    service.storage.put(f"jobs/{job_id}/outputs/change.tif", path)
    result = ResultDocument(job=job_id, status="succeeded", outputs={"change": made})
    move(
        job_id,
        [State.ACCEPTED],
        State.DISPATCHING,
        process="ChangeDetect",
        description="",
        runner=runner,
    )
    move(job_id, [State.DISPATCHING], State.RUNNING)
    move(job_id, [State.RUNNING], State.PUBLISHING, result=result)
    (layer,) = layers_of(service, service.store.get(job_id)).values()
    links = service.publisher.publish(layer)
    link = Link(layer.name, links.wms, links.wcs, links.wfs)
    move(job_id, [State.PUBLISHING], State.SUCCEEDED, links={"change": link})
    return job_id


@pytest.fixture
def bricked(tmp_path):
    """Return a data folder, its job, and the layer's record as an older version wrote it."""
    path = tmp_path / "change.tif"
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": 64, "width": 64,
        "crs": "EPSG:32631", "transform": Affine(10, 0, 5e5, 0, -10, 5e6),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.zeros((1, 64, 64), "float32"))
    gateway = assembled(tmp_path / "data")
    try:
        job_id = succeeded(gateway, path)
        (record,) = (tmp_path / "data" / "ows" / "layers").glob("*/layer.json")
        told = json.loads(record.read_text())
        told["header"]["bounds"] = [None] * 4
        record.write_text(json.dumps(told))
    finally:
        gateway.stop()
    return tmp_path / "data", job_id, record


def test_it_starts_lists_answers_publishes_again_and_removes(bricked):
    folder, job_id, record = bricked
    broken = record.read_text()
    gateway = assembled(folder)
    gateway.start()
    try:
        record.write_text(broken)  # should the reconciler have been there already
        http = gateway.application().test_client()
        for path in ("/", "/jobs", f"/jobs/{job_id}", "/layers.json", "/metrics"):
            assert http.get(path, headers={"Accept": "text/html"}).status_code == 200, path
        assert http.get("/ows?service=WMS&request=GetCapabilities").status_code == 200
        assert http.get("/readyz").status_code == 200
        reconcile(gateway.jobs)  # its raster is good, so that the layer can be made again
        assert [layer["job"] for layer in http.get("/layers.json").json["layers"]] == [job_id]
        assert http.get("/readyz").json == {"status": "ready"}
        record.write_text(broken)
        assert http.get("/layers.json").json["layers"] == []
        answer = http.get("/readyz")
        assert answer.json == {"status": "ready", "unreadableLayers": [record.parent.name]}
        assert http.delete(f"/jobs/{job_id}").status_code == 200
        assert not record.exists()
        assert http.get("/readyz").json == {"status": "ready"}
        assert http.get(f"/jobs/{job_id}").json["status"] == "dismissed"
    finally:
        gateway.stop()


def test_its_name_which_has_the_id_of_its_job_is_for_operators(bricked):
    folder, _, record = bricked
    settings = Settings(url=BASE, data=folder, owner_header="X-User", operators=("root",))
    gateway = Gateway.assemble(settings)
    http = gateway.application().test_client()
    try:
        for headers in ({}, {"X-User": "ann"}):
            assert record.parent.name not in http.get("/readyz", headers=headers).text
        told = http.get("/readyz", headers={"X-User": "root"}).json
        assert told["unreadableLayers"] == [record.parent.name]
    finally:
        gateway.stop()
