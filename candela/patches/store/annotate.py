"""Say what patches show, and who may see it."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from candela.errors import InputError, NotFoundError
from candela.patches.query.selection import check_label, seen_by
from candela.patches.store.tables import ANNOTATION, PATCH, PRODUCT, RELEVANCE, SESSION, SHARE

CHUNK = 5000  # patches in one statement


class Source(NamedTuple):
    """Where labels come from.

    Attributes
    ----------
    origin : {"manual", "model", "reference"}
    sensor : {"", "s1", "s2", "fused"}
        What a model looked at.
    """

    origin: str = "manual"
    sensor: str = ""


MANUAL = Source()
REFERENCE = Source("reference")


class LabelAssignment(NamedTuple):
    """A label of a patch; ``confidence`` is 0..1."""

    code: str
    confidence: float | None = None


def annotate(
    connection: Connection,
    owner: str,
    scheme: str,
    labels: Mapping[int, Sequence[LabelAssignment]],
    *,
    source: Source = MANUAL,
    visibility: str = "private",
    session: int | None = None,
) -> None:
    """Give patches their labels, in place of those of the same owner, scheme and source.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.acting_for``.
    owner : str
        Who says so.
    scheme : str
        Of the labels.
    labels : mapping of int to sequence of LabelAssignment
        By number of the patch; an empty sequence takes labels away.
    source : Source
    visibility : {"private", "public"}
        Whether others who see the patch see the label.
    session : int, optional
        In which session.

    Raises
    ------
    NotFoundError
        If there is no such label, or no such patch to be seen.
    """
    for code in {given.code for of_patch in labels.values() for given in of_patch}:
        check_label(connection, scheme, code)
    products = _products(connection, owner, labels)
    same = (
        ANNOTATION.c.owner == owner,
        ANNOTATION.c.scheme == scheme,
        ANNOTATION.c.origin == source.origin,
        ANNOTATION.c.sensor == source.sensor,
    )
    for part in _chunks(labels):
        connection.execute(sa.delete(ANNOTATION).where(*same, ANNOTATION.c.patch_id.in_(part)))
    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "patch_id": patch,
            "product_id": products[patch],
            "owner": owner,
            "visibility": visibility,
            "scheme": scheme,
            "code": given.code,
            "origin": source.origin,
            "sensor": source.sensor,
            "confidence": given.confidence,
            "session_id": session,
            "created": now,
        }
        for patch, of_patch in labels.items()
        for given in of_patch
    ]
    if rows:
        connection.execute(sa.insert(ANNOTATION), rows)


def share(connection: Connection, owner: str, product: str, readers: Collection[str]) -> None:
    """Let these users, and no others, see a private product of one's own.

    Raises
    ------
    NotFoundError
        If the owner has no such product.
    """
    mine = sa.select(PRODUCT.c.id).where(PRODUCT.c.owner == owner, PRODUCT.c.name == product)
    number = connection.execute(mine).scalar_one_or_none()
    if number is None:
        raise NotFoundError(f"{owner!r} has no product {product!r}")
    connection.execute(sa.delete(SHARE).where(SHARE.c.product_id == number))
    rows = [{"product_id": number, "reader": reader, "owner": owner} for reader in set(readers)]
    if rows:
        connection.execute(sa.insert(SHARE), rows)


def start_session(connection: Connection, owner: str, name: str, scheme: str, code: str) -> int:
    """Begin to look for what deserves a label; return the number of the session."""
    check_label(connection, scheme, code)
    made = sa.insert(SESSION).values(
        owner=owner, name=name, scheme=scheme, code=code, started=dt.datetime.now(dt.UTC)
    )
    return int(connection.execute(made.returning(SESSION.c.id)).scalar_one())


def judge(
    connection: Connection, owner: str, session: int, round_: int, relevant: Mapping[int, bool]
) -> None:
    """Say of patches whether they are what a session looks for; the last word counts.

    Raises
    ------
    NotFoundError
        If it is no session of this owner's.
    InputError
        If it has ended.
    """
    mine = sa.select(SESSION.c.finished).where(SESSION.c.id == session, SESSION.c.owner == owner)
    found = connection.execute(mine).first()
    if found is None:
        raise NotFoundError(f"{owner!r} has no session {session}")
    if found.finished is not None:
        raise InputError(f"session {session} ended at {found.finished:%Y-%m-%d %H:%M} UTC")
    _products(connection, owner, relevant)
    for part in _chunks(relevant):
        connection.execute(
            sa.delete(RELEVANCE).where(
                RELEVANCE.c.session_id == session, RELEVANCE.c.patch_id.in_(part)
            )
        )
    rows = [
        {"session_id": session, "patch_id": patch, "round": round_, "relevant": is_relevant}
        for patch, is_relevant in relevant.items()
    ]
    if rows:
        connection.execute(sa.insert(RELEVANCE), rows)


def _products(connection: Connection, viewer: str, patches: Collection[int]) -> dict[int, int]:
    """Return the product of each patch, all of which the user must be able to see."""
    joined = sa.select(PATCH.c.id, PATCH.c.product_id).join(
        PRODUCT, PATCH.c.product_id == PRODUCT.c.id
    )
    found: dict[int, int] = {}
    for part in _chunks(patches):
        query = joined.where(seen_by(viewer), PATCH.c.id.in_(part))
        found |= {row.id: row.product_id for row in connection.execute(query)}
    missing = sorted(set(patches) - set(found))
    if missing:
        raise NotFoundError(f"there is no patch {missing[0]}, or it is not yours to see")
    return found


def _chunks(patches: Collection[int]) -> list[list[int]]:
    numbers = list(patches)
    return [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
