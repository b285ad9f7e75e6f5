"""Fit the stacked attack: every shadow plays the target in turn with the other shadows as references.

Reads: data/signals/target.parquet (which records there are), data/margins.parquet.
Writes: models/stacked/ (skops, the scores of shadows' records by models that did not see their shadow, the candidates'
AUC and TPR). Where the shadows are too few, or the attack is not among attacks.run, a reason stands there instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from mia import paths, progress, seeds
from mia.attacks import evidence, learned, schemas, stacked
from mia.catalogue import wanted
from mia.errors import NotApplicable
from mia.evaluation import verdict
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import atomic, metrics_files, parquet
from stages import run

FPRS = (0.1, 0.01)  # of which the verdict is given at one


def main(params: Params) -> None:
    """Run the stage."""
    with atomic.folder(paths.STACKED_MODEL) as temporary:
        try:
            fit(params, temporary)
        except NotApplicable as error:
            print(f"fit_stacked: left out: {error}", file=sys.stderr)
            metrics_files.write_json(temporary / "not_applicable.json", {"reason": str(error)})


def fit(params: Params, folder: Path) -> None:
    """Fit and write; raises NotApplicable where it cannot."""
    if not wanted(params.attacks.run, "stacked"):
        raise NotApplicable("not among attacks.run")
    signals = parquet.read_table(paths.TARGET_SIGNALS, SIGNALS)
    if signals.column("holds")[0].as_py() == "predicted":
        raise NotApplicable("the answers hold no loss")
    answers = evidence.gather(
        signals,
        parquet.read_parts(paths.MARGINS, schemas.MARGINS),
    )
    played = evidence.plays(
        answers,
        params.attacks.played.models,
        params.attacks.played.records,
        lambda model_id: seeds.generator(params.seed, "played records", model_id),
    )
    if len({play.fold for play in played}) < 2:
        raise NotApplicable("needs more shadow models" if len(answers["population"].model_ids) else "needs shadows")
    target = answers["population"].of_target()
    stacked.check(target)
    n_classes = 1 + max(int(of_source.labels.max()) for of_source in answers.values())
    use_in = all(map(stacked.online, [target, *(play.evidence for play in played)]))
    described = [
        stacked.features(play.evidence, n_classes, use_in=use_in)
        for play in progress.bar(played, "stack", unit="shadow")
    ]
    fpr = verdict.headline_fpr(FPRS, len(target) // 2)  # as if half were members, which the attacker does not know
    model, scores, merits = stacked.fit(
        params.attacks.stacked.model_dump(),
        described[0][0],
        np.concatenate([values for _, values in described]),
        np.concatenate([play.is_member for play in played]),
        np.concatenate([np.full(len(play.rows), play.fold) for play in played]),
        seeds.integer(params.seed, "stacked"),
        fpr,
    )
    learned.save(folder, model)
    keys = {
        "model_id": np.concatenate([np.full(len(play.rows), play.model_id) for play in played]),
        "sample_id": np.concatenate([play.rows for play in played]),
    }
    parquet.write(folder / "out_of_fold.parquet", pd.DataFrame({**keys, "score": scores}), schemas.OUT_OF_FOLD)
    metrics_files.write_json(
        folder / "candidates.json",
        {name: {key: round(value, 4) for key, value in found.items()} for name, found in merits.items()},
    )


if __name__ == "__main__":
    run(main)
