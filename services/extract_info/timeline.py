"""A picture of a series: one line for each scene, one dot for each image."""

from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from candela.services.extract_info.algorithm import Scene, Series

MOST_SCENES = 60  # more would not be readable
_COLOURS = {"S2A": "#1b6ca8", "S2B": "#d1783b", "S2C": "#4f9d69"}
_OTHER = "#777777"
_LEAST_GAP = 0.05  # of the axis: pairs closer than this have no room for a label


def draw_timeline(path: Path, series: Series) -> None:
    """Draw when each scene was seen, and how many days lie between."""
    scenes = series.scenes[:MOST_SCENES]
    figure = Figure(figsize=(11, 1.9 + 0.5 * len(scenes)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    times = [date2num(o.metadata.sensing_time) for s in scenes for o in s.observations]
    span = max(max(times) - min(times), 10)
    axes.set_xlim(min(times) - 0.05 * span, max(times) + 0.05 * span)
    for row, scene in enumerate(scenes):
        _draw_scene(axes, scene, row, span)
    axes.set_ylim(len(scenes) - 0.4, -0.75)
    axes.set_yticks(range(len(scenes)), [scene.name for scene in scenes])
    locator = AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(_title(series, len(scenes)), loc="left", fontsize=11)
    _draw_legend(axes, scenes)
    figure.savefig(path)


def _draw_scene(axes: Axes, scene: Scene, row: int, span: float) -> None:
    times = [date2num(item.metadata.sensing_time) for item in scene.observations]
    axes.plot(times, [row] * len(times), color="#b5b5b5", linewidth=2, zorder=1)
    colours = [_COLOURS.get(item.metadata.platform, _OTHER) for item in scene.observations]
    axes.scatter(times, [row] * len(times), c=colours, s=60, zorder=2, edgecolors="white")
    for start, stop in pairwise(times):
        if stop - start > _LEAST_GAP * span:
            label = f"{round(stop - start)} d"
            axes.annotate(
                label, ((start + stop) / 2, row), (0, 4), textcoords="offset points",
                ha="center", fontsize=8, color="#555555",
            )  # fmt: skip


def _draw_legend(axes: Axes, scenes: tuple[Scene, ...]) -> None:
    platforms = sorted({o.metadata.platform for s in scenes for o in s.observations})
    for platform in platforms:
        axes.scatter([], [], c=_COLOURS.get(platform, _OTHER), label=platform or "unknown")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=max(1, len(platforms)), frameon=False
    )


def _title(series: Series, shown: int) -> str:
    images = sum(len(scene.observations) for scene in series.scenes)
    parts = [
        _count(images, "image"),
        _count(len(series.scenes), "scene"),
        _count(len(series.pairs), "pair"),
    ]
    if series.left_out:
        parts.append(f"{len(series.left_out)} left out")
    if shown < len(series.scenes):
        parts.append(f"the first {shown} scenes are shown")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
