"""ONNX files of scikit-learn's classifiers as skl2onnx writes them: labels first, then answers, as users set it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

ML = "ai.onnx.ml"
COLUMNS = {  # of the inputs by how the model takes its four columns: name, type, width
    "array": [("X", TensorProto.FLOAT, 4)],
    "double": [("X", TensorProto.DOUBLE, 4)],
    "columns": [(name, TensorProto.INT64 if name == "c" else TensorProto.FLOAT, 1) for name in "abcd"],
    "groups": [("numbers", TensorProto.FLOAT, 2), ("counts", TensorProto.INT64, 1), ("rest", TensorProto.FLOAT, 1)],
}


def linear(
    path: Path, model: LogisticRegression, *, inputs: str = "array", outputs: str = "zipmap", raw: bool = False
) -> Path:
    """A logistic regression of texts as classes.

    inputs: a key of COLUMNS. outputs: `zipmap` (dictionaries), `array`, or `columns`, one output a class. raw: scores
    in place of probabilities.
    """
    given = COLUMNS[inputs]
    classes = [str(name) for name in model.classes_]
    nodes = [helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT) for name, _, _ in given]
    nodes += [
        helper.make_node("Concat", [f"{name}_float" for name, _, _ in given], ["rows"], axis=1),
        helper.make_node(
            "LinearClassifier",
            ["rows"],
            ["label", "probabilities"],
            domain=ML,
            coefficients=model.coef_.ravel().tolist(),
            intercepts=model.intercept_.tolist(),
            classlabels_strings=classes,
            post_transform="NONE" if raw else "SOFTMAX",
        ),
    ]
    of_texts, row = helper.make_tensor_value_info("label", TensorProto.STRING, [None]), [None, len(classes)]
    answers = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, row)]
    if outputs == "zipmap":
        nodes.append(zipmap(classes))
        answers = [zipped()]
    if outputs == "columns":
        nodes += [_column(number, name) for number, name in enumerate(classes)]
        answers = [helper.make_tensor_value_info(f"s{name}", TensorProto.FLOAT, [None]) for name in classes]
        nodes += [helper.make_node("Squeeze", [f"{name}_2d", "axis"], [f"s{name}"]) for name in classes]
    constants = [helper.make_tensor(f"at_{name}", TensorProto.INT64, [1], [k]) for k, name in enumerate(classes)]
    constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    ports = [helper.make_tensor_value_info(name, kind, [None, width]) for name, kind, width in given]
    return _saved(path, nodes, ports, [of_texts, *answers], constants)


def forest(path: Path, classes: tuple[str, str], trees: int, *, zipped_as: int | None = None) -> Path:
    """So many equal trees of two classes: the second where the first column is above 0.

    zipped_as: answers are dictionaries, of this type in ONNX's eyes.
    """
    number = list(range(trees))
    nodes = [
        helper.make_node(
            "TreeEnsembleClassifier",
            ["X"],
            ["label", "probabilities"],
            domain=ML,
            nodes_treeids=[tree for tree in number for _ in range(3)],
            nodes_nodeids=[0, 1, 2] * trees,
            nodes_featureids=[0, 0, 0] * trees,
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * trees,
            nodes_values=[0.0, 0.0, 0.0] * trees,
            nodes_truenodeids=[1, 0, 0] * trees,
            nodes_falsenodeids=[2, 0, 0] * trees,
            class_treeids=[tree for tree in number for _ in range(2)],
            class_nodeids=[1, 2] * trees,
            class_ids=[0, 0] * trees,
            class_weights=[0.0, 1 / trees] * trees,
            classlabels_strings=list(classes),
            post_transform="NONE",
        )
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])]
    if zipped_as is not None:
        nodes[0].output[1] = "shares"
        nodes.append(helper.make_node("Cast", ["shares"], ["probabilities"], to=zipped_as))
        nodes.append(zipmap(list(classes)))
        outputs = [zipped()]
    labels = helper.make_tensor_value_info("label", TensorProto.STRING, [None])
    return _saved(path, nodes, [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])], [labels, *outputs])


def zipmap(classes: list[str]) -> Any:
    """What makes a dictionary of each row of answers."""
    return helper.make_node("ZipMap", ["probabilities"], ["output_probability"], domain=ML, classlabels_strings=classes)


def zipped() -> Any:
    """Its output."""
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    map_type = helper.make_map_type_proto(TensorProto.STRING, value)
    return helper.make_value_info("output_probability", helper.make_sequence_type_proto(map_type))


def _column(number: int, name: str) -> Any:
    return helper.make_node("ArrayFeatureExtractor", ["probabilities", f"at_{name}"], [f"{name}_2d"], domain=ML)


def _saved(path: Path, nodes: Any, inputs: Any, outputs: Any, constants: Any = ()) -> Path:
    graph = helper.make_graph(nodes, "sklearn", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ML, 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(path))
    return path


def table(classes: int = 3, rows: int = 400) -> tuple[Any, Any]:
    """Four columns of numbers, the third of whole ones, and a class of each row, cat, dog, ..."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, rows)
    x = rng.normal(0, 1, (rows, 4)).astype(np.float32)
    x[:, 0] += 1.5 * labels
    x[:, 1] -= labels % 3
    x[:, 2] = rng.integers(0, 5, rows)
    return x, np.array(["cat", "dog", "fox"], object)[labels]
