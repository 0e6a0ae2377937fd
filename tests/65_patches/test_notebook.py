"""The notebook runs as it stands."""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "patch_models.ipynb"


def test_the_notebook_makes_a_model_queries_it_and_draws_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {}
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    finally:
        if "gateway" in names:
            names["gateway"].stop()
    share = names["share"]
    assert len(names["patches"]) == 36
    # What is most like a patch of water is wet, too.
    assert min(share[near["id"]] for near in names["alike"][:3]) > 0.6
    assert {row["title"] for row in names["counts"]} == {"Bare or sown fields", "Lake"}
    assert (tmp_path / "patch-models" / "patches.png").stat().st_size > 10_000
