"""The double against what real GeoServers answered, and real ones against it again.

``exchanges.json`` has one sequence of requests, and for each version what was answered: status,
media type, and the shape of the body (names and types of members; of texts the beginning).
``--geoserver-record`` writes the answers of the GeoServer that is named.
"""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import geoserver_double
import numpy as np
import pytest
import rasterio
import requests
from affine import Affine
from geoserver_double import PASSWORD, USER, VERSIONS, GeoServerDouble

from candela.layers.polygons import read_polygons, write_geopackage

FILE = Path(geoserver_double.__file__).with_name("exchanges.json")
TEXT = 60  # characters of a text that are compared
INDEXER = """Name={name}
Schema=*the_geom:Polygon,location:String,time:java.util.Date
TimeAttribute=time
PropertyCollectors=TimestampFileNameExtractorSPI[timeregex](time)
CanBeEmpty=true
AbsolutePath=true
Caching=false
"""


def write_raster(path, *, count=1, **profile) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint16", count=count, width=300, height=300, nodata=0,
        crs="EPSG:32632", transform=Affine(10, 0, 600_000, 0, -10, 5_400_000), tiled=True,
        compress="DEFLATE", **profile,
    ) as image:  # fmt: skip
        image.write(np.full((count, 300, 300), 7, "uint16"))


@pytest.fixture
def places(tmp_path, parcels_layer):
    """Return a function that makes the files of the sequence, and what stands for them in it."""

    def make(folder: Path, workspace: str) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "raster": folder / "raster.tif", "apart": folder / "apart.tif",
            "dated": folder / "dated_20200131T000000Z.tif", "polygons": folder / "parcels.gpkg",
        }  # fmt: skip
        write_raster(files["raster"])
        write_raster(files["dated"])
        write_raster(files["apart"], count=4, interleave="band", predictor=2)
        write_geopackage(read_polygons(parcels_layer.path), files["polygons"], "parcels")
        return {"ws": workspace, "folder": str(folder), **{k: str(v) for k, v in files.items()}}

    return make


def filled(value, places):
    """Put names and paths in the place of ``{ws}`` and so on."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda match: places[match.group(1)], value)
    if isinstance(value, list):
        return [filled(item, places) for item in value]
    return {k: filled(v, places) for k, v in value.items()} if isinstance(value, dict) else value


def emptied(text: str, places) -> str:
    for name, value in sorted(places.items(), key=lambda item: -len(item[1])):
        text = text.replace(value, f"{{{name}}}")
    return text


def content_of(step, places) -> dict[str, object]:
    body, media_type = filled(step.get("body"), places), step.get("media_type", "")
    if body is None:
        return {}
    if media_type == "application/zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("indexer.properties", INDEXER.format(name=body["mosaic"]))
            regex = "regex=[0-9]{8}T[0-9]{6},format=yyyyMMdd'T'HHmmss"
            archive.writestr("timeregex.properties", regex)
            if body["index"]:
                archive.writestr("datastore.properties", body["index"])
        data = file.getvalue()
    else:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return {"data": data, "headers": {"Content-Type": media_type}}


def shape(value: object) -> object:
    """Return names and types of what is in a document."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return {str: "text", bool: "boolean", type(None): "null"}.get(type(value), "number")


def replay(steps, url: str, auth: tuple[str, str], places) -> list[dict[str, object]]:
    """Ask all, and return what is compared of the answers."""
    found = []
    for step in steps:
        options = content_of(step, places)
        options["headers"] = {"Accept": "application/json", **options.get("headers", {})}
        answer = requests.request(
            step["method"], url + filled(step["path"], places), auth=auth, timeout=60, **options
        )
        media_type = answer.headers.get("Content-Type", "").split(";")[0]
        body: object = emptied(answer.text, places).strip()[:TEXT]
        if "json" in media_type and answer.text.startswith(("{", "[")):
            document = answer.json()
            body = document["message"] if "servlet" in document else shape(document)
            body = emptied(body, places)[:TEXT] if isinstance(body, str) else body
        elif "xml" in media_type or "html" in media_type:
            body = ""
        found.append({"status": answer.status_code, "media_type": media_type, "body": body})
    return found


def fits(found: object, recorded: object) -> bool:
    """Whether a shape has nothing that the recorded one has not."""
    if isinstance(found, dict) and isinstance(recorded, dict):
        return all(key in recorded and fits(item, recorded[key]) for key, item in found.items())
    if isinstance(found, list) and isinstance(recorded, list):
        return not found or not recorded or fits(found[0], recorded[0])
    return found == recorded


def differences(steps, version: str, found) -> list[str]:
    told = []
    for step, answer in zip(steps, found, strict=True):
        recorded = step["answers"][version]
        same = all(answer[key] == recorded[key] for key in ("status", "media_type"))
        if not same or not fits(answer["body"], recorded["body"]):
            told.append(f"{step['what']}: {answer}, recorded {recorded}")
    return told


@pytest.mark.parametrize("version", VERSIONS)
def test_the_double_answers_as_was_recorded(version, places, tmp_path) -> None:
    steps = json.loads(FILE.read_text())
    with GeoServerDouble(version) as double:
        made = places(tmp_path / "seen", "w4711")
        found = replay(steps, double.url, (USER, PASSWORD), made)
    assert "\n".join(differences(steps, version, found)) == ""


def test_a_real_geoserver_answers_as_was_recorded(real, places, request) -> None:
    steps = json.loads(FILE.read_text())
    version = real.version()
    made = places(real.folder / "seen", f"{real.prefix}_all")
    found = replay(steps, real.url, real.account, made)
    shutil.rmtree(real.folder / "seen")
    if request.config.getoption("--geoserver-record"):
        for step, answer in zip(steps, found, strict=True):
            step.setdefault("answers", {})[version] = answer
        FILE.write_text(json.dumps(steps, indent=1, ensure_ascii=False) + "\n")
    if version not in steps[0].get("answers", {}):
        pytest.skip(f"nothing was recorded of GeoServer {version}; --geoserver-record does")
    assert "\n".join(differences(steps, version, found)) == ""
