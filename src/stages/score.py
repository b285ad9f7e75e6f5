"""Let every attack score every record of the target, and of shadows in the target's place.

Reads: data/features/, models/attack/, models/stacked/, data/quantiles.parquet, data/signals/target.parquet,
data/margins.parquet. It reads no image, and not who is a member of the target.
Writes: data/target_scores.parquet (a row an audited record, every attack's score), data/scores.parquet (attack,
model_id, source, sample_id, label, is_member, score; one part an attack): of records of shadows, on which thresholds
are chosen; a fitted attack scores a shadow by models that were not fitted on it. metrics/not_applicable.json (attacks
that the threat model cannot carry, and why).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mia import paths, progress, seeds
from mia.arrays import Floats
from mia.attacks import catalogue, evidence, features, learned, rmia, schemas, signals, stacked
from mia.attacks.chosen import wanted
from mia.errors import InputError, NotApplicable
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import metrics_files, parquet
from stages import run

KEYS = ["model_id", "source", "sample_id", "label", "is_member"]


def main(params: Params) -> None:
    """Run the stage."""
    seen = Seen(params)
    chosen = wanted(params.attacks.run)
    on_targets = seen.target[["sample_id", "label"]].copy()
    refused = {}
    with parquet.writer(paths.SCORES, schemas.SCORES) as add:
        for attack in progress.bar(chosen, "score", unit="attack"):
            try:
                on_target, on_shadows = seen.scores(attack)
            except NotApplicable as error:
                refused[attack] = str(error)
                continue
            add(pa.Table.from_pandas(on_shadows.assign(attack=attack), preserve_index=False))
            on_targets[f"{attack}_score"] = on_target
        for attack, reason in refused.items():
            print(f"score: {attack}: not applicable: {reason}", file=sys.stderr)
        if len(refused) == len(chosen):
            reasons = "; ".join(f"{attack} {reason}" for attack, reason in refused.items())
            raise InputError(f"params.yaml: attacks.run: no attack can run: {reasons}; add others, or set it to all")
    names = [attack for attack in chosen if attack not in refused]
    parquet.write(paths.TARGET_SCORES, on_targets, schemas.target_scores(names))
    metrics_files.write_json(paths.NOT_APPLICABLE, refused)


class Seen:
    """All that an attacker has seen; the target's membership is not in it and cannot be reached from it."""

    def __init__(self, params: Params) -> None:
        self.target = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
        self.shadows = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
        self.names = features.chosen(self.target.columns, params.features.columns)
        self.answers = evidence.gather(
            parquet.read_table(paths.TARGET_SIGNALS, SIGNALS),
            parquet.read_parts(paths.MARGINS, schemas.MARGINS),
        )
        self.evidence = self.answers["population"].of_target()
        self.played = evidence.plays(
            self.answers,
            params.attacks.played.models,
            params.attacks.played.records,
            lambda model_id: seeds.generator(params.seed, "played records", model_id),
        )
        self.n_classes = 1 + max(int(known.labels.max()) for known in self.answers.values())
        a = params.attacks.rmia.a
        if a is None and wanted(params.attacks.run, "rmia_offline") and self.played:
            a = rmia.choose_a([play.evidence for play in self.played], [play.is_member for play in self.played])
            print(f"score: rmia_offline: a = {a}, chosen on {len(self.played)} shadows", file=sys.stderr)
        self.options = catalogue.Options(
            lira_variance=params.attacks.lira.variance,
            rmia_gamma=params.attacks.rmia.gamma,
            rmia_a=0.0 if a is None else a,
            base_scale=params.attacks.base.offline_scale,
        )

    def scores(self, attack: str) -> tuple[Floats, pd.DataFrame]:
        """The target's scores, (samples,), and shadows' rows of the scores' table; raises NotApplicable."""
        if attack in catalogue.THRESHOLD:
            return self._threshold(attack)
        if attack in catalogue.PER_CLASS:
            return self._per_class(attack.removesuffix("_per_class"))
        if attack in catalogue.LEARNED:
            return self._learned(paths.ATTACK_MODEL / attack)
        if not self.played:
            raise NotApplicable("needs more shadow.blocks")
        if attack == catalogue.QUANTILE:
            return self._quantile()
        if attack == catalogue.STACKED:
            return self._stacked()
        reason = catalogue.lacks(attack, self.evidence)
        if reason:
            raise NotApplicable(reason)
        score = catalogue.REFERENCE[attack]
        try:
            on_shadows = [self._rows(play, score(play.evidence, self.options)) for play in self.played]
            return score(self.evidence, self.options), pd.concat(on_shadows)
        except InputError as error:  # too few references
            raise NotApplicable(str(error)) from None

    def _rows(self, play: evidence.Play, score: Floats) -> pd.DataFrame:
        keys = {"model_id": play.model_id, "source": play.source, "sample_id": play.rows}
        return pd.DataFrame({**keys, "label": play.evidence.labels, "is_member": play.is_member, "score": score})

    def _threshold(self, attack: str) -> tuple[Floats, pd.DataFrame]:
        on_target, on_shadows = (
            catalogue.threshold_scores({name: frame[name].to_numpy(np.float64) for name in signals.NAMES})[attack]
            for frame in (self.target, self.shadows)
        )
        return on_target, self.shadows[KEYS].assign(score=on_shadows)

    def _per_class(self, attack: str) -> tuple[Floats, pd.DataFrame]:
        on_target, rows = self._threshold(attack)
        labels = rows["label"].to_numpy()
        thresholds = catalogue.class_thresholds(
            rows["score"].to_numpy(), rows["is_member"].to_numpy(bool), labels, self.n_classes
        )
        rows["score"] -= thresholds[labels]
        return on_target - thresholds[self.target["label"].to_numpy()], rows

    def _learned(self, folder: Path) -> tuple[Floats, pd.DataFrame]:
        refuse(folder)
        model = learned.load(folder)
        unseen = parquet.read(folder / "out_of_fold.parquet", schemas.OUT_OF_FOLD)
        keys = ["model_id", "sample_id"]
        if len(unseen) != len(self.shadows) or not unseen[keys].equals(self.shadows[keys]):
            raise InputError(
                f"{folder}: its scores are of other records than {paths.SHADOW_FEATURES}; `dvc repro` fits it anew"
            )
        on_target = model.scores(self.target[self.names].to_numpy(), self.target["label"].to_numpy())
        return on_target, self.shadows[KEYS].assign(score=unseen["score"])

    def _quantile(self) -> tuple[Floats, pd.DataFrame]:
        predicted = parquet.read(paths.QUANTILES, schemas.QUANTILES)
        if predicted.empty:
            raise NotApplicable("needs 20 sure non-members")
        scored = []
        for model_id, frame in predicted.groupby("model_id", sort=True):
            known = self.answers[str(frame["source"].iloc[0])]
            rows, shadow = frame["sample_id"].to_numpy(), np.flatnonzero(known.model_ids == model_id)
            margins = known.references[shadow[0]] if len(shadow) else known.target
            assert margins is not None
            is_in = known.is_in[shadow[0]][rows] if len(shadow) else np.zeros(len(rows), bool)
            score = (margins[rows, 0] - frame["mean"]) / frame["deviation"]
            keys = frame[["model_id", "source", "sample_id"]]
            scored.append(keys.assign(label=known.labels[rows], is_member=is_in, score=score))
        return scored[0]["score"].to_numpy(), pd.concat(scored[1:])

    def _stacked(self) -> tuple[Floats, pd.DataFrame]:
        refuse(paths.STACKED_MODEL)
        model = learned.load(paths.STACKED_MODEL)
        unseen = parquet.read(paths.STACKED_MODEL / "out_of_fold.parquet", schemas.OUT_OF_FOLD)
        names, values = stacked.features(self.evidence, self.n_classes, use_in="gain" in model.feature_names)
        rows = pd.concat([self._rows(play, np.zeros(len(play.rows))) for play in self.played], ignore_index=True)
        if names != model.feature_names or not unseen[["model_id", "sample_id"]].equals(
            rows[["model_id", "sample_id"]].astype(unseen.dtypes[["model_id", "sample_id"]])
        ):
            raise InputError(f"{paths.STACKED_MODEL}: fitted on other records; `dvc repro` fits it anew")
        on_target = model.scores(values, self.evidence.labels)
        return stacked.log_odds(on_target), rows.assign(score=stacked.log_odds(unseen["score"].to_numpy()))


def refuse(folder: Path) -> None:
    """Raise NotApplicable with the reason that the fitting stage left, if it left one."""
    path = folder / "not_applicable.json"
    if path.exists():
        raise NotApplicable(metrics_files.read_json(path)["reason"])


if __name__ == "__main__":
    run(main)
