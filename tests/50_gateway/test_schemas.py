"""The schemas themselves."""

import pytest
from lxml import etree
from schemas import ROOTS, assert_valid, schema_folder, schema_for

needs_schemas = pytest.mark.skipif(
    schema_folder() is None, reason="the schemas of the OGC are not at hand (`make schemas`)"
)


@pytest.mark.parametrize("namespace", ROOTS)
def test_the_schemas_can_be_read_offline(namespace):
    if schema_folder(namespace) is None:
        pytest.skip("the schemas of the OGC are not at hand (`make schemas`)")
    assert schema_for(namespace) is not None


@needs_schemas
def test_a_document_that_is_not_valid_does_not_pass():
    wrong = '<wps:Capabilities xmlns:wps="http://www.opengis.net/wps/1.0.0" service="WPS"/>'
    with pytest.raises(AssertionError, match="Missing child element"):
        assert_valid(etree.tostring(etree.fromstring(wrong)))
