"""Make the images of one tile, all cores at work, block by block."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from candela.eo.ellipsoid import GEOGRAPHIC, earth_fixed
from candela.eo.file_names import output_file
from candela.eo.progress import Progress, part
from candela.eo.raster.blocks import Block, split
from candela.eo.raster.grid import Grid
from candela.eo.raster.images import add_overviews, create_image
from candela.eo.raster.preview import preview_shape, write_png
from candela.eo.s1.geocoding import Geocoding, resample
from candela.eo.s1.heights import Dem, Heights
from candela.eo.s1.product import Product
from candela.eo.s1.relief import flattening, incidence_angles
from candela.eo.s1.speckle import despeckle
from candela.eo.s2.tiles import tile_grid
from candela.eo.threads import thread_count
from candela.errors import InputError, blamed_on

from .algorithm import MASK_RADIUS, flatten, join, picture, smooth_mask
from .naming import Treatment, image_name, image_tags, incidence_name, incidence_tags
from .slices import Amplitudes, Slice

BLOCK = 1024  # pixels
MARGIN = 8  # pixels of a slice around what its part of the tile needs
LOWEST_M, HIGHEST_M = -500.0, 9000.0  # heights that are thought possible

MASK, ANGLE = "valid", "angle"  # names of bands

Power = NDArray[np.float32]
Layer = NDArray[np.float32] | NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Tile:
    """The images of a tile.

    Attributes
    ----------
    name : str
    products : list of Product
        Those that the images have pixels of, in order of time.
    images : dict of str to Path
        By polarisation.
    mask, preview : Path
    incidence : Path, optional
        Local incidence angles.
    valid : dict of str to int
        How many pixels of each polarisation have data.
    """

    name: str
    products: list[Product]
    images: dict[str, Path]
    mask: Path
    preview: Path
    incidence: Path | None
    valid: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """All files."""
        incidence = [] if self.incidence is None else [self.incidence]
        return [*self.images.values(), self.mask, self.preview, *incidence]


@dataclass(frozen=True, eq=False)
class _Part:
    """A slice on the tile's grid; what of it can lie there is in memory."""

    product: Product
    geocoding: Geocoding
    amplitudes: dict[str, Amplitudes]


@dataclass(frozen=True, eq=False)
class _Scene:
    """All that the pixels of a tile follow from."""

    grid: Grid
    parts: list[_Part]
    heights: Heights
    treatment: Treatment
    orbit: str

    def tags(self) -> dict[str, str]:
        """Return the tags that tell of the geometry."""
        return self.heights.tags() | {"ORBIT_SOURCE": self.orbit}


def make_tile(
    name: str,
    slices: Sequence[Slice],
    heights: Heights,
    treatment: Treatment,
    folder: Path,
    progress: Progress,
) -> Tile:
    """Make the images of a tile.

    Parameters
    ----------
    name : str
        Its id.
    slices : sequence of Slice
        In order of time; those that miss the tile are left out.
    heights : Heights
        Of the ground.
    treatment : Treatment
        What is to be done.
    folder : Path
        Where the images go.
    progress : Progress
        Told after each block.

    Returns
    -------
    Tile

    Raises
    ------
    InputError
        If a measurement is damaged or has no data here, or heights are not known.
    """
    grid = tile_grid(name, treatment.resolution)
    progress(0, f"Reading what lies in tile {name}")
    parts = [found for item in slices if (found := _part_of(item, grid)) is not None]
    if not parts:
        raise InputError(f"the products have no pixels in tile {name}", "tiles")
    if isinstance(heights, Dem):
        with blamed_on("dem"):
            for item in parts:
                heights.check_covers(*item.geocoding.places())
    tile = _named(name, [item.product for item in parts], list(slices[0].images), treatment, folder)
    if not any(
        amplitudes.numbers.any() for item in parts for amplitudes in item.amplitudes.values()
    ):
        raise _blank(tile)
    orbit = slices[0].annotation.state_vectors.source
    scene = _Scene(grid, parts, heights, treatment, orbit)
    _write_images(tile, scene, part(progress, 10, 80))
    for path in tile.images.values():
        progress(80, f"Making overviews and preview of tile {name}")
        add_overviews(path)
    if tile.incidence is not None:
        add_overviews(tile.incidence)
    add_overviews(tile.mask, resampling=Resampling.nearest)
    _write_preview(tile, grid)
    return tile


def _named(
    name: str,
    products: list[Product],
    polarisations: list[str],
    treatment: Treatment,
    folder: Path,
) -> Tile:
    ending = "_filtered" if treatment.speckle_filter else ""
    names = {key: image_name(products, name, key) for key in polarisations}
    first, incidence = names[polarisations[0]], incidence_name(products, name)
    return Tile(
        name,
        products,
        {key: output_file(folder, stem, f"{ending}.tif") for key, stem in names.items()},
        output_file(folder, first, "_BorderMask.tif"),
        output_file(folder, first, "_preview.png"),
        output_file(folder, incidence, ".tif") if treatment.incidence_angle else None,
    )


def _part_of(item: Slice, grid: Grid) -> _Part | None:
    """Read what of a slice can lie in the tile, whatever the heights; None if that is nothing."""
    geocoding = Geocoding(item.model, grid)
    if not geocoding.places()[0].size:
        return None
    longitudes, latitudes = geocoding.lattice.in_crs(GEOGRAPHIC)
    places = [
        item.model.locate(earth_fixed(longitudes, latitudes, height))
        for height in (LOWEST_M, HIGHEST_M)
    ]
    (top, bottom), (left, right) = (
        np.clip([np.min(axis) - MARGIN, np.max(axis) + MARGIN + 1], 0, side).astype(int)
        for axis, side in zip(
            zip(*places, strict=True), (item.model.lines, item.model.samples), strict=True
        )
    )
    window = Window(left, top, right - left, bottom - top)
    amplitudes = {name: image.read(window) for name, image in item.images.items()}
    return _Part(item.product, geocoding, amplitudes)


def _write_images(tile: Tile, scene: _Scene, progress: Progress) -> None:
    """Write images, mask and angles; this thread writes, the others compute."""
    filtered = scene.treatment.filter_radius if scene.treatment.speckle_filter else 0
    blocks = list(split(scene.grid.shape, BLOCK, halo=max(filtered, 2 * MASK_RADIUS)))
    valid = dict.fromkeys(tile.images, 0)
    with ExitStack() as stack:
        images = _create_images(tile, scene, stack)
        done = _in_order(lambda block: _compute(block, scene), blocks)
        for number, (block, layers) in enumerate(zip(blocks, done, strict=True), 1):
            for name, layer in layers.items():
                images[name].write(layer, 1, window=block.inner)
            for name in valid:
                valid[name] += int(np.count_nonzero(layers[name]))
            progress(100 * number / len(blocks), f"Tile {tile.name}")
    if not any(valid.values()):
        raise _blank(tile)
    tile.valid.update(valid)


def _create_images(
    tile: Tile, scene: _Scene, stack: ExitStack
) -> dict[str, rasterio.io.DatasetWriter]:
    """Create the files of a tile, by polarisation, ``MASK`` and ``ANGLE``."""

    def create(path: Path, band: str, tags: dict[str, str], dtype: str = "float32") -> None:
        nodata = 0 if dtype == "float32" else 255
        images[band] = stack.enter_context(
            create_image(path, scene.grid, dtype=dtype, nodata=nodata, bands=[band], tags=tags)
        )

    images: dict[str, rasterio.io.DatasetWriter] = {}
    tags: dict[str, str] = {}
    for name, path in tile.images.items():
        tags = image_tags(tile.products, tile.name, name, scene.treatment) | scene.tags()
        create(path, name, tags)
    del tags["POLARIZATION"]
    create(tile.mask, MASK, tags, "uint8")
    if tile.incidence is not None:
        create(tile.incidence, ANGLE, incidence_tags(tags))
    return images


def _blank(tile: Tile) -> InputError:
    return InputError(
        f"the measurement is blank in tile {tile.name}: all amplitudes of "
        f"{', '.join(product.name for product in tile.products)} are 0 there"
    )


def _compute(block: Block, scene: _Scene) -> dict[str, Layer]:
    """Return the pixels of a block, by polarisation, ``MASK`` and ``ANGLE``."""
    layers: dict[str, list[Power]] = {name: [] for name in scene.parts[0].amplitudes}
    angles: list[Power] = []
    treatment = scene.treatment
    with blamed_on("dem"):
        heights = scene.heights.read(scene.grid, block.outer)
    for item in scene.parts:
        positions = item.geocoding.positions(block.outer, heights)
        window = item.geocoding.window(positions)
        if window is None:
            continue
        relief = (
            flattening(item.geocoding, scene.heights, block.outer)
            if treatment.is_flattened
            else None
        )
        for name, amplitudes in item.amplitudes.items():
            power, found = amplitudes.power(window)
            image = resample(power, positions, found, treatment.interpolation)
            layers[name].append(image if relief is None else flatten(image, relief))
        if treatment.incidence_angle:
            angle = incidence_angles(item.geocoding, scene.heights, block.outer)
            angles.append(np.where(np.isnan(positions.lines + angle), np.float32(0), angle))
    nothing = np.zeros((int(block.outer.height), int(block.outer.width)), dtype=np.float32)
    powers = {name: join(images or [nothing]) for name, images in layers.items()}
    is_valid = np.logical_and.reduce([power > 0 for power in powers.values()]).view(np.uint8)
    if treatment.speckle_filter:
        powers = {name: _filtered(power, treatment) for name, power in powers.items()}
    results: dict[str, Layer] = {**powers, MASK: smooth_mask(is_valid)}
    if treatment.incidence_angle:
        results[ANGLE] = join(angles or [nothing])
    return {name: layer[block.crop] for name, layer in results.items()}


def _filtered(power: Power, treatment: Treatment) -> Power:
    assert treatment.speckle_filter
    return despeckle(
        power,
        treatment.speckle_filter,
        radius=treatment.filter_radius,
        looks=treatment.looks,
        damping=treatment.damping,
    )


def _in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Compute results by all threads, a few ahead of what is asked for."""
    with ThreadPoolExecutor(thread_count()) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > thread_count():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_preview(tile: Tile, grid: Grid) -> None:
    shape = preview_shape(*grid.shape)
    images = {}
    for name, path in tile.images.items():
        with rasterio.open(path) as dataset:
            images[name] = dataset.read(1, out_shape=shape)
    write_png(tile.preview, picture(images))
