"""The demo: two products, a gateway, the pipeline through the client, and what came out."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import rasterio

from candela.client import Change, ChangeSeries, Client, detect_changes
from candela.commands.screen import console
from candela.demo.accuracy import THRESHOLD, Accuracy, accuracy
from candela.demo.gateway import LOOPBACK, LocalGateway, free_port, is_free
from candela.demo.picture import Titles, draw_change
from candela.errors import CandelaError, InvalidValueError, JobFailedError
from candela.synthetic.sentinel2 import make_products

SERVE_PORT = 8080  # that of `candela serve`: there the links of the demo live on
SCREEN = console()


class Inputs(NamedTuple):
    """What is compared, and the truth where it is known."""

    products: tuple[Path | str, ...]
    truth: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """Where the products are."""
        return sorted({path.resolve().parent for path in self.products if isinstance(path, Path)})


def run_demo(
    products: Sequence[str],
    *,
    data: Path,
    size: int = 1098,
    seed: int = 3,
    keep: bool = False,
    port: int | None = None,
) -> None:
    """Find what changed between products, from end to end, and tell it.

    Parameters
    ----------
    products : sequence of str
        Sentinel-2 products, paths or addresses; without any, two are made up.
    data : Path
        The folder of the gateway; products and pictures are put into ``demo`` in it.
    size, seed : int
        Of products that are made up.
    keep : bool
        Keep the gateway running until Ctrl-C.
    port : int, optional
        Of the gateway; by default 8080, or another one if that is taken.

    Raises
    ------
    InvalidValueError
        If a product does not exist, the size cannot be, or the port is taken.
    JobFailedError
        If no change map came out.
    """
    port = _port(port)
    folder = data / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    inputs = _given(products) if products else _made_up(folder, size, seed)
    SCREEN.print(f"Starting a gateway at http://{LOOPBACK}:{port} ...")
    with (
        _ended_by_sigterm(),
        LocalGateway(data, input_folders=inputs.folders, port=port) as gateway,
    ):
        with Client(gateway.url) as client:
            SCREEN.print("Running Jpeg2Tiff, ExtractInfo and ChangeDetect ...")
            series = detect_changes(client, inputs.products)
            _tell_failures(series)
            for change in series.changes:
                _tell_change(change, inputs.truth, folder)
        _tell_where(gateway.url, data, port=port, keep=keep)
        if keep:
            _wait_for_interrupt(gateway)


def _port(given: int | None) -> int:
    if given is None:
        return SERVE_PORT if is_free(SERVE_PORT) else free_port()
    if not 0 < given < 65536:
        raise InvalidValueError(f"the port is {given}, expected 1 to 65535", "--port")
    if not is_free(given):
        raise InvalidValueError(f"port {given} is taken by another program", "--port")
    return given


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: end the gateway too."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _given(products: Sequence[str]) -> Inputs:
    found: list[Path | str] = [text if "://" in text else Path(text) for text in products]
    for product in found:
        if isinstance(product, Path) and not product.exists():
            raise InvalidValueError(f"there is no product {product}")
    return Inputs(tuple(found))


def _made_up(folder: Path, size: int, seed: int) -> Inputs:
    SCREEN.print(f"Making up two Sentinel-2 products of {size * 10 / 1000:g} km ...")
    try:
        made = make_products(folder, seed=seed, size=size)
    except ValueError as error:
        raise InvalidValueError(str(error)) from error
    return Inputs((made.before, made.after), made.truth)


def _tell_failures(series: ChangeSeries) -> None:
    for what, error in series.failures:
        SCREEN.print(f"[red]Failed:[/red] {what}: {error}", soft_wrap=True)
    for image, reason in series.left_out.items():
        SCREEN.print(f"Left out: {image}: {reason}", soft_wrap=True)
    if not series.changes:
        raise JobFailedError("no change map came out")


def _tell_change(change: Change, truth: Path | None, folder: Path) -> None:
    SCREEN.print(
        f"\n[bold]What changed in {change.scene} from {change.before_date} to "
        f"{change.after_date}[/bold]"
    )
    picture = folder / f"change_{change.scene}_{change.before_date}_{change.after_date}.png"
    is_changed = None if truth is None else _read_truth(truth)
    with (
        change.before.output.open() as before,
        change.after.output.open() as after,
        change.output.open() as probability,
    ):
        if is_changed is not None:
            _tell_accuracy(accuracy(probability.read(1), is_changed))
        titles = Titles(
            f"{change.scene}: change from {change.before_date} to {change.after_date}",
            f"Before, {change.before_date}",
            f"After, {change.after_date}",
            "Change",
        )
        draw_change(before, after, probability, titles=titles, target=picture, truth=is_changed)
    _tell_lines(
        ("picture", str(picture)),
        ("map of change", change.output.href or ""),
        ("WMS", change.layer.wms if change.layer else "not published"),
        ("WCS", change.layer.wcs if change.layer else "not published"),
    )


def _read_truth(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1) > 0)


def _tell_accuracy(found: Accuracy) -> None:
    _tell_lines(
        (
            "truth",
            f"{found.changed:.2%} of {found.pixels} pixels have changed (the data is made up)",
        ),
        (
            f"at {THRESHOLD:g}",
            f"precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}",
        ),
        ("ranking", f"AUC {found.auc:.4f}"),
    )


def _tell_where(url: str, data: Path, *, port: int, keep: bool) -> None:
    SCREEN.print("\n[bold]See it[/bold]")
    _tell_lines(
        ("map", f"{url}/map"),
        ("QGIS", "Layer > Add Layer > Add WMS/WMTS Layer (or WCS) > New, with the address above"),
    )
    if keep:
        SCREEN.print("\nThe gateway is running; Ctrl-C ends it.")
    else:
        serve = f"candela serve --data {data}"
        if port != SERVE_PORT:  # all addresses in results begin with it
            serve += f" --url {url}"
        SCREEN.print(f"\nThe gateway has ended. These addresses answer again with: {serve}")


def _tell_lines(*lines: tuple[str, str]) -> None:
    for name, text in lines:
        SCREEN.print(f"  {name:<14}{text}", markup=False, soft_wrap=True)


def _wait_for_interrupt(gateway: LocalGateway) -> None:
    assert gateway.process is not None
    try:
        gateway.process.wait()
    except KeyboardInterrupt:
        return
    raise CandelaError(f"the gateway has ended, see {gateway.log_path}")
