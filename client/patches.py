"""Patch models: search, similarity, statistics and labels, asked of a gateway that has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from candela.client.display import Table, frame_of, html_table, text_table
from candela.client.errors import ServerAnswerError
from candela.client.transport import Transport

PAGE_LIMIT = 10_000  # patches in one answer
ROWS_SHOWN = 20  # rows, where a table shows itself

Answer = dict[str, Any]  # a JSON object


class Rows(list[Answer]):
    """Rows of a table."""

    def frame(self) -> Any:  # noqa: ANN401 - pandas's own
        """Return them as a pandas DataFrame.

        Raises
        ------
        MissingPackageError
            If pandas is not installed.
        """
        return frame_of(self.flat())

    def to_dataframe(self) -> Any:  # noqa: ANN401
        """Return them as a pandas DataFrame; the same as ``frame``."""
        return self.frame()

    def __repr__(self) -> str:
        return text_table(self._table())

    def _repr_html_(self) -> str:
        return html_table(self._table())

    def _table(self) -> Table:
        rows = self.flat()
        heads = tuple(rows[0]) if rows else ()
        shown = [
            tuple("" if row.get(h) is None else str(row[h]) for h in heads)
            for row in rows[:ROWS_SHOWN]
        ]
        more = f", the first {ROWS_SHOWN} of them" if len(rows) > ROWS_SHOWN else ""
        return Table(f"{len(rows)} rows{more}", heads, shown, len(heads))

    def flat(self) -> list[Answer]:
        """Return them without what is no plain value."""
        return list(self)


class Features(Rows):
    """GeoJSON features; GeoPandas and others take them as they are."""

    @property
    def __geo_interface__(self) -> Answer:
        return {"type": "FeatureCollection", "features": list(self)}

    @property
    def ids(self) -> list[int]:
        """The numbers of the patches or products."""
        return [feature["id"] for feature in self]

    def flat(self) -> list[Answer]:
        """Return number and properties, without outlines."""
        return [{"id": feature["id"], **feature["properties"]} for feature in self]


class Patches:
    """The patch models of a gateway.

    Conditions are those of docs/patches.md, by the same names: ``product``, ``owner``,
    ``datetime``, ``size``, ``usable``, ``bbox``, ``geometry``, ``label``, ``label_origin``,
    ``label_sensor``, ``subtree``. Several sizes and the numbers of a box may be a sequence; a
    geometry is GeoJSON, WKT or what has a ``__geo_interface__``.

    Parameters
    ----------
    transport : Transport
        To the gateway.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def products(self, *, limit: int = 100, **conditions: object) -> Features:
        """Find products: by ``product``, ``owner`` and ``datetime``."""
        return self._pages("products", limit, conditions)

    def find(self, *, limit: int = 100, **conditions: object) -> Features:
        """Find patches.

        Parameters
        ----------
        limit : int
            At most so many, taken page by page.
        **conditions
            What they have in common.

        Raises
        ------
        RequestRefusedError
            If a condition makes no sense; its name is the error's locator.
        NotFoundError
            If the gateway has no database of patch models.
        """
        return self._pages("items", limit, conditions)

    def like(
        self,
        patch: int,
        *,
        features: str = "fused",
        limit: int = 20,
        relatives: bool = False,
        **conditions: object,
    ) -> Features:
        """Find the patches most like one, the nearest first; ``distance`` is a property of each.

        Parameters
        ----------
        features : str
            By which feature set; it has the unit of the distance: features as its scaler leaves
            them, most of them in standard deviations.
        relatives : bool
            Whether the patches that hold this one, or that it holds, are among them.
        """
        given = {"like": patch, "features": features, "limit": limit, **conditions}
        if relatives:
            given["relatives"] = relatives
        return Features(self._get("items", given)["features"])

    def patch(self, patch: int) -> Answer:
        """Return one patch with its labels and the names of its feature sets."""
        return self._get(f"items/{patch}", {})

    def quicklook(self, patch: int) -> bytes:
        """Return the picture of a patch, a JPEG."""
        with self._transport.get(
            f"{self._transport.base}/patches/items/{patch}/quicklook"
        ) as answer:
            return answer.content

    def statistics(self, scheme: str = "corine", **conditions: object) -> Rows:
        """Count labels by product, date, size and label; ``source`` says whose."""
        return Rows(self._get("statistics", {"scheme": scheme, **conditions})["statistics"])

    def changes(self, before: str, after: str, **conditions: object) -> Answer:
        """Count what became what between two products; ``size`` is that of the patches."""
        return self._get("changes", {"before": before, "after": after, **conditions})

    def confusion(
        self, truth: str = "reference", compared: str = "manual", **conditions: object
    ) -> Answer:
        """Compare two sources of labels: counts, accuracy, kappa, recall and precision."""
        return self._get("confusion", {"truth": truth, "compared": compared, **conditions})

    def schemes(self) -> Rows:
        """List the label schemes."""
        return Rows(self._get("schemes", {})["schemes"])

    def labels(self, scheme: str) -> Rows:
        """List the labels of a scheme."""
        return Rows(self._get(f"schemes/{quote(scheme, safe='')}", {})["labels"])

    def annotate(
        self,
        scheme: str,
        labels: Mapping[int, object],
        *,
        visibility: str = "private",
        origin: str = "manual",
        sensor: str = "",
    ) -> Answer:
        """Give patches labels, in place of those one gave before in this scheme.

        Parameters
        ----------
        scheme : str
            Of the labels.
        labels : mapping of int to label, mapping or list
            By number of the patch: a code, ``{code: confidence}``, or a list of codes; an empty
            list takes labels away.
        visibility : {"private", "public"}
            Whether others who see the patch see the label.
        origin, sensor : str
            ``model`` and ``s1``, ``s2`` or ``fused`` for what a model says.
        """
        document = {
            "scheme": scheme,
            "labels": {str(patch): _labels(given) for patch, given in labels.items()},
            "visibility": visibility,
            "origin": origin,
            "sensor": sensor,
        }
        address = f"{self._transport.base}/patches/annotations"
        return _object(self._transport.json(address, "POST", json=document), address)

    def _pages(self, place: str, limit: int, conditions: Mapping[str, object]) -> Features:
        found = Features()
        given = {**conditions, "limit": min(limit, PAGE_LIMIT)}
        while len(found) < limit:
            page = self._get(place, given)
            found.extend(page["features"])
            if not page["features"] or not any(link["rel"] == "next" for link in page["links"]):
                break
            given = {**given, "after": found[-1]["id"]}
        return Features(found[:limit])

    def _get(self, place: str, conditions: Mapping[str, object]) -> Answer:
        address = f"{self._transport.base}/patches/{place}"
        parameters = {name: _text(value) for name, value in conditions.items()}
        return _object(self._transport.json(address, params=parameters), address)


def _object(answer: Any, address: str) -> Answer:  # noqa: ANN401 - JSON
    if not isinstance(answer, dict):
        raise ServerAnswerError(f"{address} does not answer as a gateway does")
    return answer


def _labels(given: object) -> object:
    if isinstance(given, Mapping):
        return [{"code": code, "confidence": sure} for code, sure in given.items()]
    return given


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    outline = getattr(value, "__geo_interface__", None)
    if isinstance(value, Mapping) or outline is not None:
        return json.dumps(outline if outline is not None else value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)
