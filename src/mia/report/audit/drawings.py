"""The figures of an audit: as files for README and `dvc plots`, and as SVG on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report import html
from mia.report.audit.measured import Audit
from mia.report.figures import (
    absent,
    classes,
    comparison,
    confusion,
    curves,
    leaderboard,
    leak,
    learning,
    overview,
    roc,
    scores,
)

NO_BOARD = "No leaderboard: without shadow models, no classifier can be fitted as an attack model."


def for_files(audit: Audit, *, chosen: str | None, given: bool) -> dict[str, Callable[[], Figure]]:
    """Return how every figure is drawn, by its name, as in plots/NAME.png; one that has no data says why.

    chosen: the classifier of the learned attack, None where none was fitted. given: whether the models were trained
    elsewhere.
    """
    no_curves = f"No learning curves: the models were not trained {'here' if given else 'in several epochs'}."
    sizes = {"n_member": audit.verdict["n_member"], "n_nonmember": audit.verdict["n_nonmember"]}
    return {
        "overview": lambda: overview.figure(audit.curves, audit.by_attack, fpr=audit.fpr, **sizes),
        "leak": lambda: leak.figure(audit.by_attack, fpr=audit.fpr),
        "roc": lambda: roc.figure(audit.curves, audit.by_attack, fpr=audit.fpr, **sizes),
        "scores": lambda: scores.figure(audit.bins),
        "confusion": lambda: confusion.figure(audit.counts, cross_fitted=audit.cross_fitted),
        "comparisons": lambda: comparison.figure(audit.pairs),
        "classes": lambda: classes.figure(audit.classes, audit.by_attack),
        "learning": lambda: learning.figure(audit.history) if has_curves(audit) else absent.figure(no_curves),
        "leaderboard": lambda: (
            absent.figure(NO_BOARD) if audit.board.empty else leaderboard.figure(audit.board, chosen=chosen)
        ),
    }


def for_page(audit: Audit) -> dict[str, Any]:
    """Return the page's figures, and the keys of the attacks that they draw in colour."""
    keys = roc.keys(audit.curves, audit.by_attack)
    return {
        "keys": keys,
        "banded": curves.banded(list(keys)),
        "roc": [_roc(audit, log=log) for log in (False, True)],
        "scores": [(attack, _scores(audit, attack)) for attack in keys],
        "pairs": html.figure(
            comparison.figure(audit.pairs),
            "pairs",
            "The difference of AUC between every two attacks, and which differences may be chance; "
            "plots/comparisons.csv has the numbers.",
        ),
        "learning": [_learning(audit, measure) for measure in ("accuracy", "loss")] if has_curves(audit) else [],
    }


def has_curves(audit: Audit) -> bool:
    """Return whether a model was measured at several epochs: estimators are fitted in one."""
    return audit.history["epoch"].nunique() > 1


def _roc(audit: Audit, *, log: bool) -> Markup:
    return html.figure(
        roc.panel(audit.curves, audit.by_attack, n_nonmember=audit.verdict["n_nonmember"], log=log),
        f"roc-{'log' if log else 'linear'}",
        f"ROC curves, {'both axes logarithmic' if log else 'linear axes'}: TPR against FPR. "
        "The table of attacks has the numbers.",
    )


def _scores(audit: Audit, attack: str) -> Markup:
    return html.figure(
        scores.panel(audit.bins[audit.bins["attack"] == attack]),
        f"scores-{attack}",
        f"Histogram of the scores of {wording.words(attack)}, members and non-members.",
    )


def _learning(audit: Audit, measure: str) -> Markup:
    return html.figure(
        learning.panel(audit.history, measure),
        f"learning-{measure}",
        f"{measure.capitalize()} of the target and of the shadow models after each epoch; the numbers: "
        "plots/learning.csv.",
    )
