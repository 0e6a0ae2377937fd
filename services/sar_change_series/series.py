"""A series, one date at a time: each date is compared with the memory of all before, and added.

Many dates give what the same dates give one by one: there is no other way to add them.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from candela.eo.progress import Progress
from candela.eo.raster.blocks import Block, split
from candela.eo.raster.images import open_image
from candela.eo.s1.backscatter import decibel
from candela.eo.sar.images import SarStack
from candela.eo.threads import one_thread_each, thread_count

from .confirmation import STATUSES, Rule, confirm
from .detection import HALO, Floats, deviate
from .history import History, SpreadPrior, Whole, change_bands
from .seasons import day_number, season_of
from .spread import SpreadSurvey, early_prior
from .state import SeriesDescription, create_state, read_bands

BLOCK = 1024


@dataclass
class DateCount:
    """What a date did to the pixels of a series.

    Attributes
    ----------
    date : date
    season : str
    valid, watched, reported : int
        Pixels with data; of these with a complete baseline; of these reported as change, or in
        support of one.
    statuses : dict of str to int
        Pixels of each status after the date.
    """

    date: dt.date
    season: str
    valid: int
    watched: int
    reported: int
    statuses: dict[str, int]


class ReadBlock(NamedTuple):
    """What a date is added to, and the date, in a block."""

    block: Block
    history: History
    change: dict[str, Whole]
    intensity: Floats


class AddedBlock(NamedTuple):
    """The memory of a block after a date."""

    bands: Mapping[str, Whole]
    counts: tuple[int, int, int]


def add_date(
    history: History,
    change: Mapping[str, Whole],
    crop: tuple[slice, slice],
    intensity: Floats,
    *,
    season: str,
    day: int,
    prior: SpreadPrior,
    rule: Rule,
    is_learned: bool,
) -> AddedBlock:
    """Compare a date with the memory of a series, and add it.

    Parameters
    ----------
    history : History
        The bands of the expectation, with a margin of ``HALO`` pixels where there are neighbours.
    change : mapping of str to ndarray, shape (rows, cols), int16
        The bands of changes, without the margin.
    crop : tuple of slice
        Rows and columns without the margin.
    intensity : ndarray, shape (polarisations, rows, cols), float32
        Linear power; nodata is NaN.
    season, day
        Of the date, see ``seasons``.
    prior : SpreadPrior
    rule : Rule
    is_learned : bool
        Whether the date belongs to the baseline of all pixels.

    Returns
    -------
    AddedBlock
        Of the crop: the new memory, and how many pixels were valid, watched and reported.
    """
    valid = np.asarray(np.isfinite(intensity).all(axis=0))
    decibels = decibel(np.where(valid, intensity, np.float32(1)))
    total = history.total()
    expected = history.expect(season, prior)
    found = deviate(decibels, valid & (total > 0), expected).cut(*crop)

    bands = {name: np.ascontiguousarray(band[crop]) for name, band in history.bands.items()}
    inner = History(bands | dict(change), history.polarisations)
    valid, total = valid[crop], total[crop]
    watched = np.asarray(valid & (total >= rule.baseline) & (not is_learned))
    reported = confirm(inner, found, watched, day, rule)
    here = (slice(None), *crop)
    inner.learn(
        season, valid & ~reported, decibels[here], expected.cut(*crop), found.scatter, found.shift
    )
    counts = (int(valid.sum()), int(watched.sum()), int(reported.sum()))
    return AddedBlock(inner.bands, counts)


def append_date(
    stack: SarStack,
    number: int,
    before: Path | None,
    known: SeriesDescription,
    path: Path,
    rule: Rule,
    *,
    baseline_until: dt.date | None,
    progress: Progress,
) -> tuple[SeriesDescription, DateCount]:
    """Write the state of a series after one date more.

    Parameters
    ----------
    stack : SarStack
    number : int
        Of the acquisition in the stack.
    before : Path, optional
        The state before.
    known : SeriesDescription
        Of the series before.
    path : Path
        Where the new state goes.
    rule : Rule
    baseline_until : date, optional
        Up to it dates are learned and nothing is reported.
    """
    date = stack.acquisitions[number].date
    assert date is not None
    season = season_of(date, known.seasons)
    description = known.added(date, season)
    prior = known.prior or early_prior(len(known.polarisations))
    survey = SpreadSurvey(known.polarisations)
    counts = np.zeros(3, np.int64)
    statuses = np.zeros(len(STATUSES), np.int64)
    blocks = list(split(stack.grid.shape, BLOCK, halo=HALO))
    with (
        open_image(before) if before else nullcontext() as old,
        create_state(path, stack.grid, description) as new,
    ):

        def work(item: ReadBlock) -> AddedBlock:
            return add_date(
                item.history, item.change, item.block.crop, item.intensity,
                season=season, day=day_number(date), prior=prior, rule=rule,
                is_learned=baseline_until is not None and date <= baseline_until,
            )  # fmt: skip

        def read() -> Iterator[ReadBlock]:
            for block in blocks:
                bands = read_bands(old, description.expectation_bands(), block.outer)
                yield ReadBlock(
                    block,
                    History(bands, known.polarisations),
                    read_bands(old, change_bands(known.polarisations), block.inner),
                    stack.read(number, block.outer),
                )

        for done, (block, added) in enumerate(_in_order(read(), work), 1):
            new.write(np.stack(list(added.bands.values())), window=block.inner)
            total = History(added.bands, known.polarisations).total()
            survey.add(added.bands, total)
            counts += added.counts
            statuses += np.bincount(added.bands["status"].ravel(), minlength=len(STATUSES))
            progress(100 * done / len(blocks), f"{date}")
        description = replace(description, prior=survey.prior())
        new.update_tags(**description.to_tags())
    named = dict(zip(STATUSES, map(int, statuses), strict=True))
    return description, DateCount(
        date, season, int(counts[0]), int(counts[1]), int(counts[2]), named
    )


def _in_order(
    items: Iterable[ReadBlock], work: Callable[[ReadBlock], AddedBlock]
) -> Iterator[tuple[Block, AddedBlock]]:
    """Yield blocks and their results in order, as many computed at once as there are threads."""
    waiting: deque[tuple[Block, Future[AddedBlock]]] = deque()
    with one_thread_each(), ThreadPoolExecutor(thread_count()) as pool:
        for item in items:
            waiting.append((item.block, pool.submit(work, item)))
            if len(waiting) > thread_count():
                first, result = waiting.popleft()
                yield first, result.result()
        for first, result in waiting:
            yield first, result.result()
