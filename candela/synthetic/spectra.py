"""What surfaces look like to Sentinel-2: one reflectance per band."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Band(NamedTuple):
    """A band of the MultiSpectral Instrument."""

    name: str
    pixel_m: int
    wavelength_nm: float


BANDS = (
    Band("B01", 60, 442.7),
    Band("B02", 10, 492.4),
    Band("B03", 10, 559.8),
    Band("B04", 10, 664.6),
    Band("B05", 20, 704.1),
    Band("B06", 20, 740.5),
    Band("B07", 20, 782.8),
    Band("B08", 10, 832.8),
    Band("B8A", 20, 864.7),
    Band("B09", 60, 945.1),
    Band("B10", 60, 1373.5),
    Band("B11", 20, 1613.7),
    Band("B12", 20, 2202.4),
)

# Surface reflectance in per mille, in the order of BANDS; typical values, not measurements.
_SPECTRA = {
    "soil": (85, 100, 130, 170, 190, 205, 220, 235, 250, 255, 250, 330, 280),
    "straw": (95, 115, 160, 205, 235, 255, 275, 290, 310, 315, 300, 380, 290),
    "crop": (25, 30, 65, 34, 95, 310, 400, 430, 450, 450, 300, 200, 95),
    "meadow": (32, 38, 75, 52, 115, 255, 310, 335, 350, 350, 260, 230, 125),
    "broadleaf": (16, 19, 42, 23, 66, 210, 275, 295, 310, 310, 220, 145, 62),
    "conifer": (14, 15, 28, 18, 42, 115, 145, 155, 165, 168, 120, 82, 36),
    "water": (34, 36, 38, 20, 24, 18, 17, 14, 12, 11, 6, 6, 4),
    "asphalt": (75, 82, 90, 98, 104, 108, 112, 116, 120, 122, 120, 135, 130),
    "garden": (40, 46, 78, 66, 112, 205, 245, 262, 275, 278, 210, 205, 130),
    "tile_roof": (85, 98, 130, 205, 225, 238, 250, 262, 275, 278, 260, 310, 280),
    "grey_roof": (125, 138, 150, 160, 166, 170, 176, 182, 188, 190, 190, 215, 205),
    "bright_roof": (310, 345, 365, 380, 385, 388, 392, 395, 398, 398, 380, 370, 330),
    "cloud": (560, 570, 570, 575, 580, 585, 590, 595, 600, 520, 60, 440, 340),
}

MATERIALS = tuple(_SPECTRA)
_INDEX = {material: index for index, material in enumerate(MATERIALS)}
_TABLE = np.array([_SPECTRA[material] for material in MATERIALS], dtype=np.float32) / 1000


def material_index(material: str) -> int:
    """Return the place of a material in ``MATERIALS``."""
    return _INDEX[material]


def reflectances(band: int) -> NDArray[np.float32]:
    """Return the reflectance (0..1) of every material in the band at this place of ``BANDS``."""
    return np.ascontiguousarray(_TABLE[:, band])
