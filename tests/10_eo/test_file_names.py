from pathlib import Path

import pytest

from candela.eo.file_names import file_name, output_file

HOSTILE = [
    "../../../escaped", "/etc/passwd", "..", ".", "", "a/..", "..\\..\\x", "C:\\x", "-rf",
    ".hidden", "x\x00y", "s3://bucket/key/S2A", "http://host/a?b=c#d", "/vsicurl/http://host/x",
    "\ud800", "a\nb", "~root", "%2e%2e%2fx", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_output_called_after_any_text_lies_in_the_work_folder(text, tmp_path):
    path = output_file(tmp_path, text, "_mask.tif")
    assert path.parent == tmp_path
    assert path.resolve().parent == tmp_path.resolve()
    assert not path.name.startswith((".", "-"))
    path.write_bytes(b"")


def test_the_name_of_a_product_stays_as_it_is():
    name = "S2A_MSIL2A_20220628T105031_N0400_R051_T31TCJ_20220628T165031"
    assert file_name(name, "product") == name
    assert output_file(Path("/work"), name, ".tif") == Path(f"/work/{name}.tif")
