"""Every picture of the audit: pure functions from tables to matplotlib figures, and one way to save them.

This is the only file that draws with matplotlib. A figure is laid out in inches on a sheet that a README
shows at about 100 pixels an inch (8 inches: 800 pixels) and that is saved at twice that. Attacks keep their
colour and line style by their order in the table, so that two runs can be laid side by side; colour never
carries a meaning alone. No global state is left behind: pyplot is not used, and the style is in force only
while a figure is made or saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from mia import atomic

DPI = 200
WIDTH = 8.0  # inches

# Okabe and Ito 2008, without the yellow, which vanishes on white.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# Seven colours and five dashes: 35 attacks before a pair comes back, and neighbours differ in both.
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (9, 2))
# A curve of so few points gets a dot at each: one of two or three thresholds is mostly corner.
FEW = 12
INK, MUTED, GRID, PALE = "#222222", "#5F6368", "#E4E6E8", "#F4F5F6"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelpad": 4.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.dash_capstyle": "butt",
    "lines.solid_capstyle": "butt",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.size": 3.0,
    "ytick.major.width": 0.7,
}


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG: whole or not at all, and the same bytes for the same figure."""
    with atomic.file(path) as temporary, _style():
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def leak(summary: Mapping[str, Mapping[str, float]], *, fpr: float) -> Figure:
    """Does the model leak? A row an attack: AUC and TPR at one low FPR, with intervals, beside guessing.

    summary: attack -> auc, auc_low, auc_high, tpr, tpr_low, tpr_high; the last three at FPR `fpr`, NaN where
    the non-members cannot resolve it. A filled dot: the whole interval lies above guessing.
    """
    with _style():
        rows = sorted(summary, key=lambda attack: -summary[attack]["auc"])
        count, pitch, bottom, top = len(rows), 0.25, 0.55, 0.64
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.2 + max(_width(figure, name, 8.5) for name in rows)
        text, gap = 1.5, 0.05  # the numbers beside each panel; the space between the two halves
        width = (WIDTH - left - 2 * text - gap - 0.1) / 2
        low_share = min(_finite([summary[a]["tpr_low"] for a in rows if summary[a]["tpr_low"] > 0] + [fpr]))
        panels = (
            ("auc", "AUC", left, 0.5, "chance that a member outscores a non-member"),
            (
                "tpr",
                f"TPR at FPR {_share(fpr)}",
                left + width + text + gap,
                fpr,
                "share of members called member",
            ),
        )
        for key, title, x, guess, label in panels:
            axes = _axes(figure, x, bottom, width, pitch * count)
            axes.set_ylim(count - 0.5, -0.5)
            axes.spines["left"].set_visible(False)
            axes.grid(False, axis="y")
            axes.yaxis.set_major_locator(NullLocator())
            for at in range(0, count, 2):
                axes.axhspan(at - 0.5, at + 0.5, color=PALE, linewidth=0, zorder=0)
            axes.axvline(guess, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
            if key == "auc":
                lows, highs = ([summary[a][f"auc_{end}"] for a in rows] for end in ("low", "high"))
                start, stop = min(*_finite([*lows, 0.48]), 0.48), max(*_finite([*highs, 0.6]), 0.6)
                axes.set_xlim(max(start - 0.01, 0.0), min(stop + 0.01, 1.0))
                axes.xaxis.set_major_locator(_ticks(5))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            else:
                _log_axis(axes, "x", min(low_share, fpr) / 1.6)
            for at, attack in enumerate(rows):
                value, low, high = (summary[attack][f"{key}{end}"] for end in ("", "_low", "_high"))
                said_at = (x + width + 0.1) / WIDTH, (bottom + pitch * (count - at - 0.5)) / _height(figure)
                if not np.isfinite(value):
                    figure.text(*said_at, "too few non-members", color=MUTED, va="center", fontsize=8)
                    continue
                floor = axes.get_xlim()[0]
                axes.plot([max(low, floor), high], [at, at], color=BLUE, linewidth=1.8, zorder=2)
                axes.plot(
                    [max(value, floor)],
                    [at],
                    marker="o" if value >= floor else "<",  # the arrow: the value lies beyond the axis
                    markersize=5.5,
                    markeredgewidth=1.4,
                    color=BLUE,
                    markerfacecolor=BLUE if low > guess else "white",
                    clip_on=False,
                    zorder=3,
                )
                figure.text(*said_at, _interval(value, low, high, 3 if key == "auc" else 4), va="center", fontsize=8)
                if key == "auc":
                    figure.text((left - 0.1) / WIDTH, said_at[1], attack, ha="right", va="center")
            head = (bottom + pitch * count + 0.12) / _height(figure)
            figure.text(x / WIDTH, head, title, weight="bold", fontsize=9.5, va="bottom")
            figure.text((x + width + 0.1) / WIDTH, head, "value [95 %]", color=MUTED, fontsize=8, va="bottom")
            axes.set_xlabel(label, x=0.5, fontsize=8.5)
        notes = (
            "dashed line: guessing",
            "filled dot: the whole interval lies above guessing",
            "hollow: it does not",
        )
        _put(figure, 0.1, _height(figure) - 0.16, "      ".join(notes), color=MUTED, fontsize=8)
        return figure


def roc(curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]], *, n_member: int, n_nonmember: int) -> Figure:
    """ROC curves of all attacks, on linear and on log-log axes; the second shows what few false alarms buy.

    curves: attack, fpr, tpr; a row a threshold, from strict to lax. Drawn as steps, so that a curve shows no
    rate which a threshold cannot reach; where many scores tie (correctness) the area under the steps is
    therefore less than the AUC, which counts a tie as one half. The log panel starts at 1 / `n_nonmember`,
    the smallest FPR that can be observed; what lies below (an FPR of 0 above all) is drawn on its edge.
    summary: attack -> auc, auc_low, auc_high.
    """
    with _style():
        attacks = list(dict.fromkeys(curves["attack"]))
        sizes = curves["attack"].value_counts()
        looks = {attack: _look(at, few=sizes[attack] <= FEW) for at, attack in enumerate(attacks)}
        ranked = sorted(attacks, key=lambda attack: -summary[attack]["auc"])
        names = max(_width(_sheet(1, 1), name, 8.5) for name in attacks)
        row, sample, numbers = 0.185, 0.5, 1.35
        columns = 2 if len(attacks) > 3 and 2 * (names + sample + numbers + 0.15) + 0.3 < WIDTH - 0.65 else 1
        deep = -(-len(attacks) // columns)
        legend = row * deep + 0.52
        side, bottom, left = 3.2, legend + 0.42, 0.62
        figure = _sheet(WIDTH, bottom + side + 0.58)
        linear = _axes(figure, left, bottom, side, side)
        log = _axes(figure, WIDTH - side - 0.2, bottom, side, side)
        floor = 1.0 / n_nonmember
        for axes, title in ((linear, "Linear axes"), (log, "Log-log axes: few false alarms")):
            axes.set_title(title)
            axes.set_xlabel("FPR: share of non-members called member")
            axes.set_ylabel("TPR: share of members called member")
            axes.plot([floor, 1], [floor, 1], color=MUTED, linewidth=1.0, dashes=(1.5, 1.5), zorder=1.5)
        linear.plot([0, floor], [0, floor], color=MUTED, linewidth=1.0, zorder=1.5)
        linear.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
        linear.text(0.82, 0.75, "guessing", color=MUTED, rotation=45, ha="center", va="top", rotation_mode="anchor")
        for which in ("x", "y"):
            _log_axis(log, which, floor, n_nonmember)
        middle = floor**0.25
        log.text(
            middle,
            middle * floor**0.06,
            "guessing",
            color=MUTED,
            rotation=45,
            ha="center",
            va="top",
            rotation_mode="anchor",
        )
        for attack in reversed(ranked):  # the best is drawn last, on top
            points = curves[curves["attack"] == attack]
            fpr, tpr = (points[name].to_numpy(np.float64) for name in ("fpr", "tpr"))
            linear.plot(fpr, tpr, drawstyle="steps-post", zorder=2, **looks[attack])
            on_axes = np.flatnonzero((fpr > 0) & (tpr > 0)).tolist()  # a dot on the edge would be a lie
            fpr, tpr = np.maximum(fpr, floor), np.maximum(tpr, floor)
            log.plot(fpr, tpr, drawstyle="steps-post", zorder=2, markevery=on_axes, **looks[attack])
        pair = (WIDTH - left - 0.2) / columns
        block = names + sample + numbers + 0.15
        for column in range(columns):
            x = left + column * pair
            _put(figure, x + sample, legend - 0.3, "attack", color=MUTED, fontsize=8)
            _put(figure, x + block, legend - 0.3, "AUC [95 %]", color=MUTED, fontsize=8, ha="right")
        for at, attack in enumerate(ranked):
            x, y = left + at // deep * pair, legend - 0.48 - row * (at % deep)
            _key(figure, x, y, **looks[attack])
            _put(figure, x + sample, y, attack)
            _put(figure, x + block, y, _interval(*_auc(summary[attack]), 3), ha="right")
        said = f"{n_member:,} members, {n_nonmember:,} non-members: the smallest FPR above 0 is {floor:.2g}"
        _put(figure, WIDTH - 0.2, _height(figure) - 0.12, said, ha="right", color=MUTED, fontsize=8)
        return figure


def scores(bins: pd.DataFrame) -> Figure:
    """Histograms of every attack's scores, members over non-members.

    bins: attack, left, right, members, nonmembers. The last two are shares of all members and of all
    non-members; each sums to 1, so that a panel shows no difference when there are merely more of the one.
    """
    with _style():
        attacks = list(dict.fromkeys(bins["attack"]))
        widest = max(_width(_sheet(1, 1), name, 9, "bold") for name in attacks)
        columns = next(n for n in (3, 2, 1) if n == 1 or (n * (widest + 0.55) < WIDTH - 0.6 and n <= len(attacks)))
        rows = -(-len(attacks) // columns)
        left, gap_x, gap_y, bottom, top = 0.98, 0.55, 0.62, 0.52, 0.66
        width, height = (
            (WIDTH - left - 0.15 - gap_x * (columns - 1)) / columns,
            1.25 if len(attacks) > 3 else 1.7,
        )
        figure = _sheet(WIDTH, bottom + rows * height + (rows - 1) * gap_y + top)
        for at, attack in enumerate(attacks):
            column, row = at % columns, at // columns
            y = bottom + (rows - 1 - row) * (height + gap_y)
            axes = _axes(figure, left + column * (width + gap_x), y, width, height)
            part = bins[bins["attack"] == attack].sort_values("left")
            edges = np.append(part["left"].to_numpy(np.float64), part["right"].to_numpy(np.float64)[-1])
            members, others = (part[name].to_numpy(np.float64) for name in ("members", "nonmembers"))
            axes.stairs(members, edges, fill=True, color=BLUE, alpha=0.22, linewidth=0)
            axes.stairs(members, edges, color=BLUE, linewidth=1.3)
            axes.stairs(others, edges, color=VERMILION, linewidth=1.3, linestyle=(0, (3.5, 1.2)))
            margin = 0.02 * (edges[-1] - edges[0]) or 0.5
            axes.set_xlim(edges[0] - margin, edges[-1] + margin)
            axes.set_ylim(0, 1.08 * max(members.max(), others.max(), 1e-9))
            axes.set_title(attack, fontsize=9)
            axes.xaxis.set_major_locator(_ticks(4))
            axes.yaxis.set_major_locator(_ticks(3))
            axes.grid(False, axis="x")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        high = bottom + rows * height + (rows - 1) * gap_y
        _put(
            figure,
            left + (WIDTH - left - 0.15) / 2,
            0.14,
            "score (higher = more likely a member)",
            ha="center",
            fontsize=9,
        )
        says = "share of records in each bin\n(each group sums to 1)"
        _put(figure, 0.3, (bottom + high) / 2, says, rotation=90, ha="center", fontsize=9)
        y = _height(figure) - 0.18
        box = (left / WIDTH, (y - 0.06) / _height(figure)), 0.3 / WIDTH, 0.12 / _height(figure)
        figure.add_artist(
            Rectangle(*box, facecolor=matplotlib.colors.to_rgba(BLUE, 0.22), edgecolor=BLUE, linewidth=1.3)
        )
        _put(figure, left + 0.38, y, "members, as shares of all members")
        start = left + 2.75
        _key(figure, start, y, color=VERMILION, linewidth=1.5, linestyle=(0, (3.5, 1.2)))
        _put(figure, start + 0.46, y, "non-members, as shares of all non-members")
        return figure


def confusion(counts: pd.DataFrame) -> Figure:
    """Hard decisions of every attack at the threshold chosen on the shadow models.

    counts: attack, actual (member or non-member), predicted (the same), count; a missing pair counts as 0.
    Shares are of the row, so the left column reads TPR over FPR whatever the number of members.
    """
    with _style():
        attacks, kinds = list(dict.fromkeys(counts["attack"])), ("member", "non-member")
        left, tall, gap_x, gap_y, bottom, top = 1.05, 0.46, 0.12, 0.34, 0.5, 0.62
        cell = max(0.8, *(_width(_sheet(1, 1), name, 8.5, "bold") / 2 for name in attacks))
        columns = min(4, len(attacks), int((WIDTH - 0.15 - left + gap_x) / (2 * cell + gap_x)))
        rows = -(-len(attacks) // columns)
        width = left + columns * 2 * cell + (columns - 1) * gap_x + 0.15
        figure = _sheet(max(width, 4.6), bottom + rows * 2 * tall + (rows - 1) * gap_y + top)
        shades = matplotlib.colors.LinearSegmentedColormap.from_list("shares", ["#FFFFFF", "#8DBFDD"])
        for at, attack in enumerate(attacks):
            column, row = at % columns, at // columns
            y = bottom + (rows - 1 - row) * (2 * tall + gap_y)
            axes = _axes(figure, left + column * (2 * cell + gap_x), y, 2 * cell, 2 * tall)
            axes.grid(False)
            axes.set(xlim=(0, 2), ylim=(2, 0), xticks=[], yticks=[])
            axes.set_title(attack, fontsize=8.5, pad=4)
            for spine in axes.spines.values():
                spine.set_visible(True)
            part = counts[counts["attack"] == attack]
            table = part.pivot_table(index="actual", columns="predicted", values="count", aggfunc="sum")
            table = table.reindex(index=list(kinds), columns=list(kinds)).fillna(0)
            for down, actual in enumerate(kinds):
                total = float(table.loc[actual].sum())
                for across, predicted in enumerate(kinds):
                    count = float(table.loc[actual, predicted])
                    share = count / total if total else float("nan")
                    face = shades(share if total else 0.0)
                    axes.add_patch(Rectangle((across, down), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
                    rate = ("TPR ", "FPR ")[down] if predicted == "member" else ""
                    said = f"{rate}{100 * share:.1f} %" if total else "no records"
                    axes.text(across + 0.5, down + 0.34, f"{count:,.0f}", ha="center", va="center", fontsize=8.5)
                    axes.text(across + 0.5, down + 0.72, said, ha="center", va="center", fontsize=7.5, color=INK)
            if column == 0:
                axes.set_yticks([0.5, 1.5], kinds)
                axes.tick_params(axis="y", length=0)
            if at + columns >= len(attacks):
                axes.set_xticks([0.5, 1.5], kinds)
                axes.tick_params(axis="x", length=0)
        _put(
            figure,
            0.16,
            bottom + (rows * 2 * tall + (rows - 1) * gap_y) / 2,
            "actually",
            rotation=90,
            ha="center",
            fontsize=9,
        )
        middle = left + (columns * 2 * cell + (columns - 1) * gap_x) / 2
        _put(figure, middle, 0.14, "called by the attack", ha="center", fontsize=9)
        note = "Records, and their share of the row.\nThreshold chosen on the shadow models."
        if figure.get_figwidth() > 6:
            note = note.replace("\n", " ")
        _put(figure, 0.1, _height(figure) - 0.22, note, color=MUTED, fontsize=8)
        return figure


def learning(history: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch: the target bold, shadow models thin, training solid, test dashed.

    history: model ("target"; every other name is a shadow model), epoch, train_loss, train_accuracy,
    test_accuracy. The gap between the target's two accuracies is what membership inference feeds on, so it is
    written out. From eight shadow models on, their median is drawn over them.
    """
    with _style():
        figure = _sheet(WIDTH, 3.95)
        bottom, height, width = 1.06, 2.5, 3.0
        accuracy = _axes(figure, 0.62, bottom, width, height)
        loss = _axes(figure, WIDTH - 3.0 - 0.2, bottom, width, height)
        wide = {
            name: history.pivot(index="epoch", columns="model", values=name)
            for name in ("train_accuracy", "test_accuracy", "train_loss")
        }
        shadows = [name for name in wide["train_loss"].columns if name != "target"]
        strength = float(np.clip(9.0 / max(len(shadows), 1), 0.12, 0.75))
        dashed = (0, (4.0, 1.5))
        drawn = (
            (accuracy, "train_accuracy", BLUE, SKY, "solid"),
            (accuracy, "test_accuracy", VERMILION, ORANGE, dashed),
            (loss, "train_loss", BLUE, SKY, "solid"),
        )
        for axes, name, strong, light, line in drawn:
            epochs = wide[name].index.to_numpy(np.float64)
            mass = wide[name][shadows].to_numpy(np.float64)
            style: Any = line
            threads = [np.column_stack([epochs, mass[:, at]]) for at in range(len(shadows))]
            axes.add_collection(
                LineCollection(threads, colors=light, linewidths=0.7, linestyles=style, alpha=strength, zorder=2)
            )
            if len(shadows) >= 8:
                axes.plot(epochs, np.nanmedian(mass, axis=1), color="white", linewidth=2.4, alpha=0.7, zorder=2.4)
                axes.plot(
                    epochs,
                    wide[name][shadows].median(axis=1),
                    color=MUTED,
                    linewidth=1.3,
                    linestyle=style,
                    zorder=2.5,
                )
            if "target" in wide[name]:
                axes.plot(epochs, wide[name]["target"], color=strong, linewidth=2.2, linestyle=style, zorder=3)
            span = epochs[-1] - epochs[0]
            axes.set_xlim(epochs[0] - (0 if span else 0.5), epochs[-1] + (0.01 * span if span else 0.5))
            axes.xaxis.set_major_locator(_ticks(6, integer=True))
            axes.set_xlabel("epoch")
        rates = pd.concat([wide["train_accuracy"], wide["test_accuracy"]]).to_numpy(np.float64)
        low = float(np.nanmin(rates))
        accuracy.set_ylim(max(0.0, low - 0.05), 1.005)
        loss.set_ylim(0, 1.05 * float(np.nanmax(wide["train_loss"].to_numpy(np.float64))) or 1.0)
        for axes, title, label in (
            (accuracy, "Accuracy", "accuracy: share classified correctly"),
            (loss, "Training loss", "loss: cross-entropy (nats)"),
        ):
            axes.set_title(title)
            axes.set_ylabel(label)
            axes.yaxis.set_major_locator(_ticks(6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        if "target" in wide["train_accuracy"]:
            _mark_gap(figure, accuracy, wide["train_accuracy"]["target"], wide["test_accuracy"]["target"])
        plural = f"{len(shadows)} shadow model{'s' if len(shadows) != 1 else ''}"
        keys: list[tuple[str, str, float, Any]] = [
            ("target, training", BLUE, 2.2, "solid"),
            ("target, test", VERMILION, 2.2, dashed),
            (f"{plural}, training", SKY, 1.2, "solid"),
            (f"{plural}, test", ORANGE, 1.2, dashed),
        ]
        if len(shadows) >= 8:
            keys += [
                ("median shadow, training", MUTED, 1.3, "solid"),
                ("median shadow, test", MUTED, 1.3, dashed),
            ]
        keys = keys if shadows else keys[:2]
        starts = np.cumsum(
            [
                0.62,
                *(
                    0.75 + max(_width(figure, key[0], 8.0) for key in keys[at : at + 2])
                    for at in range(0, len(keys), 2)
                ),
            ]
        )
        for at, (said, colour, thick, line) in enumerate(keys):
            x, y = float(starts[at // 2]), 0.4 - at % 2 * 0.2
            _key(figure, x, y, color=colour, linewidth=thick, linestyle=line)
            _put(figure, x + 0.46, y, said, fontsize=8)
        return figure


def leaderboard(board: pd.DataFrame, *, chosen: str | None = None) -> Figure:
    """Cross-validated AUC of every attack model tried on the shadow models, best first.

    board: estimator, auc_mean, auc_std, fold_aucs (a list a row). An estimator whose name starts with "dummy"
    becomes the line it is there to draw. `chosen` is marked, wherever it ranks.
    """
    with _style():
        dummy = board["estimator"].str.lower().str.startswith("dummy")
        ranked = board[~dummy].sort_values(["auc_mean", "estimator"], ascending=[False, True])
        base = float(board.loc[dummy, "auc_mean"].iloc[0]) if dummy.any() else 0.5
        names = list(ranked["estimator"])
        count, pitch, bottom, top = len(names), 0.27, 0.52, 0.62
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.25 + max(_width(figure, name, 8.5, "bold") for name in names)
        width = WIDTH - left - 1.75
        axes = _axes(figure, left, bottom, width, pitch * count)
        axes.set_ylim(count - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_locator(NullLocator())
        axes.grid(False, axis="y")
        for at, row in enumerate(ranked.itertuples()):
            picked = row.estimator == chosen
            colour = VERMILION if picked else BLUE
            mean, spread = float(row.auc_mean), float(row.auc_std)  # type: ignore[arg-type]
            folds = np.asarray(row.fold_aucs, dtype=np.float64)
            if picked:
                axes.axhspan(at - 0.5, at + 0.5, color="#FBEDE3", linewidth=0, zorder=0)
            axes.plot(folds, np.full(len(folds), at), "|", color=colour, markersize=8, alpha=0.55, zorder=2)
            axes.plot([mean - spread, mean + spread], [at, at], color=colour, linewidth=1.8, zorder=2.5)
            axes.plot([mean], [at], "D" if picked else "o", color=colour, markersize=6.5, zorder=3)
            y = bottom + pitch * (count - at - 0.5)
            weight = "bold" if picked else "normal"
            _put(figure, left - 0.1, y, str(row.estimator), ha="right", weight=weight)
            _put(
                figure,
                left + width + 0.12,
                y,
                f"{mean:.3f} ± {spread:.3f}{'  chosen' if picked else ''}",
                fontsize=8,
                weight=weight,
            )
        reach = np.concatenate([np.asarray(folds, dtype=np.float64) for folds in ranked["fold_aucs"]])
        ends = np.concatenate([reach, ranked["auc_mean"] - ranked["auc_std"], ranked["auc_mean"] + ranked["auc_std"]])
        start, stop = min(float(ends.min()), base), max(float(ends.max()), base + 0.05)
        axes.set_xlim(start - 0.04 * (stop - start), stop + 0.02 * (stop - start))
        axes.axvline(base, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
        axes.xaxis.set_major_locator(_ticks(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.set_xlabel("AUC, cross-validated over shadow models")
        notes = ("dot: mean of the folds", "bar: ± one standard deviation", "tick: one fold")
        said = "      ".join([*notes, f"dashed: guessing, as the dummy does ({base:.2f})"])
        _put(figure, 0.1, _height(figure) - 0.2, said, color=MUTED, fontsize=8)
        _put(figure, left + width + 0.12, bottom + pitch * count + 0.14, "mean ± std", color=MUTED, fontsize=8)
        return figure


@contextmanager
def _style() -> Iterator[None]:
    """The style of this file over matplotlib's own defaults, whatever a matplotlibrc says; then undone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams  # typed by literal keys in some releases only
        settings.update(STYLE)
        yield


def _sheet(width: float, height: float) -> Figure:
    """An empty figure of that many inches that can measure text."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    wide, high = figure.get_figwidth(), figure.get_figheight()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _put(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Text at a place given in inches, centred on its height."""
    figure.text(x / figure.get_figwidth(), y / figure.get_figheight(), text, **{"va": "center", **style})


def _key(figure: Figure, x: float, y: float, **style: Any) -> None:
    """The line of a legend, 0.38 inches long, at a place given in inches."""
    ends = [x / figure.get_figwidth(), (x + 0.38) / figure.get_figwidth()]
    figure.add_artist(Line2D(ends, [y / _height(figure)] * 2, **style))


def _height(figure: Figure) -> float:
    return float(figure.get_figheight())


def _width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Width of `text` in inches."""
    drawn = figure.text(0, 0, text, fontsize=size, weight=weight)
    box = drawn.get_window_extent()
    drawn.remove()
    return float(box.width) / DPI


def _look(index: int, *, few: bool) -> dict[str, Any]:
    """Colour and dashes of the attack at `index` in its table; thin, with dots, if its points are few."""
    dashes = DASHES[index % len(DASHES)]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": (0, dashes) if dashes else "solid",
        "linewidth": 0.9 if few else 1.4,
        "marker": "o" if few else "",
        "markersize": 4.0,
        "clip_on": not few,
    }


def _ticks(most: int, *, integer: bool = False) -> MaxNLocator:
    return MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer)


def _log_axis(axes: Axes, which: str, start: float, n: int | None = None) -> None:
    """A log axis from `start` to 1: ticks at the decades, and at a `start` of 1/n if no decade is close."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(start, 1.0)
    decades = [float(f"1e{power}") for power in range(-12, 1)]
    ticks = {value: f"{value:g}" for value in decades if value > start * 0.999}
    if n is not None and np.log10(min(ticks) / start) > -0.12 * np.log10(start):
        ticks[start] = f"1/{n:,}"
    axis.set_major_locator(FixedLocator(sorted(ticks)))
    axis.set_major_formatter(FixedFormatter([ticks[value] for value in sorted(ticks)]))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _mark_gap(figure: Figure, axes: Axes, train: pd.Series[float], test: pd.Series[float]) -> None:
    """A bracket right of `axes` over the distance between two accuracies after the last epoch both have."""
    both = pd.concat([train, test], axis=1).dropna()
    if both.empty:
        return
    high, low = (float(value) for value in both.iloc[-1])
    bracket = {"transform": axes.get_yaxis_transform(), "color": INK, "linewidth": 0.9, "clip_on": False}
    axes.plot([1.025, 1.04, 1.04, 1.025], [high, high, low, low], **bracket)  # type: ignore[arg-type]
    said = f"target's\ngap\n{high - low:+.3f}"
    axes.text(1.055, (high + low) / 2, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def _auc(row: Mapping[str, float]) -> tuple[float, float, float]:
    return row["auc"], row["auc_low"], row["auc_high"]


def _interval(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]
