"""Audits of a few records, planted, in a repository with the real `dvc` and experiments, or read from a folder."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipeline
import repository
from mia import paths
from mia.attacks import schemas
from mia.evaluation import bootstrap, metrics, roc, strongest
from mia.history import (
    commits,
    compare,
    revisions,
)
from mia.history.revisions import Revision
from mia.store import metrics_files, parquet

ATTACKS = ("correctness", "loss", "stacked")
N = 240
TURNED = "\u202e"  # what follows runs the other way
HOSTILE = "<script>alert(1)</script>"
CLASSES = ("one", "two", "<img src=x onerror=alert(2)>")
FPRS = (0.1, 0.01)
PARAMS = """\
seed: 1
audit: digits
attacker: {knowledge: generated}
shadow: {blocks: [0]}
query: {views: 2}
attacks: {run: [correctness, loss, stacked]}
"""
OWN_PARAMS = """\
data: {source: digits, population_size: 240}
target: {epochs: 4}
shadow: {per_block: 3, train_size: 50}
"""
OWN = "audits/digits/params.yaml"
# The audit lies ready in prepared/, by what its parameters are.
STAGE = """
import pathlib, shutil
from ruamel.yaml import YAML
given, own = (YAML(typ="safe").load(pathlib.Path(name)) for name in ("params.yaml", "audits/digits/params.yaml"))
name = "-".join(map(str, (given["seed"], given["attacker"]["knowledge"], own["target"]["epochs"])))
shutil.copytree(pathlib.Path("prepared", name), ".", dirs_exist_ok=True)
"""
DVC_YAML = """
stages:
  audit:
    cmd: python stage.py
    deps: [stage.py, prepared]
    params:
    - seed
    - audit
    - attacker
    - shadow
    - audits/${audit}/params.yaml: [target, shadow]
    outs: [data/exposure.parquet, models/target, models/shadows/0]
    metrics:
    - metrics/verdict.json: {cache: false}
    - metrics/attacks.json: {cache: false}
    - metrics/target.json: {cache: false}
    - metrics/shadows.json: {cache: false}
    - metrics/data.json: {cache: false}
    - metrics/not_applicable.json: {cache: false}
    - plots/roc.csv: {cache: false}
"""


def write(root: Path, *, seed: int, leak: float, right: float, model: bytes) -> None:
    """An audit of `N` records, half of them members by `seed`; stacked tells them apart by `leak`, loss by half of it.

    right: the share of non-members on which the target is right.
    """
    hard, noise = (np.random.default_rng(at).standard_normal(N) for at in (10, int(10 * leak)))
    member = np.isin(np.arange(N), np.random.default_rng(seed).permutation(N)[: N // 2])
    good = member | (np.random.default_rng(12).permutation(N) < right * N)
    scores = {
        "correctness": good.astype(np.float64),
        "loss": hard + leak / 2 * member,
        "stacked": hard / 2 + noise / 2 + leak * member,
    }
    labels = [f"digit {at}{TURNED if at % 2 else ''}" for at in range(N)]
    labels[3] = HOSTILE
    frame = pd.DataFrame({"sample_id": np.arange(N), "name": labels, "label": np.arange(N) % 3, "is_member": member})
    frame.insert(3, "class", np.array(CLASSES)[frame["label"]])
    for attack, score in scores.items():
        frame[f"{attack}_score"], frame[f"{attack}_rank"] = score, np.argsort(np.argsort(-score)) + 1
    parquet.write(root / paths.EXPOSURE, frame, schemas.exposure(list(ATTACKS)))
    entries, curves = [], []
    for attack, score in scores.items():
        numbers = bootstrap.estimates(score, member, fprs=FPRS, replicates=60, rng=np.random.default_rng(0))
        numbers.pop("advantage")
        flat = {
            f"{key}{end}": value
            for key, estimate in numbers.items()
            for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
        }
        entries.append({"attack": attack, **metrics.json_ready(flat)})
        curve = roc.curve(score, member)
        rates = {"fpr": curve.fpr, "tpr": curve.tpr, "tpr_low": curve.tpr * 0.9, "tpr_high": curve.tpr}
        curves.append(pd.DataFrame({"attack": attack, **rates}))
    by_tpr = strongest.strongest_tpr(scores, member, fpr=0.01, p_value=0.001)
    by_auc = strongest.strongest_auc(scores, member, p_value=0.001)
    sizes = {"attacks": 3, "n_member": N // 2, "n_nonmember": N // 2, "fpr": 0.01}
    names = {"auc_attack": by_auc.attack, "tpr_attack": by_tpr.attack}
    metrics_files.write_json(
        root / paths.VERDICT, {**sizes, **names, **by_auc.rounded("auc", 6), **by_tpr.rounded("tpr", 6)}
    )
    metrics_files.write_json(root / paths.ATTACK_METRICS, entries)
    inside = {"train_accuracy": 1.0, "test_accuracy": round(float(good[~member].mean()), 4)}
    metrics_files.write_json(root / paths.TARGET_METRICS, inside)
    metrics_files.write_json(root / paths.SHADOW_METRICS, {"models": 3, "train_accuracy": 1.0, "test_accuracy": 0.5})
    metrics_files.write_json(root / paths.DATA_METRICS, {"population": N, "attacker": 1000, "classes": 3})
    metrics_files.write_json(root / paths.NOT_APPLICABLE, {"lira_online": f"needs {HOSTILE}"})
    metrics_files.write_csv(root / paths.ROC_CURVES, pd.concat(curves))
    for path, content in ((paths.TARGET_MODEL, model), (paths.shadow_models(0), bytes(300))):
        (root / path).mkdir(parents=True)
        (root / path / "weights").write_bytes(content)


AUDITS: dict[str, dict[str, Any]] = {
    "1-generated-4": {"seed": 1, "leak": 1.5, "right": 0.9, "model": bytes(70)},
    "1-generated-2": {"seed": 1, "leak": 0.1, "right": 0.6, "model": bytes(71)},
    "1-population-4": {"seed": 1, "leak": 2.0, "right": 0.9, "model": bytes(70)},
    "2-generated-4": {"seed": 2, "leak": 1.5, "right": 0.9, "model": bytes(72)},
}


def create(folder: Path) -> repository.Repository:
    """A commit without an audit, HEAD with one, and three experiments, of which `dvc exp run` made the first.

    fewer epochs, the worst case, which is the same model under an attacker who knows more, and members drawn anew.
    """
    made = repository.Repository(
        folder / "repository", repository.home(folder / "home"), {"PYTHONPATH": str(pipeline.SRC)}
    )
    made.root.mkdir()
    (made.root / OWN).parent.mkdir(parents=True)
    for name, text in (("stage.py", STAGE), ("dvc.yaml", DVC_YAML), ("params.yaml", PARAMS), (OWN, OWN_PARAMS)):
        (made.root / name).write_text(text)
    (made.root / ".gitignore").write_text("/reports/\n/data/\n/models/\n")
    for name, values in AUDITS.items():
        write(made.root / "prepared" / name, **values)
    made.git("init", "-q")
    made.dvc("init", "-q")
    made.git("add", "-f", ".")
    made.git("commit", "-q", "-m", "nothing audited")
    made.dvc("repro", "-q")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "an audit")
    made.dvc("exp", "run", "-q", "--name", "fewer", "-S", f"{OWN}:target.epochs=2")
    made.git("checkout", "-q", ".")
    shutil.copytree(made.root / "prepared" / "1-generated-4" / "data", made.root / "data", dirs_exist_ok=True)
    for name, audit, change in (
        ("worst", "1-population-4", ("knowledge: generated", "knowledge: population")),
        ("drawn", "2-generated-4", ("seed: 1", "seed: 2")),
    ):
        by_hand(made, name, made.root / "prepared" / audit, PARAMS.replace(*change))
    return made


def audit(folder: Path, name: str, prepared: str) -> Revision:
    """An audit of `AUDITS`, written into a folder and read from there, under a name; without git and DVC."""
    write(folder, **AUDITS[prepared])
    (folder / paths.PARAMS).write_text(PARAMS)
    (folder / OWN).parent.mkdir(parents=True)
    (folder / OWN).write_text(OWN_PARAMS.replace("epochs: 4", f"epochs: {prepared[-1]}"))
    with contextlib.chdir(folder):
        return replace(revisions.read(commits.WORKSPACE, "0" * 40), name=name)


def answered(folder: Path, name: str, prepared: str) -> Revision:
    """As `audit`, of answers that were given: without shadows, and without the parameters of a training."""
    audit(folder, name, prepared)
    (folder / OWN).write_text("data: {source: answers}\ntarget: null\nshadow: null\n")
    verdict = json.loads((folder / paths.VERDICT).read_text())
    metrics_files.write_json(folder / paths.VERDICT, {**verdict, "kind": "record"})
    metrics_files.write_json(folder / paths.SHADOW_METRICS, {"models": 0})
    metrics_files.write_json(folder / paths.DATA_METRICS, {"population": N, "classes": 3})
    with contextlib.chdir(folder):
        return replace(revisions.read(commits.WORKSPACE, "0" * 40), name=name)


def pair(folder: Path) -> list[Revision]:
    """Two audits of the same records, read from folders: HEAD, and fewer, which leaks less."""
    return [
        audit(folder / name, name, prepared)
        for name, prepared in (("HEAD", "1-generated-4"), ("fewer", "1-generated-2"))
    ]


def by_hand(repo: repository.Repository, name: str, audit: Path, params: str) -> None:
    """What `dvc exp run` would have made, but quickly: a commit under the experiment's ref, objects in the cache."""
    digests = {}
    for path, ending in ((paths.EXPOSURE, ""), (paths.TARGET_MODEL / "weights", ".dir")):
        content = (audit / path).read_bytes()
        digests[path] = hashlib.md5(content).hexdigest() + ending
        at = repo.root / ".dvc/cache/files/md5" / digests[path][:2] / digests[path][2:]
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content)
    lock = (repo.root / "dvc.lock").read_text()
    if name == "worst":  # the model is HEAD's
        digests.popitem()
    for path, digest in digests.items():
        out = path.parent if path.name == "weights" else path
        lock, count = re.subn(f"(path: {out}\n.*\n.*md5: ).*", rf"\g<1>{digest}", lock)
        assert count == 1
    kept = [path for path in commits.FILES if path != paths.PARAMS]
    files = {path.as_posix(): (audit / path).read_text() for path in kept}
    head = repo.git("rev-parse", "HEAD").strip()
    altered(repo, head, {**files, "params.yaml": params, "dvc.lock": lock}, f"refs/exps/{head[:2]}/{head[2:]}/{name}")


def enter(repo: repository.Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the repository this process's folder, and its user this process's."""
    monkeypatch.chdir(repo.root)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DVC_NO_ANALYTICS", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, repo.environment[name])


def altered(repo: repository.Repository, of: str, files: Mapping[str, str | None], ref: str | None = None) -> str:
    """A commit like another but for these files, None: without; under a ref, where one is named."""
    index = repo.home / "index"
    index.unlink(missing_ok=True)
    environment = {**repo.environment, "GIT_INDEX_FILE": str(index)}

    def git(*command: str, given: str = "") -> str:
        done = subprocess.run(
            ["git", *command], cwd=repo.root, env=environment, input=given, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("read-tree", of)
    for path, content in files.items():
        if content is None:
            git("update-index", "--force-remove", path)
        else:
            blob = git("hash-object", "-w", "--stdin", given=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    commit = git("commit-tree", git("write-tree"), "-p", "HEAD", "-m", repr(files)[:60] + str(ref))
    if ref:
        git("update-ref", ref, commit)
    return commit


def read(*names: str) -> list[Revision]:
    return [revisions.read(name, commit) for name, commit in zip(names, commits.resolve(names), strict=True)]


def made(*names: str, out: Path) -> str:
    compare.report(names, out)
    return out.read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """What a page says, without its style and script."""
    body = re.sub(r"(?s)<(style|script)>.*?</\1>", "", page)
    body = re.sub(r"</?a\b[^>]*>", "", body)  # a link stands within a sentence
    return " ".join(html.unescape(re.sub(r"(?s)<[^>]*>", " ", body)).replace("\xa0", " ").split())


def table_of(page: str, label: str) -> list[list[str]]:
    """The rows of the table in the region of that name."""
    region = page.split(f'aria-label="{label}"', 1)[1].split("</table>", 1)[0]
    rows = re.findall(r"(?s)<tr.*?</tr>", region)
    return [[text_of(cell) for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def exposure(name: str) -> pd.DataFrame:
    return parquet.read(Path("prepared", name) / paths.EXPOSURE, schemas.exposure(list(ATTACKS)))


def metric(name: str, path: Path) -> Any:
    """A metrics file of an audit of `AUDITS`."""
    return json.loads(Path("prepared", name, path).read_text())


def experiment(repo: repository.Repository, name: str) -> str:
    return repo.git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").strip()
