"""`mia plan`: shadows trained by a script in another process, from the plan alone, come back as if trained here."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier

import answer_tables
import people
import pipeline
import planted
import tiny
from mia import commands, params, paths
from mia.attacks import schemas
from mia.audits import elsewhere, plan
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.models.logits import SIGNALS
from mia.store import parquet
from repository import create, ran
from stages import build_features, prepare, query_shadows, query_target, split, train_shadows, train_target

pytestmark = pytest.mark.long

PAGE = (pipeline.ROOT / "docs/your-own.md").read_text(encoding="utf-8")
(SCRIPT,) = re.findall(r"<!-- runs from a plan -->\n```python\n(.*?)```", PAGE, re.DOTALL)
RECIPE = """
from sklearn.ensemble import RandomForestClassifier

def build(params, seed):
    return RandomForestClassifier(random_state=seed, **params)
"""
POPULATION = {"attacker.knowledge": "population"}
OWN: dict[str, Any] = {
    "audit": "table",
    "target.estimator": "own",
    "target.settings": {},
    "shadow.blocks": [0],
    "shadow.per_block": 8,
    "select.search_iterations": 1,
    "attacks.played.records": 400,
}
SHADOWS = Path("audits/table/answers/shadows")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an audit of a table, whose recipe is the one of the documents' script, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / "audits/table/data/population").mkdir(parents=True)
    numbers = people.table(400).drop(columns=["work", "n0", "retired"])
    numbers.to_csv(folder / "people.csv", index=False)
    numbers.to_csv("people.csv", index=False)
    (tmp_path / "audits/table/code").mkdir()
    (tmp_path / "audits/table/code/recipe.py").write_text(RECIPE)
    return tmp_path


def metrics() -> dict[str, bytes]:
    """What every stage after the shadows measured; their learning curves are not seen from here."""
    files = [path for name in ("metrics", "plots") for path in Path(name).iterdir()]
    return {
        path.name: path.read_bytes()
        for path in files
        if path.suffix in (".json", ".csv") and path.name != paths.LEARNING_CURVES.name
    }


def attacks() -> dict[str, Any]:
    return {entry["attack"]: entry for entry in json.loads(paths.ATTACK_METRICS.read_text())}


def by_script(script: str = SCRIPT) -> None:
    """Train the shadows of plan.parquet in a process that knows nothing of this project, and bring their answers."""
    Path("elsewhere.py").write_text(script)
    subprocess.run([sys.executable, "-I", "-W", "ignore", "elsewhere.py"], check=True)
    SHADOWS.mkdir(parents=True, exist_ok=True)
    shutil.move("shadows.parquet", SHADOWS / "shadows.parquet")


def test_the_script_of_the_documents_gives_what_training_here_gives(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same recipe and seeds: every metric is equal to the byte, and no shadow is trained."""
    changes = OWN | POPULATION
    tiny.run(changes=changes)
    trained_here, shadows = metrics(), paths.shadow_membership(0).read_bytes()
    target = (paths.TARGET_MODEL / "0.answers.parquet").read_bytes()
    capsys.readouterr()
    plan.write("table", 8, Path("plan.parquet"))
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == "plan.parquet: 8 shadows of audits/table, each trained on 200 of 400 records"
    assert re.fullmatch(
        r"One took \d\.\d\d s to fit and to query here: all would take about \d+ s of one core\.", second
    )
    assert rest == plan.next_steps("table", "plan.parquet", "population")
    by_script()
    shutil.rmtree("models/shadows")
    tiny.run(changes=changes)
    assert "audits/table/answers/shadows: 8 shadows, trained elsewhere" in capsys.readouterr().out
    assert (paths.TARGET_MODEL / "0.answers.parquet").read_bytes() == target
    assert paths.shadow_membership(0).read_bytes() == shadows
    assert metrics() == trained_here
    assert "lira_online" in attacks()
    assert "8 shadow models" in planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))


def test_a_seed_of_its_own_gives_the_same_to_within_the_intervals(here: Path) -> None:
    changes = OWN | POPULATION
    tiny.run(changes=changes)
    trained_here, files = attacks(), metrics()
    plan.write("table", 8, Path("plan.parquet"))
    by_script(SCRIPT.replace('random_state=rows["seed"].iloc[0]', "random_state=99"))
    tiny.run(changes=changes)
    assert metrics() != files
    assert set(attacks()) == set(trained_here)
    assert trained_here["lira_online"]["auc_low"] > 0.9
    for name, ours in trained_here.items():
        assert ours["auc_low"] <= attacks()[name]["auc"] <= ours["auc_high"], name
        assert attacks()[name]["auc_low"] <= ours["auc"] <= attacks()[name]["auc_high"], name


def disjoint() -> dict[str, Any]:
    sizes = {"data.population_size": 200, "shadow.train_size": 80, "shadow.heldout_size": 80}
    return OWN | {"attacker.knowledge": "disjoint", "shadow.per_block": 2} | sizes


def test_an_attacker_without_the_population_has_its_own_records_in_the_plan(here: Path) -> None:
    tiny.run(changes=disjoint())
    trained_here = metrics()
    plan.write("table", 2, Path("plan.parquet"))
    rows = pd.read_parquet("plan.parquet")
    assert len(rows) == 2 * 400
    by_script()
    shutil.rmtree("models/shadows")
    tiny.run(changes=disjoint())
    assert metrics() == trained_here
    assert "rmia_offline" in attacks()


@pytest.mark.parametrize("knowledge", ["population", "disjoint", "generated"])
def test_a_plan_is_the_design_of_training_here_in_either_format(
    knowledge: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tiny digits, whose shadows are networks; two blocks of two."""
    monkeypatch.chdir(tmp_path)
    stages = ("prepare", "split", "train_shadows")
    tiny.run(*stages, changes={"attacker.knowledge": knowledge, "target.epochs": 1})
    plan.write("digits", 4, Path("plan.parquet"))
    plan.write("digits", 4, Path("plan.csv"))
    table = pd.read_parquet("plan.parquet")
    pd.testing.assert_frame_equal(pd.read_csv("plan.csv", dtype={"label": str}), table, check_dtype=False)
    drawn = pd.concat([parquet.read(paths.shadow_membership(block), MEMBERSHIP) for block in (0, 1)])
    kinds = [paths.POPULATION, *([] if knowledge == "population" else [paths.ATTACKER])]
    names = pd.concat([pd.read_parquet(kind / "records.parquet") for kind in kinds])["name"].tolist()
    before = 0 if knowledge == "population" else 240
    prefix = "generated/" if knowledge == "generated" else ""
    for number, rows in table.groupby("shadow"):
        assert rows["id"].tolist() == names[:before] + [f"{prefix}{name}" for name in names[before:]]
        own = drawn[(drawn["model_id"] == number) & drawn["is_member"]]["sample_id"]
        assert np.flatnonzero(rows["member"]).tolist() == (before + own).tolist()
    if knowledge == "population":
        sides = [rows["member"].to_numpy() for _, rows in table.groupby("shadow")]
        assert (sides[0] == ~sides[1]).all()
        assert (sides[2] == ~sides[3]).all()


def logits_of_training_here(named: dict[str, str]) -> pd.DataFrame:
    """The answers of shadows that were trained here, as a script elsewhere would write them. named: id by record."""
    parts = [parquet.read(paths.shadow_signals(block), SIGNALS) for block in (0, 1)]
    signals = pd.concat(parts)
    members = pd.concat([parquet.read(paths.shadow_membership(block), MEMBERSHIP) for block in (0, 1)])
    members = members[members["is_member"]].assign(member=True).drop(columns="is_member")
    signals = signals.merge(members, on=["model_id", "source", "sample_id"], how="left")
    keys = signals["source"] + " " + signals["sample_id"].astype(str)
    frame = pd.DataFrame(np.stack(signals["logits"].to_list()), columns=[f"logit_{label}" for label in range(10)])
    return frame.assign(model=signals["model_id"], id=keys.map(named), member=signals["member"].notna().to_numpy())


def test_networks_come_back_as_logits_and_the_target_is_not_trained_again(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny digits with a generator; the classes are named 0 to 9, in a table that is cut in two."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    trained_here, network, target = metrics(), paths.NETWORK.read_bytes(), tiny.digests("train_target")
    plan.write("digits", 4, Path("plan.parquet"))
    rows = pd.read_parquet("plan.parquet")
    ids = rows.loc[rows["shadow"] == 1, "id"].tolist()
    keys = [f"population {row}" for row in range(240)] + [f"attacker {row}" for row in range(len(ids) - 240)]
    frame = logits_of_training_here(dict(zip(keys, ids, strict=True))).sample(frac=1, random_state=0)
    shadows = Path("audits/digits/answers/shadows")
    frame.iloc[:1000].to_parquet(shadows / "shadows-1.parquet", index=False)
    frame.iloc[1000:].to_csv(shadows / "shadows-2.csv", index=False)
    tiny.run(changes={"shadow.blocks": [0]})
    assert paths.NETWORK.read_bytes() == network
    assert tiny.digests("train_target") == target
    moved = {name for name, content in metrics().items() if content != trained_here[name]}
    assert moved == set(), "as if the shadows had been trained here, in two blocks or in one"


def test_an_audit_of_answers_is_planned_and_its_shadows_are_pairs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Door A: the target's predictions are all that is known; ids and members come from them."""
    shutil.copy(pipeline.ROOT / "params.yaml", paths.PARAMS)
    target, _ = answer_tables.world(leak=2.5)
    answer_tables.write(Path("target.csv"), target)
    assert commands.main(["new", "mine", "--answers", "target.csv"]) == 0
    command = ["plan", "mine", "--shadows", "4", "--out", "plan.csv", "--knowledge", "population"]
    assert commands.main(command) == 0
    assert "plan.csv: 4 shadows of audits/mine, each trained on 150 of 300 records\nNext " in capsys.readouterr().out
    rows = pd.read_csv("plan.csv")
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), len(rows))
    frame = pd.DataFrame(p, columns=[f"p_{name}" for name in range(4)])
    answers = frame.assign(model=rows["shadow"], id=rows["id"], member=rows["member"])
    answers.to_parquet("audits/mine/answers/shadows/shadows.parquet", index=False)
    values = params.load(paths.PARAMS, audit="mine", knowledge="population")
    for stage in (prepare, split, train_target, query_target):
        stage.main(values)
    train_shadows.main(values, 0)
    query_shadows.main(values, 0)
    build_features.main(values)
    assert set(parquet.read(paths.MARGINS, schemas.MARGINS)["design"]) == {"paired"}
    assert commands.main(["plan", "mine", "--shadows", "4"]) == 1
    assert "attacker.knowledge: answers are of the audited records: expected population" in capsys.readouterr().err


def test_a_brought_model_without_a_recipe_is_audited_with_shadows_from_a_plan(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Door B: a forest of the user's own; nothing is trained here at all."""
    frame = pd.read_csv("people.csv").assign(split=np.where(np.arange(400) % 2, "train", "test"))
    frame.to_csv("people.csv", index=False)
    trained = frame[frame["split"] == "train"]
    forest = RandomForestClassifier(random_state=5).fit(trained.drop(columns=["income", "split"]), trained["income"])
    skops.io.dump(forest, "m.skops")
    shutil.copy(pipeline.ROOT / "params.yaml", paths.PARAMS)
    assert commands.main(["new", "mine", "--table", "people.csv", "--label", "income", "--model", "m.skops"]) == 0
    assert commands.main(["plan", "mine", "--shadows", "6", "--knowledge", "disjoint"]) == 1
    assert commands.main(["plan", "mine", "--shadows", "6", "--knowledge", "population"]) == 0
    script = SCRIPT.replace('columns="income"', 'columns=["income", "split"]')
    Path("elsewhere.py").write_text(script)
    subprocess.run([sys.executable, "-I", "-W", "ignore", "elsewhere.py"], check=True)
    shutil.move("shadows.parquet", "audits/mine/answers/shadows/shadows.parquet")
    capsys.readouterr()
    assert commands.main(["check", "mine", "--knowledge", "population"]) == 0
    assert "shadows: 6, trained elsewhere\n" in capsys.readouterr().out
    text = paths.PARAMS.read_text().replace("audit: digits", "audit: mine")
    paths.PARAMS.write_text(text.replace("knowledge: generated", "knowledge: population"))
    values = params.load(paths.PARAMS)
    shutil.copy(pipeline.ROOT / "audits/mitigations.json", paths.AUDITS)
    for stage in pipeline.stages():
        main = importlib.import_module(f"stages.{stage}").main
        main(values, *([0] if stage in pipeline.OF_BLOCKS else []))
    measured = attacks()
    assert measured["lira_online"]["auc"] > measured["loss"]["auc"]
    page = planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))
    assert "This attacker is an auditor and has shadow models’ answers" in page or "6 shadow models" in page


def brought(change: Any) -> None:
    """Answers of two shadows by the plan, then changed, in their place; the first stages have run."""
    plan.write("table", 2, Path("plan.csv"))
    rows = pd.read_csv("plan.csv")
    frame = rows.rename(columns={"shadow": "model"}).drop(columns=["seed", "label"]).assign(p_high=0.25, p_low=0.75)
    SHADOWS.mkdir(parents=True, exist_ok=True)
    change(frame).to_csv(SHADOWS / "shadows.csv", index=False)


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "other members": (
        lambda frame: frame.assign(member=~frame["member"]),
        {},
        "audits/table/answers/shadows: shadow 1: member: expected False of 'row 0' as in the plan, got True, and 400 r",
    ),
    "another seed": (lambda frame: frame, {"seed": 1}, "audits/table/answers/shadows: shadow 1: member: expected "),
    "names": (
        lambda frame: frame.assign(model="s" + frame["model"].astype(str)),
        {},
        "audits/table/answers/shadows: model: expected the number of a shadow, 1, 2, 3 and so on, as in the plan's co",
    ),
    "a record less": (
        lambda frame: frame.iloc[1:],
        {},
        "audits/table/answers/shadows: shadow 1: expected one row of each record, got 0 of 'row 0'; every model",
    ),
    "blocks": (
        lambda frame: frame,
        {"shadow.blocks": [0, 1]},
        "params.yaml: shadow.blocks: shadows that are trained elsewhere are one block: expected [0], got 1; set it to",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_of_the_plan_is_one_line(fault: str, here: Path) -> None:
    change, changes, expected = FAULTS[fault]
    tiny.write_params(paths.PARAMS, OWN | POPULATION)
    brought(change)
    with pytest.raises(InputError) as caught:
        tiny.run("prepare", "split", "train_shadows", changes=OWN | POPULATION | changes)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_part_of_the_plan_is_enough(here: Path) -> None:
    """A shadow that failed is left out; those that are there keep their numbers."""
    tiny.write_params(paths.PARAMS, OWN | POPULATION)
    brought(lambda frame: frame[frame["model"] == 2])
    tiny.run("prepare", "split", "train_shadows", "query_shadows", changes=OWN | POPULATION)
    assert set(parquet.read(paths.shadow_signals(0), SIGNALS)["model_id"]) == {2}


def test_shadows_of_networks_answer_in_one_view(finished: Path, tmp_path: Path, monkeypatch: Any) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Path("audits/digits/answers/shadows/shadows.csv").write_text("id\n")
    with pytest.raises(
        InputError, match=r"query\.views: shadows that are trained elsewhere .*expected 1, got 2; set it"
    ):
        tiny.run("split", changes={"query.views": 2})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--shadows", "7"],
            "--shadows: expected an even number, as two shadows share the records, got 7; choose anot",
        ),
        (["--shadows", "0"], "--shadows: expected 1 or more, got 0; choose another"),
        (["--out", "plan.txt"], "--out: expected a name that ends in .parquet or .csv, got plan.txt; choose another"),
        (["--knowledge", "all"], "params.yaml: attacker.knowledge: expected 'generated', 'disjoint' or 'population', "),
        (["--knowledge", "disjoint"], "params.yaml: attacker.knowledge: disjoint needs real records outside the popu"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(
    arguments: list[str], expected: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_params(paths.PARAMS, OWN | POPULATION)
    assert commands.main(["plan", "table", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"error: {expected}")
    assert not list(Path().glob("plan.*"))


def test_records_of_one_name_are_refused(here: Path) -> None:
    with pytest.raises(InputError, match="expected records of distinct names, got 'a' twice"):
        elsewhere.ids({"population": ["a", "b"], "attacker": ["a"]}, "disjoint")
    assert elsewhere.ids({"population": ["a"], "attacker": ["a"]}, "generated")["attacker"] == ["generated/a"]


def test_dvc_takes_them_in_and_trains_the_target_no_more(tmp_path: Path) -> None:
    """The real dvc: answers that appear rerun what took in shadows and what follows."""
    repository = create(tmp_path)
    repository.repro()
    before = repository.outputs()
    repository.run(sys.executable, "-m", "mia.commands", "plan", "digits", "--shadows", "2", "--out", "plan.csv")
    rows = pd.read_csv(repository.root / "plan.csv")
    logits = np.random.default_rng(0).normal(size=(len(rows), 10))
    frame = pd.DataFrame(logits, columns=[f"logit_{label}" for label in range(10)])
    frame = frame.assign(model=rows["shadow"], id=rows["id"], member=rows["member"])
    frame.to_csv(repository.root / "audits/digits/answers/shadows/shadows.csv", index=False)
    repository.give(shadow__blocks=[0])
    stages = ran(repository.dvc("repro"))
    assert {"prepare", "split", "train_shadows@0", "query_shadows@0", "build_features", "score"} <= stages
    assert "train_target" not in stages
    assert repository.outputs()["data/signals/target.parquet"] == before["data/signals/target.parquet"]
