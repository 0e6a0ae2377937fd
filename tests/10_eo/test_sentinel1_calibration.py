import json
import shutil
from itertools import product as combinations

import numpy as np
import pytest
from sentinel1_otb import PROCESSORS, QUANTITIES, SAMPLES, amplitudes, make_product, run_otb

from candela.eo.s1.calibration import LEAST_VALUE, calibrate, read_calibration, read_noise
from candela.eo.s1.product import open_product
from candela.eo.safe import parse_xml
from candela.errors import InputError

TREATMENTS = list(combinations(QUANTITIES, (False, True)))

CALIBRATION = b"""<calibration><calibrationVectorList>
<calibrationVector><line>0</line><pixel>0 4</pixel><sigmaNought>10 14</sigmaNought>
</calibrationVector>
<calibrationVector><line>10</line><pixel>0 2 4</pixel><sigmaNought>20 20 40</sigmaNought>
</calibrationVector>
</calibrationVectorList></calibration>"""

NOISE = b"""<noise><noiseRangeVectorList>
<noiseRangeVector><line>0</line><pixel>0 4</pixel><noiseRangeLut>100 500</noiseRangeLut>
</noiseRangeVector>
</noiseRangeVectorList><noiseAzimuthVectorList>
<noiseAzimuthVector><firstAzimuthLine>1</firstAzimuthLine><lastAzimuthLine>3</lastAzimuthLine>
<firstRangeSample>1</firstRangeSample><lastRangeSample>2</lastRangeSample>
<line>1 3</line><noiseAzimuthLut>2 4</noiseAzimuthLut></noiseAzimuthVector>
</noiseAzimuthVectorList></noise>"""


def read_table(text=CALIBRATION, samples=5):
    return read_calibration(parse_xml(text, "c"), "sigma0", samples, name="c.xml")


@pytest.fixture(scope="module", params=PROCESSORS)
def product(request, tmp_path_factory):
    return request.param, make_product(tmp_path_factory.mktemp("product"), request.param)


def calibrated(safe, quantity, remove_noise):
    """Return the product's power, and that before noise was taken off."""
    opened = open_product(safe)
    numbers = amplitudes()
    table = read_calibration(
        opened.document("VV", "calibration"), quantity, numbers.shape[1], name="c"
    )
    noise = read_noise(opened.document("VV", "noise"), numbers.shape[1], name="n")
    return calibrate(numbers, table, noise if remove_noise else None), calibrate(
        numbers, table, None
    )


def check_against_otb(mine, raw, theirs):
    """Compare to 1e-6 of the power that was received, and of the result where it is not tiny.

    Orfeo ToolBox holds its tables in single precision: where signal and noise almost cancel, that
    is all its result is good for. What is not above 0 there is 1e-7 here.
    """
    has_signal = theirs > LEAST_VALUE
    assert has_signal.sum() > 20
    np.testing.assert_array_less(np.abs(mine - theirs)[has_signal], 1e-6 * raw[has_signal])
    clear = theirs > 0.2 * raw
    np.testing.assert_allclose(mine[clear], theirs[clear], rtol=1e-6)
    assert (mine[~has_signal] <= LEAST_VALUE).all()


@pytest.mark.parametrize(("quantity", "remove_noise"), TREATMENTS)
def test_power_is_that_of_orfeo_toolbox(product, quantity, remove_noise):
    processor, safe = product
    samples = json.loads(SAMPLES.read_text())
    theirs = next(
        np.array(result["values"])
        for result in samples["results"]
        if (result["processor"], result["quantity"], result["remove_noise"])
        == (processor, quantity, remove_noise)
    )
    mine, raw = calibrated(safe, quantity, remove_noise)
    at = samples["lines"], samples["pixels"]
    check_against_otb(mine[at], raw[at], theirs)


@pytest.mark.skipif(not shutil.which("otbcli_SARCalibration"), reason="otb-bin is not installed")
def test_power_is_that_of_orfeo_toolbox_where_it_is_installed(product):
    _, safe = product
    mine, raw = calibrated(safe, "sigma0", True)
    check_against_otb(mine, raw, run_otb(safe, "sigma0", remove_noise=True))


def test_tables_are_linear_between_pixels_and_lines_and_hold_beyond():
    rows = read_table().rows(-3, 14, slice(0, 5))
    np.testing.assert_allclose(rows[0], [10, 11, 12, 13, 14])
    np.testing.assert_allclose(rows[3], [10, 11, 12, 13, 14])
    np.testing.assert_allclose(rows[3 + 5], [15, 15.5, 16, 21.5, 27])
    np.testing.assert_allclose(rows[-1], [20, 20, 20, 30, 40])


def test_a_part_has_the_values_of_the_whole():
    table = read_table()
    np.testing.assert_array_equal(
        table.rows(2, 7, slice(1, 4)), table.rows(0, 10, slice(0, 5))[2:7, 1:4]
    )


def test_noise_is_range_times_azimuth_inside_of_blocks():
    noise = read_noise(parse_xml(NOISE, "n"), 5, name="n.xml")
    expected = np.tile([100.0, 200, 300, 400, 500], (5, 1))
    expected[1:4, 1:3] *= np.array([2, 3, 4])[:, None]
    np.testing.assert_allclose(noise.rows(0, 5, slice(0, 5)), expected)
    np.testing.assert_allclose(noise.rows(2, 5, slice(2, 4)), expected[2:5, 2:4])


def test_pixels_without_data_stay_so_and_those_below_the_noise_stay_data():
    noise = read_noise(parse_xml(NOISE, "n"), 5, name="n.xml")
    numbers = np.array([[0, 1, 100, 0, 65535]], dtype=np.uint16)
    power = calibrate(numbers, read_table(), noise)
    assert power.dtype == np.float32
    assert power[0, [0, 3]].tolist() == [0, 0]
    assert power[0, 1] == LEAST_VALUE
    assert power[0, 2] == pytest.approx((100**2 - 300) / 12**2, rel=1e-7)
    assert power[0, 4] == pytest.approx((65535**2 - 500) / 14**2, rel=1e-7)


def test_calibration_by_parts_gives_what_the_whole_gives(product):
    _, safe = product
    opened, numbers = open_product(safe), amplitudes()
    table = read_calibration(opened.document("VV", "calibration"), "gamma0", 330, name="c")
    noise = read_noise(opened.document("VV", "noise"), 330, name="n")
    whole = calibrate(numbers, table, noise)
    part = calibrate(numbers[33:170, 41:250], table, noise, first_line=33, first_pixel=41)
    np.testing.assert_array_equal(part, whole[33:170, 41:250])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"10 14", b"10", r"\[1\]/sigmaNought has 1 numbers, expected 2: one for each pixel"),
        (b"10 14", b"10 nan", r"\[1\]/sigmaNought, number 2 of 2, is 'nan'"),
        (
            b"10 14",
            b"10 -3",
            "sigmaNought, number 2 of 2, is '-3', expected a number from 0.001 to",
        ),
        (b"<line>10</line>", b"<line>0</line>", "two vectors of one line"),
        (
            b"calibrationVector>",
            b"other>",
            "has 0 calibrationVectorList/calibrationVector, expected 1 to 2000",
        ),
        (b"<pixel>0 4</pixel>", b"<pixel>4 0</pixel>", "pixel has 0 after 4, expected rising"),
    ],
)
def test_damaged_tables_are_refused(old, new, message):
    with pytest.raises(InputError, match=message):
        read_table(CALIBRATION.replace(old, new))


def test_tables_that_would_fill_the_memory_are_refused():
    vector = b"<calibrationVector/>" * 2001
    text = (
        b"<calibration><calibrationVectorList>" + vector + b"</calibrationVectorList></calibration>"
    )
    with pytest.raises(InputError, match=r"2001 .*/calibrationVector, expected 1 to 2000"):
        read_table(text)


def test_the_real_tables_of_a_product_are_read(shared_data):
    safe = open_product(next(shared_data("s1-safe-sarsen").glob("*.SAFE")))
    table = read_calibration(safe.document("VV", "calibration"), "sigma0", 26102, name="c")
    noise = read_noise(safe.document("VV", "noise"), 26102, name="n")
    assert table.values.shape == (27, 26102)
    assert table.values[0, :2] == pytest.approx([663.8558, 663.8558 + (663.5805 - 663.8558) / 40])
    assert len(noise.azimuths) == 3
    assert noise.rows(0, 1, slice(0, 1)) == pytest.approx(2375.788 * 1.091791)
