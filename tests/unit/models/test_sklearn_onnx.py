"""scikit-learn's classifiers in ONNX, in the forms that skl2onnx writes, answer as they did in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto
from sklearn.linear_model import LogisticRegression

import models
import sklearn_onnx
import tiny
from mia import commands, params, paths
from mia.data.records import Records
from mia.errors import InputError
from mia.models import given_model
from mia.models.given_model import Asked

FILE = "audits/mine/params.yaml"
X, Y = sklearn_onnx.table()
TRAINED = LogisticRegression().fit(X, Y)
CLASSES = ("cat", "dog", "fox")
TABLE = pd.DataFrame(X.astype(np.float64), columns=list("abcd"))


def records(classes: tuple[str, ...] = CLASSES) -> Records:
    labels = np.array([classes.index(name) for name in np.where(np.isin(Y, classes), Y, classes[0])])
    return Records(TABLE, labels, classes, np.arange(len(X)) % 2 == 0, np.arange(len(X)).astype(str))


def read(path: Path, own: Records | None = None, **changes: Any) -> Asked:
    return given_model.read(path, Path("code"), models.settings(models.TABLE, **changes), FILE, own or records())


@pytest.mark.parametrize("outputs", ["zipmap", "array", "columns"])
@pytest.mark.parametrize("inputs", list(sklearn_onnx.COLUMNS))
def test_a_model_answers_in_every_form_of_its_inputs_and_outputs(tmp_path: Path, inputs: str, outputs: str) -> None:
    model = read(sklearn_onnx.linear(tmp_path / "m.onnx", TRAINED, inputs=inputs, outputs=outputs))
    assert np.abs(model.raw(TABLE) - TRAINED.predict_proba(X)).max() < 1e-6


@pytest.mark.parametrize("outputs", ["zipmap", "array"])
def test_scores_are_taken_as_logits_though_they_are_called_probabilities(tmp_path: Path, outputs: str) -> None:
    path = sklearn_onnx.linear(tmp_path / "m.onnx", TRAINED, outputs=outputs, raw=True)
    assert np.abs(read(path, outputs="logits").raw(TABLE) - TRAINED.decision_function(X)).max() < 1e-5


def test_groups_of_columns_are_taken_in_the_order_that_the_audit_names(tmp_path: Path) -> None:
    path = sklearn_onnx.linear(tmp_path / "m.onnx", TRAINED, inputs="groups")
    turned = TABLE[["d", "b", "a", "c"]]
    own = Records(turned, records().labels, CLASSES, None, records().names)
    assert np.abs(read(path, own, columns=list("abcd")).raw(turned) - TRAINED.predict_proba(X)).max() < 1e-6
    with pytest.raises(
        InputError, match="takes 4 columns, got 3: a, b, c; name those it takes, in its order, in model"
    ):
        read(path, own, columns=list("abc"))


@pytest.mark.parametrize("trees", [7, 20, 100, 500])
def test_a_share_of_no_tree_is_zero(tmp_path: Path, trees: int) -> None:
    """onnxruntime gives 1 less a float32 sum of a hundred hundredths: 4e-7, or −1e-6 of five hundred."""
    own = records(("cat", "dog"))
    model = read(sklearn_onnx.forest(tmp_path / "m.onnx", ("cat", "dog"), trees), own)
    raw = model.raw(TABLE)
    assert (raw[:, 0] == (X[:, 0] <= 0)).all()
    floor = np.log(1 / 100 / 2)
    assert np.abs(model.logits(raw, members=100).min(axis=1) - floor).max() < 1e-6


def test_new_finds_that_a_forest_of_two_classes_answers_with_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_params(paths.PARAMS)
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("audit: digits", "audit: mine"))
    table = TABLE.assign(split=np.where(np.arange(len(X)) % 2, "train", "test"))
    table.assign(label=np.where(X[:, 0] > 0, "dog", "cat")).to_csv("t.csv", index=False)
    sklearn_onnx.forest(tmp_path / "m.onnx", ("cat", "dog"), 500)
    assert commands.main(["new", "mine", "--table", "t.csv", "--label", "label", "--model", "m.onnx"]) == 0
    assert params.load(paths.PARAMS).audit.brought.outputs == "probabilities"


def test_a_file_that_skl2onnx_wrote_wrong_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = sklearn_onnx.forest(tmp_path / "m.onnx", ("cat", "dog"), 2, zipped_as=TensorProto.DOUBLE)
    with pytest.raises(InputError, match=r"ZipMap.* is invalid.; convert it anew with options=\{'zipmap': False\}$"):
        read(path, records(("cat", "dog")))
