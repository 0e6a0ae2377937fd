"""Seasons of the year that a series is compared within."""

import datetime as dt
from typing import Literal

Seasons = Literal["quarters", "none"]

EPOCH = dt.date(2014, 1, 1)  # before the first image of Sentinel-1
_QUARTERS = ("DJF", "MAM", "JJA", "SON")
WHOLE_YEAR = "year"


def season_of(date: dt.date, seasons: Seasons) -> str:
    """Return the season of a date: a meteorological quarter by its months, or the whole year."""
    return WHOLE_YEAR if seasons == "none" else _QUARTERS[date.month % 12 // 3]


def day_number(date: dt.date) -> int:
    """Return the days since 2014-01-01."""
    return (date - EPOCH).days
