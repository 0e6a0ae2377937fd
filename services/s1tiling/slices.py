"""What is needed of each slice: geometry, tables, amplitudes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.s1.annotation import Annotation
from candela.eo.s1.border import valid_window
from candela.eo.s1.calibration import (
    Noise,
    Quantity,
    Table,
    calibrate,
    read_calibration,
    read_noise,
)
from candela.eo.s1.geometry import RangeDoppler
from candela.eo.s1.orbit import StateVectors
from candela.eo.s1.product import Measurement, Product, open_measurement
from candela.errors import InputError

DENOISED = "imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed"


@dataclass(frozen=True, eq=False)
class Image:
    """One polarisation of a slice.

    Attributes
    ----------
    measurement : Measurement
        The amplitudes.
    table : Table
        For calibration.
    noise : Noise or None
        What is to be subtracted.
    valid : Window
        What is not spoilt by noise at the border.
    """

    measurement: Measurement
    table: Table
    noise: Noise | None
    valid: Window

    def read(self, window: Window) -> "Amplitudes":
        """Read a part of the image, its spoilt border as nodata."""
        numbers = self.measurement.read(window)
        top, left = (
            int(self.valid.row_off - window.row_off),
            int(self.valid.col_off - window.col_off),
        )
        bottom, right = top + int(self.valid.height), left + int(self.valid.width)
        numbers[: max(0, top)] = 0
        numbers[max(0, bottom) :] = 0
        numbers[:, : max(0, left)] = 0
        numbers[:, max(0, right) :] = 0
        return Amplitudes(self, numbers, int(window.row_off), int(window.col_off))


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """A part of an image in memory, from which several threads may ask for power.

    Attributes
    ----------
    image : Image
    numbers : ndarray, shape (lines, pixels), uint16
    first_line, first_pixel : int
        Where the part begins.
    """

    image: Image
    numbers: NDArray[np.uint16]
    first_line: int
    first_pixel: int

    def power(self, window: Window) -> tuple[NDArray[np.float32], Window]:
        """Return the power in what the part has of a window of the image, and that window."""
        lines, pixels = self.numbers.shape
        top = max(int(window.row_off), self.first_line)
        left = max(int(window.col_off), self.first_pixel)
        bottom = min(int(window.row_off + window.height), self.first_line + lines)
        right = min(int(window.col_off + window.width), self.first_pixel + pixels)
        bottom, right = max(top, bottom), max(left, right)
        numbers = self.numbers[
            top - self.first_line : bottom - self.first_line,
            left - self.first_pixel : right - self.first_pixel,
        ]
        power = calibrate(
            numbers, self.image.table, self.image.noise, first_line=top, first_pixel=left
        )
        return power, Window(left, top, right - left, bottom - top)


@dataclass(frozen=True, eq=False)
class Slice:
    """An opened slice.

    Attributes
    ----------
    product : Product
    model : RangeDoppler
        The geometry, the same for all polarisations.
    annotation : Annotation
        Of the first polarisation, with the orbit that is used.
    images : dict of str to Image
        By polarisation.
    """

    product: Product
    model: RangeDoppler
    annotation: Annotation
    images: dict[str, Image]


@contextmanager
def open_all(
    products: Sequence[Product],
    polarisations: Sequence[str],
    quantity: Quantity,
    orbits: Sequence[StateVectors],
    folder: Path,
    *,
    noise_removal: bool,
) -> Iterator[list[Slice]]:
    """Open what is needed of all slices.

    Parameters
    ----------
    products : sequence of Product
    polarisations : sequence of str
        Of which the products have all.
    quantity : str
        What amplitudes become.
    orbits : sequence of StateVectors
        Of precise orbit files; where none covers a slice, and there is any, it is refused.
    folder : Path
        For images in zip files while they are needed.
    noise_removal : bool
        Whether to subtract thermal noise; where the processor has done so already, it is not
        subtracted again.

    Raises
    ------
    InputError
        If something is missing or damaged.
    """
    told = [
        _read_documents(product, polarisations, quantity, orbits, noise_removal=noise_removal)
        for product in products
    ]
    with ExitStack() as stack:
        yield [_open(item, folder, stack) for item in told]


@dataclass(frozen=True, eq=False)
class _Documents:
    """What the documents of a slice tell; the dictionaries are by polarisation."""

    product: Product
    model: RangeDoppler
    annotation: Annotation
    annotations: dict[str, Annotation]
    tables: dict[str, Table]
    noises: dict[str, Noise | None]


def _read_documents(
    product: Product,
    polarisations: Sequence[str],
    quantity: Quantity,
    orbits: Sequence[StateVectors],
    *,
    noise_removal: bool,
) -> _Documents:
    """Read and check all of a slice but its images."""
    annotations = {name: product.annotation(name) for name in polarisations}
    _check_shapes(product, annotations)
    first = annotations[polarisations[0]]
    annotation, model = _with_orbit(first, orbits)
    model.check(annotation)
    samples = annotation.samples
    tables = {
        name: read_calibration(
            product.document(name, "calibration"),
            quantity,
            samples,
            name=product.called(name, "calibration"),
        )
        for name in polarisations
    }
    noises = {
        name: read_noise(
            product.document(name, "noise"), samples, name=product.called(name, "noise")
        )
        if noise_removal and not _is_denoised(product, name)
        else None
        for name in polarisations
    }
    return _Documents(product, model, annotation, annotations, tables, noises)


def _open(told: _Documents, folder: Path, stack: ExitStack) -> Slice:
    images = {}
    for name, annotation in told.annotations.items():
        measurement = stack.enter_context(open_measurement(told.product, name, annotation, folder))
        valid = valid_window(measurement, told.product.processor)
        images[name] = Image(measurement, told.tables[name], told.noises[name], valid)
    return Slice(told.product, told.model, told.annotation, images)


def _is_denoised(product: Product, polarisation: str) -> bool:
    return product.document(polarisation, "annotation").findtext(DENOISED) == "true"


def _with_orbit(
    annotation: Annotation, orbits: Sequence[StateVectors]
) -> tuple[Annotation, RangeDoppler]:
    if not orbits:
        return annotation, RangeDoppler.of(annotation)
    reasons = []
    for vectors in orbits:
        try:
            replaced = annotation.with_orbit(vectors)
            return replaced, RangeDoppler.of(replaced)
        except InputError as error:
            reasons.append(error.message)
    raise InputError("; ".join(reasons), "orbits")


def _check_shapes(product: Product, annotations: dict[str, Annotation]) -> None:
    shapes = {(annotation.lines, annotation.samples) for annotation in annotations.values()}
    if len(shapes) > 1:
        raise InputError(f"the polarisations of {product.name} have different sizes: {shapes}")
