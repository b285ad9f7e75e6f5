"""Draw what was measured.

Reads: metrics/attacks.json, metrics/selection.json, plots/*.csv.
Writes: plots/*.png.
"""

from __future__ import annotations

import math

from mia import documents, figures, metrics, paths
from mia.params import Params
from stages import run

LOW_FPR = 0.01  # the FPR whose TPR stands beside the AUC, or the largest one that was measured


def main(params: Params) -> None:
    """Run the stage."""
    measured = {one["attack"]: one for one in documents.read_json(paths.ATTACK_METRICS)}
    size = next(iter(measured.values()))
    fpr = min(params.evaluate.fprs, key=lambda fpr: abs(math.log(fpr / LOW_FPR)))
    key = metrics.fpr_key(fpr)
    for one in measured.values():
        for end in ("", "_low", "_high"):
            one[f"tpr{end}"] = one.get(f"{key}{end}", math.nan)

    figures.save(figures.leak(measured, fpr=fpr), paths.LEAK_FIGURE)
    curves = documents.read_csv(paths.ROC_CURVES)
    roc = figures.roc(curves, measured, n_member=size["n_member"], n_nonmember=size["n_nonmember"])
    figures.save(roc, paths.ROC_FIGURE)
    figures.save(figures.scores(documents.read_csv(paths.SCORE_HISTOGRAM)), paths.SCORE_FIGURE)
    figures.save(figures.confusion(documents.read_csv(paths.CONFUSION)), paths.CONFUSION_FIGURE)
    figures.save(figures.learning(documents.read_csv(paths.LEARNING_CURVES)), paths.LEARNING_FIGURE)
    board = documents.read_csv(paths.LEADERBOARD)
    board["fold_aucs"] = board["fold_aucs"].map(lambda aucs: [float(auc) for auc in aucs.split()])
    best = documents.read_json(paths.SELECTION)["best"]
    chosen = best if params.attacks.learned.estimator == "best" else params.attacks.learned.estimator
    figures.save(figures.leaderboard(board, chosen=chosen), paths.LEADERBOARD_FIGURE)


if __name__ == "__main__":
    run(main)
