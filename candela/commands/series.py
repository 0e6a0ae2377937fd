"""Find changes in a series of products."""

from collections.abc import Sequence
from pathlib import Path

from candela.client import ChangeSeries, ClientError, detect_changes
from candela.client.assignments import Area, read_file
from candela.client.display import rich_table
from candela.commands.connection import Connection
from candela.commands.screen import console

OUT = console()
NOTES = console(stderr=True)


def run_series(
    gateway: Connection,
    products: Sequence[str],
    *,
    area: Area | None,
    model: str | None,
    parcels: str | None,
    clouds: bool,
    bands: Sequence[str],
    own_scales: bool,
    parallel: int,
    save: Path | None,
) -> None:
    """Run the pipeline over products, and print the changes.

    Raises
    ------
    ClientError
        If no map came out.
    """
    with gateway.client() as client:
        try:
            series = detect_changes(
                client,
                [read_file(product) for product in products],
                area=area,
                model=model,
                parcels=read_file(parcels) if parcels else None,
                clouds=clouds,
                one_scale=not own_scales,
                bands=bands,
                parallel=parallel,
            )
        except KeyboardInterrupt:
            NOTES.print("\nThe jobs go on. The same command takes them up again.")
            raise
        _print_series(series)
        if save is not None:
            for path in series.save(save):
                NOTES.print(f"Saved {path}", markup=False, soft_wrap=True)
    if not series.changes:
        raise ClientError("there is no map of change: all products or pairs failed")


def _print_series(series: ChangeSeries) -> None:
    OUT.print(rich_table(series.table()))
    for scene, scale in series.scales.items():
        OUT.print(f"The maps of {scene} share the scale {scale:.3f}.", markup=False)
