"""params.yaml is read as DVC reads it, checked whole, and every fault is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import pipeline
from mia import catalogue, params
from mia.attacks import estimators
from mia.catalogue import wanted
from mia.errors import InputError

TEXT = (pipeline.ROOT / "params.yaml").read_text()
OWN = (pipeline.ROOT / "audits/digits/params.yaml").read_text()


def load(tmp_path: Path, *changes: tuple[str, str]) -> params.Params:
    texts = {Path("params.yaml"): TEXT, Path("audits/digits/params.yaml"): OWN}
    for old, new in changes:
        place = next(path for path, text in texts.items() if old in text)
        texts[place] = texts[place].replace(old, new, 1)
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return params.load(tmp_path / "params.yaml")


def test_the_schema_changes_no_value() -> None:
    """A value reaches a stage as it stands in the file: this is why no stage depends on the schema."""
    loaded = params.load(pipeline.ROOT / "params.yaml").model_dump(exclude_unset=True)
    read = YAML(typ="safe", pure=True).load
    assert loaded == {**read(TEXT), "audit": {"name": "digits", **read(OWN)}}


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("learning_rate: 0.001", "learning_rate: 1e-3"))
    assert loaded.audit.recipe.learning_rate == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 40", "epochs: forty", "target.epochs: expected an integer, got 'forty'"),
        ("epochs: 40", "epochs: 40.5", "target.epochs: expected an integer, got 40.5"),
        ("epochs: 40", "epochs: 0", "target.epochs: expected greater than or equal to 1, got 0"),
        ("estimator: extra_trees", "estimator: xgboost", "attacks.learned.estimator: expected 'best', 'dummy', 'logi"),
        ("run: all ", "run: none ", "attacks.run: expected all, or a list of attacks, got 'none'"),
        ("run: all ", "run: [] ", "attacks.run: expected all, or a list of attacks, got []"),
        ("run: all ", "run: [loss, los] ", "attacks.run: unknown attack 'los'; did you mean 'loss'?, got ['l"),
        ("views: 1 ", "views: 3 ", "query.views: expected 1, 2 or 18, got 3"),
        ("a: null", "a: 1.5", "attacks.rmia.a: expected less than or equal to 1, got 1.5"),
        ("gamma: 2.0", "gamma: 0", "attacks.rmia.gamma: expected greater than 0, got 0"),
        ("variance: auto", "variance: own", "attacks.lira.variance: expected 'auto', 'record' or 'pooled', got 'own'"),
        ("records: 10000", "records: 1", "attacks.played.records: expected greater than or equal to 2, got 1"),
        ("optimizer: adam", "optimizer: .inf", "target.optimizer: expected 'adam' or 'sgd', got inf"),
        ("momentum: 0.9", "momentum: .nan", "target.momentum: expected a finite number, got nan"),
        ("seed: 20170522", "seed: null", "seed: expected an integer, got None"),
        ("source: digits", "source: mnist", "data.source: expected one of 'digits', 'cifake', 'cif"),
        ("audit: digits ", "audit: digit ", "audit: expected a folder of audits with a params.yaml, got 'digit'; did"),
        ("knowledge: generated", "knowledge: all", "attacker.knowledge: expected 'generated', 'disjoint' or 'pop"),
        ("  split: half ", "  split: published ", "data.split: expected 'half', got 'publ"),
        ("  - 0\n", "  - zero\n", "shadow.blocks.0: expected an integer, got 'zero'"),
        ("  - 0\n", "  - 1\n  - 1\n", "shadow.blocks: expected distinct block numbers, got [1, 1]"),
        ("per_block: 5 ", "per_blok: 5 ", "shadow.per_blok: unknown key; did you mean 'per_block'?"),
        ("per_block: 5 ", "per_blok: 5 ", "shadow.per_block: missing; `git diff` shows what was"),
        ("  dummy: {", "  zzz: {", "estimators.zzz: unknown key; expected one of dummy, logistic_regression"),
        ("  - 0.1\n", "  - 1.5\n", "evaluate.fprs.0: expected less than 1, got 1.5"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_with_place_rule_and_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, (old, new))
    assert any(message in line for line in str(caught.value).splitlines()), str(caught.value)


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, ("epochs: 40", "epochs: x"), ("views: 1 ", "views: 7 "), ("seed: 20", "sead: 20"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 4  # sead is unknown, seed is missing
    files = [line.partition(": ")[0] for line in lines]
    own = str(tmp_path / "audits/digits/params.yaml")
    assert sorted(files) == sorted([own, *[str(tmp_path / "params.yaml")] * 3])


IMAGES = "source: images\n  split: half\n  population_size: null\n  attacker_size: null\n  min_per_class: 1\n"


def of_images(tmp_path: Path, *keys: str) -> params.Params:
    """The params of an audit of images with these lines in its `data`."""
    own = OWN.partition("data:\n")[0] + "data:\n  " + IMAGES + "".join(f"  {key}\n" for key in keys)
    own += "\nmodel: null\n\ntarget:" + OWN.partition("\ntarget:")[2]
    for path, text in {"params.yaml": TEXT, "audits/digits/params.yaml": own}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return params.load(tmp_path / "params.yaml")


def test_an_audit_of_images_needs_no_key_of_how_they_are_read(tmp_path: Path) -> None:
    data: Any = of_images(tmp_path).audit.data
    assert (data.size, data.splits, data.skip_broken, data.file_list) == (None, None, False, None)


def test_all_faults_of_how_images_are_read_are_said_at_once(tmp_path: Path) -> None:
    keys = ["size: [32, 0]", "splits: {val: 3}", "skip_broken: 1", "image_column: 7", "labl_column: x"]
    with pytest.raises(InputError) as caught:
        of_images(tmp_path, *keys)
    own = tmp_path / "audits/digits/params.yaml"
    assert str(caught.value).splitlines() == [
        f"{own}: data.size.1: expected greater than or equal to 1, got 0",
        f"{own}: data.splits.val: expected 'member', 'nonmember' or 'unused', got 3",
        f"{own}: data.skip_broken: expected a boolean, got 1",
        f"{own}: data.image_column: expected a string, got 7",
        f"{own}: data.labl_column: unknown key; did you mean 'label_column'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "not YAML: while parsing a flow sequence"),
        ("a: 1\na: 2\n", "not YAML: while constructing a mapping"),
        ("- 3\n", "the file: expected a dictionary, got [3]"),
        ("", "the file: expected a dictionary, got None"),
    ],
)
def test_what_is_no_params_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="params.yaml: ") as caught:
        params.load(path)
    assert message in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; run from the repository root, or `git checkout"):
        params.load(tmp_path / "params.yaml")


def test_the_estimators_named_are_the_families_there_are() -> None:
    named: Any = params.Learned.model_fields["estimator"].annotation
    assert set(params.Estimators.model_fields) == set(estimators.FAMILIES)
    assert set(named.__args__) == {*estimators.FAMILIES, "best"}


def test_attacks_are_taken_in_one_order_whatever_order_they_are_asked_for_in() -> None:
    assert wanted("all") == list(catalogue.NAMES)
    assert wanted(["stacked", "loss"]) == ["loss", "stacked"]
    assert wanted(["stacked", "loss"], "stacked") == ["stacked"]
    assert wanted("all", "learned") == ["learned", "learned_per_class", "learned_posteriors"]
