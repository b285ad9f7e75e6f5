"""`mia answers`: an audit in one folder, without torch, DVC or git, and with the pipeline's numbers."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import answer_tables
import mia
import pipeline
import planted
import tiny
from mia import params, paths
from mia.audits import given, new, quick
from mia.errors import InputError

Case = tuple[pd.DataFrame, pd.DataFrame | None]


def cases() -> dict[str, Case]:
    """The target's and the shadows' answers of each audit."""
    leak, many = answer_tables.world(leak=2.5, shadows=6)
    none, _ = answer_tables.world(leak=0)
    record = leak[["id", "label", "member"]]
    p = leak[[f"p_{name}" for name in range(4)]].to_numpy()
    loss = -np.log(p[np.arange(len(p)), leak["label"]])
    return {
        "alone": (leak, None),
        "shadows": (leak, many),
        "no leak": (none, None),
        "loss": (record.assign(loss=loss), None),
        "predicted": (record.assign(predicted=p.argmax(axis=1)), None),
    }


PROGRAM = """
import importlib.abc, sys
from pathlib import Path

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "dvc"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from mia.audits import quick
for folder in map(Path, sys.argv[1:]):
    shadows = folder / "shadows.parquet"
    quick.run(folder / "target.csv", shadows if shadows.exists() else None, folder / "audit")
"""


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case audited in a process that has no torch and no DVC, outside of any repository."""
    root = tmp_path_factory.mktemp("answers")
    for name, (target, shadows) in cases().items():
        (root / name).mkdir()
        target.to_csv(root / name / "target.csv", index=False)
        if shadows is not None:
            shadows.to_parquet(root / name / "shadows.parquet", index=False)
    command = [sys.executable, "-c", PROGRAM, *(str(root / name) for name in cases())]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return root


def read(audits: Path, case: str, path: Path) -> Any:
    return json.loads((audits / case / "audit" / path).read_text())


def attacks(audits: Path, case: str) -> dict[str, Any]:
    return {entry["attack"]: entry for entry in read(audits, case, paths.ATTACK_METRICS)}


@pytest.mark.long
@pytest.mark.parametrize("case", cases())
def test_the_verdict_and_the_page_are_there(audits: Path, case: str) -> None:
    verdict = read(audits, case, paths.VERDICT)
    assert (verdict["n_member"], verdict["n_nonmember"], verdict["kind"]) == (150, 150, "record")
    page = (audits / case / "audit" / paths.AUDIT_PAGE).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")


@pytest.mark.long
def test_a_planted_leak_is_found_and_shadows_find_more(audits: Path) -> None:
    alone, shadows = attacks(audits, "alone"), attacks(audits, "shadows")
    assert alone["loss"]["auc"] > 0.75
    assert alone["loss"]["auc_low"] > 0.7
    assert shadows["loss"]["auc"] == alone["loss"]["auc"]
    assert max(shadows[name]["auc"] for name in ("lira_online", "rmia_online")) > alone["loss"]["auc"] + 0.05


@pytest.mark.long
def test_where_nothing_leaks_nothing_is_found(audits: Path) -> None:
    for name, entry in attacks(audits, "no leak").items():
        assert entry["auc_low"] <= 0.5 <= entry["auc_high"], name
    assert read(audits, "no leak", paths.VERDICT)["auc_low"] <= 0.5


@pytest.mark.long
def test_a_loss_and_a_predicted_class_carry_what_they_can(audits: Path) -> None:
    alone, loss, predicted = (attacks(audits, case) for case in ("alone", "loss", "predicted"))
    assert loss["loss"]["auc"] == pytest.approx(alone["loss"]["auc"], abs=1e-3)
    assert not {"entropy", "correctness"} & loss.keys()
    assert list(predicted) == ["correctness"]
    assert predicted["correctness"]["auc"] == alone["correctness"]["auc"]
    reasons = read(audits, "predicted", paths.NOT_APPLICABLE)
    assert "loss" in json.dumps(reasons)


@pytest.mark.long
@pytest.mark.parametrize("case", ["alone", "shadows"])
def test_the_stages_give_the_same_metrics_to_the_byte(
    audits: Path, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dvc exp run -S audit=mine` runs them; attack models are not compared, which takes minutes."""
    monkeypatch.chdir(tmp_path)
    paths.AUDITS.mkdir()
    text = (pipeline.ROOT / paths.PARAMS).read_text()
    text = text.replace("audit: digits", "audit: mine").replace("knowledge: generated", "knowledge: population")
    paths.PARAMS.write_text(text)
    mitigations = Path("audits/mitigations.json")
    mitigations.write_text((pipeline.ROOT / mitigations).read_text())
    many = audits / case / "shadows.parquet"
    given.forget()
    new.answers("mine", audits / case / "target.csv", many if many.exists() else None)
    values = params.load(paths.PARAMS)
    for stage in pipeline.stages():
        if stage == "select_attack":
            quick._compare_nothing()
            continue
        main = importlib.import_module(f"stages.{stage}").main
        for block in tiny.blocks(values, stage):
            main(values, *block)
    for folder in ("metrics", "plots"):
        names = sorted(path.name for path in Path(folder).iterdir() if path.suffix in (".json", ".csv"))
        other = audits / case / "audit" / folder
        assert names == sorted(path.name for path in other.iterdir() if path.suffix in (".json", ".csv"))
        for name in names:
            assert Path(folder, name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.long
def test_how_tables_are_written_changes_no_metric(audits: Path, tmp_path: Path) -> None:
    """Rows and columns in another order, CSV for Parquet and Parquet for CSV, shadows cut into files anywhere."""
    rng = np.random.default_rng(11)

    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.iloc[rng.permutation(len(frame))][rng.permutation(frame.columns)]

    (case := tmp_path / "other").mkdir()
    target, shadows = cases()["shadows"]
    assert shadows is not None
    shuffled(target).to_parquet(case / "t.parquet", index=False)
    (case / "cut").mkdir()
    rows = shuffled(shadows)
    cuts = np.sort(rng.choice(len(rows), 3, replace=False))
    for number, part in enumerate(np.split(np.arange(len(rows)), cuts)):
        path = case / "cut" / f"{number}.{'csv' if number % 2 else 'parquet'}"
        answer_tables.write(path, shuffled(rows.iloc[part]))
    quick.run(case / "t.parquet", case / "cut", case / "audit")
    for folder in ("metrics", "plots"):
        names = sorted(path.name for path in (case / "audit" / folder).iterdir() if path.suffix in (".json", ".csv"))
        assert len(names) > 5
        for name in names:
            usual = audits / "shadows" / "audit" / folder / name
            assert (case / "audit" / folder / name).read_bytes() == usual.read_bytes(), name


@pytest.mark.long
def test_what_needs_no_shadows_stands_beside_the_attacks(audits: Path) -> None:
    for case in cases():
        alone, verdict = read(audits, case, paths.WITHOUT_SHADOWS), read(audits, case, paths.VERDICT)
        assert not {"members_known", "loss_tnr"} & {verdict["auc_attack"], *attacks(audits, case)}
        assert ("loss_tnr" in alone) == (case != "predicted")
        if case != "predicted":  # being right or wrong is little to learn from 300 records
            assert (alone["members_known"]["auc_low"] > 0.5) == (case != "no leak")
        page = (audits / case / "audit" / paths.AUDIT_PAGE).read_text(encoding="utf-8")
        assert "a classifier that is told the membership of half of the" in planted.text_of(page)
        assert ("Forecast" in planted.text_of(page)) == (case != "predicted")


@pytest.mark.long
def test_records_with_shadows_on_one_side_are_left_out_and_counted(tmp_path: Path) -> None:
    target, shadows = answer_tables.world(leak=2.5, shadows=4)
    shadows.loc[shadows["id"] < 5, "member"] = False
    found = mia.audit_answers(target, shadows, out=tmp_path)
    assert found["verdict"]["n_member"] + found["verdict"]["n_nonmember"] == 295
    assert "rmia_online" in found["attacks"]
    counts = json.loads((tmp_path / "audit" / paths.DATA_METRICS).read_text())
    assert (counts["population"], counts["dropped_without_shadows"]) == (295, 5)


@pytest.mark.long
def test_a_notebook_audits_a_frame(audits: Path, tmp_path: Path) -> None:
    target, shadows = answer_tables.world(leak=2.5, shadows=6)
    before = Path.cwd()
    alone = mia.audit_answers(target, out=tmp_path)
    assert alone["verdict"] == read(audits, "alone", paths.VERDICT)
    assert alone["attacks"] == attacks(audits, "alone")
    assert Path(alone["page"]).is_file()
    with_shadows = mia.audit_answers(target, shadows)
    assert with_shadows["verdict"] == read(audits, "shadows", paths.VERDICT)
    assert with_shadows["page"] is None
    other = mia.audit_answers(
        answer_tables.world(leak=0)[0], out=tmp_path
    )  # the same files, with other answers in them
    assert other["verdict"] == read(audits, "no leak", paths.VERDICT)
    assert Path.cwd() == before


MIXED = "target: expected columns with text for names and values of one type each, got others ("
FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "mixed": (lambda frame: frame.assign(id=[1, "b"] * 150), MIXED),
    "numbered": (lambda frame: frame.rename(columns={"id": 0}), "target.parquet: expected a column id, got 0, "),
    "no label": (lambda frame: frame.drop(columns="label"), "target.parquet: expected a column label, got "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_frame_that_is_no_table_of_answers(fault: str) -> None:
    change, expected = FAULTS[fault]
    with pytest.raises(InputError) as caught:
        mia.audit_answers(change(answer_tables.world(leak=1)[0]))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_in_the_way_is_not_touched(tmp_path: Path) -> None:
    target = answer_tables.write(tmp_path / "t.csv", answer_tables.table())
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    messages = []
    for place, out in ((target, "file"), (target, "full"), (tmp_path / "none.csv", "new")):
        with pytest.raises(InputError) as caught:
            quick.run(place, None, tmp_path / out)
        messages.append(str(caught.value).removeprefix(f"{tmp_path}/"))
    assert messages == [
        "file: expected a folder, got a file; choose another with --out",
        "full: expected an empty folder, or one of an earlier audit; choose another with --out",
        "none.csv: no such file; correct the path",
    ]
    assert not (tmp_path / "new").exists()


def test_importing_the_package_loads_nothing() -> None:
    program = "import sys, mia; mia.audit_answers; sys.exit(bool({'pandas', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], cwd=pipeline.SRC).returncode == 0
