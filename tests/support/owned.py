"""A gateway with owners, in which one of them has one thing of each kind."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from flask.testing import FlaskClient
from mapped_jobs import add_mapped_job
from patch_models import patch_model
from pydantic import SecretStr

from candela.gateway.app import Gateway
from candela.patches.store.database import open_database
from candela.patches.store.load import store_model
from candela.patches.store.model import PatchModel
from candela.publish.base import Layer
from candela.settings import Settings

BASE = "http://candela.test"
OWNER, OTHER, OPERATOR = "anne-of-cleves", "catherine-parr", "cromwell"
ROLES = {"anonymous": {}, "owner": {"X-User": OWNER}, "other": {"X-User": OTHER},
         "operator": {"X-User": OPERATOR}}  # fmt: skip
TITLE, PRODUCT = "harvest-of-1540", "dowry-of-cleves"
EXECUTE = (
    "/wps?service=WPS&version=1.0.0&request=Execute&identifier=Echo"
    "&storeExecuteResponse=true&status=true&DataInputs="
)
CONTENT = b"<a>cleves</a>"
_TOLD = {"filename": "cleves.xml", "sha256": hashlib.sha256(CONTENT).hexdigest()}
ANNOUNCED = {
    "Upload-Length": str(len(CONTENT)),
    "Upload-Metadata": ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in _TOLD.items()
    ),
}


class Estate:
    """The gateway, its client, and what the owner has: names by kind.

    Attributes
    ----------
    things : dict of str to str
        job, file, raster, polygons, secret, upload, patch, mapped: a job with rasters.
    missing : dict of str to str
        The same kinds, of which there are none by these names.
    """

    def __init__(self, gateway: Gateway, http: FlaskClient) -> None:
        self.gateway = gateway
        self.http = http
        job = self.job("complex=<a>cleves</a>", wait=True)
        layers = {kind: f"Echo_{job}_{kind}".replace("-", "_") for kind in ("raster", "polygons")}
        file = self.http.get(f"/jobs/{job}", headers=ROLES["owner"]).json["outputs"]
        self.things = {
            "job": job, "file": file["complexOutput"]["href"].rpartition("/")[2], **layers,
            "secret": self.upload(), "patch": "1", "product": PRODUCT,
            "mapped": add_mapped_job(self.gateway.jobs.store, owner=OWNER, title=TITLE),
        }  # fmt: skip
        nothing = "00000000-0000-4000-8000-000000000000"
        self.missing = {
            kind: thing.replace(job, nothing).replace(
                job.replace("-", "_"), nothing.replace("-", "_")
            )
            for kind, thing in self.things.items()
        } | {"secret": 48 * "0", "mapped": nothing, "patch": "999999", "product": "nothing"}
        for origin in ("manual", "reference"):
            labels = {"scheme": "earth", "origin": origin, "labels": {"1": "A1"}}
            told = self.http.post("/patches/annotations", json=labels, headers=ROLES["owner"])
            assert told.status_code == 200, told.text

    def job(self, inputs: str = "literal=x", *, wait: bool = False) -> str:
        """Submit a job of the owner; return its id."""
        answer = self.http.get(EXECUTE + inputs, headers=ROLES["owner"] | {"Candela-Title": TITLE})
        job = answer.text.partition("/wps/status/")[2][:36]
        assert len(job) == 36, answer.text
        end = time.monotonic() + 60
        while wait and self.http.get(f"/jobs/{job}", headers=ROLES["operator"]).json["status"] in {
            "accepted",
            "running",
        }:
            assert time.monotonic() < end
            time.sleep(0.05)
        return job

    def upload(self) -> str:
        """Announce a file of the owner; return the secret of the upload."""
        answer = self.http.post("/uploads", headers=ROLES["owner"] | ANNOUNCED)
        return str(answer.headers["Location"].rpartition("/")[2])

    @property
    def traces(self) -> list[str]:
        """Return what no answer to somebody else may have."""
        things = [self.things[kind] for kind in ("job", "raster", "polygons", "secret", "mapped")]
        return [*things, OWNER, TITLE, PRODUCT]


@contextmanager
def estate(folder: Path) -> Iterator[Estate]:
    """Run a gateway with private layers, one owner of everything, and an operator."""
    patches = f"sqlite:///{folder / 'patches.db'}"
    database = open_database(patches)
    model: PatchModel = patch_model(PRODUCT)
    store_model(database, model, owner=OWNER)
    database.close()
    settings = Settings(
        url=BASE, data=folder / "data", grace_s=0, sync_timeout_s=60, owner_header="X-User",
        operators=(OPERATOR,), private_layers=True, patches_database=SecretStr(patches),
        manage_processes=True,
    )  # fmt: skip
    gateway = Gateway.assemble(settings)
    gateway.start()
    try:
        made = Estate(gateway, gateway.application().test_client())
        for kind in ("raster", "polygons"):
            gateway.jobs.publisher.publish(_layer(folder, made.things[kind], made.things["job"]))
        yield made
    finally:
        gateway.stop()


def _layer(folder: Path, name: str, job: str) -> Layer:
    if name.endswith("raster"):
        path, style = folder / "cleves.tif", "grey"
        profile = {
            "driver": "GTiff", "dtype": "int16", "count": 1, "height": 64, "width": 64,
            "crs": "EPSG:32632", "transform": Affine(10, 0, 5e5, 0, -10, 5e6),
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(np.ones((1, 64, 64), "int16"))
    else:
        path, style = folder / "cleves.geojson", "parcels"
        ring = [[10.1, 48.1], [10.2, 48.1], [10.2, 48.2], [10.1, 48.1]]
        feature = {
            "type": "Feature", "id": 1, "properties": {"change_level": 1},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }  # fmt: skip
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return Layer(name, job, path, f"{TITLE}-{style}", "", style, process="Echo", owner=OWNER)
