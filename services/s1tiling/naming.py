"""Names and tags of images, as S1Tiling has them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from candela.eo.s1.calibration import Quantity
from candela.eo.s1.product import Product
from candela.eo.s1.speckle import Filter

Calibration = Quantity | Literal["gamma0_rtc"]

FILTER_NAMES: dict[Filter, str] = {
    "lee": "Lee",
    "kuan": "Kuan",
    "frost": "Frost",
    "gamma_map": "gammamap",
}


@dataclass(frozen=True)
class Treatment:
    """What is done to the images.

    Attributes
    ----------
    calibration : str
        ``sigma0``, ``beta0``, ``gamma0``, or ``gamma0_rtc``: flattened terrain.
    noise_removal : bool
        Whether thermal noise is subtracted.
    resolution : int
        Pixel size, metres.
    interpolation : str
        ``bilinear`` or ``bicubic``.
    speckle_filter : str, optional
    filter_radius : int
        Pixels.
    looks, damping : float
        Of the filter.
    incidence_angle : bool
        Whether local incidence angles are wanted.
    """

    calibration: Calibration
    noise_removal: bool
    resolution: int
    interpolation: Literal["bilinear", "bicubic"]
    speckle_filter: Filter | None
    filter_radius: int
    looks: float
    damping: float
    incidence_angle: bool

    @property
    def is_flattened(self) -> bool:
        """Whether the brightness of terrain is taken out."""
        return self.calibration == "gamma0_rtc"

    @property
    def quantity(self) -> Quantity:
        """What amplitudes become first."""
        return "beta0" if self.calibration == "gamma0_rtc" else self.calibration

    def filter_tags(self) -> dict[str, str]:
        """Return the tags of filtered images."""
        if self.speckle_filter is None:
            return {}
        tags = {
            "FILTERED": "true",
            "FILTERING_METHOD": FILTER_NAMES[self.speckle_filter],
            "FILTERING_WINDOW_RADIUS": str(self.filter_radius),
        }
        if self.speckle_filter == "frost":
            return tags | {"FILTERING_DERAMP": str(self.damping)}
        return tags | {"FILTERING_NBLOOKS": str(self.looks)}


def image_name(products: Sequence[Product], tile: str, polarisation: str) -> str:
    """Return the name of an image without its ending.

    ``products`` are those that the image has pixels of, in order of time.
    """
    first = products[0]
    time = "xxxxxx" if len(products) > 1 else f"{first.start:%H%M%S}"
    return (
        f"{first.platform.lower()}_{tile}_{polarisation.lower()}_{first.direction}"
        f"_{first.relative_orbit:03d}_{first.start:%Y%m%d}t{time}"
    )


def incidence_name(products: Sequence[Product], tile: str) -> str:
    """Return the name of an image of local incidence angles, without its ending."""
    first = products[0]
    return f"LIA_{first.platform.lower()}_{tile}_{first.direction}_{first.relative_orbit:03d}"


def incidence_tags(tags: dict[str, str]) -> dict[str, str]:
    """Return those of an image's tags that are true of its incidence angles, too."""
    radiometric = ("CALIBRATION", "NOISE_REMOVED", "TIFFTAG_IMAGEDESCRIPTION")
    kept = {
        key: value
        for key, value in tags.items()
        if key not in radiometric and not key.startswith("FILTER")
    }
    return kept | {"DATA_TYPE": "LIA", "IMAGE_TYPE": "LIA", "UNIT": "degree"}


def image_tags(
    products: Sequence[Product], tile: str, polarisation: str, treatment: Treatment
) -> dict[str, str]:
    """Return the tags of an image; ``products`` as in ``image_name``."""
    first = products[0]
    kind = treatment.calibration.replace("0", "")
    tags = {"ACQUISITION_DATETIME": _moment(first.start)}
    if len(products) > 1:
        for number, product in enumerate(products, 1):
            tags[f"ACQUISITION_DATETIME_{number}"] = _moment(product.start)
    return (
        tags
        | {
            "CALIBRATION": kind,
            "FLYING_UNIT_CODE": first.platform.lower(),
            "IMAGE_TYPE": "GRD",
            "INPUT_S1_IMAGES": ", ".join(product.name for product in products),
            "NOISE_REMOVED": str(treatment.noise_removal),
            "ORBIT_NUMBER": f"{first.absolute_orbit:06d}",
            "ORBIT_DIRECTION": first.direction,
            "ORTHORECTIFIED": "true",
            "POLARIZATION": polarisation.lower(),
            "RELATIVE_ORBIT_NUMBER": f"{first.relative_orbit:03d}",
            "S2_TILE_CORRESPONDING_CODE": tile,
            "SENSING_TIME": f"{first.start:%Y-%m-%dT%H:%M:%SZ}",  # as in images of Sentinel-2
            "SPATIAL_RESOLUTION": f"{treatment.resolution:.1f}",
            "TIFFTAG_IMAGEDESCRIPTION": (
                f"{kind} calibrated orthorectified Sentinel-{first.platform[1:]} IW GRD on S2 tile"
            ),
            "TIFFTAG_SOFTWARE": "CANDELA S1tiling",
        }
        | treatment.filter_tags()
    )


def _moment(when: dt.datetime) -> str:
    return f"{when:%Y:%m:%dT%H:%M:%SZ}"
