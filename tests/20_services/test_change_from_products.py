"""ChangeFromProducts gives what Jpeg2Tiff and ChangeDetect give one after the other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio

import candela.models.change.mapping as mapping
from candela.eo.raster.grid import Area, Bounds
from candela.errors import InputError
from candela.models.change import survey
from candela.services.change_detect import run as detect
from candela.services.change_from_products import run
from candela.services.jpeg2tiff import run as convert
from candela.spec import load_specs
from candela.synthetic.scene import LATE
from candela.synthetic.sentinel2 import TILE_CORNER, make_products

SPECS = load_specs()
SIZE = 300
LEFT, TOP = TILE_CORNER


def silent(*_):
    pass


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Two dates, the later one cloudy; no window or block ends where a JPEG 2000 tile does."""
    folder = tmp_path_factory.mktemp("products")
    return make_products(folder, size=SIZE, archive=False, late=replace(LATE, clouds=0.1))


@pytest.fixture
def options(tmp_path):
    return {**SPECS["ChangeFromProducts"].defaults, "workdir": tmp_path, "progress": silent}


@pytest.fixture
def in_two_steps(products, tmp_path):
    """Return a function that converts both products, and compares the images."""

    def call(mask="none", area=None, margin=0.0, **more):
        made = []
        for name, product in (("before", products.before), ("after", products.after)):
            workdir = tmp_path / name
            workdir.mkdir()
            made.append(
                convert(
                    product=product, mask=mask, area=area, cloud_margin=margin, workdir=workdir,
                    bands=[], resolution=10, resampling="bilinear", progress=silent,
                )
            )  # fmt: skip
        before, after = made
        workdir = tmp_path / "steps"
        workdir.mkdir()
        return detect(
            **SPECS["ChangeDetect"].defaults
            | {"before_mask": before.get("mask"), "after_mask": after.get("mask")}
            | more,
            before=before["image"], after=after["image"], workdir=workdir, progress=silent,
        )  # fmt: skip

    return call


def read(path):
    with rasterio.open(path) as image:
        return image.read(1), image.tags(), image.transform


def test_a_map_of_blocks_is_that_of_the_two_steps(
    products, options, in_two_steps, monkeypatch, tmp_path
):
    """Windows of the survey and blocks with a halo cross the blocks that are decoded once."""
    monkeypatch.setattr(survey, "WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(survey, "WINDOW", 128)
    monkeypatch.setattr(mapping, "BLOCK", 160)
    monkeypatch.setattr("candela.eo.s2.decoded.SMALLEST_UNIT", 32)
    found, tags, place = read(
        run(before=products.before, after=products.after, **options)["change"]
    )
    expected, its_tags, its_place = read(in_two_steps()["change"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found > 0.5).any()
    assert place == its_place
    assert tags == its_tags | {"Agent": tags["Agent"]}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "before", "after", "steps"
    }  # fmt: skip


def test_masked_areas_of_part_of_the_tile_are_those_of_the_two_steps(
    products, options, in_two_steps
):
    area = Area(Bounds(LEFT + 205, TOP - 2600, LEFT + 2700, TOP - 130), "EPSG:32631")
    outputs = run(
        before=products.before, after=products.after,
        **options | {"mask": "cloud", "cloud_margin": 60.0, "area": area},
    )  # fmt: skip
    found, _, place = read(outputs["change"])
    expected, _, its_place = read(in_two_steps("cloud", area, 60.0)["change"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert place == its_place
    assert 0.05 < np.isnan(found).mean() < 0.9


def test_parcels_are_measured_and_drawn(products, options):
    west, south = 0.52, 44.22
    ring = [(0, 0), (0.01, 0), (0.01, 0.01), (0, 0.01), (0, 0)]
    square = {"type": "Polygon", "coordinates": [[[west + x, south + y] for x, y in ring]]}
    path = options["workdir"] / "parcels.geojson"
    path.write_text(json.dumps(square))
    outputs = run(before=products.before, after=products.after, **options | {"parcels": path})
    assert outputs["parcels_preview"].read_bytes().startswith(b"\x89PNG")


def test_products_of_different_tiles_are_refused(products, options, write_product):
    other = write_product(size=120)
    with pytest.raises(InputError, match="not on the grid of the earlier one") as caught:
        run(before=products.before, after=other, **options)
    assert caught.value.locator == "after"


def test_a_product_without_a_band_is_refused(products, options, write_product):
    with pytest.raises(InputError, match="band B11 is missing") as caught:
        run(before=write_product(bands={"B11": None}), after=products.after, **options)
    assert caught.value.locator == "before"


@pytest.mark.parametrize("name", ["model", "runtime", "scale", "parcels"])
def test_inputs_are_described_as_in_the_processes_of_the_two_steps(name):
    assert SPECS["ChangeFromProducts"].inputs[name] == SPECS["ChangeDetect"].inputs[name]
    assert SPECS["ChangeFromProducts"].outputs == SPECS["ChangeDetect"].outputs
