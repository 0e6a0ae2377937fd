"""Numbers in the documents of Sentinel-2 products that make no sense are refused."""

import datetime as dt
import re

import pytest

from candela.eo.s2.metadata import read_geocoding, read_product_document
from candela.eo.safe import parse_xml
from candela.errors import InputError
from candela.synthetic.sentinel2 import demo_grid
from candela.synthetic.sentinel2_names import Identity, granule_xml, product_xml

SENSED = dt.datetime(2022, 6, 5, 10, 50, 31, tzinfo=dt.UTC)
DAMAGES = ["nan", "inf", "-inf", "", "many", "1e30", "-1e30"]
NOT_POSITIVE = [*DAMAGES, "-1", "0"]


def damaged(document, tag, value):
    new, count = re.subn(rf"(<{tag}(?: [^>]*)?>)[^<]*", rf"\g<1>{value}", document, count=1)
    assert count == 1
    return parse_xml(new.encode(), "m.xml")


def cases(elements):
    return [
        pytest.param(tag, value, id=f"{tag}-{value or 'empty'}")
        for tag, values in elements.items()
        for value in values
    ]


@pytest.mark.parametrize("level", ["L1C", "L2A"])
@pytest.mark.parametrize(
    ("tag", "value"),
    cases(
        {
            "QUANTIFICATION_VALUE": NOT_POSITIVE,
            "ADD_OFFSET": [*DAMAGES, "70000"],
            "SPECIAL_VALUE_INDEX": [*DAMAGES, "-1", "65536", "0.5"],
            "SENSING_ORBIT_NUMBER": [*NOT_POSITIVE, "144", "51.5"],
        }
    ),
)
def test_a_damaged_number_of_the_product_is_named(level, tag, value):
    document = product_xml(Identity(SENSED, level), "S2A", {})
    read_product_document(parse_xml(document.encode(), "m.xml"), "m.xml", "S2A")
    prefix = {"ADD_OFFSET": r"\w+_", "QUANTIFICATION_VALUE": r"(?:BOA_)?"}.get(tag, "")
    root = damaged(document, prefix + tag, value)
    with pytest.raises(InputError, match=rf"m\.xml( has no |: ).*{tag}"):
        read_product_document(root, "m.xml", "S2A")


@pytest.mark.parametrize(
    ("tag", "value"),
    cases(
        {
            "ULX": DAMAGES,
            "ULY": DAMAGES,
            "XDIM": NOT_POSITIVE,
            "YDIM": [*DAMAGES, "0", "10"],
            "NROWS": [*NOT_POSITIVE, "0.5"],
            "NCOLS": [*NOT_POSITIVE, "0.5"],
        }
    ),
)
def test_a_damaged_number_of_the_tile_is_named(tag, value):
    document = granule_xml(Identity(SENSED), "31TCJ", demo_grid(120))
    assert len(read_geocoding(parse_xml(document.encode(), "m.xml"), "m.xml")) == 3
    with pytest.raises(InputError, match=rf"m\.xml( has no |: ){tag}"):
        read_geocoding(damaged(document, tag, value), "m.xml")
