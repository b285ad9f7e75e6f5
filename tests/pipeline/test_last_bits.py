"""What another processor adds up in another order moves no finding: logits moved by a millionth, and all that follows.

Only the training of target and shadows is left out; it makes other models, which no attack can mend.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import tiny
from mia import paths
from mia.models.logits import SIGNALS
from mia.store import metrics_files, parquet

pytestmark = pytest.mark.long

BEFORE = ("prepare", "split", "train_target", "query_target", "train_shadows", "query_shadows")
AFTER = ("build_features", "fit_attack", "fit_stacked", "fit_quantile", "train_imitators", "score", "evaluate")
CHANGES: dict[str, Any] = {
    "data.population_size": 898,
    "data.generated": 2000,
    "target.epochs": 10,
    "shadow.train_size": 449,
    "shadow.heldout_size": 449,
    "attacks.played.records": 898,
    "attacks.quantile.patches": 32,
    "estimators.extra_trees.n_estimators": 50,
    "estimators.extra_trees.min_samples_leaf": 50,
    "attacks.stacked.hist_gradient_boosting": {"max_iter": 30, "min_samples_leaf": 50},
}


def moved(path: Path, rng: np.random.Generator) -> None:
    """Move every logit of a file by a millionth of itself, up or down."""
    parts = list(parquet.read_parts(path, SIGNALS))
    path.unlink()
    with parquet.writer(path, SIGNALS) as add:
        for part in parts:
            logits = parquet.matrix(path, part, "logits").astype(np.float64)
            logits *= 1 + 1e-6 * rng.choice([-1, 1], logits.shape)
            at = part.column_names.index("logits")
            add(part.set_column(at, SIGNALS.field("logits"), parquet.list_column(logits.astype(np.float32))))


def found(changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    with threadpool_limits(1):  # threads that wait for each other on a busy machine take longer than one
        tiny.run(*AFTER, changes=changes)
    return {numbers["attack"]: numbers for numbers in metrics_files.read_json(paths.ATTACK_METRICS)}


@pytest.mark.parametrize("knowledge", ["generated", "population"])
def test_no_finding_hangs_on_the_last_bits_of_the_logits(
    knowledge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AUC holds to .002, the TPR at 1 % FPR to a quarter of its interval, for every attack."""
    monkeypatch.chdir(tmp_path)
    changes = {**CHANGES, "attacker.knowledge": knowledge}
    tiny.run(*BEFORE, changes=changes)
    before = found(changes)
    rng = np.random.default_rng(0)
    for path in (paths.TARGET_SIGNALS, *sorted(paths.ALL_SHADOW_SIGNALS.glob("*.parquet"))):
        moved(path, rng)
    after = found(changes)
    assert set(before) == set(after)
    tpr = "tpr_at_fpr_0_01"
    off = {}
    for attack, numbers in before.items():
        auc_by = abs(after[attack]["auc"] - numbers["auc"])
        tpr_by = abs(after[attack][tpr] - numbers[tpr])
        if auc_by > 0.002 or tpr_by > (numbers[f"{tpr}_high"] - numbers[f"{tpr}_low"]) / 4:
            off[attack] = auc_by, tpr_by
    assert not off
