"""The learned attack: an attack model fitted on shadows' outputs says how much a record looks like a member.

Source: Shokri et al. 2017, Sec. V-E. Stored with skops, never as a pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# skops asks scikit-learn for all its estimators, and on the way there it imports torch: 1.4 s and 500 MB for nothing.
sys.modules.setdefault("sklearn.externals.array_api_compat.torch", None)  # type: ignore[arg-type]

import numpy as np  # noqa: E402
import skops.io  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402

from mia import documents, estimators  # noqa: E402
from mia.errors import MEND, InputError, NotApplicable  # noqa: E402

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int64]
FORMAT = 2

# scikit-learn types that skops does not trust by itself: plain containers of fitted numbers.
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)


@dataclass(frozen=True)
class AttackModel:
    """One fitted classifier for all classes (key -1), or one a class.

    feature_names: the columns it reads, in order.
    """

    family: str
    settings: Mapping[str, Any]
    feature_names: tuple[str, ...]
    by_class: Mapping[int, Pipeline]

    def scores(self, features: Floats, labels: Labels) -> Floats:
        """P(member), shape (samples,), from features (samples, len(feature_names)) and true labels.

        Raises NotApplicable for a record of a class the model was not fitted on.
        """
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
    labels: Labels,
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


def out_of_fold(model_of: Any, features: Floats, labels: Labels, is_member: Bools, shadow: Labels) -> Floats:
    """Scores of shadows' records by attack models that were not fitted on the same shadow's outputs, (samples,).

    model_of(features, labels, is_member) fits an attack model.
    """
    scores = np.empty(len(features))
    for known, asked in estimators.folds(shadow):
        fitted: AttackModel = model_of(features[known], labels[known], is_member[known])
        scores[asked] = fitted.scores(features[asked], labels[asked])
    return scores


def save(folder: Path, model: AttackModel) -> None:
    """Write `attack.json` and one skops file a classifier into an existing folder; same model, same bytes."""
    digests = {}
    for label, estimator in model.by_class.items():
        content = _canonical(skops.io.dumps(estimator))
        (folder / _file(label)).write_bytes(content)
        digests[str(label)] = hashlib.sha256(content).hexdigest()
    described = {
        "format": FORMAT,
        "family": model.family,
        "settings": dict(model.settings),
        "feature_names": list(model.feature_names),
        "sha256": digests,
    }
    (folder / "attack.json").write_text(documents.seal(described), encoding="utf-8")


def load(folder: Path) -> AttackModel:
    """Read an attack model back.

    Raises InputError where a file is missing or damaged, of another format, or holds a type that is not trusted.
    """
    again = f"`dvc checkout {folder}` restores it, `dvc repro` fits it anew"
    path = folder / "attack.json"
    try:
        text = path.read_text(encoding="utf-8")
        if (came := json.loads(text).get("format")) != FORMAT:
            raise InputError(f"{path}: expected attack format {FORMAT}, got {came!r}; {again}")
        described = documents.unseal(text)
        by_class = {}
        for label, expected in described["sha256"].items():
            path = folder / _file(int(label))
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != expected:
                raise InputError(f"{path}: expected sha256 {expected}, got {digest}: damaged; {MEND}")
            untrusted = sorted(set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED))
            if untrusted:
                raise InputError(f"{path}: holds types that are not trusted: {', '.join(untrusted)}; {again}")
            by_class[int(label)] = skops.io.loads(content, trusted=list(TRUSTED))
        if not by_class:
            raise ValueError("no fitted classifier")
        return AttackModel(described["family"], described["settings"], tuple(described["feature_names"]), by_class)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc pull {folder}` fetches it, `dvc repro` fits it") from None
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an attack model ({error!r}); {again}") from None


def _file(label: int) -> str:
    return "all.skops" if label == -1 else f"class_{label}.skops"


def _canonical(content: bytes) -> bytes:
    """A skops archive with the same meaning and reproducible bytes.

    skops names objects by their address in memory and stamps its members with the time of writing; here they are
    numbered in the order of the schema, and the stamp is the earliest that zip knows.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], str(len(numbers) + 1))

    schema = re.sub(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")', number, members.pop("schema.json").decode())
    renamed = {"schema.json": schema.encode()}
    for name, data in members.items():
        stem, dot, suffix = name.partition(".")
        renamed[numbers.get(stem, stem) + dot + suffix] = data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name), renamed[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
