"""Tables for terminals and notebooks."""

import importlib
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import rich.box
import rich.table
from rich.console import Console, Group
from rich.text import Text

from candela.client.errors import MissingPackageError


class Table(NamedTuple):
    """Something to be shown: a title, the heads of the columns, and rows.

    The last columns, as many as ``folding`` says, may be folded where space is short.
    """

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    folding: int = 1


def rich_table(table: Table) -> rich.table.Table:
    """Return a table for a terminal."""
    shown = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, head in enumerate(table.heads):
        is_whole = index < len(table.heads) - table.folding
        shown.add_column(head, no_wrap=is_whole, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def text_table(table: Table, *, width: int = 100) -> str:
    """Return a table as plain text."""
    target = io.StringIO()
    console = Console(file=target, width=width, color_system=None, force_jupyter=False)
    console.print(Group(Text(table.title), rich_table(table)))
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines())


def html_table(table: Table) -> str:
    """Return a table for a notebook; addresses become links."""
    heads = "".join(f'<th style="text-align:left">{escape(head)}</th>' for head in table.heads)
    rows = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{_html_cell(cell)}</td>' for cell in row)
        + "</tr>"
        for row in table.rows
    )
    return f"<b>{escape(table.title)}</b><table><tr>{heads}</tr>{rows}</table>"


def _html_cell(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return f'<a href="{escape(text)}">{escape(text)}</a>'
    return escape(text)


def frame_of(rows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - pandas's own
    """Return rows as a pandas DataFrame.

    Raises
    ------
    MissingPackageError
        If pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError:
        raise MissingPackageError("a table", "pandas", "notebook") from None
    return pandas.DataFrame(rows)
