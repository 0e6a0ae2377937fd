"""The TIME of a request, resolved to one instant of a series (WMS 1.3.0, annexes C and D).

A value of reduced precision (``2020``, ``2020-07``, ``2020-07-18``) or an interval stands for the
last image within it. MapServer shows the newest image where it does not find a value, whatever was
asked for: it is given instants only.

NOTE: QGIS asks for a frame that begins with a day by an instant, midnight. An instant at midnight
without an image of its own therefore stands for its day.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import NamedTuple

from candela.gateway.maps.exceptions import OwsError
from candela.publish.metadata import isotime

CURRENT = "current"
LONGEST = 4096  # characters of a value: a list may name many instants
VALUE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T(?P<hour>\d\d)"
    r"(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.0{1,9})?)?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
PERIOD = re.compile(
    r"P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?", re.ASCII
)
STEPS = {
    "day": dt.timedelta(days=1), "hour": dt.timedelta(hours=1), "minute": dt.timedelta(minutes=1),
    "second": dt.timedelta(seconds=1),
}  # fmt: skip


class Span(NamedTuple):
    """The time that a value stands for: from the first instant to before the other one."""

    start: dt.datetime
    end: dt.datetime


def last_image(asked: str, times: Sequence[dt.datetime]) -> dt.datetime:
    """Return the last time of a series that a value of TIME holds.

    Parameters
    ----------
    asked : str
        An instant, a value of reduced precision, ``current``, an interval, or a list of those.
    times : sequence of datetime
        When there is an image, in order.

    Raises
    ------
    OwsError
        If the value is no time, or holds no image.
    """
    if len(asked) > LONGEST:
        raise _refused(f"TIME is above {LONGEST} characters")
    found = [time for item in asked.split(",") for time in _images(item, times)]
    if not found:
        dates = f"{isotime(times[0])} to {isotime(times[-1])}"
        raise _refused(f"no image at TIME {asked[:80]!r} ({len(times)} from {dates})")
    return max(found)


def _images(item: str, times: Sequence[dt.datetime]) -> list[dt.datetime]:
    start, slash, rest = item.partition("/")
    if slash:
        end, slash, period = rest.partition("/")
        if slash and not PERIOD.fullmatch(period):
            raise _refused(f"{period[:80]!r} is no period such as P1D")
        span = Span(_span(start, times).start, _span(end, times).end)
        if span.start >= span.end:
            raise _refused(f"the interval {item[:80]!r} ends before it begins")
        return [time for time in times if span.start <= time < span.end]
    span = _span(item, times)
    found = [time for time in times if span.start <= time < span.end]
    if not found and _is_midnight(span):
        found = [time for time in times if span.start <= time < span.start + STEPS["day"]]
    return found


def _is_midnight(span: Span) -> bool:
    return span.end - span.start == STEPS["second"] and span.start.time() == dt.time()


def _span(text: str, times: Sequence[dt.datetime]) -> Span:
    """Return what one value stands for."""
    if text.lower() == CURRENT:
        return Span(times[-1], times[-1] + STEPS["second"])
    parts = VALUE.fullmatch(text)
    if parts is None:
        raise _refused(f"{text[:80]!r} is no time such as 2020-07-18")
    try:
        return _span_of(parts)
    except (ValueError, OverflowError):
        raise _refused(f"there is no time {text[:80]!r}") from None


def _span_of(parts: re.Match[str]) -> Span:
    found = {name: int(value) for name, value in parts.groupdict().items()
             if value and name != "zone"}  # fmt: skip
    start = dt.datetime.fromisoformat(
        f"{found['year']:04}-{found.get('month', 1):02}-{found.get('day', 1):02}"
        f"T{found.get('hour', 0):02}:{found.get('minute', 0):02}:{found.get('second', 0):02}"
        f"{(parts['zone'] or 'Z').replace('Z', '+00:00')}"
    ).astimezone(dt.UTC)
    precision = list(found)[-1]
    if precision == "year":
        return Span(start, start.replace(year=start.year + 1))
    if precision == "month":
        years, months = divmod(start.month, 12)
        return Span(start, start.replace(year=start.year + years, month=months + 1))
    return Span(start, start + STEPS[precision])


def _refused(message: str) -> OwsError:
    return OwsError("InvalidDimensionValue", message, "time")
