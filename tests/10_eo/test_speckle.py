import json
import shutil

import numpy as np
import pytest
from sentinel1_otb import DAMPING, LOOKS, RADIUS, SAMPLES, run_despeckle
from sentinel1_otb import speckled as speckled_levels

from candela.eo.s1.speckle import despeckle

FILTERS = ["lee", "kuan", "frost", "gamma_map"]


def speckled(mean: np.ndarray, *, looks: float = LOOKS, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (mean * random.gamma(looks, 1 / looks, mean.shape)).astype(np.float32)


@pytest.mark.parametrize("method", FILTERS)
def test_the_mean_of_a_homogeneous_area_is_preserved(method):
    power = speckled(np.full((400, 400), 0.05))
    assert despeckle(power, method).mean() == pytest.approx(power.mean(), rel=0.03)


@pytest.mark.parametrize(("method", "least_looks"), [("lee", 25), ("kuan", 25), ("frost", 18)])
def test_a_homogeneous_area_has_many_more_looks_after(method, least_looks):
    power = speckled(np.full((400, 400), 0.05))
    filtered = despeckle(power, method)
    assert power.mean() ** 2 / power.var() == pytest.approx(LOOKS, rel=0.05)
    assert filtered.mean() ** 2 / filtered.var() > least_looks


def test_the_gamma_filter_keeps_outliers_and_smooths_the_rest():
    power = speckled(np.full((400, 400), 0.05))
    filtered = despeckle(power, "gamma_map")
    assert filtered.mean() ** 2 / filtered.var() > 2.5 * LOOKS


@pytest.mark.parametrize("method", FILTERS)
def test_an_edge_stays_where_it_is(method):
    mean = np.full((200, 200), 0.02)
    mean[:, 100:] = 0.8
    filtered = despeckle(speckled(mean), method).mean(axis=0)
    assert filtered[:96].max() < 0.03
    assert filtered[104:].min() > 0.7
    assert filtered[99] < 0.25 < filtered[100]


@pytest.mark.parametrize("method", ["lee", "kuan", "gamma_map"])
def test_a_bright_point_is_kept(method):
    power = np.full((21, 21), 0.05, dtype=np.float32)
    power[10, 10] = 50
    assert despeckle(power, method)[10, 10] > 35


@pytest.mark.parametrize("method", FILTERS)
def test_pixels_without_data_stay_so_and_do_not_darken_others(method):
    power = np.full((60, 60), 0.1, dtype=np.float32)
    power[20:30, 25:40] = 0
    filtered = despeckle(power, method)
    assert (filtered[power == 0] == 0).all()
    np.testing.assert_allclose(filtered[power > 0], 0.1, rtol=1e-5)


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize("radius", [1, 3])
def test_a_block_with_a_margin_gives_what_the_whole_gives(method, radius):
    power = speckled(np.linspace(0.01, 1, 80)[None, :] * np.ones((80, 1)))
    power[::17, ::13] = 0
    whole = despeckle(power, method, radius=radius)
    part = despeckle(
        power[20 - radius : 60 + radius, 30 - radius : 70 + radius], method, radius=radius
    )
    np.testing.assert_allclose(part[radius:-radius, radius:-radius], whole[20:60, 30:70], rtol=2e-5)


@pytest.mark.parametrize("method", FILTERS)
def test_an_image_without_data_and_one_of_one_pixel_pass(method):
    assert (despeckle(np.zeros((5, 5), np.float32), method) == 0).all()
    one = despeckle(np.full((1, 1), 0.3, np.float32), method)
    assert one == pytest.approx(0.3)
    assert one.dtype == np.float32


@pytest.mark.parametrize("method", FILTERS)
def test_the_inside_is_filtered_as_by_orfeo_toolbox(method):
    theirs = json.loads(SAMPLES.read_text())["filtered_row_20"][method]
    mine = despeckle(speckled_levels(), method, radius=RADIUS, looks=LOOKS, damping=DAMPING)
    np.testing.assert_allclose(mine[20, RADIUS:-RADIUS], theirs, rtol=1e-6)


@pytest.mark.skipif(not shutil.which("otbcli_Despeckle"), reason="otb-bin is not installed")
@pytest.mark.parametrize("method", FILTERS)
def test_the_inside_is_filtered_as_by_orfeo_toolbox_where_it_is_installed(method):
    inside = (slice(RADIUS, -RADIUS),) * 2
    mine = despeckle(speckled_levels(), method, radius=RADIUS, looks=LOOKS, damping=DAMPING)
    np.testing.assert_allclose(mine[inside], run_despeckle(method)[inside], rtol=1e-6)


def test_lee_gives_the_value_worked_out_by_hand():
    power = np.array([[1, 1, 1], [1, 4, 1], [1, 1, 1]], dtype=np.float32)
    mean, variance = 12 / 9, 1.0  # over n - 1
    weight = 1 - (1 / 2) / (variance / mean**2)
    expected = weight * 4 + (1 - weight) * mean
    assert despeckle(power, "lee", radius=1, looks=2)[1, 1] == pytest.approx(expected, rel=1e-6)


def test_frost_gives_the_value_worked_out_by_hand():
    power = np.array([[1, 1, 1], [1, 4, 1], [1, 1, 1]], dtype=np.float32)
    rate = 0.5 * 1.0 / (12 / 9) ** 2
    near, far = np.exp(-rate), np.exp(-rate * np.sqrt(2))
    expected = (4 + 4 * near + 4 * far) / (1 + 4 * near + 4 * far)
    assert despeckle(power, "frost", radius=1, damping=0.5)[1, 1] == pytest.approx(
        expected, rel=1e-6
    )
