"""LiRA on a random forest beside a peer's: SACRO-ML, the same records, members and number of shadow models.

    python -P benchmarks/tables_peer.py --env FOLDER [--shadows 32] [--rounds 2] [--out docs/results/peer/sacroml.json]

The records are scikit-learn's digits; half of them are members. SACRO-ML (`sacroml`) runs in a virtual environment of
its own, FOLDER, which must have it: `LIRAAttack` in online mode without a report. Ours runs the stages of an audit of
the table with `target.estimator: random_forest` and the attack lira_online. The sides run in turn, and the best round
of each counts. The peer's imports are not timed. Ours imports, reads the table, writes what each stage writes, and
computes intervals.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from mia import paths
from mia.store import metrics_files

PEER = """
import contextlib, io, json, sys, time
import pandas as pd
from sacroml.attacks.likelihood_attack import LIRAAttack
from sacroml.attacks.target import Target
from sklearn.ensemble import RandomForestClassifier

frame = pd.read_csv(sys.argv[1])
X, y = frame.filter(like="pixel").to_numpy(float), frame["digit"].to_numpy()
member = (frame["split"] == "train").to_numpy()
began = time.perf_counter()
model = RandomForestClassifier(random_state=0).fit(X[member], y[member])
target = Target(model=model, dataset_name="digits", X_train=X[member], y_train=y[member], X_test=X[~member],
                y_test=y[~member], X_train_orig=X[member], y_train_orig=y[member], X_test_orig=X[~member],
                y_test_orig=y[~member])
attack = LIRAAttack(output_dir=sys.argv[3], write_report=False, n_shadow_models=int(sys.argv[2]), mode="online-carlini")
with contextlib.redirect_stdout(io.StringIO()):
    report = attack.attack(target)
metrics = report["attack_experiment_logger"]["attack_instance_logger"]["instance_0"]
print(json.dumps({"seconds": time.perf_counter() - began, "auc": metrics["AUC"]}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, required=True, help="a virtual environment that has sacroml")
    parser.add_argument("--shadows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    python = given.env.absolute() / "bin/python"
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "digits.csv"
        digits().to_csv(table, index=False)
        peers, ours = [], []
        for number in range(given.rounds):
            command = [python, "-c", PEER, table, str(given.shadows), f"{name}/peer-{number}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=name)
            peers.append(json.loads(done.stdout.splitlines()[-1]))
            ours.append(audited(table, given.shadows))
    best = [min(rounds, key=lambda timed: timed["seconds"]) for rounds in (peers, ours)]
    ratio = best[0]["seconds"] / best[1]["seconds"]
    numbers = {"shadows": given.shadows, "sacroml": best[0], "ours": best[1], "ratio": round(ratio, 2)}
    print(json.dumps(numbers, indent=1))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(numbers, indent=1) + "\n")


def digits() -> pd.DataFrame:
    """1,797 digits, half of them members."""
    X, y = load_digits(return_X_y=True)
    member = np.random.default_rng(0).permutation(len(X)) < len(X) // 2
    frame = pd.DataFrame({f"pixel {at}": X[:, at] for at in range(X.shape[1])})
    return frame.assign(digit=y, split=np.where(member, "train", "test"))


def beside(name: str) -> Any:
    """A script of this folder, which is not on the path: its stages.py would hide the package of stages."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def audited(table: Path, shadows: int) -> dict[str, Any]:
    """An audit of the table: seconds of its stages, and the AUC of LiRA."""
    tables = beside("tables")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        began = time.perf_counter()
        tables.lay_out(table, "digit", "random_forest", shadows, ["lira_online"])
        tables.run()
        seconds = time.perf_counter() - began
        (lira,) = metrics_files.read_json(paths.ATTACK_METRICS)
        return {"seconds": seconds, **{name: lira[name] for name in ("auc", "auc_low", "auc_high")}}


if __name__ == "__main__":
    main()
