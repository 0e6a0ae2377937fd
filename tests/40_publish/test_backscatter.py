"""Backscatter, which is linear power, shown in decibels."""

import io

import numpy as np
import pytest
from lxml import etree
from owslib.wms import WebMapService
from PIL import Image

from candela.publish.base import Layer
from candela.publish.styles import load_style
from candela.publish.styles.sld import SLD, sld_text

# decibels of the columns, each 10 pixels wide; the last one has no data
LEVELS = (-50.0, -23.5, -12.4, -6.4, -0.4, 9.0)


@pytest.fixture(scope="module")
def backscatter(tmp_path_factory, write_raster):
    power = np.zeros((1, 70, 70), dtype="float32")
    for column, level in enumerate(LEVELS):
        power[:, :, 10 * column : 10 * column + 10] = 10 ** (level / 10)
    path = tmp_path_factory.mktemp("radar") / "vv.tif"
    write_raster(path, power, nodata=0, bands=["VV"])
    return Layer("S1tiling_9_vv", "job-9", path, "Backscatter VV", "", "backscatter")


@pytest.fixture(scope="module")
def drawn(gateway, backscatter):
    """Return one row of the picture that MapServer draws, red, green, blue and opacity."""
    links = gateway.publisher.publish(backscatter)
    wms = WebMapService(links.wms, version="1.3.0")
    answer = wms.getmap(
        layers=[backscatter.name], srs="EPSG:32632", size=(70, 70), format="image/png",
        bbox=(600_000.0, 5_399_300.0, 600_700.0, 5_400_000.0), transparent=True,
    )  # fmt: skip
    yield np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))[35]
    gateway.publisher.remove(backscatter.job_id)


def test_grey_rises_with_the_logarithm(drawn) -> None:
    greys = drawn[5:60:10, 0].astype(int)
    expected = [255 * min(max(level + 24, 0), 24) / 24 for level in LEVELS]
    assert np.abs(greys - expected).max() <= 2
    assert (drawn[5:60, 0] == drawn[5:60, 1]).all()


def test_what_is_beyond_the_range_is_drawn_like_its_ends(drawn) -> None:
    assert drawn[5].tolist() == [0, 0, 0, 255]
    assert drawn[55].tolist() == [255, 255, 255, 255]


def test_nodata_is_transparent(drawn) -> None:
    assert not drawn[60:, 3].any()


def test_each_date_of_a_series_is_drawn_in_decibels_too(
    new_gateway, tmp_path, write_raster
) -> None:
    for day, level in (("2021-12-23", -12), ("2022-01-04", -6)):
        power = np.full((1, 70, 70), 10 ** (level / 10), dtype="float32")
        path = tmp_path / f"{day}.tif"
        write_raster(path, power, nodata=0, bands=["VV"], tags={"SENSING_TIME": f"{day}T06:02:11Z"})
        new_gateway.publisher.publish(
            Layer(
                f"S1tiling_{level + 20}_vv", f"job{level}", path, "VV", "", "backscatter",
                process="S1tiling", output="vv",
            )
        )  # fmt: skip
    (series,) = new_gateway.publisher.series()
    wms = WebMapService(series.links.wms, version="1.3.0")
    for time, grey in (("2021-12-23T06:02:11Z", 127), ("2022-01-04T06:02:11Z", 191)):
        answer = wms.getmap(
            layers=[series.name], srs="EPSG:32632", size=(70, 70), format="image/png", time=time,
            bbox=(600_000.0, 5_399_300.0, 600_700.0, 5_400_000.0), transparent=True,
        )  # fmt: skip
        pixel = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))[35, 35]
        assert np.abs(pixel.astype(int) - (grey, grey, grey, 255)).max() <= 2


def test_the_legend_tells_of_decibels() -> None:
    labels = [entry.label for entry in load_style("backscatter").legend]
    assert labels == ["-24 dB or less", "-12 dB", "0 dB or more"]


def test_geoserver_is_told_of_the_same_greys() -> None:
    style = load_style("backscatter_cross")
    document = etree.fromstring(sld_text(style, lambda band: int(band), name="backscatter_cross"))
    entries = document.findall(f".//{{{SLD}}}ColorMapEntry")
    powers = np.array([float(entry.get("quantity")) for entry in entries])
    greys = np.array([int(entry.get("color")[1:3], 16) for entry in entries])
    for level in (-30, -21.3, -12.4, -6):
        drawn = np.interp(10 ** (level / 10), powers, greys)
        assert drawn == pytest.approx(255 * (level + 30) / 24, abs=1)
