"""The demo, as it is called."""

from pathlib import Path

import psutil
import pytest
from PIL import Image

from candela.cli import main


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_the_demo_tells_what_it_found_and_leaves_nothing_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children()
    assert main(["demo", "--data", str(tmp_path), "--size", "300", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    for words in ("precision", "F1", "AUC", "/ows/", "QGIS", "/map", "make serve DATA="):
        assert words in said
    (picture,) = (tmp_path / "demo").glob("*.png")
    assert str(picture) in said
    with Image.open(picture) as image:
        assert image.width > 1000
    assert children() <= before


def test_a_size_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--data", str(tmp_path), "--size", "301"]) == 2
    assert "multiple of 6" in capsys.readouterr().err


def test_a_product_that_does_not_exist_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path / "none.zip"), "--data", str(tmp_path)]) == 2
    assert "there is no product" in capsys.readouterr().err
