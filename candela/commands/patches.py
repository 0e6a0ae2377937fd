"""Keep the database of patch models, and ask a gateway that has one."""

from collections.abc import Sequence
from typing import Any

from candela.client import Features, Rows
from candela.client.display import Table, rich_table
from candela.client.errors import InputValueError
from candela.commands.connection import Connection
from candela.commands.screen import console


def upgrade() -> None:
    """Bring the database that the environment names up to date.

    Raises
    ------
    ConfigurationError
        If the environment names none.
    StorageError
        If its login may not change it.
    """
    # The database's packages are no part of what the other questions need.
    from candela.patches.store.database import open_server
    from candela.settings import ConfigurationError, Settings

    url = Settings.from_environment().patches_database.get_secret_value()
    if not url:
        raise ConfigurationError("CANDELA_PATCHES_DATABASE is not set")
    database = open_server(url)
    try:
        database.upgrade()
    finally:
        database.close()
    console().print("The patch database is up to date.")


def ask(gateway: Connection, place: str, conditions: Sequence[str], *, form: str | None) -> None:
    """Ask a gateway, and show the answer as a table, or as it came in a form.

    Parameters
    ----------
    gateway : Connection
    place : str
        What to ask of: ``items``, ``products``, ``statistics`` ...
    conditions : sequence of str
        ``name=value``, by the names of docs/patches.md.
    form : {"geojson", "csv"}, optional
        By default a table for people.
    """
    given = dict(_pair(condition) for condition in conditions)
    with gateway.client() as client:
        address = f"{client.url}/patches/{place}"
        if form is not None:
            with client.transport.get(address, params={**given, "f": form}) as answer:
                console().out(answer.text)
            return
        answer = client.transport.json(address, params=given)
    rows = _rows(answer)
    if rows:
        cells = [tuple(_cell(row.get(name)) for name in rows[0]) for row in rows]
        console().print(rich_table(Table("", tuple(rows[0]), cells)))
    for name in ("accuracy", "kappa"):
        if answer.get(name) is not None:
            console().print(f"{name} {answer[name]:.3f}")
    if any(link.get("rel") == "next" for link in answer.get("links", ())):
        console(stderr=True).print("There are more: see limit, after and offset.")


def label(gateway: Connection, scheme: str, labels: Sequence[str], *, public: bool) -> None:
    """Give patches labels: ``patch=code``, with nothing after ``=`` to take them away."""
    given: dict[int, list[str]] = {}
    for text in labels:
        patch, code = _pair(text)
        if not patch.isdigit():
            raise InputValueError(f"{text!r} is no patch=code")
        codes = given.setdefault(int(patch), [])
        if code:
            codes.append(code)
    with gateway.client() as client:
        visibility = "public" if public else "private"
        answer = client.patches.annotate(scheme, given, visibility=visibility)
    console().print(f"{answer['patches']} patches, {answer['labels']} labels")


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an answer has as a table."""
    if isinstance(answer.get("features"), list):
        return Features(answer["features"]).flat()
    if "codes" in answer:
        codes, counts = answer["codes"], answer["counts"]
        return [
            {"label": code, **dict(zip(codes, row, strict=True))}
            for code, row in zip(codes, counts, strict=True)
        ]
    return next((Rows(value) for value in answer.values() if isinstance(value, list)), Rows())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputValueError(f"{text!r} is no name=value")
    return name, value


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
