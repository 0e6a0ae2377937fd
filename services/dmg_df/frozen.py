"""What is the same for all products, so that their vectors can be compared: see ``fit.py``."""

from importlib.resources import files

import yaml

from candela.eo.fusion import Scaler
from candela.eo.texture.spectral import PolarPlane

FILE = "frozen.yaml"

_frozen = yaml.safe_load(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))

VERSION: int = _frozen["version"]
POLAR_PLANE = PolarPlane(
    tuple(_frozen["polar_plane"]["centre"]),
    (tuple(_frozen["polar_plane"]["axes"][0]), tuple(_frozen["polar_plane"]["axes"][1])),
)
STANDARD: dict[str, list[float]] = _frozen["standard"]  # of the reflectance of each band
SCALERS = {
    name: Scaler(tuple(scaler["mean"]), tuple(scaler["deviation"]))
    for name, scaler in _frozen["scalers"].items()
}
