"""An installation of the base dependencies alone: what works there, and what the rest asks for."""

import os
import re
import subprocess
import venv
from importlib import metadata
from pathlib import Path

import pytest

from candela.demo.gateway import LocalGateway

ROOT = Path(__file__).parents[2]
BASE = ("owslib", "requests", "rich")


def closure(names: tuple[str, ...]) -> dict[str, metadata.Distribution]:
    """Return distributions with all that they need, without extras."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another system
            continue
        for requirement in found[name].requires or ():
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    return found


@pytest.fixture(scope="session")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has candela and its base dependencies."""
    folder = tmp_path_factory.mktemp("thin")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in closure(BASE).values():
        for top in {path.parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}:
            target = Path(str(distribution.locate_file(top)))
            if target.exists() and not (site / top).exists():
                (site / top).symlink_to(target)
    (site / "candela").mkdir()
    for path in (*(ROOT / "candela").iterdir(), *(ROOT / n for n in ("services", "client"))):
        (site / "candela" / path.name).symlink_to(path)
    return folder / "bin" / "python"


def run(thin: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {"HOME": str(thin.parents[1]), "PATH": os.environ["PATH"], "COLUMNS": "200"}
    command = [str(thin), "-P", "-m", "candela.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_environment_has_no_more_than_the_base(thin: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('numpy', 'flask', 'rasterio', "
    code += "'pydantic', 'sqlalchemy') if u.find_spec(n)])"
    shown = subprocess.run(
        [str(thin), "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        (["serve"], "gateway,worker"),
        (["run", "Echo", "literal=hi"], "worker"),
        (["demo"], "gateway,worker"),
        (["patches", "upgrade"], "gateway"),
    ],
)
def test_a_command_says_which_extra_it_needs(thin: Path, words: list[str], extras: str) -> None:
    done = run(thin, *words)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"pip install 'candela-eo[{extras}]'" in done.stderr


def test_jobs_are_run_and_patches_asked_for_without_an_extra(
    thin: Path, gateway: LocalGateway
) -> None:
    done = run(thin, "execute", "Echo", "literal=hi", "--wait", "--url", gateway.url)
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    asked = run(thin, "patches", "items", "size=120", "--url", gateway.url)
    assert "ModuleNotFoundError" not in asked.stderr
    assert asked.stderr.startswith("candela: "), asked.stderr  # this gateway has no database


def test_opening_an_image_says_which_extra_it_needs(thin: Path) -> None:
    code = (
        "from candela.client import ClientError\n"
        "from candela.client.outputs import Output\n"
        "output = Output('image', 'image/tiff', 'file:///none.tif', None, None, None)\n"
        "for read in (output.open, output.xarray):\n"
        "    try:\n"
        "        read()\n"
        "    except ClientError as error:\n"
        "        print(error)\n"
    )
    shown = subprocess.run(
        [str(thin), "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.count("pip install 'candela-eo[notebook]'") == 2
