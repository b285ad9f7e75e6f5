"""Trained models that a user brings: every format, what they are fed, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import models
from mia.data.records import Records
from mia.errors import InputError
from mia.models import given_model
from mia.models.given_model import Asked
from mia.params_audit import Model

FILE = "audits/mine/params.yaml"
RECORDS = models.images()
GREY = RECORDS.images.mean(axis=(1, 2, 3)) / 255
RIGHT = models.logits(GREY)


def read(place: Path, settings: Model, records: Records = RECORDS, code: Path = Path("code")) -> Asked:
    return given_model.read(place, code, settings, FILE, records)


def answers(model: Asked, records: Records = RECORDS) -> Any:
    return model.logits(model.raw(records.x), members=120)


def log_p(values: Any) -> Any:
    return np.log(models.softmax(np.asarray(values, np.float64)))


@pytest.mark.parametrize("pixels", ["bytes", "unit", "symmetric"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_onnx_is_given_the_layout_and_the_scale_that_it_takes(tmp_path: Path, layout: str, pixels: str) -> None:
    scale, offset = {"bytes": (1 / 255, 0.0), "unit": (1.0, 0.0), "symmetric": (0.5, 0.5)}[pixels]
    shape = ("n", 6, 6, 3) if layout == "channels_last" else ("n", 3, 6, 6)
    path = models.onnx(tmp_path / "target.onnx", shape=shape, scale=scale, offset=offset)
    model = read(path, models.settings(layout=layout, pixels=pixels))
    assert np.abs(answers(model) - log_p(RIGHT)).max() < 1e-3


def test_onnx_takes_bytes_with_channels_first_and_normalised_floats_with_channels_last(tmp_path: Path) -> None:
    first = models.onnx(tmp_path / "a.onnx", shape=("n", 3, 6, 6), scale=1 / 255, dtype="UINT8")
    last = models.onnx(tmp_path / "b.onnx", scale=0.2, offset=0.45, probabilities=False)
    of_bytes = read(first, models.settings(layout="channels_first", pixels="bytes"))
    normalised = read(last, models.settings(mean=[0.4, 0.45, 0.5], deviation=[0.2] * 3, outputs="logits"))
    assert of_bytes.reading.dtype == "uint8"
    assert np.abs(answers(of_bytes) - log_p(RIGHT)).max() < 1e-3
    assert np.abs(answers(normalised) - RIGHT).max() < 1e-3


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    model = read(models.onnx(tmp_path / "m.onnx", shape=(7, 6, 6, 3)), models.settings())
    assert model.reading.batch == 7
    assert np.abs(answers(model) - log_p(RIGHT)).max() < 1e-3


@pytest.mark.parametrize(
    ("graph", "changes", "message"),
    [
        (
            {"shape": ("n", 3, 6, 6)},
            {},
            (
                "takes images of 3 x 6 x 6, got images of 6 x 6 x 3 with model.layout: channels_last; set model.layout "
                f"to channels_first ({FILE})"
            ),
        ),
        (
            {"shape": ("n", 8, 8, 3)},
            {},
            (
                "takes images of 8 x 8 x 3, got images of 6 x 6 x 3 with model.layout: channels_last; resize the "
                f"images to it ({FILE})"
            ),
        ),
        (
            {"dtype": "UINT8"},
            {},
            (
                "takes bytes (uint8): expected model.pixels: bytes, mean: null and deviation: null, got unit, None and "
                f"None; set them in {FILE}"
            ),
        ),
        ({"dtype": "INT32"}, {}, "expected an input of uint8 or floats, got int32; export it with one"),
        (
            {"classes": 4},
            {},
            (
                "expected 3 answers a row, one a class, got 240 x 4 for 240 rows; set model.classes in "
                f"{FILE} to the classes that it answers with, or give it the output layer of this task"
            ),
        ),
    ],
)
def test_an_onnx_file_of_other_inputs_is_refused(
    tmp_path: Path, graph: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    path = models.onnx(tmp_path / "m.onnx", **graph)
    with pytest.raises(InputError) as error:
        read(path, models.settings(**changes)).raw(RECORDS.x)
    assert str(error.value) == f"{path}: {message}"


def test_weights_beside_the_file_are_brought_with_it(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    (tmp_path / "m.onnx.data").write_bytes(b"")
    with pytest.raises(InputError, match=r"m.onnx: its weights lie beside it, in m.onnx.data: bring the folder"):
        read(tmp_path / "m.onnx", models.settings())


def test_an_onnx_file_from_torch_and_safetensors_of_the_same_network_answer_alike(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_model

    code = tmp_path / "code"
    code.mkdir()
    (code / "recipe.py").write_text(NETWORK)
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    torch.manual_seed(0)
    network = names["network"]((6, 6, 3), 3).eval()
    save_model(network, str(tmp_path / "m.safetensors"))
    torch.onnx.export(
        network, (torch.zeros(2, 3, 6, 6),), str(tmp_path / "m.onnx"), dynamic_shapes=({0: torch.export.Dim("n")},),
        external_data=False, verbose=False,
    )  # fmt: skip
    settings = models.settings(layout="channels_first", outputs="logits")
    both = [answers(read(tmp_path / name, settings, code=code)) for name in ("m.onnx", "m.safetensors")]
    with torch.inference_mode():
        own = network(torch.from_numpy(RECORDS.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)).numpy()
    assert np.abs(both[0] - own).max() < 1e-4
    assert np.abs(both[1] - own).max() < 1e-5


NETWORK = """
from torch import nn


def network(shape, n_classes):
    height, width, channels = shape
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(8 * height * width, n_classes),
    )
"""


def test_safetensors_are_read_into_the_user_s_network_and_others_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_model

    code = tmp_path / "code"
    code.mkdir()
    (code / "recipe.py").write_text(NETWORK)
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    network = names["network"]((6, 6, 3), 3).eval()
    path = tmp_path / "m.safetensors"
    save_model(network, str(path))
    model = read(path, models.settings(layout="channels_first", outputs="logits"), code=code)
    with torch.inference_mode():
        own = network(torch.from_numpy(RECORDS.images.transpose(0, 3, 1, 2).astype(np.float32) / 255)).numpy()
    assert np.abs(answers(model) - own).max() < 1e-5
    save_model(names["network"]((5, 5, 3), 3), str(path))
    with pytest.raises(InputError) as error:
        read(path, models.settings(layout="channels_first", outputs="logits"), code=code)
    assert str(error.value).startswith(
        f"{path}: expected the weights of network(shape, n_classes) in code/recipe.py, got a file that "
        "cannot be read as one: Error(s) in loading state_dict"
    )


def people(count: int = 200) -> Records:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 10, count), "pay": rng.normal(0, 1, count)})
    table["work"] = np.array(["own", "firm", "none"], object)[rng.integers(0, 3, count)]
    labels = np.array(table["pay"] + (table["work"] == "own") > 0.3).astype(np.int64)
    return Records(table, labels, ("high", "low"), np.arange(count) % 2 == 0, np.arange(count).astype(str))


PEOPLE = people()
NUMBERS = Records(PEOPLE.table[["age", "pay"]], PEOPLE.labels, PEOPLE.classes, None, PEOPLE.names)


def test_skops_of_a_pipeline_with_names_of_columns_and_classes(tmp_path: Path) -> None:
    names = np.array(PEOPLE.classes)[PEOPLE.labels]
    steps = make_column_transformer((OneHotEncoder(), ["work"]), remainder="passthrough")
    pipeline = make_pipeline(steps, RandomForestClassifier(5, random_state=0)).fit(PEOPLE.table, names)
    skops.io.dump(pipeline, path := tmp_path / "m.skops")
    turned = Records(PEOPLE.table[["work", "pay", "age"]], PEOPLE.labels, PEOPLE.classes, None, PEOPLE.names)
    model = read(path, models.settings(models.TABLE), turned)
    assert (model.raw(turned.x) == pipeline.predict_proba(PEOPLE.table)).all()
    missing = Records(PEOPLE.table[["work", "pay"]], PEOPLE.labels, PEOPLE.classes, None, PEOPLE.names)
    with pytest.raises(InputError) as error:
        read(path, models.settings(models.TABLE), missing)
    assert str(error.value) == (
        f"{path}: takes columns that the table does not have: age; the table has work, pay; rename them, or set "
        f"model.columns in {FILE}"
    )


def test_skops_of_images_takes_rows_of_numbers(tmp_path: Path) -> None:
    rows = RECORDS.images.reshape(len(RECORDS), -1) / 255.0
    forest = RandomForestClassifier(5, random_state=0).fit(rows, RECORDS.labels)
    skops.io.dump(forest, tmp_path / "m.skops")
    model = read(tmp_path, models.settings())
    assert np.abs(model.raw(RECORDS.x) - forest.predict_proba(rows)).max() < 1e-6


def test_decisions_of_two_classes_are_two_logits(tmp_path: Path) -> None:
    model = LogisticRegression().fit(NUMBERS.table.to_numpy(), NUMBERS.labels)
    skops.io.dump(model, tmp_path / "m.skops")
    asked = read(tmp_path, models.settings(models.TABLE, outputs="logits"), NUMBERS)
    raw = asked.raw(NUMBERS.x)
    assert (raw[:, 0] == 0).all()
    assert (raw[:, 1] == model.decision_function(NUMBERS.table.to_numpy())).all()


def greedy(x: Any) -> Any:
    return x


@pytest.mark.parametrize("function", [greedy, np.testing.assert_equal])
def test_a_skops_file_that_calls_functions_is_refused(tmp_path: Path, function: Any) -> None:
    """NumPy's functions too: some read files, some run code."""
    steps = make_pipeline(FunctionTransformer(function), LogisticRegression())
    skops.io.dump(steps, path := tmp_path / "m.skops")
    with pytest.raises(InputError) as error:
        read(path, models.settings(models.TABLE), NUMBERS)
    name = f"{function.__module__}.{function.__name__}"
    assert str(error.value) == (
        f"{path}: holds types that are not classes of scikit-learn, NumPy or SciPy: {name}; "
        "export the model to ONNX, or read it in code/recipe.py: load(path)"
    )


@pytest.mark.parametrize(("suffix", "two"), [("ubj", True), ("json", False)])
@pytest.mark.parametrize("outputs", ["probabilities", "logits"])
def test_xgboost_answers_as_in_its_own_library(tmp_path: Path, suffix: str, two: bool, outputs: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    labels = NUMBERS.labels if two else np.arange(len(NUMBERS)) % 3
    records = Records(NUMBERS.table, labels, ("a", "b", "c")[: 2 if two else 3], None, NUMBERS.names)
    own = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(records.table, labels)
    own.get_booster().save_model(tmp_path / f"m.{suffix}")
    asked = read(tmp_path, models.settings(models.TABLE, outputs=outputs), records)
    raw = asked.raw(records.x)
    assert raw.shape == (len(records), len(records.classes))
    assert (
        np.abs((raw if outputs == "probabilities" else models.softmax(raw)) - own.predict_proba(records.table)).max()
        < 1e-6
    )


def test_lightgbm_answers_as_in_its_own_library(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    own = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbosity=-1).fit(NUMBERS.table, NUMBERS.labels)
    own.booster_.save_model(tmp_path / "m.txt")
    raw = read(tmp_path, models.settings(models.TABLE), NUMBERS).raw(NUMBERS.x)
    assert np.abs(raw - own.predict_proba(NUMBERS.table)).max() < 1e-9


def test_the_user_s_own_code_reads_anything_else(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "recipe.py").write_text(
        "import numpy as np\n\n\n"
        "class Line:\n"
        "    def __init__(self, folder):\n"
        "        self.at = float((folder / 'at.csv').read_text())\n\n"
        "    def logits(self, x):\n"
        "        over = x['pay'].to_numpy() - self.at\n"
        "        return np.stack([-over, over], axis=1)\n\n\n"
        "load = Line\n"
    )
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "at.csv").write_text("0.25")
    asked = read(tmp_path / "m", models.settings(models.TABLE, outputs="logits"), PEOPLE, code)
    assert (asked.raw(PEOPLE.x)[:, 1] == PEOPLE.table["pay"].to_numpy() - 0.25).all()
    with pytest.raises(InputError) as error:
        read(tmp_path / "m", models.settings(models.TABLE), PEOPLE, code)
    assert str(error.value) == (
        f"{code / 'recipe.py'}: Line: expected predict_proba, got logits; set model.outputs to what it has"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("m.pkl", "skops.io.dump(model, 'model.skops')"),
        ("m.pickle", "skops.io.dump(model, 'model.skops')"),
        ("m.joblib", "skops.io.dump(joblib.load('m.joblib'), 'model.skops')"),
        ("m.pt", "safetensors.torch.save_model(model, 'model.safetensors')"),
        ("m.pth", "safetensors.torch.save_model(model, 'model.safetensors')"),
    ],
)
def test_a_pickle_is_refused_with_the_line_that_converts_it(tmp_path: Path, name: str, line: str) -> None:
    path = tmp_path / name
    path.touch()
    for place in (path, tmp_path):
        with pytest.raises(InputError) as error:
            read(place, models.settings())
        assert str(error.value) == (
            f"{path}: a pickle runs code when it is read, and is not read here; write the model anew: `{line}`"
        )


@pytest.mark.parametrize("name", ["m.onnx", "m.skops", "m.safetensors", "m.ubj", "m.json", "m.txt"])
def test_a_damaged_file_is_an_error_in_a_line(tmp_path: Path, name: str) -> None:
    pytest.importorskip({"ubj": "xgboost", "json": "xgboost", "txt": "lightgbm"}.get(name[2:], "skops"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "recipe.py").write_text(NETWORK)
    path = tmp_path / name
    path.write_bytes(b"\x00 damaged")
    with pytest.raises(InputError, match=r"expected .*, got a file that cannot be read as one") as error:
        read(path, models.settings(), code=tmp_path / "code")
    assert "\n" not in str(error.value)


def test_several_models_and_none_are_refused(tmp_path: Path) -> None:
    for name in ("a.skops", "b.skops"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="expected one model, got a.skops, b.skops; leave one"):
        read(tmp_path, models.settings())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "m.bin").touch()
    with pytest.raises(InputError, match=r"or a folder that load\(path\) in code/recipe.py reads, got m.bin"):
        read(tmp_path / "c", models.settings())


def test_the_order_of_classes_is_the_user_s_or_the_model_s(tmp_path: Path) -> None:
    path = models.onnx(tmp_path / "m.onnx")
    model = read(path, models.settings(classes=["fox", "cat", "dog"]))
    assert model.order.tolist() == [2, 0, 1]
    with pytest.raises(InputError) as error:
        read(path, models.settings(classes=["fox", "cat", "hen"]))
    assert str(error.value) == f"{FILE}: model.classes: expected names of cat, dog, fox, got hen; mend them"
    with pytest.raises(InputError) as error:
        read(path, models.settings(classes=["fox", "cat", "cat"]))
    assert str(error.value) == f"{FILE}: model.classes: expected each name once, got fox, cat, cat; mend them"


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "m.onnx"
    path.touch()
    with pytest.raises(InputError) as error:
        read(path, models.settings())
    assert str(error.value) == (
        f"{path}: ONNX needs a package that is not installed: `pip install onnxruntime`, or this project with its "
        "extra `onnx`"
    )
