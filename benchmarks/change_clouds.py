"""How much false change clouds and their shadows leave, by the mask of Jpeg2Tiff.

    python benchmarks/change_clouds.py [--size 1020] [--seeds 3 11] [--shares 0.08 0.3]

The scenes are synthetic: of the later date there is a version with clouds and one without. False
change is what has a probability of 0.5 or more with clouds only, outside of the mask, in per cent
of the image.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from candela.services.change_detect import run as detect
from candela.services.jpeg2tiff import run as convert
from candela.synthetic.scene import LATE
from candela.synthetic.sentinel2 import make_products

MASKS = [
    ("none", 0.0),
    *((mask, margin) for margin in (0.0, 100.0) for mask in ("cloud", "model", "both")),
]


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        return image.read(1)


def stack(product: Path, folder: Path, mask: str = "none", margin: float = 0.0) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return convert(
        product=product, bands=[], area=None, resolution=10, resampling="bilinear", mask=mask,
        cloud_margin=margin, workdir=folder, progress=lambda *_: None,
    )  # fmt: skip


def change(before: Path, after: Path, mask: Path | None, folder: Path) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    outputs = detect(
        before=before, after=after, before_mask=None, after_mask=mask, mask_classes="usability",
        model="construction", runtime="onnx", scale=None, parcels=None, bands=[], workdir=folder,
        progress=lambda *_: None,
    )  # fmt: skip
    return read(outputs["change"])


def measure(
    seed: int, size: int, share: float, level: str, folder: Path
) -> list[dict[str, object]]:
    """Compare the masks on one scene."""
    clear = make_products(folder / "clear", seed=seed, size=size, level=level, archive=False)
    cloudy = make_products(
        folder / "cloudy", seed=seed, size=size, level=level, archive=False,
        late=replace(LATE, clouds=share),
    )  # fmt: skip
    before = stack(clear.before, folder / "before")["image"]
    after = stack(clear.after, folder / "after")["image"]
    truth = change(before, after, None, folder / "truth") >= 0.5
    rows = []
    for mask, margin in MASKS:
        made = stack(cloudy.after, folder / f"{mask}-{margin:g}", mask, margin)
        found = change(before, made["image"], made.get("mask"), folder / f"map-{mask}-{margin:g}")
        false = (found >= 0.5) & ~truth
        rows.append(
            {
                "level": level, "seed": seed, "clouds": share, "mask": mask, "margin_m": margin,
                "masked_percent": round(100 * float(np.isnan(found).mean()), 2),
                "false_percent": round(100 * float(false.mean()), 3),
            }
        )  # fmt: skip
    return rows


def main(arguments: list[str] | None = None) -> list[dict[str, object]]:
    """Measure each scene and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1020, help="pixels of 10 m, a multiple of 6")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 11])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.08, 0.3])
    parser.add_argument("--levels", nargs="+", default=["L2A", "L1C"])
    options = parser.parse_args(arguments)
    rows = []
    for level in options.levels:
        for seed in options.seeds:
            for share in options.shares:
                with tempfile.TemporaryDirectory() as folder:
                    found = measure(seed, options.size, share, level, Path(folder))
                for row in found:
                    print(json.dumps(row))
                    sys.stdout.flush()
                rows += found
    return rows


if __name__ == "__main__":
    main()
