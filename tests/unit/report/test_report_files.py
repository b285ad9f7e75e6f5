"""Whatever the report reads is checked, and a file damaged by hand is named with what it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mia import paths
from mia.errors import InputError
from mia.evaluation import verdict
from mia.report.audit import files
from stages import report

LACKS = (
    "no 'attack', 'verdict', 'auc', 'auc_low', 'auc_high', 'balanced_accuracy', 'epsilon_lower', 'accuracy', "
    "'recall', 'f1', 'tp', 'fp', 'n_member', 'n_nonmember'"
)
TARGET = {"train_accuracy": 1.0, "test_accuracy": 0.5, "gap": 0.5}
DAMAGED: dict[str, tuple[Path, Any, str]] = {
    "an entry lacks keys": (
        paths.ATTACK_METRICS,
        [{"attack": "loss", "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7}],
        LACKS.replace("'attack', ", "").replace("'auc', 'auc_low', 'auc_high', ", ""),
    ),
    "a number that is none": (paths.TARGET_METRICS, TARGET | {"gap": "wide"}, "'gap' is 'wide'"),
    "a yes where a number stands": (paths.TARGET_METRICS, TARGET | {"gap": True}, "'gap' is True"),
    "an attack that is no name": (paths.SELECTION, {"best": 3}, "'best' is 3"),
    "no classifier, and not why": (paths.SELECTION, {"best": None}, "no 'reason'"),
    "shadows without accuracies": (paths.SHADOW_METRICS, {"models": 4}, "no 'train_accuracy', 'test_accuracy'"),
    "a kind of record that is none": (
        paths.VERDICT,
        dict.fromkeys(verdict.KEYS, 1) | {"auc_attack": "loss", "kind": "song"},
        "'kind' is 'song'",
    ),
    "a spread that is none": (
        paths.VERDICT,
        dict.fromkeys(verdict.KEYS, 1) | {"auc_attack": "loss", "auc_spread": "wide", "plays": 5},
        "'auc_spread' is 'wide'",
    ),
    "no spread, and not why": (
        paths.VERDICT,
        dict.fromkeys(verdict.KEYS, 1) | {"auc_attack": "loss", "auc_spread": None, "plays": 1},
        "no 'spread_missing'",
    ),
    "a spread of nobody knows how many": (
        paths.VERDICT,
        dict.fromkeys(verdict.KEYS, 1) | {"auc_attack": "loss", "auc_spread": 0.01},
        "no 'plays'",
    ),
    "thresholds from nowhere": (
        paths.ATTACK_METRICS,
        [
            dict.fromkeys(files.WANTED[paths.ATTACK_METRICS], 1)
            | {"attack": "a", "verdict": "b", "thresholds": "guessed"}
        ],
        "'thresholds' is 'guessed'",
    ),
    "a list of metrics": (paths.NOT_APPLICABLE, [], "no names with values"),
    "no list": (paths.ATTACK_METRICS, {}, "no list of attacks"),
    "an empty list": (paths.ATTACK_METRICS, [], "no list of attacks"),
    "no entries": (
        paths.ATTACK_METRICS,
        [3],
        LACKS,
    ),
    "an entry lacks the limits of a TPR that its records resolve": (
        paths.ATTACK_METRICS,
        [
            dict.fromkeys(files.WANTED[paths.ATTACK_METRICS], 100)
            | {"attack": "a", "verdict": "b", "tpr_at_fpr_0_01": 0.5}
        ],
        "no 'tpr_at_fpr_0_01_low', 'tpr_at_fpr_0_01_high'",
    ),
    "a CSV lacks columns": (
        paths.CLASSES,
        "attack,class,n_member,auc_low\nloss,0,3,0.5\n",
        "no 'n_nonmember', 'auc', 'auc_high'",
    ),
    "a CSV lacks an attack": (
        paths.ROC_CURVES,
        "attack,fpr,tpr,tpr_low,tpr_high\nentropy,0,1,1,1\n",
        "no attack 'loss', which metrics/attacks.json has",
    ),
    "a CSV has an attack too much": (
        paths.ROC_CURVES,
        "attack,fpr,tpr,tpr_low,tpr_high\nloss,0,0,0,0\nentropy,0,1,1,1\n",
        "no attack 'entropy', which plots/roc.csv has",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_damaged_by_hand_is_named_with_what_it_lacks(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, content, lacks = DAMAGED[case]
    path.parent.mkdir()
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    file = paths.ATTACK_METRICS if "too much" in case else path
    said = f"{file}: damaged: {lacks}; delete it, then `dvc repro` makes it anew"
    of_path = {
        paths.SELECTION: files.read_selection,
        paths.SHADOW_METRICS: files.read_shadows,
        paths.VERDICT: files.read_verdict,
    }
    read: Callable[[], Any] = partial(of_path.get(path, files.read_metrics), path)
    if path.suffix == ".csv":
        read = partial(files.read_table, path, ["loss"])
    elif path == paths.ATTACK_METRICS:
        read = partial(files.read_attacks, path, 0.01)
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        read()


def test_files_of_an_audit_without_shadows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, content in (
        (paths.SHADOW_METRICS, '{"models": 0}'),
        (paths.SELECTION, '{"best": null, "reason": "no shadow models"}'),
        (paths.LEADERBOARD, "estimator,auc_mean,auc_std,fold_aucs,stopped_in_round\n"),
        (paths.LEARNING_CURVES, "model,epoch,train_loss,train_accuracy,test_accuracy\n"),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert files.read_shadows(paths.SHADOW_METRICS) == {"models": 0}
    assert files.read_selection(paths.SELECTION)["best"] is None
    assert files.read_leaderboard(paths.LEADERBOARD).empty
    assert files.read_table(paths.LEARNING_CURVES, ["loss"]).empty


def test_every_file_that_the_report_reads_is_checked() -> None:
    read = re.findall(r"files\.read_\w+\(paths\.(\w+)", Path(report.__file__).read_text())
    read.remove("TARGET_FEATURES")  # sealed Parquet, which its own schema checks
    assert {getattr(paths, name) for name in read} == set(files.WANTED)
