"""The optical change pipeline: products in, maps of change out."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from candela.client.assignments import Area, read_file
from candela.client.client import Client
from candela.client.job import Job
from candela.client.job_group import JobGroup, Task
from candela.client.outputs import Output
from candela.client.progress import progress_bars
from candela.client.series import Change, ChangeSeries, Image

Product = Path | str | Output
PARALLEL = 4  # jobs in flight; how many of them run is the server's decision
IMAGE_ENDINGS = (".tif", ".tiff")
CLOUD_MARGIN_M = 100.0  # the edges of clouds are thin, and masks miss them


def detect_changes(
    client: Client,
    products: Sequence[Product],
    *,
    area: Area | None = None,
    model: str | None = None,
    parcels: object = None,
    clouds: bool = False,
    one_scale: bool = True,
    bands: Sequence[str] = (),
    parallel: int = PARALLEL,
    progress: bool | None = None,
) -> ChangeSeries:
    """Find what changed from product to product.

    Jpeg2Tiff for each product, ExtractInfo over the images, ChangeScale and ChangeDetect for each
    pair of consecutive dates of one place. What was done before with the same inputs is not done
    again: after an interruption, the same call goes on where it was.

    Parameters
    ----------
    client : Client
        The server that does it.
    products : sequence
        Sentinel-2 products, or images on one grid (GeoTIFF, named so), which are compared as they
        are: paths, addresses, or outputs of other jobs.
    area : tuple, optional
        Left, bottom, right, top in degrees, or in a CRS named after them; by default whole tiles.
    model : str, optional
        The model of ChangeDetect; by default that of the server.
    parcels : optional
        Polygons whose change is measured: the path of a vector file, or what ``Client.execute``
        takes for one.
    clouds : bool
        Whether to leave out clouds, their shadows and 100 m around them, and snow, by the masks of
        the products.
    one_scale : bool
        Whether the maps of one place share their scale, so that they are comparable: the median of
        those of the pairs.
    bands : sequence of str
        Names of the bands of images, where these do not name them.
    parallel : int
        The number of jobs on the server at the same time.
    progress : bool, optional
        Whether to show a bar for each job; by default in terminals and notebooks.

    Returns
    -------
    ChangeSeries
        With products and pairs that failed in ``failures``; the others are complete.

    Raises
    ------
    ClientError
        If the server cannot be asked at all, or ExtractInfo fails.
    """
    with progress_bars(progress) as bars:
        group = JobGroup(client, bars, parallel)
        options: dict[str, object] = {"area": area}
        if clouds:
            options |= {"mask": "cloud", "cloud_margin": CLOUD_MARGIN_M}
        given = [_located(product) for product in products]
        converted, failures = group.run(
            [
                Task(_name(product), "Jpeg2Tiff", {"product": product, **options})
                for product in given
                if not _is_image(product)
            ]
        )
        made = {task.inputs["product"]: Image(task.label, job) for task, job in converted}
        images = tuple(
            Image(_name(one), None, one) if _is_image(one) else made[one]
            for one in given
            if _is_image(one) or one in made
        )
        if not images:
            return ChangeSeries((), (), tuple(failures), {})
        extracted = group.run_one(
            Task("", "ExtractInfo", {"images": [image.source for image in images]})
        )
        report = extracted.outputs["pairs"].json()
        pairs = _numbered([_Pair.of(pair, images) for pair in report["pairs"]])
        named: dict[str, object] = {"bands": list(bands)} if bands else {}
        scales = _shared_scales(group, pairs, model, named) if one_scale else {}
        compared, lost = group.run(
            [
                pair.task(
                    "ChangeDetect", model, parcels=parcels, scale=scales.get(pair.scene), **named
                )
                for pair in pairs
            ]
        )
    changes = {task.label: job for task, job in compared}
    return ChangeSeries(
        images,
        tuple(pair.change(changes[pair.label]) for pair in pairs if pair.label in changes),
        (*failures, *lost),
        {_name(entry["image"]): entry["reason"] for entry in report["left_out"]},
        scales,
    )


class _Pair(NamedTuple):
    scene: str
    before: Image
    after: Image
    before_date: dt.date
    after_date: dt.date
    part: str = ""  # number among pairs of the same dates

    @classmethod
    def of(cls, entry: Mapping[str, Any], images: Iterable[Image]) -> "_Pair":
        """Read a pair of ExtractInfo; it names images by their addresses."""
        by_address = {_address(image.source): image for image in images}
        return cls(
            entry["scene"],
            by_address[entry["before"]],
            by_address[entry["after"]],
            dt.date.fromisoformat(entry["before_date"][:10]),
            dt.date.fromisoformat(entry["after_date"][:10]),
        )

    @property
    def label(self) -> str:
        parts = f", {self.part}" if self.part else ""
        return f"{self.scene} {self.before_date} to {self.after_date}{parts}"

    def task(self, process: str, model: str | None, **options: object) -> Task:
        inputs: dict[str, object] = {
            "before": self.before.source,
            "after": self.after.source,
            "before_mask": self.before.mask,
            "after_mask": self.after.mask,
            "model": model,
        }
        return Task(self.label, process, inputs | options)

    def change(self, job: Job) -> Change:
        return Change(*self[:5], job=job, part=self.part)


def _numbered(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Number pairs of one place and the same dates: a tile may come in several products."""
    labels = [pair.label for pair in pairs]
    return [
        pair._replace(part=f"part {labels[:index].count(pair.label) + 1}")
        if labels.count(pair.label) > 1
        else pair
        for index, pair in enumerate(pairs)
    ]


def _located(product: Product) -> Product:
    """Return a local file as an absolute path; addresses and outputs stay as they are."""
    if isinstance(product, str):
        product = read_file(product)
    return product.expanduser().absolute() if isinstance(product, Path) else product


def _is_image(product: Product) -> bool:
    """Tell whether this is an image already, by its name."""
    if isinstance(product, Path) and product.is_dir():
        return False
    return _name(product).lower().endswith(IMAGE_ENDINGS)


def _address(image: Product) -> str:
    """Return how ExtractInfo calls an image: by the address that it got."""
    if isinstance(image, Output):
        return image.href or ""
    return image.as_uri() if isinstance(image, Path) else image


def _shared_scales(
    group: JobGroup, pairs: Sequence[_Pair], model: str | None, named: Mapping[str, object]
) -> dict[str, float]:
    """Measure the scales of pairs, and return the median of each scene that has several.

    A pair whose scale cannot be measured fails in the comparison, which reports it.
    """
    scenes = [pair.scene for pair in pairs]
    several = [pair for pair in pairs if scenes.count(pair.scene) > 1]
    measured, _ = group.run([pair.task("ChangeScale", model, **named) for pair in several])
    found: dict[str, list[float]] = {}
    scene_of = {pair.label: pair.scene for pair in several}
    for task, job in measured:
        found.setdefault(scene_of[task.label], []).append(float(job.outputs["scale"].value))
    return {scene: median(scales) for scene, scales in found.items()}


def _name(product: object) -> str:
    """Return what a product is called."""
    address = product.href if isinstance(product, Output) else product
    return PurePosixPath(unquote(urlsplit(str(address)).path)).name or str(address)
