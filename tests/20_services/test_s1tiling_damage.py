"""Damaged documents of Sentinel-1 products are refused before anything is computed."""

import gzip
import re

import numpy as np
import pytest

from candela.eo.progress import silent
from candela.errors import InputError
from candela.services import s1tiling
from candela.services.s1tiling import slices
from candela.spec import load_specs
from candela.synthetic.sentinel1 import Acquisition, write_product

SEEN = Acquisition(lines=120, samples=140, pixel_m=100)
AMPLITUDES = np.full((120, 140), 200, np.uint16)
DEFAULTS = load_specs()["S1tiling"].defaults | {"minimum_coverage": 0.0, "resolution": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("products")


@pytest.fixture(scope="module")
def products(folder):
    """Return two slices, each with two polarisations."""
    images = {"VV": AMPLITUDES, "VH": AMPLITUDES}
    return [
        write_product(folder, SEEN, images, lines=lines, archive=False)
        for lines in ((0, 60), (60, 120))
    ]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs S1tiling and fails as soon as it opens an image."""

    def opened(*_):
        raise AssertionError("an image was opened")

    monkeypatch.setattr(slices, "open_measurement", opened)
    workdir = tmp_path / "workdir"
    workdir.mkdir()

    def run(*paths, **options):
        given = {"product": list(paths), "workdir": workdir, "progress": silent}
        return s1tiling.run(**DEFAULTS | given | options)

    yield run
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("pattern", "tag", "value"),
    [
        ("annotation/*-vv-*.xml", "rangePixelSpacing", "nan"),
        ("annotation/*-vh-*.xml", "azimuthTimeInterval", "-1"),
        ("annotation/*-vv-*.xml", "srgrCoefficients", "0"),
        ("annotation/*-vh-*.xml", "height", "many"),
        ("annotation/calibration/calibration-*-vh-*.xml", "sigmaNought", "0"),
        ("annotation/calibration/noise-*-vv-*.xml", "noiseRangeLut", "inf"),
        ("annotation/calibration/noise-*-vh-*.xml", "noiseAzimuthLut", "-1"),
        ("manifest.safe", "safe:stopTime", "2021-01-01T00:00:00"),
        ("manifest.safe", "safe:relativeOrbitNumber", "999"),
    ],
)
def test_a_damaged_document_of_the_last_slice_is_refused_before_any_image_is_opened(
    run, products, pattern, tag, value
):
    document = next(products[1].glob(pattern))
    text = document.read_text()
    try:
        document.write_text(re.sub(rf"(<{tag}(?: [^>]*)?>)[^<]*", rf"\g<1>{value}", text))
        with pytest.raises(InputError) as refusal:
            run(*products)
    finally:
        document.write_text(text)
    assert refusal.value.locator == "product"
    assert document.name in refusal.value.message
    assert tag.rpartition(":")[2] in refusal.value.message


def test_what_is_not_damaged_is_opened(run, products):
    with pytest.raises(AssertionError, match="an image was opened"):
        run(*products)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.EOF.gz",
            gzip.compress(b"<Earth_Explorer_File/>", mtime=0),
            r"a\.EOF\.gz has no File_Type",
        ),
        ("b.EOF.gz", gzip.compress(b"<a/>" * 99, mtime=0)[:-20], r"b\.EOF\.gz is damaged"),
    ],
)
def test_what_is_wrong_with_a_gzipped_orbit_file_is_told(
    run, products, folder, name, content, message
):
    orbit = folder / name
    orbit.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        run(*products, orbits=[orbit])
    assert refusal.value.locator == "orbits"
