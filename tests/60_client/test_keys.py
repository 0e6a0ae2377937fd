"""Keys that make the same request the same job."""

import os
from pathlib import Path

from candela.client.descriptions import InputDescription, ProcessDescription
from candela.client.inputs import encode_inputs
from candela.client.keys import request_key

RASTER = ("image/tiff; subtype=geotiff",)


def key(version: str = "1.0.0", **values: object) -> str:
    inputs = {
        "image": InputDescription("image", "", "", "file", media_types=RASTER, min_occurs=0),
        "model": InputDescription("model", "", "", "string", min_occurs=0),
        "area": InputDescription("area", "", "", "bbox", min_occurs=0),
    }
    process = ProcessDescription("Any", "", "", version, inputs, {})
    return request_key(process, encode_inputs(process, values, files="reference"))


def test_equal_requests_have_equal_keys_that_a_header_has_room_for() -> None:
    given = {"image": b"pixels", "model": "a", "area": (1, 2, 3, 4)}
    assert key(**given) == key(**given)
    assert len(key(**given)) == 48


def test_everything_that_may_change_the_result_changes_the_key(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    image.write_bytes(b"pixels")
    keys = [
        key(),
        key("1.0.1"),
        key(model="a"),
        key(model="b"),
        key(area=(1, 2, 3, 4)),
        key(area=(1, 2, 3, 5)),
        key(area=(1, 2, 3, 4, "EPSG:32631")),
        key(image=b"pixels"),
        key(image="https://example.org/a.tif"),
        key(image=image),
    ]
    os.utime(image, (1, 1))
    keys.append(key(image=image))
    assert len(set(keys)) == len(keys)
