"""The learned attack: an attack model fitted on shadows' outputs says how much a record looks like a member.

Source: Shokri et al. 2017, Sec. V-E. Stored with skops, never as a pickle. A file may come from a remote that somebody
else writes to, its digest with it. So only what our own families are made of is loaded, which is less than what skops
trusts, and what scikit-learn reads without looking (the nodes of its trees) is looked at here.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree

from mia.arrays import Bools, Floats, Integers
from mia.attacks import estimators
from mia.errors import MEND, InputError, NotApplicable
from mia.store import sealed_json

FORMAT = 2

# What the families of mia.attacks.estimators are made of.
OBJECTS = {
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelBinarizer",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.tree._classes.ExtraTreeClassifier",
    *(f"{family.make.__module__}.{family.make.__qualname__}" for family in estimators.FAMILIES.values()),
}


def _skops() -> Any:
    """The module skops.io, imported without torch.

    skops asks scikit-learn for all its estimators, and on the way there scikit-learn would load torch: 1.4 s and
    500 MB for nothing. The name that stops it is taken out again.
    """
    name = "sklearn.externals.array_api_compat.torch"
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import skops.io
    finally:
        if absent:
            del sys.modules[name]
    return skops.io


# How skops stores their parts. Left out are functions, methods, operators, partials, constructor calls, raw bytes.
LOADERS = {
    "DictNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "NdArrayNode",
    "ObjectNode",
    "RandomGeneratorNode",
    "RandomStateNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
}
# Types among them that skops does not trust by itself: for their content, which `_check_nodes` checks.
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
# Bytes that a file may unpack to: ours shrink to a fourth, rarely to a twentieth; zeros to a thousandth.
UNPACKED, RATIO = 64 << 20, 100
NUMBERS = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")')  # of objects, and of their arrays' files


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


def out_of_fold(model_of: Any, features: Floats, labels: Integers, is_member: Bools, shadow: Integers) -> Floats:
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
        content = _canonical(_skops().dumps(_without_index(estimator)))
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
            content = _checked(content)
            untrusted = sorted(set(_skops().get_untrusted_types(data=content)) - set(TRUSTED))
            if untrusted:
                raise _Untrusted(untrusted)
            by_class[int(label)] = _sound(
                _skops().loads(content, trusted=list(TRUSTED)), len(described["feature_names"])
            )
        if not by_class:
            raise ValueError("no fitted classifier")
        return AttackModel(described["family"], described["settings"], tuple(described["feature_names"]), by_class)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc pull {folder}` fetches it, `dvc repro` fits it") from None
    except InputError:
        raise
    except _Untrusted as error:
        raise InputError(f"{path}: holds types that are not trusted: {', '.join(error.args[0])}; {again}") from None
    except DAMAGE as error:
        reason = textwrap.shorten(repr(error), 300)
        raise InputError(f"{path}: not an attack model ({reason}); {again}") from None


# What json, zipfile, NumPy, skops and scikit-learn raise over content that is not what they wrote.
DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    ImportError,
    EOFError,
    MemoryError,
    RuntimeError,  # RecursionError and NotImplementedError with it
    zipfile.BadZipFile,
    zlib.error,
)


class _Untrusted(Exception):  # noqa: N818
    """The names of types that no attack model of ours holds."""


def _checked(content: bytes) -> bytes:
    """The archive as skops may read it, unpacked within its limit.

    Raises _Untrusted, or one of DAMAGE, for what could harm before or while skops builds objects.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if any(one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in members):
            raise ValueError("compressed otherwise than skops does")  # zipfile unpacks the others without a limit
        size, limit = sum(one.file_size for one in members), UNPACKED + RATIO * len(content)
        if size > limit:
            raise ValueError(f"unpacks to {size:,} bytes, expected {limit:,} at most")
        # zipfile unpacks all of a member, whatever its declared size, unless it is asked for so many bytes.
        data = {one.filename: archive.open(one).read(one.file_size + 1) for one in members}
    waiting: list[Any] = [json.loads(data["schema.json"])]
    foreign = set()
    by_id: dict[Any, Any] = {}
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
            first = by_id.setdefault(part["__id__"], part) if "__id__" in part else part
            if first is not part and _bare(first) != _bare(part):
                raise ValueError("one id of two objects")  # skops takes the first: in a chain, its parts 2^n times
            if "__loader__" in part:
                kind = f"{part['__module__']}.{part['__class__']}"
                if part["__loader__"] not in LOADERS or (part["__loader__"] == "ObjectNode" and kind not in OBJECTS):
                    foreign.add(kind)
        elif isinstance(part, list):
            waiting += part
    if foreign:
        raise _Untrusted(sorted(foreign))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, one_member in data.items():
            archive.writestr(name, one_member)
    return out.getvalue()


def _bare(state: Any) -> str:
    """What is stored of an object, its numbers left out: skops numbers the parts anew where an object comes again."""
    return NUMBERS.sub("", json.dumps(state))


def _without_index(estimator: Pipeline) -> Pipeline:
    """The estimator to be stored: an index of neighbours is built anew from them, as nobody checks a stored one."""
    if not isinstance(estimator[-1], KNeighborsClassifier):
        return estimator
    classifier = copy.copy(estimator[-1])
    classifier._tree = None
    return Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], classifier)])


def _sound(estimator: Any, n_features: int) -> Pipeline:
    """The estimator, if scikit-learn may be given records of n_features; else one of DAMAGE is raised.

    scikit-learn follows the nodes of a tree without looking: a child or feature out of range is memory that is not the
    array's, and a child that is its own parent never ends.
    """
    if not isinstance(estimator, Pipeline):
        raise TypeError(f"expected a Pipeline, got {type(estimator).__name__}")
    if isinstance(estimator[-1], KNeighborsClassifier):
        known = estimator[-1]
        known.fit(known._fit_X, known.classes_[known._y])
    for part in _parts(estimator):
        if hasattr(part, "n_jobs"):
            part.n_jobs = None  # threads as there are cores, not as a file says
        if isinstance(getattr(part, "tree_", None), Tree):
            tree = part.tree_
            inner = tree.children_left != -1
            _check_nodes(tree.children_left, tree.children_right, tree.feature, inner, min(tree.n_features, n_features))
            _check_width(part, tree.n_features)
        if isinstance(part, TreePredictor):
            nodes, inner = part.nodes, part.nodes["is_leaf"] == 0
            if nodes["is_categorical"].any():
                raise ValueError("a tree that splits by categories")
            _check_nodes(nodes["left"], nodes["right"], nodes["feature_idx"], inner, n_features)
        for tree in getattr(part, "estimators_", []):
            if not hasattr(part, "estimators_features_"):  # each tree of bagging has columns of its own
                _check_width(tree, n_features)
        if hasattr(part, "_predictors"):
            _check_width(part, n_features)
    _check_width(estimator[0], n_features)
    return estimator


def _check_width(estimator: Any, n_features: int) -> None:
    if estimator.n_features_in_ != n_features:
        raise ValueError(f"expected {n_features} features, got {estimator.n_features_in_}")


def _check_nodes(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], inner: NDArray[Any], n_features: int
) -> None:
    """Children lie behind their parent and within the tree, features within the record."""
    own = np.arange(len(inner))[inner]
    if not len(inner):
        raise ValueError("a tree without nodes")
    for child in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (child <= own).any() or (child >= len(inner)).any():
            raise ValueError("a tree whose nodes lead out of it or back")
    if ((feature[inner] < 0) | (feature[inner] >= n_features)).any():
        raise ValueError(f"a tree that asks for more than {n_features} features")


def _parts(estimator: Any) -> Iterator[Any]:
    """Every object of scikit-learn in it, itself included."""
    waiting, seen = [estimator], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        elif type(part).__module__.startswith("sklearn."):
            yield part
            waiting += vars(part).values() if hasattr(part, "__dict__") else []


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

    schema = NUMBERS.sub(number, members.pop("schema.json").decode())
    renamed = {"schema.json": schema.encode()}
    for name, data in members.items():
        stem, dot, suffix = name.partition(".")
        renamed[numbers.get(stem, stem) + dot + suffix] = data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name), renamed[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
