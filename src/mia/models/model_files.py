"""Files of trained models that a user brings, read by their suffix. None is ever unpickled.

Each reader returns a Reading: a function from rows to raw answers, and what the file itself says of its inputs. What
the user says of them, and all checks, stand in mia.models.given_model.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mia.errors import InputError
from mia.models import fitting, model_kinds, recipes
from mia.models.fitting import METHODS
from mia.params_audit import Model
from mia.store import skops_writing

TRUSTED = ("sklearn.", "numpy.", "scipy.")  # types of these packages, beside those that skops trusts
# Below it a share of trees in ONNX is 0: of two classes the other has the rest of a float32 sum, −1e-6 to 1e-6.
ROUNDING = 1e-5
LOADERS = {"LossNode", "ObjectNode", "TreeNode", "TypeNode"}  # how skops stores objects of those types, and the types


@dataclass(frozen=True)
class Reading:
    """A model that was read. answer: rows as the model takes them, to raw answers.

    inputs: the shape that the file itself names, without the batch, None for what is free; None where it names none.
    dtype: what images or numbers are given as. batch: a fixed number of rows (None: any). columns, classes: names that
    the file holds. by_column: rows are a table, not one array.
    """

    answer: Callable[[Any], Any]
    inputs: tuple[int | None, ...] | None = None
    dtype: str = "float32"
    batch: int | None = None
    columns: Sequence[str] | None = None
    classes: Sequence[Any] | None = None
    by_column: bool = False


def read(place: Path, code: Path, settings: Model, shape: tuple[int, ...], n_classes: int) -> Reading:
    """Read the model in a place.

    code: the folder of the user's recipe.py. shape: of a record: (height, width, channels), or (columns,).
    Raises InputError where its package is not installed or the file is not what its suffix says.
    """
    path = model_kinds.file(place, code)
    if path == place and recipes.has(code, "load"):
        return _own(path, code, settings)
    if path.suffix == ".safetensors":
        return _network(path, code, shape, n_classes)
    if path == place and path.with_name(f"{path.name}.data").is_file():
        raise InputError(
            f"{path}: its weights lie beside it, in {path.name}.data: bring the folder that holds both and no other "
            "model, or export with external_data=False"
        )
    try:
        return READERS[path.suffix](path, settings)
    except ImportError as error:
        extra = "onnx" if path.suffix == ".onnx" else "tables"
        raise InputError(
            f"{path}: {model_kinds.kind(path)} needs a package that is not installed: `pip install "
            f"{error.name}`, or this project with its extra `{extra}`"
        ) from None


def _onnx(path: Path, settings: Model) -> Reading:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common class
        zipped = "; convert it anew with options={'zipmap': False}" if "ZipMap" in str(error) else ""
        raise _no_model(path, "an ONNX model", error, zipped) from None
    inputs, widths = session.get_inputs(), [_width(each) for each in session.get_inputs()]
    answers = _answers(path, session.get_outputs(), settings)
    by_name = all(width == 1 for width in widths)
    forest = settings.outputs == "probabilities" and _is_forest(path.read_bytes())

    def answer(rows: Any) -> Any:
        feed, start = {inputs[0].name: rows}, 0
        if isinstance(rows, pd.DataFrame):
            for each, width in zip(inputs, widths, strict=True):
                own = rows[[each.name]] if by_name else rows.iloc[:, start : start + width]
                feed[each.name], start = own.to_numpy(_dtype(each)), start + width
        given = session.run(answers, feed)
        if len(given) > 1:
            values = np.stack([np.ravel(column) for column in given], axis=1)
        else:
            values = pd.DataFrame(given[0]).to_numpy() if isinstance(given[0], list) else given[0]  # a dictionary a row
        return np.where(values < ROUNDING, 0, values) if forest else values

    if len(inputs) > 1:
        columns = [each.name for each in inputs] if by_name else None
        return Reading(answer, inputs=(sum(widths),), columns=columns, by_column=True)
    sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape)
    return Reading(answer, inputs=sizes[1:], dtype=_dtype(inputs[0]), batch=sizes[0] if sizes else None)


def _answers(path: Path, outputs: Sequence[Any], settings: Model) -> list[str]:
    """The names of the outputs that hold answers: one with a column a class, or one a class. Labels are none."""
    numbers = [output for output in outputs if output.type.startswith("seq(map") or "float" in _dtype(output)]
    wanted = [output for output in numbers if "proba" in output.name] if settings.outputs == "probabilities" else []
    answers = wanted or numbers
    if len(answers) != 1 and not (len(answers) > 1 and all(len(output.shape or ()) == 1 for output in answers)):
        named = ", ".join(output.name for output in outputs)
        raise InputError(f"{path}: expected one output of numbers, got {named}; export the model with one")
    return [output.name for output in answers]


def _is_forest(content: bytes) -> bool:
    """Whether a file of ONNX holds trees whose leaves are averaged, and no softmax or sigmoid of them."""
    return b"TreeEnsembleClassifier" in content and not any(step in content for step in (b"SOFTMAX", b"LOGISTIC"))


def _dtype(port: Any) -> str:
    """NumPy's name of the numbers or texts that an input or output of ONNX holds."""
    kind = str(port.type).removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64", "string": "object"}.get(kind, kind)


def _width(port: Any) -> int:
    """How many columns of a table an input takes."""
    return port.shape[1] if len(port.shape) > 1 and isinstance(port.shape[1], int) else 1


def _skops(path: Path, settings: Model) -> Reading:
    model = _from_skops(path)
    names = getattr(model, "feature_names_in_", None)
    width = getattr(model, "n_features_in_", None)
    method = {"probabilities": ("predict_proba",), "logits": ("decision_function",)}[settings.outputs]
    return Reading(
        _method(path, model, method),
        inputs=None if width is None else (int(width),),
        dtype="float64",
        columns=None if names is None else [str(name) for name in names],
        classes=None if (classes := getattr(model, "classes_", None)) is None else list(classes),
        by_column=names is not None,
    )


def _from_skops(path: Path) -> Any:
    io = skops_writing.skops_io()
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            objects = _objects(json.loads(archive.read("schema.json")))
        asked = set(io.get_untrusted_types(data=content))
        trusted = {name for name in asked & objects if name.startswith(TRUSTED)}
        if foreign := sorted(asked - trusted):
            raise InputError(
                f"{path}: holds types that are not classes of scikit-learn, NumPy or SciPy: {', '.join(foreign[:8])}; "
                "export the model to ONNX, or read it in code/recipe.py: load(path)"
            )
        return io.loads(content, trusted=sorted(trusted))
    except InputError:
        raise
    except Exception as error:  # skops raises what the objects inside raise
        raise _no_model(path, "a skops file", error) from None


def _objects(schema: Any) -> set[str]:
    """The names of classes in a schema of skops of which objects are made. A function may do anything: it is none."""
    waiting, names = [schema], set()
    while waiting:
        part = waiting.pop()
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
        if isinstance(part, dict) and part.get("__loader__") in LOADERS:
            names.add(f"{part.get('__module__')}.{part.get('__class__')}")
    return names


def _xgboost(path: Path, settings: Model) -> Reading:
    package = importlib.import_module("xgboost")
    booster = package.Booster()
    try:
        booster.load_model(str(path))
    except package.core.XGBoostError as error:
        raise _no_model(path, "a model of XGBoost", error) from None
    margin = settings.outputs == "logits"

    def answer(rows: Any) -> Any:
        return booster.predict(package.DMatrix(rows), output_margin=margin, validate_features=False)

    return _trees(path, answer, booster.feature_names, booster.num_features())


def _lightgbm(path: Path, settings: Model) -> Reading:
    package = importlib.import_module("lightgbm")
    try:
        booster = package.Booster(model_file=str(path))
    except package.basic.LightGBMError as error:
        raise _no_model(path, "a model of LightGBM", error) from None
    margin = settings.outputs == "logits"

    def answer(rows: Any) -> Any:
        return booster.predict(rows, raw_score=margin)

    names = booster.feature_name()
    unnamed = names == [f"Column_{number}" for number in range(len(names))]
    return _trees(path, answer, None if unnamed else names, len(names))


def _trees(path: Path, answer: Callable[[Any], Any], names: Any, width: int) -> Reading:
    """Trees take numbers by position; the steps before them lie beside them where the pipeline had such."""
    before = sorted(path.parent.glob(f"*{model_kinds.PREPROCESSING}"))
    if not before:
        return Reading(answer, inputs=(width,), dtype="float64", columns=names or None)
    steps = _from_skops(before[0])
    columns = [str(name) for name in getattr(steps, "feature_names_in_", [])]
    return Reading(
        lambda rows: answer(np.asarray(steps.transform(rows))), columns=columns or None, by_column=bool(columns)
    )


def _network(path: Path, code: Path, shape: tuple[int, ...], n_classes: int) -> Reading:
    torch = importlib.import_module("torch")  # by name, and so the next: `split` reads this module and loads no torch
    place = importlib.import_module("mia.compute.devices").chosen()
    weights = importlib.import_module("safetensors.torch")
    network = recipes.function(code, "network")(shape, n_classes)
    try:
        weights.load_model(network, str(path), device="cpu")
    except Exception as error:  # safetensors' and torch's have no common class
        raise _no_model(path, "the weights of network(shape, n_classes) in code/recipe.py", error) from None
    network.to(place).eval()

    def answer(rows: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(rows).to(place)).float().cpu().numpy()

    return Reading(answer)


def _own(place: Path, code: Path, settings: Model) -> Reading:
    model = recipes.function(code, "load")(place)
    methods = METHODS[:1] if settings.outputs == "probabilities" else METHODS[1:]
    columns = getattr(model, "feature_names_in_", None)
    return Reading(
        _method(code / recipes.FILE, model, methods),
        columns=None if columns is None else [str(name) for name in columns],
        classes=None if (classes := getattr(model, "classes_", None)) is None else list(classes),
        by_column=True,
    )


def _method(path: Path, model: Any, methods: Sequence[str]) -> Callable[[Any], Any]:
    name = next((name for name in methods if callable(getattr(model, name, None))), None)
    if name is None:
        has = ", ".join(method for method in fitting.METHODS if callable(getattr(model, method, None))) or "none"
        raise InputError(
            f"{path}: {type(model).__name__}: expected {' or '.join(methods)}, got {has}; set model.outputs to what it "
            "has"
        )
    method: Callable[[Any], Any] = getattr(model, name)
    return method


def _no_model(path: Path, what: str, error: Exception, step: str = "") -> InputError:
    return InputError(
        f"{path}: expected {what}, got a file that cannot be read as one: {' '.join(str(error).split())[:300]}{step}"
    )


READERS: dict[str, Callable[[Path, Model], Reading]] = {
    ".onnx": _onnx,
    ".skops": _skops,
    ".ubj": _xgboost,
    ".json": _xgboost,
    ".txt": _lightgbm,
}
