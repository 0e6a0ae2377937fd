"""Artefacts of training beside the weights: the card, the loss curve, restored patches."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from candela.models.encoder import SUFFIXES, VISIBLE

SMOOTHED = 20  # steps; window of the running mean of the loss
SHOWN = (-2.0, 4.0)  # standardised reflectance from black to white
GAP = 4  # pixels between patches


def write_card(folder: Path, name: str, entries: Mapping[str, object]) -> None:
    """Write ``<name>.yaml``: the entries and the checksums of the weights."""
    checksums = {
        suffix: hashlib.sha256((folder / f"{name}{suffix}").read_bytes()).hexdigest()
        for suffix in sorted(SUFFIXES.values())
    }
    plain = {
        key: list(value) if isinstance(value, tuple) else value for key, value in entries.items()
    }
    text = yaml.safe_dump({**plain, "sha256": checksums}, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def draw_losses(stem: Path, losses: Sequence[float]) -> None:
    """Write the loss curve as CSV and as PNG."""
    lines = ["step,loss", *(f"{step},{loss:.6f}" for step, loss in enumerate(losses, 1))]
    stem.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color="#cccccc", linewidth=0.8, label="one batch")
    if len(losses) >= SMOOTHED:
        mean = np.convolve(losses, np.full(SMOOTHED, 1 / SMOOTHED), mode="valid")
        axes.plot(steps[SMOOTHED - 1 :], mean, color="#b10026", label=f"mean of {SMOOTHED}")
    axes.set(xlabel="step", ylabel="restoration loss")
    axes.legend(frameon=False)
    figure.savefig(stem.with_suffix(".png"), dpi=120)
    plt.close(figure)


def draw_samples(path: Path, samples: Sequence[NDArray[np.float32]]) -> None:
    """Draw patches in rows: source, target and restored target."""
    low, high = SHOWN
    rows = []
    for views in samples:
        shown = np.clip((views[..., VISIBLE][..., ::-1] - low) / (high - low), 0, 1)
        padded = np.pad(shown, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=1)
        rows.append(np.concatenate(list(padded), axis=1))
    picture = np.concatenate(rows, axis=0)
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(path)
