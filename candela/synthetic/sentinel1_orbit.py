"""A satellite on a circular orbit that looks to its right, and where its pixels lie on the ground.

Coordinates are Earth-fixed (WGS 84, metres); times are seconds from the start of an image.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fsolve

Floats = NDArray[np.float64]

ORBIT_RADIUS = 7_070_000.0  # m
INCLINATION = np.radians(98.18)
GRAVITY = 3.986004418e14  # m^3 / s^2, of the Earth
EARTH_RATE = 7.292115e-5  # rad / s
MOTION = np.sqrt(GRAVITY / ORBIT_RADIUS**3)  # rad / s
MAJOR_AXIS, MINOR_AXIS = 6_378_137.0, 6_356_752.314245  # m, WGS 84
ECCENTRICITY_SQUARED = 1 - (MINOR_AXIS / MAJOR_AXIS) ** 2
SPEED_OF_LIGHT = 299_792_458.0  # m / s


class Place(NamedTuple):
    """A point: degrees and metres above the ellipsoid."""

    longitude: Floats
    latitude: Floats
    height: Floats


def to_cartesian(longitude: Floats, latitude: Floats, height: Floats) -> Floats:
    """Return Earth-fixed coordinates, shape (..., 3), of degrees and ellipsoidal heights."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    normal = MAJOR_AXIS / np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(lat) ** 2)
    across = (normal + height) * np.cos(lat)
    along = (normal * (1 - ECCENTRICITY_SQUARED) + height) * np.sin(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), along], axis=-1)


def to_geodetic(points: Floats) -> Place:
    """Return degrees and ellipsoidal heights of Earth-fixed coordinates, shape (..., 3)."""
    x, y, z = np.moveaxis(points, -1, 0)
    across = np.hypot(x, y)
    lat = np.arctan2(z, across * (1 - ECCENTRICITY_SQUARED))
    height = np.zeros_like(lat)
    for _ in range(6):  # converges by a factor of 150 each time
        normal = MAJOR_AXIS / np.sqrt(1 - ECCENTRICITY_SQUARED * np.sin(lat) ** 2)
        height = across * np.cos(lat) + z * np.sin(lat) - MAJOR_AXIS**2 / normal
        lat = np.arctan2(z, across * (1 - ECCENTRICITY_SQUARED * normal / (normal + height)))
    return Place(np.degrees(np.arctan2(y, x)), np.degrees(lat), height)


@dataclass(frozen=True)
class Orbit:
    """A circular orbit in Earth-fixed coordinates.

    Attributes
    ----------
    argument : float
        Angle from the ascending node to the satellite at time 0, radians.
    node : float
        Longitude of the ascending node at time 0, radians.
    """

    argument: float
    node: float

    @classmethod
    def over(cls, longitude: float, latitude: float, slant_range: float, direction: str) -> "Orbit":
        """Return the orbit that sees a place at time 0, at this distance, to its right.

        ``direction`` is ``ASC`` or ``DES``.
        """
        target = to_cartesian(np.array(longitude), np.array(latitude), np.array(0.0))

        def misses(unknowns: Floats) -> Floats:
            position, velocity = cls(*unknowns).state(np.array(0.0))
            look = target - position
            return np.array([look @ velocity / 1e9, (np.linalg.norm(look) - slant_range) / 1e5])

        rising = np.arcsin(np.sin(np.radians(latitude)) / np.sin(INCLINATION))
        argument = rising if direction == "ASC" else np.pi - rising
        below = np.arctan2(np.cos(INCLINATION) * np.sin(argument), np.cos(argument))
        beside = 0.08 / np.cos(np.radians(latitude)) * (-1 if direction == "ASC" else 1)
        found = fsolve(misses, [argument, np.radians(longitude) + beside - below], xtol=1e-12)
        return cls(float(found[0]), float(found[1]))

    def state(self, times: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities, shape (..., 3), metres and metres per second."""
        angle = self.argument + MOTION * times
        node = self.node - EARTH_RATE * times
        towards = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=-1)
        beyond = np.stack(
            [
                -np.sin(node) * np.cos(INCLINATION),
                np.cos(node) * np.cos(INCLINATION),
                np.full_like(node, np.sin(INCLINATION)),
            ],
            axis=-1,
        )
        cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
        position = ORBIT_RADIUS * (cos * towards + sin * beyond)
        inertial = ORBIT_RADIUS * MOTION * (cos * beyond - sin * towards)
        return position, inertial - np.cross(np.array([0, 0, EARTH_RATE]), position)


@dataclass(frozen=True)
class Swath:
    """The image plane of a ground-range product.

    Attributes
    ----------
    orbit : Orbit
        Time 0 is that of the middle line.
    lines, samples : int
        Size of the image.
    pixel_m : float
        Size of a pixel on the ground, about, metres.
    middle_range : float
        Slant range of the middle column on the ellipsoid, metres.
    """

    orbit: Orbit
    lines: int
    samples: int
    pixel_m: float
    middle_range: float

    @cached_property
    def line_interval(self) -> float:
        """Seconds from line to line."""
        _, velocity = self.orbit.state(np.array(0.0))
        ground_speed = float(np.linalg.norm(velocity)) * self._earth_radius(0.0) / ORBIT_RADIUS
        return float(self.pixel_m / ground_speed)

    @cached_property
    def near_range(self) -> float:
        """Slant range of the first column, metres."""
        radius = self._earth_radius(0.0)
        angle = _central_angle(self.middle_range, radius) - self.samples * self.pixel_m / 2 / radius
        return float(_distance(angle, radius))

    def time(self, lines: Floats) -> Floats:
        """Return when lines (from 0) are seen, in seconds from the middle of the image."""
        return (np.asarray(lines, dtype=float) - (self.lines - 1) / 2) * self.line_interval

    def ground_range(self, slant_range: Floats, times: Floats) -> Floats:
        """Return the ground range, metres from the first column."""
        radius = self._earth_radius(times)
        start = _central_angle(self.near_range, radius)
        return radius * (_central_angle(slant_range, radius) - start)

    def slant_range(self, ground_range: Floats, times: Floats) -> Floats:
        """Return the slant range, metres."""
        radius = self._earth_radius(times)
        return _distance(_central_angle(self.near_range, radius) + ground_range / radius, radius)

    def locate(self, lines: Floats, pixels: Floats, height: float = 0.0) -> Place:
        """Return where image points lie.

        Parameters
        ----------
        lines, pixels : ndarray
            Positions in the image, of one shape; whole numbers are pixel centres.
        height : float
            Height of the ground above the ellipsoid, metres.

        Returns
        -------
        Place
            Its heights are those of the points found, within a centimetre of ``height``.
        """
        times = self.time(np.asarray(lines))
        position, velocity = self.orbit.state(times)
        wanted = self.slant_range(np.asarray(pixels, dtype=float) * self.pixel_m, times)
        down = -position / np.linalg.norm(position, axis=-1, keepdims=True)
        right = np.cross(velocity, position)
        right /= np.linalg.norm(right, axis=-1, keepdims=True)
        point = position + wanted[..., None] * (0.8 * down + 0.6 * right)
        axes = np.array([MAJOR_AXIS, MAJOR_AXIS, MINOR_AXIS]) + height
        for _ in range(12):
            look = point - position
            residual = np.stack(
                [
                    (look * velocity).sum(-1),
                    ((look**2).sum(-1) - wanted**2) / 2,
                    ((point / axes) ** 2).sum(-1) - 1,
                ],
                axis=-1,
            )
            slope = np.stack([velocity, look, 2 * point / axes**2], axis=-2)
            point = point - np.linalg.solve(slope, residual[..., None])[..., 0]
        return to_geodetic(point)

    def _earth_radius(self, times: Floats | float) -> Floats:
        """Return the radius of the ellipsoid below the satellite."""
        position, _ = self.orbit.state(np.asarray(times, dtype=float))
        unit = position / np.linalg.norm(position, axis=-1, keepdims=True)
        axes = np.array([MAJOR_AXIS, MAJOR_AXIS, MINOR_AXIS])
        radius: Floats = 1 / np.sqrt(((unit / axes) ** 2).sum(-1))
        return radius


def _central_angle(slant_range: Floats | float, radius: Floats) -> Floats:
    """Return the angle at the Earth's centre between the satellite and what it sees."""
    angle: Floats = np.arccos(
        (ORBIT_RADIUS**2 + radius**2 - np.asarray(slant_range) ** 2) / (2 * ORBIT_RADIUS * radius)
    )
    return angle


def _distance(angle: Floats, radius: Floats) -> Floats:
    distance: Floats = np.sqrt(
        ORBIT_RADIUS**2 + radius**2 - 2 * ORBIT_RADIUS * radius * np.cos(angle)
    )
    return distance
