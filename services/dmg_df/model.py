"""From a pair of images to a patch model, in one pass."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from candela.eo.fusion import fuse
from candela.eo.progress import Progress
from candela.eo.raster.blocks import Block, split
from candela.eo.raster.patches import Level, gather
from candela.eo.threads import thread_count
from candela.errors import InputError
from candela.patches.store.model import FeatureSetRecord, Patches, PatchModel

from .feature_sets import FEATURE_SETS, USUAL, FeatureSet, share_of_usable
from .frozen import SCALERS, VERSION
from .ground import HALO, TARGET, block_size, make_ground
from .pair import Pair, Stored

logger = logging.getLogger(__name__)

FUSED = "fused"
STRIP = 3 * TARGET  # pixels

Image = NDArray[np.float32]


def build_model(
    pair: Pair,
    levels: list[Level],
    names: Sequence[str],
    *,
    name: str,
    least_usable: float,
    progress: Progress,
) -> PatchModel:
    """Compute the features of all patches with enough usable pixels.

    Parameters
    ----------
    pair : Pair
        The open images.
    levels : list of Level
        The patches: see ``candela.eo.raster.patches.quad_tree``.
    names : sequence of str
        The feature sets wanted.
    name : str
        What the model is called.
    least_usable : float
        Share of usable pixels (0..1) below which a patch is left out.
    progress : Progress

    Raises
    ------
    InputError
        If no patch has enough usable pixels.
    """
    sets = [made for made in FEATURE_SETS.values() if made.name in names]  # always in one order
    share, statistics = _measure(pair, levels[-1], sets, progress)
    patches = _usable_patches(pair, levels, share, least_usable)
    if not len(patches):
        raise InputError(
            f"no patch has {100 * least_usable:g} % of pixels that both images see without cloud; "
            f"of the whole pair it is {100 * share.mean():.1f} %"
        )
    features = {
        made.name: _describe(made, statistics.pop(made.name), levels, patches) for made in sets
    }
    fused = _fused_record(sets)
    features[fused.name] = fuse(features, SCALERS)
    records = [*map(_record, sets), fused]
    logger.info("%d patches of %s pixels", len(patches), [level.size for level in levels])
    return PatchModel(name, pair.s1, pair.s2, levels, patches, records, features)


def _measure(
    pair: Pair, cells: Level, sets: list[FeatureSet], progress: Progress
) -> tuple[Image, dict[str, Image]]:
    """Return the share of usable pixels and the statistics of all cells."""
    share = np.zeros((1, *cells.shape), np.float32)
    statistics: dict[str, Image] = {}
    for block, measured in _measured_blocks(pair, cells, sets, progress):
        row, col = (int(p) // cells.size for p in (block.inner.row_off, block.inner.col_off))
        for name, values in measured.items():
            _, rows, cols = values.shape
            target = share
            if name:
                if name not in statistics:
                    statistics[name] = np.zeros((len(values), *cells.shape), np.float32)
                target = statistics[name]
            target[:, row : row + rows, col : col + cols] = values
    return share, statistics


def _measured_blocks(
    pair: Pair, cells: Level, sets: list[FeatureSet], progress: Progress
) -> Iterator[tuple[Block, dict[str, Image]]]:
    """Yield each block with its statistics by feature set, and the share of usable pixels as "".

    Blocks are computed one per thread; only this thread reads.
    """
    size = block_size(cells.size)
    blocks = sorted(
        (
            block
            for block in split(pair.grid.shape, size, halo=HALO)
            if min(block.inner.height, block.inner.width) >= cells.size
        ),
        key=_reading_order,
    )
    ahead = thread_count() + 1
    waiting: deque[tuple[Block, Future[dict[str, Image]]]] = deque()
    with ThreadPoolExecutor(thread_count()) as pool:
        for number, block in enumerate([*blocks, *[None] * ahead]):
            if block is not None:
                stored = pair.read(block.outer)
                job = pool.submit(_measure_block, pair, stored, block, cells.size, sets)
                waiting.append((block, job))
            if number >= ahead and waiting:
                done, measured = waiting.popleft()
                yield done, measured.result()
                progress(100 * (number - ahead + 1) / len(blocks), f"{len(blocks)} blocks")


def _reading_order(block: Block) -> tuple[int, int, int]:
    """Go down in strips that the raster library's cache can hold the width of."""
    col, row = int(block.inner.col_off), int(block.inner.row_off)
    return col // STRIP, row, col


def _measure_block(
    pair: Pair, stored: Stored, block: Block, cell: int, sets: list[FeatureSet]
) -> dict[str, Image]:
    seen = pair.see(stored)
    ground = make_ground(seen, block.crop, cell)
    measured = {"": share_of_usable(ground)[None]}
    return measured | {made.name: made.measure(ground) for made in sets}


def _usable_patches(pair: Pair, levels: list[Level], share: Image, least: float) -> Patches:
    parts = []
    for level in levels:
        usable = gather(share, level, levels[-1].size)[0]
        rows, cols = np.nonzero(usable >= least - 1e-6)
        parts.append((np.full(len(rows), level.size), rows, cols, usable[rows, cols]))
    size, row, col, kept = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Patches(pair.grid, size, row, col, kept)


def _describe(made: FeatureSet, statistics: Image, levels: list[Level], patches: Patches) -> Image:
    vectors = np.empty((len(patches), made.dimension), np.float32)
    for level in levels:
        wanted = patches.size == level.size
        of_level = gather(statistics, level, levels[-1].size)
        vectors[wanted] = made.describe(of_level[:, patches.row[wanted], patches.col[wanted]])
    return vectors


def _record(made: FeatureSet) -> FeatureSetRecord:
    return FeatureSetRecord(
        made.name,
        made.version,
        made.sensor,
        made.dimension,
        made.parameters,
        made.reference,
        SCALERS[made.name],
    )


def _fused_record(sets: list[FeatureSet]) -> FeatureSetRecord:
    blocks = {made.name: made.dimension for made in sets}
    name = FUSED if set(blocks) == set(USUAL) else f"{FUSED}:{'+'.join(blocks)}"
    return FeatureSetRecord(
        name,
        VERSION,
        FUSED,
        sum(blocks.values()),
        {"blocks": list(blocks), "scalers": VERSION},
        "scaled blocks, each times 1 / sqrt(its length)",
    )
