"""scikit-learn classifiers in skops files, read as if somebody else had written them.

A file may come from a remote that somebody else writes to, and its digest with it. So only what our own families are
made of is loaded, which is less than what skops trusts, and what scikit-learn reads without looking (the nodes of its
trees) is looked at here. The checks come in the order in which a file could do harm: unpacked, built, asked.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree

from mia.attacks import estimators
from mia.store import skops_writing

# What the families of mia.attacks.estimators are made of. Threat: other classes of scikit-learn read files, or call
# functions, that their attributes name.
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
# How skops stores their parts. Threat: functions, methods, operators, partials and constructor calls run code; they and
# raw bytes are left out.
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
# What skops is told to trust: all of them, and trees, whose content `_check_nodes` checks.
TRUSTED = [*sorted(OBJECTS), "sklearn.tree._tree.Tree"]
# Bytes that a file may unpack to: ours shrink to a fourth, rarely to a twentieth; zeros to a thousandth.
UNPACKED, RATIO = 64 << 20, 100
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


class Untrusted(Exception):  # noqa: N818
    """The names of types that no attack model of ours holds."""


def dumps(estimator: Pipeline) -> bytes:
    """Return the estimator as a skops file; the same estimator gives the same bytes."""
    return skops_writing.dumps(_without_index(estimator))


def loads(content: bytes, n_features: int) -> Pipeline:
    """Return the estimator of a skops file, once scikit-learn may be given records of n_features.

    Raises Untrusted for types that none of our families holds, and one of DAMAGE for what is no such file.
    """
    archive = _unpacked(content)
    _check_schema(json.loads(archive["schema.json"]))
    content = _zipped(archive)
    io_of_skops = skops_writing.skops_io()
    try:
        estimator = io_of_skops.loads(content, trusted=TRUSTED)
    except io_of_skops.exceptions.UntrustedTypesFoundException:
        untrusted = set(io_of_skops.get_untrusted_types(data=content)) - set(TRUSTED)
        raise Untrusted(sorted(untrusted)) from None
    return _sound(estimator, n_features)


def _unpacked(content: bytes) -> dict[str, bytes]:
    """The members of an archive by name; together they are within one budget of bytes."""
    budget = UNPACKED + RATIO * len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {}
        for member in archive.infolist():
            # Threat: bzip2 and LZMA, of which zipfile unpacks a block whole, however few bytes are asked for.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("compressed otherwise than skops does")
            # Threat: a small file that fills the memory. Asked for a number of bytes, zipfile unpacks no more of them,
            # whatever size the member declares.
            members[member.filename] = archive.open(member).read(budget + 1)
            budget -= len(members[member.filename])
            if budget < 0:
                raise ValueError(f"unpacks to more than {UNPACKED + RATIO * len(content):,} bytes")
    return members


def _zipped(members: dict[str, bytes]) -> bytes:
    """An archive of what was checked: a name that stood in it twice stands in it once."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _check_schema(schema: Any) -> None:
    """Raise Untrusted, or ValueError, for what could harm while skops builds objects."""
    waiting: list[Any] = [schema]
    foreign = set()
    by_id: dict[Any, Any] = {}
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        if not isinstance(part, dict):
            continue
        waiting += part.values()
        # Threat: one id of two objects. skops takes the first: in a chain, its parts 2^n times.
        first = by_id.setdefault(part["__id__"], part) if "__id__" in part else part
        if first is not part and first != part and _bare(first) != _bare(part):
            raise ValueError("one id of two objects")
        # Threat: a part that runs code when it is built, or an object that does when it is asked.
        if "__loader__" in part:
            kind = f"{part['__module__']}.{part['__class__']}"
            if part["__loader__"] not in LOADERS or (part["__loader__"] == "ObjectNode" and kind not in OBJECTS):
                foreign.add(kind)
    if foreign:
        raise Untrusted(sorted(foreign))


def _bare(state: Any) -> str:
    """What is stored of an object, its numbers left out: skops numbers the parts anew where an object comes again."""
    return skops_writing.NUMBERS.sub("", json.dumps(state))


def _without_index(estimator: Pipeline) -> Pipeline:
    """The estimator to be stored: an index of neighbours is built anew from them, as nobody checks a stored one."""
    if not isinstance(estimator[-1], KNeighborsClassifier):
        return estimator
    classifier = copy.copy(estimator[-1])
    classifier._tree = None
    return Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], classifier)])


def _sound(estimator: Any, n_features: int) -> Pipeline:
    """The estimator, if scikit-learn may be given records of n_features; else one of DAMAGE is raised."""
    if not isinstance(estimator, Pipeline):  # Threat: an object with attributes of a classifier's names.
        raise TypeError(f"expected a Pipeline, got {type(estimator).__name__}")
    if isinstance(estimator[-1], KNeighborsClassifier):
        classifier = estimator[-1]
        classifier.fit(classifier._fit_X, classifier.classes_[classifier._y])  # Threat: labels of no class.
    for part in _parts(estimator):
        if hasattr(part, "n_jobs"):
            part.n_jobs = None  # Threat: as many threads as a file says.
        if isinstance(getattr(part, "tree_", None), Tree):
            tree = part.tree_
            inner = tree.children_left != -1
            _check_nodes(tree.children_left, tree.children_right, tree.feature, inner, min(tree.n_features, n_features))
            _check_width(part, tree.n_features)
        if isinstance(part, TreePredictor):
            nodes, inner = part.nodes, part.nodes["is_leaf"] == 0
            if nodes["is_categorical"].any():  # Threat: they are an index into a table that is not checked.
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
    # Threat: a tree's own width is what scikit-learn compares records with before it follows the nodes.
    if estimator.n_features_in_ != n_features:
        raise ValueError(f"expected {n_features} features, got {estimator.n_features_in_}")


def _check_nodes(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], inner: NDArray[Any], n_features: int
) -> None:
    """Children lie behind their parent and within the tree, features within the record."""
    own = np.arange(len(inner))[inner]
    if not len(inner):
        raise ValueError("a tree without nodes")
    # Threat: a child out of range is memory that is not the array's, one that is its own parent never ends.
    for child in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (child <= own).any() or (child >= len(inner)).any():
            raise ValueError("a tree whose nodes lead out of it or back")
    # Threat: a feature out of range is memory that is not the record's.
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
