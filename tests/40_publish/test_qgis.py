"""The services in a real QGIS (`make test-qgis`): Debian's, without a window."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from candela.publish.base import Layer
from candela.publish.styles import load_style

PYTHON = "/usr/bin/python3"  # has QGIS, where that is installed
SESSION = Path(__file__).with_name("qgis_session.py")
TIMES = {
    "2020-07-08T10:50:31Z": (0.55, 60),
    "2020-07-18T10:50:31Z": (0.75, 150),
    "2022-06-28T10:50:31Z": (0.95, 240),
}  # value and place of what changed
SIDE = 300


@pytest.fixture(scope="module")
def seen(start_gateway, tmp_path_factory, write_raster) -> Path:
    """Look at a series, an image and parcels in QGIS; return the folder of its pictures."""
    found = subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("QGIS is not installed (`make test-qgis` does)")
    folder = tmp_path_factory.mktemp("qgis")
    with start_gateway(folder / "state") as gateway:
        layers = [*changes(folder, write_raster), image(folder, write_raster), parcels(folder)]
        for layer in layers:
            gateway.publisher.publish(layer)
        (series,) = gateway.publisher.series()
        command = [
            PYTHON, SESSION, f"{gateway.url}/ows", series.name, "Image_4_image",
            "Parcels_5_parcels", folder, ",".join(TIMES),
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def changes(folder: Path, write_raster) -> list[Layer]:
    """Three change maps, each with one round place that changed."""
    rows, cols = np.indices((SIDE, SIDE))
    made = []
    for number, (time, (value, col)) in enumerate(TIMES.items(), 1):
        inside = np.hypot(rows - 150, cols - col) < 40
        path = write_raster(
            folder / f"{number}.tif", np.where(inside, value, 0.05)[None].astype("float32"),
            nodata=np.nan, bands=["change"], tags={"SENSING_TIME": time},
        )  # fmt: skip
        made.append(
            Layer(f"Change_{number}_change", f"c{number}", path, "Change", "", "change",
                  process="Change", output="change")
        )  # fmt: skip
    return made


def image(folder: Path, write_raster) -> Layer:
    path = write_raster(folder / "image.tif", pixels(), nodata=0, bands=["B02", "B03", "B04"])
    return Layer("Image_4_image", "i", path, "Image", "", "true_colour")


def pixels() -> np.ndarray:
    """Fields from brown to green, with some grain."""
    random = np.random.default_rng(4)
    green = random.uniform(0, 1, (10, 10)).repeat(30, axis=0).repeat(30, axis=1)
    fields = np.array([500 - 150 * green, 900 + 200 * green, 1400 - 900 * green])
    return (fields + random.integers(0, 120, (3, SIDE, SIDE))).astype("uint16")


def parcels(folder: Path) -> Layer:
    """144 parcels in degrees."""
    features = [
        {"type": "Feature", "id": 12 * row + col,
         "properties": {
             "change_level": (row + col) % 4 or None,
             "name": f"{'North' if row < 6 else 'South'} {col}",
         },
         "geometry": json.loads(shapely.to_geojson(shapely.box(
             10.3605 + col * 0.0033, 48.7445 - row * 0.0022,
             10.3632 + col * 0.0033, 48.7427 - row * 0.0022,
         )))}
        for row in range(12) for col in range(12)
    ]  # fmt: skip
    path = folder / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return Layer("Parcels_5_parcels", "p", path, "Parcels", "", "parcels")


def shown(picture: Path) -> list[str]:
    """Return the times whose change is drawn in a picture."""
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    found = []
    for time, (value, col) in TIMES.items():
        (look,) = [c.colour for c in load_style("change").classes if c.low <= value < c.high]
        colour = [int(look[i : i + 2], 16) for i in (1, 3, 5)]
        pixel = drawn[200, round(col * 400 / SIDE)]
        if (pixel != 255).any():  # on white paper
            assert np.abs(pixel - colour).max() < 40
            found.append(time)
    return found


@pytest.mark.parametrize("method", ["default", "whole", "start"])
def test_the_temporal_controller_shows_the_image_of_each_frame(seen, method) -> None:
    first, second, last = TIMES
    assert shown(seen / f"first-day-{method}.png") == [first]
    assert shown(seen / f"second-day-{method}.png") == [second]
    if method == "whole":  # not the start of the frame alone
        assert shown(seen / "month-whole.png") == [second]
        assert shown(seen / "last-year-whole.png") == [last]
    assert shown(seen / f"between-{method}.png") == []


def test_parcels_are_found_in_the_system_of_the_project_and_by_filters(seen) -> None:
    found = json.loads((seen / "seen.json").read_text())["parcels"]
    for version in ("1.1.0", "2.0.0"):
        assert found[version] == {"all": 144, "named": 72, "box": 9, "filtered": 72}


def test_coverages_have_the_pixels_of_the_file(seen) -> None:
    found = json.loads((seen / "seen.json").read_text())["pixels"]
    assert found["size"] == [SIDE, SIDE, 3]
    assert found["extent"] == [600_000, 5_397_000, 603_000, 5_400_000]
    assert np.array_equal(found["values"], pixels()[1, 30:200, 50:230])


@pytest.mark.parametrize("frame", ["first-day", "second-day", "last-year"])
def test_a_map_of_all_layers_is_drawn(seen, frame) -> None:
    drawn = np.asarray(Image.open(seen / f"map-{frame}.png").convert("RGB"))
    assert (drawn != 255).any(axis=2).mean() > 0.95
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 100
