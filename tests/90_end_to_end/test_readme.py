"""What the README tells to do is done."""

import re
import subprocess
from pathlib import Path

from candela.demo.gateway import LocalGateway
from candela.synthetic.sentinel2 import DemoProducts

from .conftest import SIZE

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_notebook_example_runs(gateway: LocalGateway, products: DemoProducts) -> None:
    (example,) = blocks("python")
    for found, mine in {
        "http://127.0.0.1:8080": gateway.url,
        "before.SAFE": str(products.before),
        "after.SAFE": str(products.after),
    }.items():
        assert found in example
        example = example.replace(found, mine)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["probability"].shape == (SIZE, SIZE)  # type: ignore[attr-defined]


def test_the_curl_example_runs(gateway: LocalGateway) -> None:
    (example,) = blocks("bash")
    command = example.replace("http://127.0.0.1:8080", gateway.url)
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True)
    assert "ProcessSucceeded" in answer.stdout
    assert ">hello<" in answer.stdout


def test_the_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[2] / link).exists(), link
