"""The code of the client's page runs as it stands."""

import re
from pathlib import Path

import pytest

from candela.demo.gateway import LocalGateway
from candela.synthetic.sentinel2 import DemoProducts

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


# NOTE: rioxarray multiplies matrices in a way that affine 3 wants to give up.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_the_page_of_the_client_runs(
    gateway: LocalGateway,
    products: DemoProducts,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(products.before.parent)
    text = PAGE.read_text().replace("http://127.0.0.1:8080", gateway.url)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        names["client"].close()  # type: ignore[attr-defined]
    said = capsys.readouterr().out
    assert "2020-07-18 2022-06-28 http" in said
    assert "Echo has no input 'literl' (inputs: literal, bbox, numbers, image, " in said
    assert list(Path("results").glob("*.tif"))
