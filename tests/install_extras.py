"""Install a wheel with each extra alone, and do there what the extra is for.

usage: install_extras.py [NAME...]

NAME is one of command (without an extra), gateway, worker, train, clouds and notebook; by default
all. Each gets an environment of its own, with the versions of requirements.lock.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = {
    "command": "",
    "gateway": "[gateway]",
    "worker": "[worker]",
    "train": "[worker,train]",
    "clouds": "[worker,clouds]",
    "notebook": "[notebook]",
}
POLYGON = {
    "type": "Feature",
    "properties": {"change_level": 2},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[9, 48], [9.1, 48], [9.1, 48.1], [9, 48.1], [9, 48]]],
    },
}


def run(*words: object) -> str:
    """Run a command of this environment, and return what it prints."""
    command = [str(word) for word in words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check_command(script: Path, _: Path) -> None:
    """The client can be imported and the command called."""
    import candela.client

    assert candela.client.Client
    assert "usage: candela" in run(script, "--help")


def check_gateway(script: Path, folder: Path) -> None:
    """The gateway serves, and polygons become layers."""
    from candela.demo.gateway import LocalGateway
    from candela.publish.base import Layer
    from candela.publish.mapserver import MapServerPublisher

    gateway = LocalGateway(folder / "data")
    try:
        with gateway:
            assert "ChangeDetect" in run(script, "processes", "--url", gateway.url)
    except Exception:
        sys.stderr.write(gateway.log_path.read_text())
        raise
    path = folder / "parcels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [POLYGON]}))
    publisher = MapServerPublisher(folder / "maps", "https://maps.example")
    layer = Layer("parcels", "1", path, "Parcels", "", "parcels", output="parcels")
    assert publisher.publish(layer).wfs


def check_worker(script: Path, folder: Path) -> None:
    """A job runs, and all processes can be imported."""
    from candela.spec import load_specs
    from candela.worker.job import entry

    run(script, "run", "Echo", "literal=hi", "--outputs", folder)
    for spec in load_specs().values():
        entry(spec)


def check_train(*_: Path) -> None:
    """What ``make train`` runs can be imported."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (module,) = re.findall(r"-m (candela\.\S+) --data", makefile)
    assert "usage: " in run(sys.executable, "-P", "-m", module, "--help")


def check_clouds(*_: Path) -> None:
    """The networks of both levels run."""
    import numpy as np

    from candela.models.clouds import load_cloud_model

    for level in ("L1C", "L2A"):
        model = load_cloud_model(level, ("B02", "B03", "B04", "B08", "B11", "B12"))
        image = np.full((len(model.bands), 300, 300), 1000, np.uint16)
        assert model.classify(image).shape == (300, 300)


def check_notebook(_: Path, folder: Path) -> None:
    """An image opens as a dataset and as an array, and rows as a table."""
    import matplotlib.figure
    import numpy as np
    import rasterio

    from candela.client.display import frame_of
    from candela.client.outputs import Output
    from candela.client.server import Server

    path = folder / "image.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 2, "height": 2}
    transform = rasterio.transform.from_origin(6e5, 5.4e6, 10, 10)
    with rasterio.open(path, "w", transform=transform, crs="EPSG:32632", **profile) as dataset:
        dataset.write(np.ones((1, 2, 2), np.uint8))
    output = Output("image", "image/tiff", path.as_uri(), None, None, Server("http://localhost"))
    with output.open() as dataset:
        assert dataset.width == 2
    assert output.xarray().shape == (1, 2, 2)
    assert len(frame_of([{"a": 1}])) == 1
    assert matplotlib.figure.Figure  # what a series of changes is drawn in


def install(name: str, folder: Path, wheel: Path, versions: Path) -> Path:
    """Make an environment with one extra, and return its Python."""
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip"]
    wanted = f"candela-eo{EXTRAS[name]} @ {wheel.as_uri()}"
    run(*pip, "install", "--quiet", "--constraint", versions, wanted)
    run(*pip, "check")
    return pip[0]


def install_and_check(names: list[str]) -> None:
    """Check each extra in an environment of its own."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        source = folder / "source"  # without what earlier builds have left
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source)
        (wheel,) = folder.glob("*.whl")
        lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        versions = folder / "versions"
        versions.write_text("\n".join(re.findall(r"^[\w.-]+==[^ \n]+", lock, re.MULTILINE)))
        for name in names:
            begin = time.monotonic()
            python = install(name, folder / name, wheel, versions)
            installed = time.monotonic()
            run(python, "-P", __file__, "--check", name)
            times = f"{installed - begin:.0f} s to install, {time.monotonic() - installed:.0f} s"
            sys.stdout.write(f"{name}: {times} to check\n")


def check(name: str) -> None:
    """Do what an extra is for, in the environment that has it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # nothing is imported from where this was started
        globals()[f"check_{name}"](Path(sys.executable).with_name("candela"), Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    else:
        install_and_check(sys.argv[1:] or list(EXTRAS))
