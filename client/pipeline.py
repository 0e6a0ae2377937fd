"""The optical change pipeline: products in, maps of change out."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from candela.client.client import Client
from candela.client.display import Table, html_table, text_table
from candela.client.errors import ClientError
from candela.client.job import Job
from candela.client.layers import Layer
from candela.client.outputs import Output
from candela.client.progress import Bars, progress_bars
from candela.client.status import JobInfo

Product = Path | str | Output
Area = tuple[float, float, float, float] | tuple[float, float, float, float, str]
PARALLEL = 4  # jobs in flight; how many of them run is the server's decision


@dataclass(frozen=True)
class Image:
    """A product as an image."""

    product: str
    job: Job

    @property
    def output(self) -> Output:
        """The band stack."""
        return self.job.outputs["image"]


@dataclass(frozen=True)
class Change:
    """What changed between two dates.

    Attributes
    ----------
    scene : str
        The place.
    before, after : Image
        The dates that were compared.
    before_date, after_date : date
        When they were taken.
    """

    scene: str
    before: Image
    after: Image
    before_date: dt.date
    after_date: dt.date
    job: Job

    @property
    def output(self) -> Output:
        """The map: probability of change, 0..1."""
        return self.job.outputs["change"]

    @property
    def layer(self) -> Layer | None:
        """The map as a layer, if the server publishes it."""
        return self.job.layers.get("change")


class Failed(NamedTuple):
    """A part that could not be done; the others were."""

    what: str
    error: ClientError


@dataclass(frozen=True)
class ChangeSeries:
    """The outcome; shown as a table.

    Attributes
    ----------
    images : tuple of Image
        In the order of the products.
    changes : tuple of Change
        In the order of time.
    failures : tuple of Failed
        Products and pairs that could not be done, and why.
    left_out : dict
        Images that are in no pair, and why.
    """

    images: tuple[Image, ...]
    changes: tuple[Change, ...]
    failures: tuple[Failed, ...]
    left_out: Mapping[str, str]

    def __repr__(self) -> str:
        return text_table(self._table())

    def _repr_html_(self) -> str:
        return html_table(self._table())

    def _table(self) -> Table:
        rows = [
            (
                each.scene,
                each.before_date.isoformat(),
                each.after_date.isoformat(),
                each.output.href or "",
            )
            for each in self.changes
        ]
        rows += [("failed", failed.what, "", str(failed.error)) for failed in self.failures]
        rows += [("left out", image, "", reason) for image, reason in self.left_out.items()]
        return Table("Changes", ("scene", "before", "after", "map"), rows)


def detect_changes(
    client: Client,
    products: Sequence[Product],
    *,
    area: Area | None = None,
    model: str | None = None,
    parallel: int = PARALLEL,
    progress: bool | None = None,
) -> ChangeSeries:
    """Find what changed from product to product.

    Jpeg2Tiff for each product, ExtractInfo over the images, ChangeDetect for each pair of
    consecutive dates of one place.

    Parameters
    ----------
    client : Client
        The server that does it.
    products : sequence
        Sentinel-2 products: paths, addresses, or outputs of other jobs.
    area : tuple, optional
        Left, bottom, right, top in degrees, or in a CRS named after them; by default whole tiles.
    model : str, optional
        The model of ChangeDetect; by default that of the server.
    parallel : int
        How many jobs to have on the server at the same time.
    progress : bool, optional
        Whether to show a bar for each job; by default in terminals and notebooks.

    Returns
    -------
    ChangeSeries
        With what could not be done in ``failures``: one bad product does not cost the others.

    Raises
    ------
    ClientError
        If the server cannot be asked at all, or ExtractInfo fails.
    """
    with progress_bars(progress) as bars:
        team = _Team(client, bars, parallel)
        converted, failures = team.run(
            [
                _Task(_name(product), "Jpeg2Tiff", {"product": product, "area": area})
                for product in products
            ]
        )
        images = tuple(Image(task.label, job) for task, job in converted)
        if not images:
            return ChangeSeries((), (), tuple(failures), {})
        extracted = client.execute("ExtractInfo", images=[image.output for image in images])
        extracted.wait(tell=bars.add("ExtractInfo").show)
        told = extracted.outputs["pairs"].json()
        pairs = [_Pair.of(pair, images) for pair in told["pairs"]]
        compared, lost = team.run([pair.task(model) for pair in pairs])
    changes = {task.label: job for task, job in compared}
    return ChangeSeries(
        images,
        tuple(pair.change(changes[pair.label]) for pair in pairs if pair.label in changes),
        (*failures, *lost),
        {_name(entry["image"]): entry["reason"] for entry in told["left_out"]},
    )


class _Pair(NamedTuple):
    scene: str
    before: Image
    after: Image
    before_date: dt.date
    after_date: dt.date

    @classmethod
    def of(cls, told: Mapping[str, Any], images: Iterable[Image]) -> "_Pair":
        """Read a pair of ExtractInfo; it names images by their addresses."""
        by_address = {image.output.href: image for image in images}
        return cls(
            told["scene"],
            by_address[told["before"]],
            by_address[told["after"]],
            dt.date.fromisoformat(told["before_date"][:10]),
            dt.date.fromisoformat(told["after_date"][:10]),
        )

    @property
    def label(self) -> str:
        return f"{self.scene} {self.before_date} to {self.after_date}"

    def task(self, model: str | None) -> "_Task":
        images = {"before": self.before.output, "after": self.after.output}
        return _Task(self.label, "ChangeDetect", {**images, "model": model})

    def change(self, job: Job) -> Change:
        return Change(*self, job=job)


class _Task(NamedTuple):
    label: str
    process: str
    inputs: dict[str, object]


class _StoppedError(ClientError):
    """Nobody waits for the job any more."""


class _Team:
    """Runs tasks side by side."""

    def __init__(self, client: Client, bars: Bars, parallel: int) -> None:
        self._client = client
        self._bars = bars
        self._parallel = parallel
        self._stopping = Event()

    def run(self, tasks: Sequence[_Task]) -> tuple[list[tuple[_Task, Job]], list[Failed]]:
        """Run tasks; return those that were done with their jobs, and the others."""
        done, failed = [], []
        with ThreadPoolExecutor(self._parallel) as pool:
            futures = [pool.submit(self._run, task) for task in tasks]
            try:
                for task, future in zip(tasks, futures, strict=True):
                    try:
                        done.append((task, future.result()))
                    except ClientError as error:
                        failed.append(Failed(task.label, error))
            except BaseException:
                # NOTE: Ctrl-C in a notebook: the threads must not go on asking. Jobs go on.
                self._stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return done, failed

    def _run(self, task: _Task) -> Job:
        bar = self._bars.add(f"{task.process} {_short(task.label)}")
        try:
            return self._client.execute(task.process, **task.inputs).wait(tell=self._told(bar.show))
        except ClientError as error:
            bar.say(f"failed: {error}")
            raise

    def _told(self, show: Callable[[JobInfo], None]) -> Callable[[JobInfo], None]:
        def tell(info: JobInfo) -> None:
            if self._stopping.is_set():
                raise _StoppedError("interrupted")
            show(info)

        return tell


def _name(product: object) -> str:
    """Return what a product is called."""
    address = product.href if isinstance(product, Output) else product
    return PurePosixPath(unquote(urlsplit(str(address)).path)).name or str(address)


def _short(label: str, width: int = 32) -> str:
    return label if len(label) <= width else f"{label[: width - 3]}..."
