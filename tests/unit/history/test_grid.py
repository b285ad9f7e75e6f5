"""A grid of experiments, queued and run by the real `dvc`, reads as a table and a figure; a failed one is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline
from mia.errors import InputError
from mia.history import experiments, grid
from mia.report.figures import grid as grid_figure

pytestmark = pytest.mark.long

# An audit of no time: two attacks, better with epochs and knowledge; with 40 epochs on disjoint images it fails.
STAGE = """
import json, pathlib, sys
from ruamel.yaml import YAML
given, own = (YAML(typ="safe").load(pathlib.Path(name)) for name in ("params.yaml", "audits/digits/params.yaml"))
knowledge, epochs = given["attacker"]["knowledge"], own["target"]["epochs"]
if (knowledge, epochs) == ("disjoint", 40):
    sys.exit("error: no such images")
entries = []
for attack, auc in (("loss", 0.5 + epochs / 1000), ("stacked", 0.6 + epochs / 1000 + 0.1 * (knowledge == "disjoint"))):
    row = {"auc": auc, "tpr_at_fpr_0_01": auc / 10}
    entries.append({"attack": attack} | {f"{k}{e}": v + d for k, v in row.items() for e, d in
                 (("", 0), ("_low", -0.01), ("_high", 0.01))})
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("metrics/attacks.json").write_text(json.dumps(entries))
pathlib.Path("metrics/target.json").write_text(json.dumps({"gap": epochs / 100}))
"""
DVC_YAML = """
stages:
  audit:
    cmd: python stage.py
    deps: [stage.py]
    params:
    - attacker
    - audits/${audit}/params.yaml: [target]
    metrics:
    - metrics/attacks.json: {cache: false}
    - metrics/target.json: {cache: false}
"""
PARAMS = "audit: digits\nattacker: {knowledge: population}\n"
OWN = "audits/digits/params.yaml"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four experiments queued in one command and run by a worker of `dvc queue`; one more waits."""
    root = tmp_path_factory.mktemp("grid")
    (root / OWN).parent.mkdir(parents=True)
    files = {"stage.py": STAGE, "dvc.yaml": DVC_YAML, "params.yaml": PARAMS, OWN: "target: {epochs: 1}\n"}
    for name, text in files.items():
        (root / name).write_text(text)
    (root / ".gitignore").write_text("/reports/\n")
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-q", "-m", "first")
    queue = "dvc", "exp", "run", "--queue", "-S"
    run(root, *queue, "attacker.knowledge=disjoint,generated", "-S", f"{OWN}:target.epochs=40,8")
    run(root, "dvc", "exp", "run", "--run-all", "--jobs", "1")
    run(root, *queue, "attacker.knowledge=population", "-S", f"{OWN}:target.epochs=8", "--name", "later")
    yield root
    run(root, "dvc", "queue", "stop", "--kill")


def run(root: Path, *command: str, expected: int = 0) -> str:
    """Run a command in the repository; its stdout and stderr together."""
    home = root.parent / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    environment |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(pipeline.SRC),
        **{f"GIT_{who}_{what}": "tests@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == expected, done.stdout
    return done.stdout


def test_a_grid_is_one_table_with_what_failed_and_what_waits(repository: Path) -> None:
    printed = run(repository, sys.executable, "-m", "mia.commands", "grid", expected=1)
    notes, lines = printed.partition("\n\n")[0].splitlines(), (repository / "reports/grid.md").read_text().splitlines()
    assert lines[0] == (
        "| knowledge | epochs | target's gap "
        "| stacked: AUC | TPR at 1 % FPR | loss: AUC | TPR at 1 % FPR | experiment |"
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[:-1] for row in rows] == [
        ["generated", "8", ".080", *of(0.608), *of(0.508)],
        ["generated", "40", ".400", *of(0.64), *of(0.54)],
        ["disjoint", "8", ".080", *of(0.708), *of(0.508)],
        ["disjoint", "40", "failed", "–", "–", "–", "–"],
        ["population", "8", "queued", "–", "–", "–", "–"],
    ]
    failed = rows[3][-1]
    assert sorted(notes) == sorted(
        [
            f"{failed}: failed: `dvc queue logs {failed}` says why; `dvc queue remove {failed}` forgets it",
            "later: queued: `dvc exp run --run-all` runs it",
        ]
    )
    assert "error: no such images" in run(repository, "dvc", "queue", "logs", failed)
    assert (repository / "reports/grid.png").read_bytes().startswith(b"\x89PNG")
    assert run(repository, "git", "status", "--porcelain") == ""


def of(auc: float) -> list[str]:
    def three(value: float, digits: int) -> str:
        ends = (f"{value + d:.{digits}f}".removeprefix("0") for d in (0, -0.01, 0.01))
        return "{} ({}–{})".format(*ends)

    return [three(auc, 3), three(auc / 10, 4)]


def test_experiments_and_attacks_are_chosen_by_name_and_success_is_zero(repository: Path) -> None:
    table = (repository / "reports/grid.md").read_text().splitlines()
    ran = [line.split("|")[-2].strip() for line in table[2:] if "(" in line]
    out = str(repository / "reports" / "two")
    printed = run(repository, sys.executable, "-m", "mia.commands", "grid", *ran[:2], "--attacks", "loss", "--out", out)
    assert "knowledge" not in printed
    assert "stacked" not in printed
    assert (repository / "reports" / "two.png").exists()
    printed = run(repository, sys.executable, "-m", "mia.commands", "grid", "lat*", expected=1)
    assert printed.endswith("error: none of these experiments has run to its end\n")
    printed = run(repository, sys.executable, "-m", "mia.commands", "grid", "nobody", expected=1)
    assert printed.startswith("error: no experiment on this commit has such a name; ")
    printed = run(repository, sys.executable, "-m", "mia.commands", "grid", ran[0], "--attacks", "los", expected=1)
    assert printed == "error: --attacks: expected any of loss, stacked, got los\n"


def exp_show(*rows: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What `dvc exp show --json` prints of experiments (name, state, parameters), each newer than the one before."""
    groups = []
    for at, (name, state, values) in enumerate(rows):
        data = {"timestamp": f"2026-01-01T00:00:{at:02}", "params": {"params.yaml": {"data": values}}}
        executor = None if state == "success" else {"state": state}
        groups.append({"executor": executor, "revs": [{"rev": f"{at:040}", "name": name, "data": data}]})
    return [{"experiments": groups}, {"experiments": None}]


def test_of_experiments_with_the_same_parameters_the_newest_that_ran_counts() -> None:
    first, second = {"seed": 1}, {"seed": 2}
    newest = experiments.newest(
        exp_show(("a", "success", first), ("b", "success", first), ("c", "failed", first), ("d", "failed", second))
    )
    assert {(experiment.name, experiment.state) for experiment in newest} == {("b", "success"), ("d", "failed")}


def test_axes_are_what_differs_in_an_order_that_reads() -> None:
    rows = [
        {"attacker": {"knowledge": k}, "data": {"dataset": "digits"}, "evaluate": {"fprs": fprs}, "rmia": {"a": a}}
        for k, fprs, a in (
            ("population", [0.1], 10),
            ("generated", [0.1, 0.01], 9),
            ("disjoint", [0.1], 9.5),
            ("generated", [0.1], None),
        )
    ]
    ran = experiments.newest(exp_show(*((str(at), "success", row) for at, row in enumerate(rows))))
    axes = experiments.axes(ran)
    assert list(axes) == ["attacker.knowledge", "evaluate.fprs", "rmia.a"]
    assert axes["attacker.knowledge"] == ["generated", "disjoint", "population"]
    assert [value for value in axes["rmia.a"] if value is not None] == [9, 9.5, 10]
    assert axes["evaluate.fprs"] == [[0.1, 0.01], [0.1]]
    assert experiments.short(["target.epochs", "attacks.quantile.patches", "seed"]) == {
        "target.epochs": "epochs",
        "attacks.quantile.patches": "patches",
        "seed": "seed",
    }


def measured(auc: float) -> dict[str, dict[str, float]]:
    entry = {f"{key}{end}": auc for key in ("auc", "tpr_at_fpr_0_01") for end in ("", "_low", "_high")}
    return {"loss": entry}


def test_experiments_that_differ_in_no_parameter_stand_by_their_names() -> None:
    ran = [experiments.Experiment(name, "success", name, {"seed": 1}, "") for name in ("old-code", "new-code")]
    frame, axis = grid.points(ran, {"old-code": measured(0.6), "new-code": measured(0.7)}, ["loss"])
    assert axis == {"x": "experiment", "joined": False}
    assert list(frame["at"]) == ["old-code", "new-code"]
    grid_figure.figure(frame, **axis, fpr=0.01)


def test_the_axis_with_the_most_numbers_is_the_figures_and_the_others_tell_series_apart() -> None:
    rows = [{"seed": seed, "knowledge": name, "epochs": n} for seed in (1, 2) for name in "ab" for n in (8, 10, 9)]
    ran = experiments.newest(exp_show(*((str(at), "success", row) for at, row in enumerate(rows))))
    frame, axis = grid.points(ran, {experiment.name: measured(0.6) for experiment in ran[1:]}, ["loss"])
    assert axis == {"x": "epochs", "joined": True}
    assert list(dict.fromkeys(frame["at"])) == ["8", "9", "10"]
    assert set(frame["series"]) == {f"seed {seed}, knowledge {name}" for seed in (1, 2) for name in "ab"}
    assert frame["auc"].isna().sum() == 1


def test_attacks_that_no_two_share_have_to_be_named() -> None:
    with pytest.raises(InputError, match="no attack in common"):
        grid.strongest([{"loss": {"auc": 0.6}}, {"stacked": {"auc": 0.7}}])
    assert grid.strongest([{"a": {"auc": 0.9}, "b": {"auc": 0.6}}, {"a": {"auc": 0.1}, "b": {"auc": 0.6}}]) == ["b"]


def test_an_experiment_whose_worker_was_killed_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    for pid, state in ((os.getpid(), "running"), (gone.pid, "stopped")):
        assert experiments.state_of({"state": "running", "local": {"pid": pid}}) == state
    assert experiments.state_of({"state": "queued", "local": {"pid": None}}) == "queued"
    assert experiments.state_of({}) == "success"
