"""The example of docs/process-yaml.md is a process that runs, and its schema knows all others."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

from candela.errors import SpecError
from candela.gateway.maps.publisher import check_styles
from candela.spec import load_specs, services_folder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "process-yaml.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "process.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with all of CANDELA and the process of the page."""
    package = tmp_path / "site" / "candela"
    (package / "services").mkdir(parents=True)
    for path in (*(ROOT / "candela").iterdir(), ROOT / "client", ROOT / "wps_config"):
        (package / path.name).symlink_to(path)
    for path in services_folder().iterdir():
        (package / "services" / path.name).symlink_to(path)
    for name, language, code in re.findall(r"`services/(\S+)`.*?```(\w+)\n(.*?)```", PAGE, re.S):
        assert language in {"yaml", "python"}
        path = package / "services" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return tmp_path / "site"


def run(tree: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_example_of_the_page_runs(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "width": 4, "height": 2}
    transform = Affine(10, 0, 300_000, 0, -10, 4_900_000)
    with rasterio.open(image, "w", **profile, crs="EPSG:32631", transform=transform) as target:
        target.write(np.array([[0.1, 0.2, 0.9, 0.8]] * 2, np.float32), 1)
    words = ["run", "Threshold", f"image={image}", "--outputs", str(tmp_path / "out")]
    done = run(tree, "-m", "candela.cli", *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"share\s+0\.5", done.stdout)
    with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
        assert mask.read(1).tolist() == [[0, 0, 1, 1]] * 2


def test_a_style_may_live_in_the_folder_of_its_process(tree: Path) -> None:
    code = (
        "from candela.gateway.maps.publisher import check_styles\n"
        "from candela.publish.styles import load_style\n"
        "from candela.spec import load_specs\n"
        "check_styles(load_specs())\n"
        "print(load_style('bright').title)\n"
    )
    done = run(tree, "-c", code)
    assert done.stdout == "Bright\n", done.stderr


@pytest.mark.parametrize("is_there", [True, False])
def test_a_wrong_style_ends_the_start_in_one_sentence(
    tree: Path, tmp_path: Path, is_there: bool
) -> None:
    style = tree / "candela" / "services" / "threshold" / "styles" / "bright.yaml"
    style.write_text(style.read_text().replace("classes", "clases"))
    reason = "bright.yaml: "
    if not is_there:
        style.unlink()
        reason = "no style 'bright'"
    done = run(tree, "-m", "candela.cli", "serve", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "process Threshold, output mask: " in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_style_of_another_type_of_output_is_refused() -> None:
    specs = load_specs()
    spec = specs["ChangeDetect"]
    change = spec.outputs["change"]
    publish = change.publish.model_copy(update={"style": "parcels"})
    outputs = {"change": change.model_copy(update={"publish": publish})}
    with pytest.raises(SpecError, match="of kind polygons, which shows no raster"):
        check_styles({"ChangeDetect": spec.model_copy(update={"outputs": outputs})})


def as_json(value: object) -> object:
    """Return what YAML says as JSON says it: dates are texts."""
    return json.loads(json.dumps(value, default=dt.date.isoformat))


@pytest.mark.parametrize(
    "path", sorted(services_folder().glob("*/process.yaml")), ids=lambda path: path.parent.name
)
def test_the_schema_for_editors_takes_every_process(path: Path) -> None:
    document = as_json(yaml.safe_load(path.read_text(encoding="utf-8")))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_for_editors_refuses_slips() -> None:
    document = as_json(yaml.safe_load((services_folder() / "echo/process.yaml").read_text()))
    for wrong in ({"identifer": "x"}, {"version": "1"}, {"run": {"memory": "4"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(document | wrong)
