"""Each entry point finds what it imports in the extra that it is installed with.

Imports inside functions count. What ``importlib.import_module`` loads does not: such code says
itself what is missing.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from candela.spec import load_specs

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "candela.services": ROOT / "services",
    "candela.client": ROOT / "client",
    "candela.wps_config": ROOT / "wps_config",
    "candela": ROOT / "candela",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = packages_distributions()
# Distributions whose requirer makes them part of its own interface.
COMES_WITH = {"botocore": "boto3", "werkzeug": "flask", "keras": "tensorflow"}
# Needed, though no import statement names them.
WITHOUT_IMPORT = {
    "pandas",  # optional: ``frame_of`` says which extra has it
    "ukis-csmask",  # weights; ``candela.models.clouds`` says which extra has it
    "psycopg",  # SQLAlchemy loads it by the URL of a database
    "xarray",  # the type of what rioxarray returns
}
MIGRATIONS = [
    # Alembic loads them from their folder.
    f"candela.{path.relative_to(ROOT / 'candela').with_suffix('').as_posix().replace('/', '.')}"
    for path in (ROOT / "candela").rglob("migrations/**/*.py")
]


class EntryPoint(NamedTuple):
    """Modules that are run, and the extras that they are installed with."""

    modules: list[str]
    extras: list[str]
    lazy: bool = True  # with the imports inside functions


ENTRY_POINTS = {
    # A command that needs more imports it when it is called, and says which extra has it.
    "command": EntryPoint(["candela.cli", "candela.client"], [], lazy=False),
    "subcommands": EntryPoint(["candela.cli"], ["gateway", "worker", "notebook"]),
    "notebook": EntryPoint(["candela.client"], ["notebook"]),
    "gateway": EntryPoint(["candela.commands.serving", *MIGRATIONS], ["gateway"]),
    "worker": EntryPoint(
        ["candela.worker.__main__", *(spec.package for spec in load_specs().values())], ["worker"]
    ),
    "clouds": EntryPoint(["candela.models.clouds"], ["worker", "clouds"]),
    "training": EntryPoint(["candela.models.training.__main__"], ["worker", "train"]),
}


def file_of(module: str) -> Path | None:
    """Return the file of a module of this project; None if the name is that of something else."""
    root = next((name for name in FOLDERS if f"{module}.".startswith(f"{name}.")), None)
    if root is None:
        return None
    path = FOLDERS[root].joinpath(*module.removeprefix(root).split(".")[1:])
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((each for each in files if each.is_file()), None)


def imports(node: ast.AST, package: str, *, lazy: bool) -> Iterator[str]:
    """Yield the names that code of a package imports when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.FunctionDef) and not lazy:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            origin = package if child.level else ""
            origin = ".".join(filter(None, (origin, child.module)))
            yield from (f"{origin}.{alias.name}" for alias in child.names)
        yield from imports(child, package, lazy=lazy)


def reached(entry: EntryPoint) -> dict[str, str]:
    """Return the packages of others that an entry point imports, each with a module that does."""
    seen, packages, waiting = set(), {}, list(entry.modules)
    while waiting:
        words = waiting.pop().split(".")
        for module in (".".join(words[:count]) for count in range(1, len(words) + 1)):
            if module in seen or (path := file_of(module)) is None:
                continue
            seen.add(module)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            package = module if path.stem == "__init__" else module.rpartition(".")[0]
            names = set(imports(tree, package, lazy=entry.lazy))
            waiting += names
            packages |= {name.split(".")[0]: module for name in names}
    ours_or_python = {"candela", *sys.stdlib_module_names}
    return {name: by for name, by in packages.items() if name not in ours_or_python}


def normal(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it, without version and extras."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name, maxsplit=1)[0]).lower()


def required(extras: list[str]) -> set[str]:
    """Return the distributions that pyproject.toml names for the extras, and for all."""
    named = [PROJECT["optional-dependencies"][extra] for extra in extras]
    return {normal(each) for group in (PROJECT["dependencies"], *named) for each in group}


def distribution_of(package: str) -> str:
    return normal(COMES_WITH.get(package, DISTRIBUTIONS[package][0]))


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_an_entry_point_imports_what_its_extras_name(name):
    entry = ENTRY_POINTS[name]
    missing = {
        package: by
        for package, by in reached(entry).items()
        if distribution_of(package) not in required(entry.extras)
    }
    assert not missing, f"candela-eo{entry.extras} lacks {missing}"


@pytest.mark.parametrize("extra", ["gateway", "worker", "train", "clouds", "notebook"])
def test_an_extra_names_nothing_that_its_entry_points_do_not_import(extra):
    imported = {
        distribution_of(package)
        for entry in ENTRY_POINTS.values()
        if extra in entry.extras
        for package in reached(entry)
    }
    named = {normal(each) for each in PROJECT["optional-dependencies"][extra]}
    assert named - WITHOUT_IMPORT <= imported
