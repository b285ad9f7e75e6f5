"""A trained model that the user brings is audited: `mia new` writes the folder, the stages take it in and ask it."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from PIL import Image
from ruamel.yaml import YAML
from sklearn.ensemble import RandomForestClassifier

import models
import pipeline
import planted
import tiny
from mia import commands, params, paths
from mia.data.stored_records import RECORDS
from mia.errors import InputError
from mia.models.logits import SIGNALS
from mia.store import parquet, sealed_json
from repository import create, ran
from stages import prepare, query_target, split, train_target

IMAGES = models.images(side=8, noise=25)
QUICK: dict[str, Any] = {
    "audit: digits": "audit: mine",
    "knowledge: generated": "knowledge: population",
    "search_iterations: 20": "search_iterations: 2",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with no audit, images below train/ and test/, and a forest that was trained on the first."""
    monkeypatch.chdir(tmp_path)
    paths.AUDITS.mkdir()
    shutil.copy(pipeline.ROOT / "audits/mitigations.json", paths.AUDITS)
    text = (pipeline.ROOT / "params.yaml").read_text()
    for old, new in QUICK.items():
        text = text.replace(old, new)
    paths.PARAMS.write_text(text)
    photos(tmp_path / "photos")
    skops.io.dump(forest(), tmp_path / "forest.skops")
    return tmp_path


def photos(folder: Path) -> None:
    assert IMAGES.published_train is not None
    for row, (image, label) in enumerate(zip(IMAGES.images, IMAGES.labels, strict=True)):
        side = "train" if IMAGES.published_train[row] else "test"
        path = folder / side / IMAGES.classes[label] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def forest(seed: int = 0) -> RandomForestClassifier:
    trained = IMAGES.published_train
    rows = IMAGES.images.reshape(len(IMAGES), -1) / 255.0
    return RandomForestClassifier(20, random_state=seed).fit(
        rows[trained], np.array(IMAGES.classes)[IMAGES.labels[trained]]
    )


def ask(*, views: int = 1) -> pd.DataFrame:
    """The target's answers after the first stages, in the order of the images."""
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("views: 1 ", f"views: {views} "))
    values = params.load(paths.PARAMS)
    for stage in (prepare, split, train_target, query_target):
        stage.main(values)
    return parquet.read(paths.TARGET_SIGNALS, SIGNALS)


def test_new_writes_an_audit_of_a_model_and_its_stages_ask_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "audits/mine: 240 images of 3 classes, 8x8, in colour",
        "Attacks of your own go into audits/mine/attacks (docs/attacks.md).",
        "Read audits/mine/params.yaml, then:",
        "  git add audits/mine && dvc exp run -S audit=mine -S attacker.knowledge=population",
    ]
    assert Path("audits/mine/model").resolve() == here / "forest.skops"
    answers = ask()
    out = capsys.readouterr().out
    assert f"{here / 'forest.skops'}: right on 99.2 % of 120 members and on 81.7 % of 120 non-members" in out
    names = parquet.read(paths.POPULATION / "records.parquet", RECORDS)["name"]
    rows = [int(Path(name).stem) for name in names]
    own = forest().predict_proba(IMAGES.images[rows].reshape(240, -1) / 255.0)
    asked = np.exp(np.stack(answers["logits"].to_list()))
    assert np.abs(asked - np.maximum(own, 1 / 240)).max() < 1e-6
    assert (answers["label"].to_numpy() == IMAGES.labels[rows]).all()
    assert sealed_json.unseal(paths.MODEL.read_text())["kind"] == "skops"


def test_a_load_that_reads_a_file_of_a_known_kind_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    third = (
        "import numpy\nclass Third:\n    def predict_proba(self, x):\n        return numpy.full((len(x), 3), 1 / 3)\n"
    )
    Path("audits/mine/code/recipe.py").write_text(f"{third}def load(place):\n    return Third()\n")
    answers = ask()
    assert np.ptp(np.stack(answers["logits"].to_list())) == 0
    assert capsys.readouterr().out.splitlines()[4] == (
        "audits/mine/code/recipe.py: load(path) reads the model; without it forest.skops would be read itself"
    )


def test_images_are_asked_about_in_views(here: Path) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    answers = ask(views=2)
    assert answers["view"].tolist() == [0] * 240 + [1] * 240
    first, mirrored = (np.stack(answers.loc[answers["view"] == view, "logits"].to_list()) for view in (0, 1))
    assert (first != mirrored).any()


def test_the_digest_follows_the_model_its_settings_and_the_code_and_no_shadow_depends_on_it(here: Path) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    values = params.load(paths.PARAMS)
    prepare.main(values)

    def digests() -> tuple[str, str]:
        split.main(params.load(paths.PARAMS))
        return paths.MODEL.read_text(), paths.NETWORK.read_text()

    seen = [digests()]
    skops.io.dump(forest().set_params(n_jobs=1), here / "forest.skops")
    seen.append(digests())
    own = Path("audits/mine/params.yaml")
    own.write_text(own.read_text().replace("pixels: unit  ", "pixels: bytes "))
    seen.append(digests())
    Path("audits/mine/code/recipe.py").write_text("\n")
    seen.append(digests())
    assert len({model for model, _ in seen}) == 4
    assert len({network for _, network in seen}) == 1


def test_the_digest_is_the_same_for_all_audits_that_bring_no_model(here: Path) -> None:
    tiny.run("prepare", "split", changes={"audit": "digits"})
    assert sealed_json.unseal(paths.MODEL.read_text()) == {"model": None}


def test_a_model_is_audited_without_shadows_to_the_report(here: Path) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    values = params.load(paths.PARAMS)
    for stage in pipeline.stages():
        main = importlib.import_module(f"stages.{stage}").main
        main(values, *([0] if stage in pipeline.OF_BLOCKS else []))
    page = planted.text_of(paths.AUDIT_PAGE.read_text())
    assert "a trained model was brought (skops): 240 images, 3 classes" in page
    assert "This attacker has no shadow models." in page
    assert "Narrow the gap between members and non-members" in page
    assert pd.read_csv(paths.LEARNING_CURVES).empty


def test_a_model_without_shadows_is_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    assert commands.main(["check", "mine"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{here / 'forest.skops'}: right on 99.2 % of 120 members and on 81.7 % of 120 non-members",
        "audits/mine: no fault found",
    ]
    Path("forest.skops").write_text("no model")
    assert commands.main(["check", "mine"]) == 1
    assert "forest.skops: expected a skops file, got a file that cannot be read as one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.split": "half"},
            "data.split: a trained model's members are those it was trained on: expected published",
        ),
        ({"model.pixels": None}, "model: expected a layout and pixels, as records are images"),
        ({"model.columns": ["a"]}, "model.columns: expected null, as records are images"),
        (
            {"target": {"estimator": "svm", "settings": {}}},
            "shadow: expected values where target has them, and null wh",
        ),
        ({"model.mean": [0.5]}, "deviation: expected as many numbers as in mean"),
        ({"model.pixels": "byte"}, "model.pixels: expected 'bytes', 'unit' or 'symmetric', got 'byte'"),
        ({"model.outputs": None}, "model.outputs: expected 'probabilities' or 'logits', got None"),
    ],
)
def test_settings_that_do_not_fit_are_a_line(here: Path, changes: dict[str, Any], message: str) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    yaml, own = YAML(), Path("audits/mine/params.yaml")
    values = yaml.load(own.read_text())
    for dotted, value in changes.items():
        *above, last = dotted.split(".")
        section = values[above[0]] if above else values
        section[last] = value
    yaml.dump(values, own)
    with pytest.raises(InputError) as error:
        params.load(paths.PARAMS)
    assert message in str(error.value)


def test_a_model_that_is_not_there_is_a_line(here: Path) -> None:
    commands.main(["new", "mine", "--images", "photos", "--model", "forest.skops"])
    (here / "forest.skops").unlink()
    values = params.load(paths.PARAMS)
    prepare.main(values)
    with pytest.raises(InputError) as error:
        split.main(values)
    assert str(error.value) == (
        "audits/mine/model: expected a trained model, or a folder or link with one, got nothing; docs/your-own.md "
        "lists the kinds"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--answers", "a.csv", "--model", "forest.skops"], "--model: expected with --images or --table, not with"),
        (["--images", "photos", "--model", "none.skops"], "none.skops: no such file; correct the path"),
        (["--images", "photos/train", "--model", "forest.skops"], "--model: expected records with their membership: i"),
        (["--images", "photos", "--model", "m.pkl"], "a pickle runs code when it is read, and is not read here; write"),
    ],
)
def test_new_refuses_a_model_in_a_line(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "m.pkl").touch()
    assert commands.main(["new", "mine", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not Path("audits/mine").exists()


def test_new_finds_what_an_onnx_file_takes_and_answers_with(here: Path) -> None:
    models.onnx(here / "m.onnx", shape=("n", 3, 8, 8), scale=1 / 255, dtype="UINT8", probabilities=False)
    assert commands.main(["new", "mine", "--images", "photos", "--model", "m.onnx"]) == 0
    model = params.load(paths.PARAMS).audit.brought
    assert (model.layout, model.pixels, model.outputs) == ("channels_first", "bytes", "logits")


def test_new_takes_a_model_of_a_table(here: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(40, 10, 200), "pay": rng.normal(0, 1, 200)})
    table["split"] = np.where(np.arange(200) % 2, "train", "test")
    table["income"] = np.where(table["pay"] > 0, "high", "low")
    table.to_csv("people.csv", index=False)
    trained = table[table["split"] == "train"]
    skops.io.dump(RandomForestClassifier(9, random_state=0).fit(trained[["age", "pay"]], trained["income"]), "m.skops")
    assert commands.main(["new", "mine", "--table", "people.csv", "--label", "income", "--model", "m.skops"]) == 0
    answers = ask()
    right = np.stack(answers["logits"].to_list()).argmax(axis=1) == answers["label"]
    assert right.mean() > 0.95


def test_a_model_of_numbers_and_a_table_with_text_meet_in_the_users_code(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"work": rng.choice(["farm", "office", "shop"], 200), "pay": rng.normal(0, 1, 200)})
    table["split"] = np.where(np.arange(200) % 2, "train", "test")
    table["income"] = np.where((table["pay"] > 0) ^ (table["work"] == "office"), "high", "low")
    table.to_csv("people.csv", index=False)
    trained = table[table["split"] == "train"]
    x = trained[["work", "pay"]].assign(work=pd.Categorical(trained["work"], ["farm", "office", "shop"]).codes)
    xgboost.XGBClassifier(n_jobs=1).fit(x, trained["income"] == "low").save_model("model.json")
    assert commands.main(["new", "mine", "--table", "people.csv", "--label", "income", "--model", "model.json"]) == 0
    needs = "model.json: takes numbers, and these columns are text: work; write load(path) into code/recipe.py"
    assert f"warning: {needs}" in capsys.readouterr().err
    assert commands.main(["check", "mine"]) == 1
    assert needs in capsys.readouterr().err
    example = (pipeline.ROOT / "docs/tables.md").read_text().split("```python\n")[1].split("```")[0]
    Path("audits/mine/code/recipe.py").write_text(example)
    assert commands.main(["check", "mine"]) == 0
    assert "model.json: right on 100.0 % of 100 members and on " in capsys.readouterr().out


SHADOWS: dict[str, Any] = {
    "audit": "images",
    "attacker.knowledge": "population",
    "data.split": "published",
    "data.min_per_class": 2,
    "target.architecture": "shokri_mlp",
    "target.epochs": 1,
    "target.batch_size": 32,
    "shadow.per_block": 2,
    "shadow.train_size": 100,
    "shadow.heldout_size": 100,
}
BEFORE_ATTACKS = ("prepare", "split", "train_target", "train_shadows", "query_target", "query_shadows")


@pytest.mark.long
def test_another_model_or_another_setting_asks_anew_and_trains_no_shadow(tmp_path: Path) -> None:
    repository = create(tmp_path, keep=BEFORE_ATTACKS)
    folder = repository.root / "audits/images"
    photos(folder / "data/population")
    (folder / "model").mkdir()
    skops.io.dump(forest(), folder / "model/forest.skops")

    def repro(**settings: Any) -> set[str]:
        model = {**models.SETTINGS, **settings}
        tiny.write_params(repository.root / "params.yaml", {**SHADOWS, "shadow.blocks": [0], "model": model})
        return ran(repository.dvc("repro"))

    asked = {"split", "train_target", "query_target"}
    assert repro() == {"prepare", "train_shadows@0", "query_shadows@0"} | asked
    assert repro() == set()
    skops.io.dump(forest(seed=1), folder / "model/forest.skops")
    assert repro() == asked
    assert repro(classes=["cat", "dog", "fox"]) == asked


@pytest.mark.long
def test_a_model_is_audited_with_shadows_of_networks_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(Path("audits/images/data/population"))
    Path("audits/images/model").mkdir()
    skops.io.dump(forest(), "audits/images/model/forest.skops")
    tiny.run(changes={**SHADOWS, "model": models.SETTINGS})
    page = planted.text_of(paths.AUDIT_PAGE.read_text())
    assert "a trained model was brought (skops)" in page
    assert "4 shadow models" in page
    assert set(pd.read_csv(paths.LEARNING_CURVES)["model"]) == {f"shadow {number}" for number in (1, 2, 3, 4)}
    assert pd.read_csv("plots/roc.csv")["attack"].str.startswith("rmia").any()
