"""Accuracy and loss by epoch: the target bold, shadow models thin, training solid, test dashed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mia.report.figures import layout, style

DASHED = (0, (4.0, 1.5))
MANY = 8  # shadow models from which on their median is drawn over them

Key = tuple[str, str, float, Any]  # what a legend says; colour, width and style of its line


@style.applied()
def figure(history: pd.DataFrame) -> Figure:
    """Draw both panels and their legend.

    history: model ("target"; every other name is a shadow model), epoch, train_loss, train_accuracy,
    test_accuracy. The gap between the target's two accuracies is what membership inference feeds on, so it is
    written out. From `MANY` shadow models on, their median is drawn over them.
    """
    sheet = style.new_sheet(style.WIDTH, 3.95)
    bottom, height, width = 1.06, 2.5, 3.0
    accuracy = layout.add_axes(sheet, 0.62, bottom, width, height)
    loss = layout.add_axes(sheet, style.WIDTH - 3.0 - 0.2, bottom, width, height)
    for axes, measure in ((accuracy, "accuracy"), (loss, "loss")):
        _draw_panel(axes, history, measure)
    keys = _keys(history)
    wide = [0.75 + layout.widest([key[0] for key in keys[at : at + 2]], 8.0) for at in range(0, len(keys), 2)]
    starts = np.cumsum([0.62, *wide])
    for at, key in enumerate(keys):
        _put_key(sheet, float(starts[at // 2]), 0.4 - at % 2 * 0.2, key)
    return sheet


@style.applied()
def panel(history: pd.DataFrame, measure: str) -> Figure:
    """Draw one of the two panels of `figure`, "accuracy" or "loss", with its legend."""
    keys = _keys(history) if measure == "accuracy" else _keys(history)[::2]
    bottom = 0.56 + 0.2 * len(keys)
    sheet = style.new_sheet(4.4, bottom + 2.8)
    _draw_panel(layout.add_axes(sheet, 0.66, bottom, 3.1, 2.5), history, measure)
    for at, key in enumerate(keys):
        _put_key(sheet, 0.66, bottom - 0.6 - 0.2 * at, key)
    return sheet


def _keys(history: pd.DataFrame) -> list[Key]:
    """The legend, training and test in turn."""
    shadows = history["model"].nunique() - ("target" in set(history["model"]))
    plural = f"{shadows} shadow model{'s' if shadows != 1 else ''}"
    keys: list[Key] = []
    if "target" in set(history["model"]):  # it is not where a trained model was brought
        keys += [("target, training", style.BLUE, 2.2, "solid"), ("target, test", style.VERMILION, 2.2, DASHED)]
    if shadows:
        keys += [(f"{plural}, training", style.SKY, 1.2, "solid"), (f"{plural}, test", style.ORANGE, 1.2, DASHED)]
    if shadows >= MANY:
        keys += [
            ("median shadow, training", style.MUTED, 1.3, "solid"),
            ("median shadow, test", style.MUTED, 1.3, DASHED),
        ]
    return keys


def _put_key(sheet: Figure, x: float, y: float, key: Key) -> None:
    text, colour, thickness, line = key
    layout.key(sheet, x, y, color=colour, linewidth=thickness, linestyle=line)
    layout.put(sheet, x + 0.46, y, text, fontsize=8)


def _draw_panel(axes: Axes, history: pd.DataFrame, measure: str) -> None:
    by_model = {
        name: history.pivot(index="epoch", columns="model", values=name)
        for name in ("train_accuracy", "test_accuracy", "train_loss")
    }
    drawn: dict[str, list[tuple[str, str, str, Any]]] = {
        "accuracy": [
            ("train_accuracy", style.BLUE, style.SKY, "solid"),
            ("test_accuracy", style.VERMILION, style.ORANGE, DASHED),
        ],
        "loss": [("train_loss", style.BLUE, style.SKY, "solid")],
    }
    for name, strong, light, line in drawn[measure]:
        _draw_curves(axes, by_model[name], strong=strong, light=light, line=line)
    axes.xaxis.set_major_locator(layout.ticks(6, integer=True))
    axes.set_xlabel("epoch")
    layout.number_axis(axes.yaxis, 6, digits=4)
    if measure == "loss":
        axes.set_title("Training loss")
        axes.set_ylabel("loss: cross-entropy (nats)")
        axes.set_ylim(0, 1.05 * float(np.nanmax(by_model["train_loss"].to_numpy(np.float64))) or 1.0)
        return
    axes.set_title("Accuracy")
    axes.set_ylabel("accuracy: share classified correctly")
    train, test = by_model["train_accuracy"], by_model["test_accuracy"]
    rates = pd.concat([train, test]).to_numpy(np.float64)
    axes.set_ylim(max(0.0, float(np.nanmin(rates)) - 0.05), 1.005)
    if "target" in train:
        _mark_gap(axes, train["target"], test["target"])


def _draw_curves(axes: Axes, values: pd.DataFrame, *, strong: str, light: str, line: Any) -> None:
    """Draw one measure of every model. values: a row an epoch, a column a model."""
    shadows = [name for name in values.columns if name != "target"]
    epochs, of_shadows = values.index.to_numpy(np.float64), values[shadows].to_numpy(np.float64)
    threads = [np.column_stack([epochs, of_shadows[:, at]]) for at in range(len(shadows))]
    alpha = float(np.clip(9.0 / max(len(shadows), 1), 0.12, 0.75))
    axes.add_collection(LineCollection(threads, colors=light, linewidths=0.7, linestyles=line, alpha=alpha, zorder=2))
    if len(shadows) >= MANY:
        axes.plot(epochs, np.nanmedian(of_shadows, axis=1), color="white", linewidth=2.4, alpha=0.7, zorder=2.4)
        median = values[shadows].median(axis=1)
        axes.plot(epochs, median, color=style.MUTED, linewidth=1.3, linestyle=line, zorder=2.5)
    if "target" in values:
        axes.plot(epochs, values["target"], color=strong, linewidth=2.2, linestyle=line, zorder=3)
    span = epochs[-1] - epochs[0]
    axes.set_xlim(epochs[0] - (0 if span else 0.5), epochs[-1] + (0.01 * span if span else 0.5))


def _mark_gap(axes: Axes, train: pd.Series[float], test: pd.Series[float]) -> None:
    """Draw a bracket right of `axes` over the distance between two accuracies after the last epoch both have."""
    both = pd.concat([train, test], axis=1).dropna()
    if both.empty:
        return
    high, low = (float(value) for value in both.iloc[-1])
    bracket = {"transform": axes.get_yaxis_transform(), "color": style.INK, "linewidth": 0.9, "clip_on": False}
    axes.plot([1.025, 1.04, 1.04, 1.025], [high, high, low, low], **bracket)  # type: ignore[arg-type]
    text = f"target's\ngap\n{high - low:+.3f}"
    axes.text(1.055, (high + low) / 2, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
