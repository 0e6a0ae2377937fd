"""Where points of the ground lie in a Sentinel-1 image: the range-Doppler equations."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.ellipsoid import earth_fixed
from candela.eo.s1.annotation import SPEED_OF_LIGHT, Annotation, GroundRange
from candela.eo.s1.orbit import Orbit, seconds_since
from candela.errors import InputError

Floats = NDArray[np.float64]

ROUNDS = 10  # Newton needs 3 to 4
TIME_TOLERANCE_S = 1e-9  # 7 micrometres along the orbit
MAX_MISFIT = 50  # lines or pixels, of the geolocation grid; less than 1 in real products
CORNER_REACH = 0.05  # of a side; how near to each corner of the image the grid has a point


class Look(NamedTuple):
    """When and from how far points are seen.

    Attributes
    ----------
    times : ndarray, float64
        Zero-Doppler time, seconds since the time of line 0.
    slant_ranges : ndarray, float64
        Distance to the satellite then, metres; NaN for points to its left, where it does not look
        but for which the equations hold as well.
    """

    times: Floats
    slant_ranges: Floats


class ImagePoints(NamedTuple):
    """Positions in an image, from 0; whole numbers are centres of pixels."""

    lines: Floats
    pixels: Floats


@dataclass(frozen=True, eq=False)
class RangeDoppler:
    """The geometry of one image.

    Attributes
    ----------
    orbit : Orbit
        The path, with times since line 0.
    epoch : datetime
        The time of line 0.
    azimuth_time_interval : float
        From line to line, seconds.
    range_pixel_spacing : float
        From pixel to pixel on the ground, metres.
    lines, samples : int
        Size of the image.
    ground_range : GroundRange
        From slant range to ground range.
    slant_ranges : tuple of float
        The least and the greatest in the image, metres.

    References
    ----------
    .. [1] D. Small, A. Schubert, Guide to Sentinel-1 Geocoding, UZH-S1-GC-AD, 2019.
    .. [2] J. C. Curlander, R. N. McDonough, Synthetic Aperture Radar, Wiley 1991, chapter 8.
    """

    orbit: Orbit
    epoch: dt.datetime
    azimuth_time_interval: float
    range_pixel_spacing: float
    lines: int
    samples: int
    ground_range: GroundRange
    slant_ranges: tuple[float, float]

    @classmethod
    def of(cls, annotation: Annotation) -> "RangeDoppler":
        """Take the geometry out of an annotation.

        Raises
        ------
        InputError
            If the state vectors do not cover the image or contradict each other.
        """
        epoch = annotation.first_line_time
        vectors = annotation.state_vectors.around(epoch, annotation.last_line_time)
        distances = annotation.grid.slant_range_times * SPEED_OF_LIGHT / 2
        return cls(
            Orbit.through(vectors, epoch),
            epoch,
            annotation.azimuth_time_interval,
            annotation.range_pixel_spacing,
            annotation.lines,
            annotation.samples,
            annotation.ground_range,
            (float(distances.min()), float(distances.max())),
        )

    def look(self, points: Floats, *, start: Floats | None = None) -> Look:
        """Solve (X - P(t)) . V(t) = 0 for t by Newton's method.

        Parameters
        ----------
        points : ndarray, shape (3, ...)
            Earth-fixed coordinates, metres.
        start : ndarray, shape (...), optional
            First guess of the times; the middle of the image if absent.
        """
        middle = self.azimuth_time_interval * (self.lines - 1) / 2
        times = np.full(points.shape[1:], middle) if start is None else start.copy()
        for _ in range(ROUNDS):
            towards = points - self.orbit.position(times)
            velocity = self.orbit.velocity(times)
            along = (towards * velocity).sum(axis=0)
            slope = (towards * self.orbit.acceleration(times)).sum(axis=0)
            slope -= (velocity**2).sum(axis=0)
            step = along / slope
            times -= step
            if not np.nanmax(np.abs(step), initial=0.0) > TIME_TOLERANCE_S:
                break
        position, velocity = self.orbit.position(times), self.orbit.velocity(times)
        towards = points - position
        is_right = (towards * np.cross(velocity, position, axis=0)).sum(axis=0) > 0
        return Look(times, np.where(is_right, np.sqrt((towards**2).sum(axis=0)), np.nan))

    def place(self, look: Look) -> ImagePoints:
        """Return the line and pixel of what is seen at a time and from a distance."""
        ground_range = self._ground_range(look)
        return ImagePoints(
            look.times / self.azimuth_time_interval, ground_range / self.range_pixel_spacing
        )

    def locate(self, points: Floats) -> ImagePoints:
        """Return the line and pixel of Earth-fixed points, shape (3, ...), exactly."""
        return self.place(self.look(points))

    def contains(self, points: ImagePoints) -> NDArray[np.bool_]:
        """Tell which points lie in the image; a pixel reaches half a pixel around its centre."""
        inside: NDArray[np.bool_] = (points.lines >= -0.5) & (points.lines <= self.lines - 0.5)
        return inside & (points.pixels >= -0.5) & (points.pixels <= self.samples - 0.5)

    def check(self, annotation: Annotation) -> None:
        """Check that the equations put the geolocation grid where the annotation says.

        What of orbit, times, spacings and polynomials is possible by itself, but wrong, shows here.

        Raises
        ------
        InputError
            If a point is more than 50 lines or pixels off, or a corner of the image has none.
        """
        grid, where = annotation.grid, f"{annotation.name}: geolocationGridPoint"
        sides = self.lines - 1, self.samples - 1
        for line, pixel in ((0, 0), (0, sides[1]), (sides[0], 0), sides):
            near = np.abs(grid.lines - line) <= CORNER_REACH * sides[0]
            near &= np.abs(grid.pixels - pixel) <= CORNER_REACH * sides[1]
            if not near.any():
                raise InputError(
                    f"{where}: none of {len(near)} is near the corner of the image at line {line}, "
                    f"pixel {pixel}"
                )
        look = self.look(earth_fixed(grid.longitudes, grid.latitudes, grid.heights))
        found = self.place(look)
        times = seconds_since(grid.times, self.epoch) - look.times
        ranges = grid.slant_range_times * SPEED_OF_LIGHT / 2 - look.slant_ranges
        misfits = np.abs(
            [
                found.lines - grid.lines,
                found.pixels - grid.pixels,
                times / self.azimuth_time_interval,
                ranges / self.range_pixel_spacing,
            ]
        ).max(axis=0)  # NaN where a point is not seen at all
        wrong = np.flatnonzero(~(misfits <= MAX_MISFIT))
        if wrong.size:
            at = wrong[0]
            raise InputError(
                f"{where}[{at + 1}] at line {grid.lines[at]:g}, pixel {grid.pixels[at]:g} is "
                f"{misfits[at]:.3g} lines or pixels from where the state vectors of "
                f"{annotation.state_vectors.name}, times, spacings and srgrCoefficients put it, "
                f"expected at most {MAX_MISFIT}"
            )

    def _ground_range(self, look: Look) -> Floats:
        """Blend the results of the polynomials before and after linearly in time."""
        known = seconds_since(self.ground_range.times, self.epoch)
        evaluate = self.ground_range.evaluate
        if len(known) == 1:
            return evaluate(np.zeros(look.times.shape, dtype=int), look.slant_ranges)
        after = np.clip(np.searchsorted(known, look.times), 1, len(known) - 1)
        share = np.clip((look.times - known[after - 1]) / np.diff(known)[after - 1], 0.0, 1.0)
        earlier = evaluate(after - 1, look.slant_ranges)
        later = evaluate(after, look.slant_ranges)
        blended: Floats = earlier + share * (later - earlier)
        return blended
