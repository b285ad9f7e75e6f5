"""Trained models made by hand, as users have them: files in the formats that an audit takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.data.records import Records
from mia.params_audit import Model

SETTINGS: dict[str, Any] = {
    "layout": "channels_last",
    "pixels": "unit",
    "mean": None,
    "deviation": None,
    "outputs": "probabilities",
    "classes": None,
    "columns": None,
}
TABLE = {**SETTINGS, "layout": None, "pixels": None}


def settings(base: dict[str, Any] = SETTINGS, **changes: Any) -> Model:
    return Model(**{**base, **changes})


def images(count: int = 240, *, side: int = 6, noise: float = 7) -> Records:
    """Images in colour of a grey that says the class, more or less: 60, 120 or 180. Half of them are members."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    grey = 60 + 60 * labels + rng.normal(0, noise, count)
    pixels = grey[:, None, None, None] + rng.normal(0, 8, (count, side, side, 3))
    published = np.arange(count) % 4 < 2
    names = np.arange(count).astype(str)
    return Records(pixels.clip(0, 255).astype(np.uint8), labels, ("cat", "dog", "fox"), published, names)


def by_grey(classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (1, classes) and bias of logits that tell those classes by the mean grey, 0 to 1."""
    centre = (60 + 120 * np.arange(classes) / max(1, classes - 1)) / 255
    return (200 * centre)[None].astype(np.float32), (-100 * centre**2).astype(np.float32)


def logits(grey: Any, classes: int = 3) -> Any:
    """What those weights say of a mean grey, (samples,)."""
    weights, bias = by_grey(classes)
    return np.asarray(grey)[:, None] @ weights + bias


def softmax(values: Any) -> Any:
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def onnx(
    path: Path,
    *,
    shape: tuple[Any, ...] = ("n", 6, 6, 3),
    scale: float = 1.0,
    offset: float = 0.0,
    dtype: str = "FLOAT",
    probabilities: bool = True,
    classes: int = 3,
) -> Path:
    """A graph that tells the classes of `images` by their mean grey, which is scale * mean(input) + offset."""
    import onnx as package
    from onnx import TensorProto, helper, numpy_helper

    weights, bias = by_grey(classes)
    constants = {
        "w": weights,
        "b": bias,
        "s": np.array(scale, np.float32),
        "o": np.array(offset, np.float32),
        "flat": np.array([0, -1], np.int64),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["f", "flat"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axis"], ["m"], keepdims=1),
        helper.make_node("Mul", ["m", "s"], ["ms"]),
        helper.make_node("Add", ["ms", "o"], ["g"]),
        helper.make_node("Gemm", ["g", "w", "b"], ["logits"]),
    ]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("x", getattr(TensorProto, dtype), shape)],
        [
            helper.make_tensor_value_info(
                "probabilities" if probabilities else "logits", TensorProto.FLOAT, [shape[0], classes]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],  # type: ignore[arg-type]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    package.checker.check_model(model)
    package.save(model, str(path))
    return path
