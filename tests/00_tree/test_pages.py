"""Pages lead where they say, and the reference names every module."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from candela import __version__

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")  # the others: `make docs`


@pytest.mark.parametrize("page", PAGES)
def test_links_of_pages_outside_of_the_site_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_reference_has_every_module_of_eo():
    text = (ROOT / "docs/reference/eo.md").read_text(encoding="utf-8")
    modules = {
        "candela." + ".".join(path.relative_to(ROOT / "candela").with_suffix("").parts)
        for path in (ROOT / "candela/eo").rglob("*.py")
        if path.stem != "__init__"
    }
    assert set(re.findall(r"^::: (\S+)", text, re.MULTILINE)) == modules


def test_every_page_is_in_the_navigation():
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    navigation = yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert {page for page in pages if page not in navigation} == set()


def test_imports_of_pages_and_notebooks_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")]
    line = re.compile(r"^[\s\"]*from (candela[\w.]*) import ([\w, ]+)", re.MULTILINE)
    found = {
        (page.name, module, name.split(" as ")[0].strip())
        for page in pages
        for module, names in line.findall(page.read_text(encoding="utf-8"))
        for name in names.split(",")
    }
    assert len(found) > 10
    assert [each for each in found if not hasattr(import_module(each[1]), each[2])] == []


def test_a_release_has_one_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\S+)", changes, re.MULTILINE)
    assert sections[sections[0] == "Unreleased"] == __version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert re.search(rf"^## {__version__} \({citation['date-released']}\)$", changes, re.MULTILINE)
    page = (ROOT / "docs/operators/install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bv?(\d+\.\d+\.\d+)\b(?!\.)", page)) == {__version__}
