"""The whole examples of docs/your-own.md run: a trained XGBoost model, and a training loop in PyTorch as `build`.

The loop's shadows and those that our own loop trains of the same network say the same of one brought model.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import xgboost

import models
import networks_of_users
import pipeline
import tiny
from mia import commands, params, paths
from mia.data.records import Records
from mia.models.logits import SIGNALS
from mia.store import parquet

PAGE = (pipeline.ROOT / "docs/your-own.md").read_text(encoding="utf-8")
PYTORCH = (pipeline.ROOT / "docs/pytorch.md").read_text(encoding="utf-8")
MINE = """
import torch

draws = torch.Generator().manual_seed(0)
classes = ["cat", "dog"]
labels = torch.randint(2, (200,), generator=draws).tolist()
images = torch.randn(200, 30, generator=draws) + torch.tensor(labels)[:, None] / 4
member = torch.arange(200).numpy() % 2 == 0


def train(rows, seed):
    torch.manual_seed(seed)
    network = torch.nn.Linear(30, 2)
    steps = torch.optim.Adam(network.parameters(), 0.05)
    for _ in range(100):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(network(images[rows]), torch.tensor(labels)[rows]).backward()
        steps.step()
    return network


def load(path):
    network = torch.nn.Linear(30, 2)
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


torch.save(train(member, 99).state_dict(), "model.pt")
"""
IMAGES = models.images(400, side=8, noise=45)
SETTINGS = {"epochs": 30, "batch_size": 32, "learning_rate": 0.003}
OURS: dict[str, Any] = {
    "architecture": "own",
    **SETTINGS,
    "optimizer": "adam",
    "schedule": "constant",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "augmentation": [],
    "precision": "float32",
    "initial": None,
}
CHANGES: dict[str, Any] = {
    "audit": "images",
    "attacker.knowledge": "population",
    "data.split": "published",
    "data.min_per_class": 2,
    "model": {**models.SETTINGS, "layout": "channels_first", "pixels": "symmetric", "outputs": "logits"},
    "shadow.blocks": [0],
    "shadow.per_block": 8,
    "evaluate.bootstrap_replicates": 300,
}


def example(mark: str) -> str:
    """The piece of Python below a mark."""
    (code,) = re.findall(rf"<!-- {mark} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def test_a_script_in_pytorch_writes_what_mia_answers_audits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    (script,) = re.findall(r"<!-- runs with mine.py -->\n```python\n(.*?)```", PYTORCH, re.DOTALL)
    Path("script.py").write_text(script)
    subprocess.run([sys.executable, "script.py"], check=True)
    command = "answers target.parquet --shadows shadows.parquet --out audit"
    assert f"$ mia {command}\n" in PYTORCH
    assert commands.main(command.split()) == 0
    said = capsys.readouterr().out
    assert "100 members, 100 non-members" in said
    assert "\nlira online " in said  # the shadows were taken for what they are


def test_a_models_file_and_its_table_become_an_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_params(paths.PARAMS)
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("audit: digits", "audit: mine"))
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.integers(18, 90, 600), "hours": rng.integers(0, 60, 600), "pay": rng.random(600)})
    noisy = people.age + people.hours + rng.normal(0, 10, 600)
    people.assign(income=np.where(noisy > 80, "high", "low")).to_csv("people.csv", index=False)
    exec(example("runs before mia new"), {})
    command = ["new", "mine", "--table", "people.csv", "--label", "income", "--model", "model.json"]
    assert f"$ mia {' '.join(command)}\n" in PAGE
    assert commands.main(command) == 0
    shown = PAGE.split(f"$ mia {' '.join(command)}\n")[1].split("```")[0]
    assert capsys.readouterr().out == shown
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("knowledge: generated", "knowledge: population"))
    for stage in ("prepare", "split", "train_target", "query_target"):
        importlib.import_module(f"stages.{stage}").main(params.load(paths.PARAMS))
    assert "model.json: right on 99.7 % of 300 members and on 86.3 % of 300 non-members" in capsys.readouterr().out
    answers = parquet.read(paths.TARGET_SIGNALS, SIGNALS)
    booster = xgboost.XGBClassifier()
    booster.load_model("model.json")
    expected = booster.predict_proba(pd.read_csv("people.csv")[["age", "hours", "pay"]])
    assert np.abs(np.exp(np.stack(answers["logits"].to_list())) - expected).max() < 1e-6


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an audit of images and of a network that the example's loop trained on those in train/."""
    monkeypatch.chdir(tmp_path)
    assert IMAGES.published_train is not None
    for side, rows in (("train", IMAGES.published_train), ("test", ~IMAGES.published_train)):
        own: Records = IMAGES.take(np.flatnonzero(rows))
        networks_of_users.photos(tmp_path / "audits/images/data/population" / side, own)
    networks_of_users.write(tmp_path / "audits/images", example("runs as recipe.py"))
    spec = importlib.util.spec_from_file_location("example", tmp_path / "audits/images/code/recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    members = IMAGES.take(np.flatnonzero(IMAGES.published_train))
    target = recipe.build(SETTINGS, 1)
    target.fit(members.x, members.labels)
    (tmp_path / "audits/images/model").mkdir()
    safetensors.torch.save_model(target.network, str(tmp_path / "audits/images/model/target.safetensors"))
    return tmp_path


def measured() -> dict[str, Any]:
    return {entry["attack"]: entry for entry in json.loads(paths.ATTACK_METRICS.read_text())}


def in_processes(stage: str) -> None:
    """A stage's block as dvc.yaml starts it, its work in two processes."""
    environment = {**os.environ, "MIA_PROCESSES": "2", "PYTHONPATH": str(pipeline.SRC)}
    command = [sys.executable, str(pipeline.SRC / "stage.py"), stage, "--block", "0"]
    subprocess.run(command, env=environment, check=True, timeout=120)


@pytest.mark.long
@pytest.mark.usefixtures("brought")
def test_shadows_by_network_and_by_build_say_the_same_of_one_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIA_PROCESSES", "1")  # no fork after torch's backward in this process
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for target in (OURS, {"estimator": "own", "settings": SETTINGS}):
        tiny.run(changes={**CHANGES, "target": target})
        found.append((measured(), json.loads(paths.VERDICT.read_text())))
        assert commands.main(["check", "images", "--knowledge", "population"]) == 0
        assert "audits/images: no fault found" in capsys.readouterr().out
    alone = tiny.digests("train_shadows")
    shutil.rmtree(paths.shadow_models(0))
    in_processes("train_shadows")
    assert tiny.digests("train_shadows") == alone
    (ours, verdict), (theirs, other) = found
    assert set(ours) == set(theirs)
    assert ours["loss"]["auc"] == theirs["loss"]["auc"], "the target is the same"
    for attack in ("rmia_online", "lira_online", "calibrated", "stacked"):
        one, two = ours[attack], theirs[attack]
        assert one["auc_low"] > 0.5, "the target leaks"
        assert one["auc_low"] < two["auc"] < one["auc_high"]
        assert two["auc_low"] < one["auc"] < two["auc_high"]
    for number in ("auc", "tpr"):
        assert verdict[f"{number}_p"] == other[f"{number}_p"] == 0.001  # of as many permutations
        assert verdict[f"{number}_low"] < other[number] < verdict[f"{number}_high"]
