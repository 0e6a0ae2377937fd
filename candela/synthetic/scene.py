"""Two dates of a landscape as Sentinel-2 would see it, with the truth of what changed."""

import datetime as dt
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.synthetic.landscape import CROPLAND, Landscape, alter, make_landscape
from candela.synthetic.noise import Field, fractal, hashed
from candela.synthetic.spectra import BANDS, MATERIALS, Band, material_index, reflectances

QUANTIFICATION = 10_000
MULTIPLE = 6  # pixels of 60 m must be whole

# Share of the ground that is green, and of the rest that is straw, by day of the year.
_DAYS = (90, 140, 175, 200, 230, 265)
_CROPS = (
    ("cereal", (0.75, 0.92, 0.62, 0.14, 0.06, 0.10), (0.0, 0.2, 0.9, 1.0, 0.7, 0.3)),
    ("maize", (0.03, 0.12, 0.62, 0.90, 0.92, 0.55), (0.0, 0.0, 0.0, 0.1, 0.3, 0.8)),
    ("cereal", (0.70, 0.90, 0.70, 0.22, 0.08, 0.15), (0.0, 0.2, 0.8, 0.9, 0.5, 0.2)),
    ("meadow", (0.70, 0.88, 0.74, 0.66, 0.62, 0.70), (0.3, 0.3, 0.5, 0.7, 0.7, 0.5)),
    ("beet", (0.02, 0.25, 0.80, 0.92, 0.90, 0.82), (0.0, 0.0, 0.0, 0.0, 0.1, 0.1)),
    ("orchard", (0.30, 0.45, 0.52, 0.52, 0.50, 0.42), (0.3, 0.3, 0.5, 0.6, 0.6, 0.5)),
    ("fallow", (0.12, 0.20, 0.18, 0.12, 0.10, 0.12), (0.1, 0.2, 0.4, 0.5, 0.4, 0.3)),
)

# Clear-sky atmosphere at the top: path reflectance and transmission, in the order of BANDS.
_PATH = (0.115, 0.085, 0.050, 0.026, 0.021, 0.018, 0.014, 0.012, 0.010, 0.006, 0.0015, 0.002, 0.001)
_THROUGH = (0.80, 0.84, 0.88, 0.92, 0.93, 0.93, 0.95, 0.95, 0.96, 0.42, 0.004, 0.97, 0.95)


@dataclass(frozen=True)
class Weather:
    """When and how a date is seen.

    Attributes
    ----------
    day : date
        The season follows from it.
    sun_elevation, sun_azimuth : float
        In degrees.
    haze : float
        Reflectance added in the blue band by haze that was not corrected for.
    gain : float
        Error of the calibration or of the atmospheric correction.
    shift : tuple of float
        Error of the geolocation in pixels of 10 m (rows, cols).
    clouds : float
        Share of the image under clouds, 0..1.
    """

    day: dt.date
    sun_elevation: float = 60.0
    sun_azimuth: float = 150.0
    haze: float = 0.004
    gain: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    clouds: float = 0.0


EARLY = Weather(dt.date(2020, 7, 18), 63.0, 148.0)
LATE = Weather(dt.date(2022, 6, 28), 66.0, 141.0, haze=0.012, gain=1.03, shift=(0.22, -0.31))


@dataclass(frozen=True)
class Scene:
    """One date.

    Attributes
    ----------
    bands : dict of str to ndarray of uint16
        Reflectance x 10 000 (1..) of each band at its own pixel size: 10, 20 or 60 m.
    classification : ndarray of uint8
        The classes of Sen2Cor's scene classification (2 dark .. 11 snow), 20 m.
    """

    bands: dict[str, NDArray[np.uint16]]
    classification: NDArray[np.uint8]


@dataclass(frozen=True)
class ScenePair:
    """Two dates and the truth: values of ``landscape.Change``, 10 m."""

    before: Scene
    after: Scene
    truth: NDArray[np.uint8]


def make_pair(
    *, seed: int, size: int, early: Weather = EARLY, late: Weather = LATE, top: bool = False
) -> ScenePair:
    """Make two dates of a landscape.

    Parameters
    ----------
    seed : int
        The same seed gives the same pair.
    size : int
        Side in pixels of 10 m, a multiple of 6.
    early, late : Weather
        How each date is seen.
    top : bool
        Reflectance at the top of the atmosphere (Level-1C) in place of the surface (Level-2A).

    Raises
    ------
    ValueError
        If the size is not a positive multiple of 6.
    """
    if size <= 0 or size % MULTIPLE:
        raise ValueError(f"the size must be a positive multiple of {MULTIPLE}, not {size}")
    landscape = make_landscape(seed, size)
    altered, truth = alter(landscape, seed)
    return ScenePair(
        look(landscape, early, seed=2 * seed, top=top),
        look(altered, late, seed=2 * seed + 1, top=top),
        truth,
    )


def look(landscape: Landscape, weather: Weather, *, seed: int, top: bool) -> Scene:
    """See a landscape on one day; parameters as in ``make_pair``."""
    random = np.random.default_rng((seed, 2))
    size = len(landscape.cover)
    light = _light(landscape.height, weather) * landscape.tone
    green, straw = _season(landscape.parcel, weather.day)
    veil = np.clip(1 + 0.5 * fractal(random, size, size / 3, octaves=3), 0, None)
    cloud, shadow = _clouds(random, size, weather)
    bands = {}
    for index, band in enumerate(BANDS):
        ground = _ground(landscape, index, green, straw) * light * np.float32(weather.gain)
        ground *= 1 - 0.55 * shadow
        if top:
            ground = _PATH[index] + _THROUGH[index] * ground
        ground += np.float32(weather.haze * (492.4 / band.wavelength_nm) ** 1.5) * veil
        ground += cloud * (reflectances(index)[material_index("cloud")] - ground)
        bands[band.name] = _sense(random, ground, band, weather.shift)
    return Scene(bands, _classify(landscape, green, cloud, shadow))


def _light(height: Field, weather: Weather) -> Field:
    """Return the light that falls on the slopes, relative to flat ground."""
    south, east = np.gradient(height / np.float32(10))
    azimuth, elevation = np.deg2rad(weather.sun_azimuth), np.deg2rad(weather.sun_elevation)
    slope = south * np.cos(azimuth) - east * np.sin(azimuth)  # facing away from the sun: below 0
    return np.asarray(np.clip(1 - slope / np.tan(elevation), 0.5, 1.5), dtype=np.float32)


def _season(parcel: NDArray[np.int64], day: dt.date) -> tuple[Field, Field]:
    """Return the share of green, and of straw in the rest, on farmland."""
    numbers = np.arange(65536)
    crop = hashed(numbers, np.array(1)) % len(_CROPS)
    delay = (hashed(numbers, np.array(2)) / 65536 - 0.5) * 16  # days: farmers differ
    vigour = 0.85 + 0.3 * hashed(numbers, np.array(3)) / 65536
    when = day.timetuple().tm_yday - delay
    green, straw = np.zeros(65536), np.zeros(65536)
    for index, (_, greens, straws) in enumerate(_CROPS):
        chosen = crop == index
        green[chosen] = np.interp(when[chosen], _DAYS, greens)
        straw[chosen] = np.interp(when[chosen], _DAYS, straws)
    green = np.clip(green * vigour, 0, 1)
    return green.astype(np.float32)[parcel], straw.astype(np.float32)[parcel]


def _ground(landscape: Landscape, band: int, green: Field, straw: Field) -> Field:
    """Return the reflectance of the ground in one band, before light and air."""
    of = reflectances(band)
    table = np.zeros(256, dtype=np.float32)
    table[: len(MATERIALS)] = of
    ground = table[landscape.cover]
    soil, stubble, crop = (of[material_index(name)] for name in ("soil", "straw", "crop"))
    richness = (0.75 + 0.5 * hashed(np.arange(65536), np.array(4)) / 65536).astype(np.float32)
    bare = soil * richness[landscape.parcel]
    farmed = green * crop + (1 - green) * (straw * stubble + (1 - straw) * bare)
    ground = np.where(landscape.cover == CROPLAND, farmed, ground)
    ground += landscape.road * (of[material_index("asphalt")] - ground)
    return np.asarray(ground, dtype=np.float32)


def _clouds(random: np.random.Generator, size: int, weather: Weather) -> tuple[Field, Field]:
    """Return the opacity (0..1) of clouds, and of their shadows."""
    if weather.clouds <= 0:
        return np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    puffs = fractal(random, size, 150, octaves=6, gain=0.55)
    level = np.quantile(puffs, 1 - weather.clouds)
    cloud = np.clip((puffs - level) * 2.5, 0, 1).astype(np.float32)
    azimuth = np.deg2rad(weather.sun_azimuth)
    reach = 150 / np.tan(np.deg2rad(weather.sun_elevation))  # pixels, from clouds 1.5 km high
    move = np.array(
        [[1, 0, -reach * np.sin(azimuth)], [0, 1, reach * np.cos(azimuth)]], dtype=np.float32
    )
    shadow = cv2.warpAffine(cloud, move, (size, size)) * (1 - cloud)
    return cloud, np.asarray(shadow, dtype=np.float32)


def _sense(
    random: np.random.Generator, ground: Field, band: Band, shift: tuple[float, float]
) -> NDArray[np.uint16]:
    """Return what the detector records: blurred, displaced, sampled, noisy, quantised."""
    size = len(ground)
    if shift != (0.0, 0.0):
        move = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], dtype=np.float32)
        ground = cv2.warpAffine(
            ground, move, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    ground = cv2.GaussianBlur(ground, (0, 0), 0.55)
    side = size * 10 // band.pixel_m
    seen = cv2.resize(ground, (side, side), interpolation=cv2.INTER_AREA)
    noise = random.standard_normal(seen.shape, dtype=np.float32)
    seen = seen + (np.float32(0.0008) + np.float32(0.004) * seen) * noise
    return np.asarray(np.clip(np.round(seen * QUANTIFICATION), 1, 28_000), dtype=np.uint16)


def _classify(landscape: Landscape, green: Field, cloud: Field, shadow: Field) -> NDArray[np.uint8]:
    """Return the scene classification: 3 shadow, 4 vegetation, 5 bare, 6 water, 8 and 9 cloud."""
    vegetation = np.isin(
        landscape.cover,
        [material_index(name) for name in ("meadow", "broadleaf", "conifer", "garden")],
    ) | ((landscape.cover == CROPLAND) & (green > 0.4))
    classes = np.where(vegetation, 4, 5)
    classes[landscape.cover == material_index("water")] = 6
    classes[shadow > 0.35] = 3
    classes[cloud > 0.15] = 8
    classes[cloud > 0.6] = 9
    return np.ascontiguousarray(classes[::2, ::2], dtype=np.uint8)
