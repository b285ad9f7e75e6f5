"""The learned attack: an attack model fitted on shadows' outputs says how much a record looks like a member.

Source: Shokri et al. 2017, Sec. V-E. Stored with skops, never as a pickle (`mia.attacks.skops_files`).
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mia import progress
from mia.arrays import Bools, Floats, Integers
from mia.attacks import estimators, skops_files
from mia.compute import forks
from mia.errors import MEND, InputError, NotApplicable
from mia.store import sealed_json

FORMAT = 2


@dataclass(frozen=True)
class AttackModel:
    """One fitted classifier for all classes (key -1), or one a class.

    feature_names: the columns it reads, in order.
    """

    family: str
    settings: Mapping[str, Any]
    feature_names: tuple[str, ...]
    by_class: Mapping[int, Pipeline]

    def scores(self, features: Floats, labels: Integers) -> Floats:
        """P(member), shape (samples,), from features (samples, len(feature_names)) and true labels.

        Raises NotApplicable for a record of a class the model was not fitted on, InputError for other features.
        """
        if features.shape[1] != len(self.feature_names):
            raise InputError(
                f"attack: expected the {len(self.feature_names)} features that the attack model was fitted on, "
                f"got {features.shape[1]}; `dvc repro` fits it anew"
            )
        if -1 in self.by_class:
            return estimators.probability(self.by_class[-1], features)
        unknown = np.setdiff1d(labels, list(self.by_class))
        if len(unknown):
            raise NotApplicable(
                f"class {unknown[0]} stands in the population but not among the shadows' records, so that no attack "
                "model was fitted for it"
            )
        scores = np.empty(len(features))
        for label, estimator in self.by_class.items():
            rows = labels == label
            if rows.any():
                scores[rows] = estimators.probability(estimator, features[rows])
        return scores


def fit(
    family: str,
    settings: Mapping[str, Any],
    feature_names: tuple[str, ...],
    features: Floats,
    labels: Integers,
    is_member: Bools,
    *,
    per_class: bool,
    seed: int,
) -> AttackModel:
    """Fit on shadows' records: features (samples, features), true labels and membership (samples,).

    Raises NotApplicable where a class lacks members or non-members and per_class asks for a model of it.
    """
    by_class = {}
    for label in np.unique(labels).tolist() if per_class else [-1]:
        rows = labels == label if per_class else np.ones(len(labels), bool)
        if is_member[rows].all() or not is_member[rows].any():
            raise NotApplicable(
                f"the shadows' {int(rows.sum())} records{f' of class {label}' if per_class else ''} are not both "
                "members and non-members; raise shadow train_size and heldout_size, or features.max_records"
            )
        estimator = estimators.build(family, settings, seed)
        by_class[label] = estimators.fit(estimator, features[rows], is_member[rows], seed)
    return AttackModel(family, dict(settings), feature_names, by_class)


ModelOf = Callable[[Floats, Integers, Bools], AttackModel]  # fits on features, labels and membership


def out_of_fold(
    models: Mapping[str, ModelOf],
    features: Floats,
    labels: Integers,
    is_member: Bools,
    shadow: Integers,
    *,
    folder: Path | None = None,
) -> dict[str, Floats | NotApplicable]:
    """Scores of shadows' records by attack models that were not fitted on the same shadow's outputs, (samples,).

    models: by name, how to fit them; where one is not applicable, that comes back. folder: also fit each on all
    records and write it below there, in a folder of its name. All fits share the cores.
    """
    folds = estimators.folds(shadow)

    def fit(task: tuple[str, int]) -> Floats | NotApplicable | None:
        name, fold = task
        try:
            if fold < 0:
                assert folder is not None
                save(folder / name, models[name](features, labels, is_member))
                return None
            fitted_rows, unseen = folds[fold]
            model = models[name](features[fitted_rows], labels[fitted_rows], is_member[fitted_rows])
            return model.scores(features[unseen], labels[unseen])
        except NotApplicable as error:
            return error

    # What is fitted on all records takes longest: first, so that no core waits for it at the end.
    work = [(name, fold) for fold in range(0 if folder is None else -1, len(folds)) for name in models]
    results = list(progress.bar(forks.results(fit, work), "attack models", total=len(work), unit="fit"))
    scores: dict[str, Floats | NotApplicable] = {}
    for name in models:
        of_model = {fold: result for (of, fold), result in zip(work, results, strict=True) if of == name}
        reasons = [result for result in of_model.values() if isinstance(result, NotApplicable)]
        values = np.empty(len(features))
        for fold, result in of_model.items():
            if isinstance(result, np.ndarray):
                values[folds[fold][1]] = result
        scores[name] = reasons[0] if reasons else values
    return scores


def save(folder: Path, model: AttackModel) -> None:
    """Write `attack.json` and one skops file a classifier into a folder; same model, same bytes."""
    folder.mkdir(exist_ok=True)
    digests = {}
    for label, estimator in model.by_class.items():
        content = skops_files.dumps(estimator)
        (folder / _file(label)).write_bytes(content)
        digests[str(label)] = hashlib.sha256(content).hexdigest()
    described = {
        "format": FORMAT,
        "family": model.family,
        "settings": dict(model.settings),
        "feature_names": list(model.feature_names),
        "sha256": digests,
    }
    (folder / "attack.json").write_text(sealed_json.seal(described), encoding="utf-8")


def load(folder: Path) -> AttackModel:
    """Read an attack model back.

    Raises InputError where a file is missing or damaged, of another format, or holds what none of our families does.
    """
    again = f"`dvc checkout {folder}` restores it, `dvc repro` fits it anew"
    path = folder / "attack.json"
    try:
        text = path.read_text(encoding="utf-8")
        if (came := json.loads(text).get("format")) != FORMAT:
            raise InputError(f"{path}: expected attack format {FORMAT}, got {came!r}; {again}")
        described = sealed_json.unseal(text)
        by_class = {}
        for label, expected in described["sha256"].items():
            path = folder / _file(int(label))
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != expected:
                raise InputError(f"{path}: expected sha256 {expected}, got {digest}: damaged; {MEND}")
            by_class[int(label)] = skops_files.loads(content, len(described["feature_names"]))
        if not by_class:
            raise ValueError("no fitted classifier")
        return AttackModel(described["family"], described["settings"], tuple(described["feature_names"]), by_class)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc pull {folder}` fetches it, `dvc repro` fits it") from None
    except InputError:
        raise
    except skops_files.Untrusted as error:
        raise InputError(f"{path}: holds types that are not trusted: {', '.join(error.args[0])}; {again}") from None
    except skops_files.DAMAGE as error:
        reason = textwrap.shorten(repr(error), 300)
        raise InputError(f"{path}: not an attack model ({reason}); {again}") from None


def _file(label: int) -> str:
    return "all.skops" if label == -1 else f"class_{label}.skops"
