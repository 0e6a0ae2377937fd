"""Titles of layers."""

import pytest

from candela.publish.titles import layer_title


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("change_20200718_20220628", "18 Jul 2020 → 28 Jun 2022"),
        ("change_20200718_20220628_parcels", "18 Jul 2020 → 28 Jun 2022"),
        (
            "S2A_MSIL2A_20200708T103031_N0500_R108_T32TPS_20230718T133510",
            "8 Jul 2020, Sentinel-2A, 32TPS",
        ),
        ("s1b_31TCJ_vv_DES_110_20200108txxxxxx", "8 Jan 2020, Sentinel-1B, 31TCJ"),
        (
            "S2A_OPER_PRD_MSIL1C_PDMC_20160325T150955_R008_V20160319T105034",
            "19 Mar 2016, Sentinel-2A",
        ),
        ("S2A_OPER_MSI_L1C_TL_EPA__20160605T113933_A000734_T21KVA", None),
        ("change", None),
        ("model_99999999", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_layer_is_named_by_what_it_shows_and_when(stem, title):
    assert layer_title("Change", stem) == f"Change: {title or stem}"
