"""The tests that the documentation names are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page):
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(path)]
    assert missing == []


def test_every_promise_names_a_test():
    rows = [row for row in PROMISES.splitlines() if row.startswith("| ") and "---" not in row]
    headings = [row for row in rows if row.startswith(("| | there", "| fact", "| what |"))]
    promises = [row for row in rows if row not in headings]
    assert len(promises) > 40
    assert [row for row in promises if not NAMED.search(row)] == []


def test_each_defect_has_a_row():
    listed = re.findall(r"^\| ([DS]\d+) \|", PROMISES, flags=re.MULTILINE)
    assert listed == [f"D{number}" for number in range(1, 19)] + [f"S{n}" for n in range(1, 7)]
