"""Cells of tables that a spreadsheet may open."""

import pytest

from candela.eo.vector.tables import harmless


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1+1",
        "\uff1d1+1", "=", "- none -", "+49 30 123",
    ],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "a=b", "01234", "-5", "-1.5e3", "+7", -5, 1.5, None, True])
def test_all_else_stays_as_it_is(value):
    assert harmless(value) is value
