"""An audit of the user's own network, and of torchvision's: target and shadows are trained by our loop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch

import models
import networks_of_users as own
import planted
import tiny
from mia import paths
from mia.audits import check
from mia.errors import InputError
from mia.models import building
from repository import create, ran

CHANGES: dict[str, Any] = {
    "audit": "images",
    "attacker.knowledge": "population",
    "data.min_per_class": 2,
    "target.architecture": "own",
    "target.epochs": 2,
    "target.batch_size": 32,
    "target.augmentation": ["flip", "shift", "colour", "rotate", "cutout", "erase"],
    "shadow.blocks": [0],
    "shadow.per_block": 2,
    "shadow.train_size": 100,
    "shadow.heldout_size": 100,
}
TRAINING = ("prepare", "split", "train_target", "train_shadows")
CODE = Path("audits/images/code/recipe.py")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an audit of small images, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    own.photos(tmp_path / "audits/images/data/population", models.images(120, side=8, noise=40))
    own.write(tmp_path / "audits/images")
    return tmp_path


def trained() -> dict[str, bytes]:
    """The weights of every model, by its number."""
    return {path.name: path.read_bytes() for path in Path("models").rglob("*.safetensors")}


@pytest.mark.long
@pytest.mark.usefixtures("here")
def test_shadows_are_the_same_in_one_block_and_in_two_and_by_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.run(*TRAINING, "query_target", "query_shadows", changes=CHANGES | {"shadow.per_block": 4})
    one_block = trained()
    assert sorted(one_block) == [f"{number}.safetensors" for number in range(5)]
    assert pd.read_parquet(paths.shadow_signals(0))["model_id"].nunique() == 4
    shutil.rmtree("models")
    monkeypatch.setenv("MIA_PROCESSES", "2")
    tiny.run(*TRAINING, changes=CHANGES | {"shadow.blocks": [0, 1], "shadow.together": 2})
    assert trained() == one_block


@pytest.mark.usefixtures("here")
def test_what_training_depends_on_changes_with_the_code_and_with_nothing_else() -> None:
    def declared(**changes: Any) -> str:
        tiny.run("prepare", "split", changes=CHANGES | changes)
        return paths.NETWORK.read_text()

    before = declared()
    assert declared(**{"target.epochs": 3, "shadow.per_block": 1}) == before
    CODE.write_text(own.RESNET + "\n# changed\n")
    assert declared() != before


@pytest.mark.usefixtures("here")
def test_a_network_that_is_wrong_trains_nothing() -> None:
    CODE.write_text(own.small("return self.logits(self.hidden(x)), 0"))
    message = (
        r"^audits/images/code/recipe.py: network: expected logits as one tensor, got tuple; return the logits alone$"
    )
    with pytest.raises(InputError, match=message):
        tiny.run(*TRAINING, changes=CHANGES)
    assert not Path("models").exists()
    CODE.unlink()
    with pytest.raises(
        InputError, match=r"^audits/images/code/recipe.py: no such file; write it: docs/your-own.md has"
    ):
        tiny.run("split", "train_target", changes=CHANGES)


def test_a_network_is_tried_by_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_params(here / "params.yaml", CHANGES)
    check.check("images")
    assert "recipe: tried on 32 records in " in capsys.readouterr().out
    CODE.write_text(own.small(make="return Small(shape, 7)"))
    with pytest.raises(InputError, match="expected logits, a row a record and a column a class, 32 x 3, got"):
        check.check("images")
    tiny.write_params(here / "params.yaml", CHANGES | {"target.architecture": "torchvision:resnt18"})
    place = r"^audits/images/params.yaml: target.architecture: torchvision"
    with pytest.raises(InputError, match=f"{place} has no classifier 'resnt18'; did you mean 'resnet18'") as raised:
        check.check("images")
    assert len(str(raised.value).splitlines()) == 1
    tiny.write_params(here / "params.yaml", CHANGES | {"target.architecture": "torchvision:vgg11"})
    with pytest.raises(InputError, match=rf"{place}:vgg11: cannot take images of 8x8 .* set data.size to \[32, 32\]"):
        check.check("images")


def test_a_model_that_begins_with_given_weights_is_trained_on(here: Path) -> None:
    own.write(here / "audits/images", own.SMALL)
    start = building.create("own:audits/images/code", (8, 8, 3), 3, seed=5).state_dict()
    del start["logits.weight"], start["logits.bias"]
    safetensors.torch.save_file(start, here / "audits/images/code/start.safetensors")
    own_start = {"target.initial": "start.safetensors", "target.learning_rate": 1e-12}
    tiny.run(*TRAINING, "query_target", "query_shadows", changes=CHANGES | own_start)
    for content in trained().values():
        assert (safetensors.torch.load(content)["first.weight"] - start["first.weight"]).abs().max() < 1e-6
    assert "initial" in json.loads(paths.NETWORK.read_text())


@pytest.mark.long
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("architecture", ["own", "torchvision:mobilenet_v3_small"])
def test_such_an_audit_runs_to_the_report(architecture: str) -> None:
    tiny.run(changes=CHANGES | {"shadow.blocks": [0, 1], "target.architecture": architecture})
    page = planted.text_of(paths.AUDIT_PAGE.read_text())
    assert f"{architecture}, 2 epochs" in page
    stored = json.loads((paths.TARGET_MODEL / "0.json").read_text())
    assert stored["architecture"] == architecture
    assert "4 shadow models" in page
    attacks = {entry["attack"] for entry in json.loads(paths.ATTACK_METRICS.read_text())}
    assert {"loss", "rmia_online"} <= attacks


@pytest.mark.long
def test_other_code_trains_anew_and_other_files_do_not(tmp_path: Path) -> None:
    keep = ("prepare", "split", "train_target", "train_shadows", "query_target", "query_shadows")
    repository = create(tmp_path, keep=keep)
    own.photos(repository.root / "audits/images/data/population", models.images(120, side=8, noise=40))
    own.write(repository.root / "audits/images", own.SMALL)
    tiny.write_params(repository.root / "params.yaml", CHANGES)
    repository.dvc("repro")
    assert ran(repository.dvc("repro")) == set()
    (repository.root / "audits/images/model/README.md").write_text("no model")
    assert ran(repository.dvc("repro")) == {"split"}
    file = repository.root / CODE
    file.write_text(file.read_text().replace("tanh", "relu"))
    assert ran(repository.dvc("repro")) == {
        "split",
        "train_target",
        "train_shadows@0",
        "query_target",
        "query_shadows@0",
    }
