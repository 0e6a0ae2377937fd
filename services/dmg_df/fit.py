"""Freeze what is the same for all products: ``python -m candela.services.dmg_df.fit PAIR ...``.

A pair is ``s1.tif[,s1_vh.tif],s2.tif``. The plane of the polar histogram and the scalers of all
feature sets are measured over the patches of all pairs and written to ``frozen.yaml``. A change
of this file makes all vectors new: raise ``version``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.fusion import Scaler
from candela.eo.progress import silent
from candela.eo.raster.patches import SIZES, quad_tree
from candela.eo.texture.spectral import PolarPlane

from . import feature_sets, frozen
from .model import build_model
from .pair import open_pair

SPECTRA = 20_000  # of each pair
DIGITS = 6
SEED = 1
LEAST_USABLE = 0.75
QUARTILES_TO_SIGMA = 1.35  # distance of a normal law's quartiles, in standard deviations


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the pairs and write the file."""
    parser = argparse.ArgumentParser(prog="python -m candela.services.dmg_df.fit")
    parser.add_argument("pairs", nargs="+", metavar="S1[,S1],S2")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name(frozen.FILE))
    given = parser.parse_args(arguments)
    pairs = [[Path(part) for part in pair.split(",")] for pair in given.pairs]
    spectra = _spectra(pairs)
    plane = _rounded_plane(PolarPlane.of(spectra))
    frozen.STANDARD.update(_standard(spectra))
    # The plane is needed to measure its histogram.
    feature_sets.FEATURE_SETS["polar"] = feature_sets.polar_set(plane)
    document = {
        "version": given.version,
        "polar_plane": {"centre": list(plane.centre), "axes": [list(a) for a in plane.axes]},
        "standard": frozen.STANDARD,
        "scalers": _scalers(pairs),
    }
    text = yaml.safe_dump(document, sort_keys=False, width=100, default_flow_style=None)
    given.output.write_text(text, encoding="utf-8")
    return 0


def _spectra(pairs: list[list[Path]]) -> NDArray[np.float64]:
    random = np.random.default_rng(SEED)
    spectra = []
    for *s1, s2 in pairs:
        with open_pair(s1, s2) as pair:
            rows, cols = pair.grid.shape
            whole = pair.see(pair.read(Window(0, 0, cols, rows)))
        seen = whole.optical[:, whole.usable]
        spectra.append(seen[:, random.integers(0, seen.shape[1], SPECTRA)])
    return np.concatenate(spectra, axis=1, dtype=np.float64)


def _standard(spectra: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return centre and spread of each band as ChangeDetect takes them of one image."""
    low, middle, high = np.percentile(spectra, [25, 50, 75], axis=1)
    spread = (high - low) / QUARTILES_TO_SIGMA
    return {
        "centre": [_short(number) for number in middle],
        "spread": [_short(number) for number in spread],
    }


def _scalers(pairs: list[list[Path]]) -> dict[str, dict[str, list[float]]]:
    vectors: dict[str, list[NDArray[np.float32]]] = {name: [] for name in feature_sets.FEATURE_SETS}
    for *s1, s2 in pairs:
        with open_pair(s1, s2) as pair:
            sizes = [size for size in SIZES if size <= min(pair.grid.shape)]
            levels = quad_tree(pair.grid.shape, sizes)
            model = build_model(
                pair,
                levels,
                list(vectors),
                name=s2.stem,
                least_usable=LEAST_USABLE,
                progress=silent,
            )
        for name, of_set in vectors.items():
            of_set.append(model.features[name])
    return {name: _rounded(Scaler.of(np.concatenate(parts))) for name, parts in vectors.items()}


def _rounded(scaler: Scaler) -> dict[str, list[float]]:
    return {
        name: [_short(number) for number in values] for name, values in scaler._asdict().items()
    }


def _rounded_plane(plane: PolarPlane) -> PolarPlane:
    first, second = (tuple(_short(number) for number in axis) for axis in plane.axes)
    return PolarPlane(tuple(_short(number) for number in plane.centre), (first, second))


def _short(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


if __name__ == "__main__":
    sys.exit(main())
