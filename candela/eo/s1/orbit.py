"""Where the satellite was: state vectors of the annotation or of a precise orbit file."""

import datetime as dt
import re
from dataclasses import dataclass, replace
from functools import cached_property
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from candela.eo.document import Limits, read_number
from candela.eo.safe import parse_xml
from candela.errors import InputError

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

DEGREE = 5  # of the polynomial through the state vectors
MARGIN_S = 60.0  # state vectors that far from the image take part in the polynomial
LEAST_VECTORS = DEGREE + 2
MAX_MISFIT_M = 10.0  # near-real-time orbits are rough; what is farther off is damaged
MAX_MISFIT_M_S = 10.0  # a velocity of another frame is some 500 m/s off
POSITION_M = Limits(-1e7, 1e7)  # the orbit has a radius of 7.07e6 m
VELOCITY_M_S = Limits(-1e4, 1e4)
MAX_VECTORS = 200_000  # a precise orbit file has some 9 400
ORBIT_FILES = ("AUX_POEORB", "AUX_RESORB", "AUX_PREORB", "AUX_MOEORB")


@dataclass(frozen=True, eq=False)
class StateVectors:
    """Positions and velocities of a satellite, in order of time.

    Attributes
    ----------
    times : ndarray, shape (n,), datetime64[us]
        UTC.
    positions : ndarray, shape (n, 3), float64
        Earth-fixed (WGS 84 / ITRF) coordinates, metres.
    velocities : ndarray, shape (n, 3), float64
        Earth-fixed, metres per second.
    source : str
        Where they are from: ``annotation``, ``AUX_POEORB`` ...
    name : str
        What messages call the file.
    """

    times: Times
    positions: Floats
    velocities: Floats
    source: str
    name: str

    def around(self, start: dt.datetime, stop: dt.datetime) -> "StateVectors":
        """Return the vectors within a minute of a span of time.

        Raises
        ------
        InputError
            If they do not cover the span, or are too few.
        """
        first, last = as_datetime64(start), as_datetime64(stop)
        margin = np.timedelta64(int(MARGIN_S * 1e6), "us")
        near = (self.times >= first - margin) & (self.times <= last + margin)
        covers = len(self.times) > 0 and self.times[0] <= first and self.times[-1] >= last
        if not covers or np.count_nonzero(near) < LEAST_VECTORS:
            span = f"{self.times[0]} to {self.times[-1]}" if len(self.times) else "none"
            raise InputError(
                f"the state vectors of {self.name} ({np.count_nonzero(near)} near the image, "
                f"{span}) do not cover {first} to {last} with at least {LEAST_VECTORS}"
            )
        return replace(
            self,
            times=self.times[near],
            positions=self.positions[near],
            velocities=self.velocities[near],
        )


@dataclass(frozen=True, eq=False)
class Orbit:
    """The path of a satellite as polynomials in time.

    Attributes
    ----------
    coefficients : ndarray, shape (3, DEGREE + 1), float64
        Of x, y and z in metres, lowest power first, in seconds since the epoch.
    """

    coefficients: Floats

    @classmethod
    def through(cls, vectors: StateVectors, epoch: dt.datetime) -> "Orbit":
        """Fit polynomials to the positions, by least squares.

        Parameters
        ----------
        vectors : StateVectors
            Some three minutes of them at most.
        epoch : datetime
            When times are 0; near the vectors.

        Raises
        ------
        InputError
            If a vector is farther than 10 m or 10 m/s from the polynomial.
        """
        times = seconds_since(vectors.times, epoch)
        scale = max(float(np.abs(times).max()), 1.0)
        powers = np.arange(DEGREE + 1)
        design = (times[:, None] / scale) ** powers
        solution = np.linalg.lstsq(design, vectors.positions, rcond=None)[0]
        misfit = np.linalg.norm(design @ solution - vectors.positions, axis=1)
        if not misfit.max() <= MAX_MISFIT_M:
            worst = vectors.times[int(np.nanargmax(misfit))]
            raise InputError(
                f"the state vector of {worst} in {vectors.name} is {misfit.max():.3g} m off the "
                f"orbit through its neighbours, expected at most {MAX_MISFIT_M} m"
            )
        orbit = cls((solution / scale ** powers[:, None]).T.copy())
        misfit = np.linalg.norm(orbit.velocity(times).T - vectors.velocities, axis=1)
        if misfit.max() > MAX_MISFIT_M_S:
            worst = vectors.times[int(misfit.argmax())]
            raise InputError(
                f"the velocity of {worst} in {vectors.name} is {misfit.max():.3g} m/s off that of "
                f"the orbit through the positions, expected at most {MAX_MISFIT_M_S} m/s"
            )
        return orbit

    @cached_property
    def _derivatives(self) -> tuple[Floats, Floats]:
        powers = np.arange(1, DEGREE + 1)
        velocity = self.coefficients[:, 1:] * powers
        return velocity, velocity[:, 1:] * powers[:-1]

    def position(self, times: Floats) -> Floats:
        """Return positions, shape (3, ...), metres."""
        return _evaluate(self.coefficients, times)

    def velocity(self, times: Floats) -> Floats:
        """Return velocities, shape (3, ...), metres per second."""
        return _evaluate(self._derivatives[0], times)

    def acceleration(self, times: Floats) -> Floats:
        """Return accelerations, shape (3, ...), metres per second squared."""
        return _evaluate(self._derivatives[1], times)


def read_orbit_file(content: bytes, platform: str, *, name: str = "orbit file") -> StateVectors:
    """Read a precise (POEORB) or restituted (RESORB) orbit file of ESA.

    Parameters
    ----------
    content : bytes
        The file: XML with the ending ``.EOF``.
    platform : str
        Which satellite it must be of: ``S1A`` ...
    name : str
        What messages call it.

    Returns
    -------
    StateVectors
        All of the file, a day or some hours; see ``StateVectors.around``.

    Raises
    ------
    InputError
        If it is no such file, of another satellite, or not Earth-fixed in UTC.
    """
    root = parse_xml(content, name)
    kind = _find_text(root, "File_Type", name)
    if kind not in ORBIT_FILES:
        raise InputError(f"{name} is of type {kind}, expected {' or '.join(ORBIT_FILES[:2])}")
    mission = _find_text(root, "Mission", name)
    if mission.replace("Sentinel-", "S").upper() != platform:
        raise InputError(f"{name} is of {mission}, but the product is of {platform}")
    frame = _find_text(root, "Ref_Frame", name)
    if frame != "EARTH_FIXED":
        raise InputError(f"{name} has the reference frame {frame}, expected EARTH_FIXED")
    elements = list(root.iter("OSV"))
    if not 0 < len(elements) <= MAX_VECTORS:
        raise InputError(
            f"{name} has {len(elements)} state vectors (OSV), expected 1 to {MAX_VECTORS}"
        )
    times = [_find_text(element, "UTC", name).removeprefix("UTC=") for element in elements]
    return make_state_vectors(
        times,
        [_vector(element, ("X", "Y", "Z"), name, POSITION_M) for element in elements],
        [_vector(element, ("VX", "VY", "VZ"), name, VELOCITY_M_S) for element in elements],
        source=kind,
        name=name,
    )


def make_state_vectors(
    times: list[str],
    positions: list[list[float]],
    velocities: list[list[float]],
    *,
    source: str,
    name: str,
) -> StateVectors:
    """Check what was read and put it together.

    Raises
    ------
    InputError
        If a time is none, or they do not rise.
    """
    parsed = np.array([parse_time(text, name) for text in times], dtype="datetime64[us]")
    order = np.diff(parsed).astype(np.int64)
    if (order <= 0).any():
        where = parsed[int(np.argmax(order <= 0))]
        raise InputError(f"{name}: the state vectors are not in order of time after {where}")
    return StateVectors(parsed, np.array(positions), np.array(velocities), source, name)


def parse_time(text: str, name: str) -> np.datetime64:
    """Read an ISO 8601 time of this century without zone (UTC), to the microsecond.

    Raises
    ------
    InputError
        If it is none.
    """
    if not re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z?", text):
        raise InputError(f"{name}: {text!r} is no time (expected 2021-12-23T05:11:22.594441)")
    try:
        return np.datetime64(text.removesuffix("Z"), "us")
    except ValueError:
        raise InputError(f"{name}: {text!r} is no time") from None


def as_datetime64(time: dt.datetime) -> np.datetime64:
    """Return a time with a zone as numpy's UTC time."""
    return np.datetime64(time.astimezone(dt.UTC).replace(tzinfo=None), "us")


def seconds_since(times: Times, epoch: dt.datetime) -> Floats:
    """Return times as seconds since an epoch."""
    seconds: Floats = (times - as_datetime64(epoch)) / np.timedelta64(1, "s")
    return seconds


def _evaluate(coefficients: Floats, times: Floats) -> Floats:
    """Evaluate polynomials by Horner's rule: ``coefficients`` (3, n), lowest power first."""
    times = np.asarray(times, dtype=np.float64)
    result = np.empty((3, *times.shape))
    for axis in range(3):
        total = np.full(times.shape, coefficients[axis, -1])
        for coefficient in coefficients[axis, -2::-1]:
            total *= times
            total += coefficient
        result[axis] = total
    return result


def _find_text(root: Element, tag: str, name: str) -> str:
    element = next(root.iter(tag), None)
    if element is None or not (element.text or "").strip():
        raise InputError(f"{name} has no {tag}")
    return str(element.text).strip()


def _vector(element: Element, tags: tuple[str, ...], name: str, limits: Limits) -> list[float]:
    return [read_number(_find_text(element, tag, name), f"{name}: {tag}", limits) for tag in tags]
