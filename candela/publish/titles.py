"""Titles of layers: what a result shows and when, as its file name tells."""

import datetime as dt
import re

_DATE = re.compile(r"(V?)(\d{8})(?:[tT].*)?")
_MISSION = re.compile(r"S([12][A-D])", re.IGNORECASE)
_TILE = re.compile(r"T?(\d{2}[C-X][A-Z]{2})")
OPER = "OPER"  # names of before 2016 begin with when they were processed


def layer_title(kind: str, stem: str) -> str:
    """Return a title such as ``Change probability: 18 Jul 2020 → 28 Jun 2022``.

    Parameters
    ----------
    kind : str
        What the output is.
    stem : str
        The name of its file without its ending; the title where it tells no date.
    """
    parts = stem.split("_")
    mission = _MISSION.fullmatch(parts[0])
    dates = _dates(parts, is_product=mission is not None)
    if not dates:
        return f"{kind}: {stem}"
    told = [" → ".join(f"{date.day} {date:%b %Y}" for date in dates)]
    if mission:
        told.append(f"Sentinel-{mission[1].upper()}")
    told += [found[1] for part in parts if (found := _TILE.fullmatch(part))][:1]
    return f"{kind}: {', '.join(told)}"


def _dates(parts: list[str], *, is_product: bool) -> list[dt.date]:
    """Return when what is shown was seen: of a product once, though its name has more times."""
    found = [match for part in parts if (match := _DATE.fullmatch(part))]
    seen = [match for match in found if match[1]]
    if OPER in parts and not seen:
        return []
    dates = []
    for match in seen or found:
        try:
            dates.append(dt.datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=dt.UTC).date())
        except ValueError:
            continue  # a number of eight digits
    return dates[:1] if is_product else dates
