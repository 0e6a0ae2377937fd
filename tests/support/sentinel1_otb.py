"""Compare with Orfeo ToolBox: `python tests/support/sentinel1_otb.py` makes the samples.

It needs the Debian package otb-bin. For each quantity, with and without noise removal, before and
since IPF 2.90, it runs

    otbcli_SARCalibration -in <measurement> -lut sigma|gamma|beta -removenoise true|false
                          -out <image> double

on a synthetic product, and for each filter

    otbcli_Despeckle -in <image> -filter lee|kuan|frost|gammamap -filter.<name>.rad 2
                     -filter.<name>.nblooks 4.4 (of Frost's: .deramp 2) -out <image> double

on an image of two levels, and keeps the values of some pixels in 10_eo/sentinel1_otb.json.
"""

import json
import subprocess
import tempfile
import warnings
from itertools import product as combinations
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from candela.eo.s1.product import open_product
from candela.synthetic.sentinel1 import Acquisition, write_product

SAMPLES = Path(__file__).parents[1] / "10_eo" / "sentinel1_otb.json"
PROCESSORS = ("003.40", "002.72")
QUANTITIES = {"sigma0": "sigma", "gamma0": "gamma", "beta0": "beta"}
LINES, PIXELS = 260, 330
FILTERS = {"lee": "lee", "kuan": "kuan", "frost": "frost", "gamma_map": "gammamap"}
RADIUS, LOOKS, DAMPING = 2, 4.4, 2.0


def amplitudes() -> np.ndarray:
    """Return digital numbers of 0 to 600 in no order."""
    line, pixel = np.mgrid[:LINES, :PIXELS]
    return ((line * 7919 + pixel * 104729 + line * pixel * 31) % 601).astype(np.uint16)


def make_product(folder: Path, processor: str) -> Path:
    """Write the product that is calibrated."""
    acquisition = Acquisition(lines=LINES, samples=PIXELS, ipf=processor)
    return write_product(folder, acquisition, {"VV": amplitudes()})


def run_otb(safe: Path, quantity: str, *, remove_noise: bool) -> np.ndarray:
    """Return what Orfeo ToolBox makes of the product."""
    measurement = safe / open_product(safe).file("VV", "measurement")
    target = safe.parent / f"{safe.name}-{quantity}-{remove_noise}.tif"
    subprocess.run(
        ["otbcli_SARCalibration", "-in", measurement, "-lut", QUANTITIES[quantity],
         "-removenoise", str(remove_noise).lower(), "-out", target, "double"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(target) as dataset:
            return dataset.read(1)


def speckled() -> np.ndarray:
    """Return power of two levels, the second eight times the first, in no order."""
    line, pixel = np.mgrid[:40, :50]
    noise = ((line * 7919 + pixel * 104729 + line * pixel * 31) % 601 + 1) / 300
    return (noise * np.where(pixel < 25, 0.05, 0.4)).astype(np.float32)


def run_despeckle(method: str) -> np.ndarray:
    """Return what Orfeo ToolBox makes of the speckled image."""
    name = FILTERS[method]
    strength = ("deramp", DAMPING) if method == "frost" else ("nblooks", LOOKS)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        source, target = Path(folder, "source.tif"), Path(folder, "target.tif")
        profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 40, "width": 50}
        with rasterio.open(source, "w", **profile) as dataset:
            dataset.write(speckled(), 1)
        subprocess.run(
            ["otbcli_Despeckle", "-in", source, "-filter", name, f"-filter.{name}.rad",
             str(RADIUS), f"-filter.{name}.{strength[0]}", str(strength[1]), "-out", target,
             "double"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        with rasterio.open(target) as dataset:
            return dataset.read(1)


def main() -> None:
    line, pixel = (axis.ravel()[::1733] for axis in np.mgrid[:LINES, :PIXELS])
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for processor in PROCESSORS:
            safe = make_product(Path(folder), processor)
            for quantity, remove_noise in combinations(QUANTITIES, (False, True)):
                values = run_otb(safe, quantity, remove_noise=remove_noise)[line, pixel]
                results.append(
                    {
                        "processor": processor,
                        "quantity": quantity,
                        "remove_noise": remove_noise,
                        "values": values.tolist(),
                    }
                )
    filtered = {name: run_despeckle(name)[20, RADIUS:-RADIUS].tolist() for name in FILTERS}
    content = {
        "lines": line.tolist(),
        "pixels": pixel.tolist(),
        "results": results,
        "filtered_row_20": filtered,
    }
    SAMPLES.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
