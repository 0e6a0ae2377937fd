"""Label schemes: data files here, one for each scheme, and the mappings between them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, NamedTuple

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Connection

from candela.patches.store.tables import LABEL, MAPPING, SCHEME


class SchemeFile(BaseModel):
    """One file: titles by code, and the codes of other schemes that mean the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: str
    levels: int | None = None
    labels: dict[str, str]
    origin: Annotated[dict[str, dict[str, list[str]]], Field(alias="from")] = {}


class Label(NamedTuple):
    """A label of a scheme; ``parent`` is None at the top."""

    scheme: str
    code: str
    parent: str | None
    title: str


@cache
def schemes() -> dict[str, SchemeFile]:
    """Return the schemes by name."""
    return {
        entry.name.removesuffix(".yaml"): SchemeFile.model_validate(
            yaml.safe_load(entry.read_text(encoding="utf-8"))
        )
        for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def labels(scheme: str) -> list[Label]:
    """Return the labels of a scheme, parents before children."""
    given = schemes()[scheme]
    return [
        Label(scheme, code, _parent(given, code), title) for code, title in given.labels.items()
    ]


def mappings() -> Iterator[tuple[str, str, str, str]]:
    """Yield (scheme, code, other scheme, its code): what a label is in another scheme."""
    for name, scheme in schemes().items():
        for other, by_code in scheme.origin.items():
            for code, others in by_code.items():
                for other_code in others:
                    yield other, other_code, name, code


def write_schemes(connection: Connection) -> None:
    """Put into the database what it has not yet; what is there is left as it is."""
    rows = [
        {"name": name, "title": scheme.title, "source": scheme.source}
        for name, scheme in schemes().items()
    ]
    _add_missing(connection, SCHEME, rows)
    for name in schemes():
        _add_missing(connection, LABEL, [label._asdict() for label in labels(name)])
    names = ("scheme", "code", "to_scheme", "to_code")
    _add_missing(connection, MAPPING, [dict(zip(names, row, strict=True)) for row in mappings()])


def _add_missing(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, str | None]]
) -> None:
    keys = [column.name for column in table.primary_key]
    present = {tuple(row) for row in connection.execute(sa.select(*table.primary_key))}
    missing = [row for row in rows if tuple(row[key] for key in keys) not in present]
    if missing:
        connection.execute(sa.insert(table), [dict(row) for row in missing])


def _parent(scheme: SchemeFile, code: str) -> str | None:
    if scheme.levels == 1:
        return None
    starts = (code[:length] for length in range(len(code) - 1, 0, -1))
    return next((start for start in starts if start in scheme.labels), None)
