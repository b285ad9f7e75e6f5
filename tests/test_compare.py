"""Audits side by side: experiments of the real `dvc` on one page, with the numbers of their files, nobody's script."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

import pipeline
import repository
from mia import commands, paths, seeds
from mia.attacks import schemas
from mia.errors import InputError, shown
from mia.evaluation import bootstrap, differences, intervals, metrics, roc, strongest, verdict
from mia.evaluation.intervals import Estimate
from mia.history import compare, revisions
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
data: {dataset: digits, digits: {population_size: 240}, cifake: {path: null}}
attacker: {knowledge: generated}
target: {digits: {epochs: 4}, cifake: {epochs: 9}}
shadow: {blocks: [0], digits: {per_block: 3, train_size: 50}}
query: {views: 2}
attacks: {run: [correctness, loss, stacked]}
"""
# The audit lies ready in prepared/, by what its parameters are.
STAGE = """
import pathlib, shutil
from ruamel.yaml import YAML
given = YAML(typ="safe").load(pathlib.Path("params.yaml"))
name = "-".join(map(str, (given["seed"], given["attacker"]["knowledge"], given["target"]["digits"]["epochs"])))
shutil.copytree(pathlib.Path("prepared", name), ".", dirs_exist_ok=True)
"""
DVC_YAML = """
stages:
  audit:
    cmd: python stage.py
    deps: [stage.py, prepared]
    params: [seed, attacker, target, shadow]
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
    names = [f"digit {at}{TURNED if at % 2 else ''}" for at in range(N)]
    names[3] = HOSTILE
    frame = pd.DataFrame({"sample_id": np.arange(N), "name": names, "label": np.arange(N) % 3, "is_member": member})
    frame.insert(3, "class", np.array(CLASSES)[frame["label"]])
    for attack, score in scores.items():
        frame[f"{attack}_score"], frame[f"{attack}_rank"] = score, np.argsort(np.argsort(-score)) + 1
    parquet.write(root / paths.EXPOSURE, frame, schemas.exposure(list(ATTACKS)))
    entries, curves = [], []
    for attack, score in scores.items():
        numbers = bootstrap.estimates(score, member, fprs=FPRS, replicates=60, rng=np.random.default_rng(0))
        numbers.pop("advantage")
        flat = {f"{key}{end}": value for key, one in numbers.items()
                for end, value in zip(("", "_low", "_high"), (one.value, one.low, one.high), strict=True)}  # fmt: skip
        entries.append({"attack": attack, **metrics.json_ready(flat)})
        curve = roc.curve(score, member)
        rates = {"fpr": curve.fpr, "tpr": curve.tpr, "tpr_low": curve.tpr * 0.9, "tpr_high": curve.tpr}
        curves.append(pd.DataFrame({"attack": attack, **rates}))
    by_tpr = strongest.strongest_tpr(scores, member, fpr=0.01, p_value=0.001)
    by_auc = strongest.strongest_auc(scores, member, p_value=0.001)
    found: dict[str, Any] = {
        "attacks": 3,
        "n_member": N // 2,
        "n_nonmember": N // 2,
        "fpr": 0.01,
        "auc_attack": by_auc.attack,
    }
    found |= {
        "auc_attack": by_auc.attack,
        "tpr_attack": by_tpr.attack,
        **by_auc.rounded("auc", 6),
        **by_tpr.rounded("tpr", 6),
    }
    metrics_files.write_json(root / paths.VERDICT, found)
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


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> repository.Repository:
    """A commit without an audit, HEAD with one, and three experiments, of which `dvc exp run` made the first.

    fewer epochs, the worst case, which is the same model under an attacker who knows more, and members drawn anew.
    """
    folder = tmp_path_factory.mktemp("compare")
    made = repository.Repository(
        folder / "repository", repository.home(folder / "home"), {"PYTHONPATH": str(pipeline.SRC)}
    )
    made.root.mkdir()
    for name, text in (("stage.py", STAGE), ("dvc.yaml", DVC_YAML), ("params.yaml", PARAMS)):
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
    made.dvc("exp", "run", "-q", "--name", "fewer", "-S", "target.digits.epochs=2")
    made.git("checkout", "-q", ".")
    shutil.copytree(made.root / "prepared" / "1-generated-4" / "data", made.root / "data", dirs_exist_ok=True)
    for name, audit, change in (
        ("worst", "1-population-4", ("knowledge: generated", "knowledge: population")),
        ("drawn", "2-generated-4", ("seed: 1", "seed: 2")),
    ):
        by_hand(made, name, made.root / "prepared" / audit, PARAMS.replace(*change))
    return made


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
    kept = [path for path in revisions.FILES if path != paths.PARAMS]
    files = {path.as_posix(): (audit / path).read_text() for path in kept}
    head = repo.git("rev-parse", "HEAD").strip()
    altered(repo, head, {**files, "params.yaml": params, "dvc.lock": lock}, f"refs/exps/{head[:2]}/{head[2:]}/{name}")


@pytest.fixture
def here(repo: repository.Repository, monkeypatch: pytest.MonkeyPatch) -> repository.Repository:
    """The repository as this process's folder and user."""
    monkeypatch.chdir(repo.root)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DVC_NO_ANALYTICS", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, repo.environment[name])
    return repo


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
    return [revisions.read(name, found) for name, found in zip(names, revisions.resolve(names), strict=True)]


def made(*names: str, out: Path) -> str:
    compare.report(names, out)
    return out.read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """What a page says, without its style and script."""
    body = re.sub(r"(?s)<(style|script)>.*?</\1>", "", page)
    return " ".join(html.unescape(re.sub(r"(?s)<[^>]*>", " ", body)).replace("\xa0", " ").split())


def table_of(page: str, label: str) -> list[list[str]]:
    """The rows of the table in the region of that name."""
    region = page.split(f'aria-label="{label}"', 1)[1].split("</table>", 1)[0]
    rows = re.findall(r"(?s)<tr.*?</tr>", region)
    return [[text_of(cell) for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def exposure(name: str) -> pd.DataFrame:
    return parquet.read(Path("prepared", name) / paths.EXPOSURE, schemas.exposure(list(ATTACKS)))


def found(name: str, path: Path) -> Any:
    return json.loads(Path("prepared", name, path).read_text())


def test_the_command_prints_each_verdict_and_where_the_page_is(repo: repository.Repository) -> None:
    said = repo.run(sys.executable, "-m", "mia.commands", "compare", "HEAD", "fewer").splitlines()
    for line, name, audit in zip(said, ("HEAD", "fewer"), ("1-generated-4", "1-generated-2"), strict=False):
        hash_ = repo.git("rev-parse", "HEAD").strip() if name == "HEAD" else experiment(repo, name)
        date = repo.git("show", "-s", "--format=%cI", hash_).strip()
        sentence = verdict.sentence(json.loads((repo.root / "prepared" / audit / paths.VERDICT).read_text()))
        assert line == f"{name} (commit {hash_[:7]} of {date[:10]} {date[11:16]}): {sentence}"
    assert said[2] == ""
    assert said[3].startswith("fewer leaks least: an attacker who may raise one false alarm in a hundred recognises ")
    assert said[3].endswith("of the training images; the difference is more than chance.")
    assert said[4:] == ["The comparison: reports/compare.html"]
    page = (repo.root / "reports/compare.html").read_text()
    assert all(html.unescape(line.partition(": ")[2]) in text_of(page) for line in said[:2])
    assert said[3] in text_of(page)
    assert repo.git("status", "--porcelain") == ""


def experiment(repo: repository.Repository, name: str) -> str:
    return repo.git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").strip()


def test_audits_of_the_same_records_are_compared_record_by_record(here: repository.Repository, tmp_path: Path) -> None:
    page = made("HEAD", "fewer", out=tmp_path / "page.html")
    a, b = exposure("1-generated-4"), exposure("1-generated-2")
    member = a["is_member"].to_numpy()
    names = [found(audit, paths.VERDICT)["tpr_attack"] for audit in ("1-generated-4", "1-generated-2")]
    scores = b[f"{names[1]}_score"], a[f"{names[0]}_score"]
    rng = seeds.generator(0, "compare")
    tpr = differences.compare_tpr(*scores, member, fpr=0.01, replicates=compare.REPLICATES, rng=rng)
    by_auc = [found(audit, paths.VERDICT)["auc_attack"] for audit in ("1-generated-4", "1-generated-2")]
    placed = [differences.placements(t[f"{by}_score"], member) for t, by in ((b, by_auc[1]), (a, by_auc[0]))]
    auc = differences.compare_auc(*placed)
    right = [t["correctness_score"].to_numpy()[~member] > 0 for t in (b, a)]
    lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    (row,) = table_of(page, "Differences")[1:]
    assert row[0] == "fewer less HEAD"
    assert row[1] == compare.signed(tpr, 100, 1)
    assert row[3] == compare.signed(auc, 1, 3)
    assert row[2] == compare.p_text(tpr.p_value)
    assert row[4] == compare.p_text(auc.p_value)
    difference = 100 * (lost[1] - lost[0]) / (~member).sum()
    assert row[5].startswith(f"−{abs(difference):.1f} (−")
    assert row[5] == compare.signed(compare.paired(right[0], right[1]), 100, 1)
    assert row[6] == compare.p_text(binomtest(lost[0], sum(lost)).pvalue)
    assert "Compared record by record" in text_of(page)
    assert "as independent estimates" not in text_of(page)


def test_the_page_has_the_numbers_of_the_files(here: repository.Repository, tmp_path: Path) -> None:
    page = made("HEAD", "fewer", "worst", out=tmp_path / "page.html")
    audits = "1-generated-4", "1-generated-2", "1-population-4"
    assert table_of(page, "Parameters that differ") == [
        ["parameter", "HEAD", "fewer", "worst"],
        ["attacker.knowledge", "generated", "generated", "population"],
        ["target.digits.epochs", "4", "2", "4"],
    ]
    results = {row[0]: row[1:] for row in table_of(page, "Results")}
    targets = [found(audit, paths.TARGET_METRICS)["test_accuracy"] for audit in audits]
    for cell, share in zip(results["accuracy on non-members"], targets, strict=True):
        low, high = intervals.clopper_pearson(round(share * N / 2), N // 2)
        assert cell == f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    verdicts = [found(audit, paths.VERDICT) for audit in audits]
    assert results["by the attack"] == [one["tpr_attack"] for one in verdicts]
    assert results["best AUC"] == [f"{v['auc']:.3f} ({v['auc_low']:.3f} to {v['auc_high']:.3f})" for v in verdicts]
    rows = {row[0]: row[1:] for row in table_of(page, "Attacks, side by side")}
    assert set(rows) == {"attack", *ATTACKS}
    for at, audit in enumerate(audits):
        for entry in found(audit, paths.ATTACK_METRICS):
            tpr, auc = rows[entry["attack"]][2 * at : 2 * at + 2]
            ends = [verdict.percent(entry[f"tpr_at_fpr_0_01{end}"]) for end in ("", "_low", "_high")]
            assert tpr == "{} ({}–{})".format(*ends)
            ends = [f"{entry[f'auc{end}']:.3f}".removeprefix("0") for end in ("", "_low", "_high")]
            assert auc == "{} ({}–{})".format(*ends)
    assert page.count("<svg") > 9
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert not re.search(r"url\((?!#)", page)


def test_costs_are_counted(here: repository.Repository, tmp_path: Path) -> None:
    page = made("HEAD", "fewer", "worst", out=tmp_path / "page.html")
    rows = {row[0]: row[1:] for row in table_of(page, "Costs, counted")}
    assert rows.pop("what") == ["HEAD", "fewer", "worst"]
    assert rows == {
        "images through training, target: epochs × members": ["480", "240", "480"],
        "images through training, all shadows: epochs × images": ["600", "300", "1,440"],  # 3 halves of 240, 4 epochs
        "models trained: target and shadows": ["4", "4", "4"],
        "questions asked of each model: records × views": ["2,480", "2,480", "480"],
        "questions asked of all models": ["9,920", "9,920", "1,920"],
        "stored models, in bytes": ["370", "371", "370"],
    }


def test_who_is_named_is_counted_and_named(here: repository.Repository, tmp_path: Path) -> None:
    page = made("HEAD", "worst", out=tmp_path / "page.html")
    sets = []
    for audit in ("1-generated-4", "1-population-4"):
        frame = exposure(audit)
        score = frame[f"{found(audit, paths.VERDICT)['tpr_attack']}_score"].to_numpy()
        member = frame["is_member"].to_numpy()
        threshold = sorted(score[~member], reverse=True)[1]  # 120 non-members, 1 %: one false alarm
        sets.append(set(np.flatnonzero(member & (score > threshold)).tolist()))
    both, before, after = sets[0] & sets[1], sets[0] - sets[1], sets[1] - sets[0]
    assert min(len(before), len(after), len(both)) > 0
    section = text_of(page.split('id="members"', 1)[1])
    counts = f"{len(both)} named in both {len(before)} named in HEAD only {len(after)} named in worst only"
    assert counts in section
    frame = exposure("1-population-4")
    by = f"{found('1-population-4', paths.VERDICT)['tpr_attack']}_rank"
    surest = frame.loc[sorted(after)].sort_values(by).head(12)
    listed = " ".join(f"{shown(one['name'])} {one['class']}" for one in surest.to_dict("records"))
    title = "named in worst only" + (f", the 12 surest of {len(after)}" if len(after) > 12 else "")
    assert f"{title} record class {listed}" in section


def test_one_model_under_two_attackers_is_said_to_be_one(here: repository.Repository, tmp_path: Path) -> None:
    said = text_of(made("HEAD", "worst", out=tmp_path / "page.html"))
    assert "One trained model, audited in different ways: an attacker who may raise" in said
    assert "what differs is who looks: attacker.knowledge." in said
    said = text_of(made("fewer", "worst", out=tmp_path / "page.html"))
    assert "They differ in more than the training: attacker.knowledge." in said


def test_of_other_members_estimates_are_independent_and_no_member_is_named(
    here: repository.Repository, tmp_path: Path
) -> None:
    page = made("HEAD", "drawn", out=tmp_path / "page.html")
    moved = int((exposure("1-generated-4")["is_member"] != exposure("2-generated-4")["is_member"]).sum())
    why = f"of the same records, {moved} are members of one target and not of the other"
    assert f"drawn less HEAD: compared as independent estimates, since {why}." in text_of(page)
    assert f"Not shown: {why}." in text_of(page)
    (row,) = table_of(page, "Differences")[1:]
    one, other = ({e["attack"]: e for e in found(a, paths.ATTACK_METRICS)} for a in ("2-generated-4", "1-generated-4"))
    ends = "", "_low", "_high"
    best = [found(a, paths.VERDICT)["tpr_attack"] for a in ("2-generated-4", "1-generated-4")]
    tpr = compare.independent(
        *(Estimate(*(e[b][f"tpr_at_fpr_0_01{end}"] for end in ends)) for e, b in zip((one, other), best, strict=True))
    )
    assert row[1:3] == [compare.signed(tpr, 100, 1), compare.p_text(tpr.p_value)]
    assert "compared record by record" not in text_of(page)


def test_records_are_the_same_only_by_name_and_class_and_membership(pair: list[Revision]) -> None:
    one, other = pair
    assert isinstance(other.exposure, pd.DataFrame)
    assert compare.unlike(one, other) is None
    table = other.exposure
    for changed, why in (
        (table.assign(name=table["name"].replace("digit 6", "digit 1000")), "they audited different records"),
        (table.assign(**{"class": table["class"].replace("one", "eins")}), "they audited different records"),
        (table.iloc[:-1], "they audited different records"),
        (
            table.assign(is_member=table["is_member"] ^ (table.index < 3)),
            "of the same records, 3 are members of one target and not of the other",
        ),
        ("gone", "whether both audited the same records is not known (fewer: gone)"),
    ):
        assert compare.unlike(one, replace(other, exposure=changed)) == why


def test_p_values_of_many_pairs_are_adjusted(here: repository.Repository) -> None:
    pairs = compare.compare(read("HEAD", "fewer", "worst", "drawn"), 0.01)
    assert [(one.first, one.second) for one in pairs] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert [one.unlike is None for one in pairs] == [True, True, False, True, False, False]
    tprs = [one.tpr.p_value for one in pairs if one.tpr is not None]
    assert [one.tpr_p for one in pairs] == list(differences.holm(tprs)) != tprs
    right = [one.accuracy.p_value for one in pairs]
    assert [one.accuracy_p for one in pairs] == list(differences.holm(right)) != right
    aucs = [one.auc.p_value for one in pairs]
    assert [one.auc_p for one in pairs] == list(differences.holm(aucs)) != aucs


def test_without_exposures_the_rest_of_the_page_is_made(
    here: repository.Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = re.sub(
        "(path: data/exposure.parquet\n.*\n.*md5: ).{8}", r"\g<1>00000000", (here.root / "dvc.lock").read_text()
    )
    assert lost != (here.root / "dvc.lock").read_text()
    without = altered(here, experiment(here, "fewer"), {"dvc.lock": lost})
    page = made("HEAD", without, out=tmp_path / "page.html")
    why = re.search(r"Not shown: (whether both audited the same records is not known \((.*?)\))\.", text_of(page))
    assert why
    assert why[2].startswith(
        f"{without[:7]}: data/exposure.parquet: neither in DVC's cache nor to be had from a remote ("
    )
    assert str(tmp_path) not in page
    assert f"since {why[1]}" in text_of(page)
    assert len(table_of(page, "Attacks, side by side")) == 4
    spoiled = here.root / ".dvc/cache/files/md5/aa" / ("a" * 30)
    spoiled.parent.mkdir(exist_ok=True)
    spoiled.write_bytes(b"PAR1 no more")
    spoiled.chmod(0o444)  # DVC does not look at what nobody may write
    lock = re.sub(r"(path: data/exposure.parquet\n.*\n.*md5: ).*", r"\g<1>" + "a" * 32, lost)
    bad = altered(here, "HEAD", {"dvc.lock": lock})
    first, second = (made("HEAD", bad, out=tmp_path / "page.html") for _ in range(2))
    assert "data/exposure.parquet: not a whole Parquet file (" in text_of(first)
    assert first == second  # no name of a temporary file
    no_lock = altered(here, "HEAD", {"dvc.lock": None})
    page = made("fewer", no_lock, out=tmp_path / "page.html")
    assert table_of(page, "Costs, counted")[-1] == ["stored models, in bytes", "371", "–"]


def test_the_same_commits_give_the_same_bytes(here: repository.Repository, tmp_path: Path) -> None:
    first = made("HEAD", "fewer", "drawn", out=tmp_path / "one.html")
    assert made("HEAD", "fewer", "drawn", out=tmp_path / "two.html") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.html", "two.html"]


class Tags(HTMLParser):
    """What stands in a page: its tags, and attributes that are code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.code: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.code += [name for name, _ in attrs if name.startswith("on")]


def test_what_is_somebodys_is_text(
    here: repository.Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "<img/src=x/onerror=alert(3)>&amp;'"  # git allows as much in a ref
    params = PARAMS.replace("seed: 1", f"seed: 1\n{HOSTILE}: '{HOSTILE}\\n'\nterminal: \"\\e[31m\"")
    ref = f"refs/heads/{name}"
    altered(here, experiment(here, "worst"), {"params.yaml": params}, ref)
    page = made("HEAD", name, out=tmp_path / "page.html")
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 1
    assert "img" not in tags.tags
    assert tags.code == []
    assert "One trained model, audited in different ways: " in text_of(page)
    for text in (name, HOSTILE, CLASSES[2], f"needs {HOSTILE}"):
        assert html.escape(text, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
    assert "\x1b" not in page
    assert TURNED not in page
    assert "\\u202e" in page
    assert "\\x1b[31m" in page
    assert "Content-Security-Policy" in page
    capsys.readouterr()
    here.git("update-ref", "-d", ref)


ERRORS: dict[str, tuple[list[str], str]] = {
    "none": (
        [],
        "expected two to seven audits to compare, got 0: experiments by name ({list}), git revisions, or workspace",
    ),
    "one": (
        ["HEAD"],
        "expected two to seven audits to compare, got 1: experiments by name ({list}), git revisions, or workspace",
    ),
    "eight": (
        ["HEAD"] * 8,
        "expected two to seven audits to compare, got 8: experiments by name ({list}), git revisions, or workspace",
    ),
    "unknown": (["HEAD", "nobody"], "nobody: no experiment and no git revision of that name; {list}"),
    "an option": (["HEAD", "-x"], "-x: no experiment and no git revision of that name; {list}"),
    "a range": (["HEAD", "HEAD~1..HEAD"], "HEAD~1..HEAD: no experiment and no git revision of that name; {list}"),
    "a terminal's": (["HEAD", "\x1b[31m"], "\\x1b[31m: no experiment and no git revision of that name; {list}"),
    "twice": (["HEAD", "fewer", "main"], "main: the commit of HEAD ({head}) again; name another"),
    "unchanged": (["HEAD", "workspace"], "workspace: the commit of HEAD ({head}) again; name another"),
    "nothing audited": (
        ["HEAD", "HEAD~1"],
        "HEAD~1: no metrics/verdict.json at {before}: made before there was one; {again}",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_compared_is_one_line_and_no_page(
    case: str, here: repository.Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, said = ERRORS[case]
    head, before = (here.git("rev-parse", rev).strip()[:7] for rev in ("HEAD", "HEAD~1"))
    assert commands.main(["compare", "--out", str(tmp_path / "page.html"), "--", *names]) == 1
    wanted = said.format(list=revisions.LIST, head=head, before=before, again=revisions.AGAIN)
    assert capsys.readouterr().err == f"error: {wanted}\n"
    assert list(tmp_path.iterdir()) == []


HEADS = "attack,fpr,tpr,tpr_low,tpr_high\n"
BOMB = "a: &a [1]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
VERDICT, MEASURED, TARGET, SHADOWS = (
    path.as_posix() for path in (paths.VERDICT, paths.ATTACK_METRICS, paths.TARGET_METRICS, paths.SHADOW_METRICS)
)
DAMAGED: dict[str, tuple[str, Any, str]] = {
    "not JSON": (MEASURED, "[{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 3"),
    "deep": (TARGET, "[" * 100_000, "not JSON (brackets in brackets in brackets, more than Python follows)"),
    "NaN": (VERDICT, '{"auc": NaN}', "not JSON (NaN is no number)"),
    "no list": (MEASURED, "{}", "a valid list"),
    "an empty list": (MEASURED, "[]", "no 'stacked' as metrics/verdict.json has it"),
    "half a verdict": (VERDICT, {"tpr_low": None}, "expected fpr, tpr_attack, tpr, tpr_low, tpr_high, or none of them"),
    "a share above 1": (VERDICT, {"auc": 1.5}, "auc: less than or equal to 1"),
    "no count": (SHADOWS, {"models": "three"}, "models: a valid integer, unable to parse string as an integer"),
    "a name that is none": (VERDICT, {"auc_attack": "<b>"}, "auc_attack: String should match pattern '^[a-z0-9_]"),
    "params without epochs": ("params.yaml", "data: {dataset: cifar10}", "knowledge: a valid string"),
    "params no YAML": ("params.yaml", "a: [", "not YAML: "),
    "params a bomb": ("params.yaml", BOMB, "more than 10,000 values"),
    "a lock that is none": ("dvc.lock", "stages: 3", "not what DVC writes (AttributeError)"),
    "no table": ("plots/roc.csv", "a,b\n1,2\n", "not the table it was ("),
    "a rate that is none": (
        "plots/roc.csv",
        HEADS + "".join(f"{attack},0,2,0,0\n" for attack in ATTACKS),
        "rates that are none",
    ),
    "an attack without a curve": ("plots/roc.csv", HEADS + "loss,0,0,0,0\n", "no curve of 'correctness'"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_named_with_its_revision(
    case: str, here: repository.Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, content, said = DAMAGED[case]
    if not isinstance(content, str):
        content = json.dumps({**json.loads((here.root / path).read_text()), **content})
    bad = altered(here, "HEAD", {path: content})
    assert commands.main(["compare", "HEAD", bad, "--out", str(tmp_path / "page.html")]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {bad}: {path}: damaged: {said}")
    assert err.endswith(f"; {revisions.AGAIN}\n")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("here")
def test_a_page_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["compare", "HEAD", "fewer", "--out", "params.yaml/page.html"]) == 1
    assert capsys.readouterr().err == "error: params.yaml: File exists\n"


def test_the_workspace_is_compared_as_it_lies(here: repository.Repository, tmp_path: Path) -> None:
    before = (here.root / paths.VERDICT).read_text()
    values = json.loads(before)
    try:
        (here.root / paths.VERDICT).write_text(json.dumps(values | {"auc": 0.4321, "auc_low": 0.4}))
        page = made("HEAD", "workspace", out=tmp_path / "page.html")
    finally:
        (here.root / paths.VERDICT).write_text(before)
    head = here.git("rev-parse", "HEAD").strip()[:7]
    assert f"workspace not committed, on commit {head} of " in text_of(page)
    assert "0.432 (0.400 to " in table_of(page, "Results")[6][2]
    assert "Compared record by record" in text_of(page)


def test_two_names_that_look_alike_are_told_apart(here: repository.Repository, tmp_path: Path) -> None:
    fewer = experiment(here, "fewer")
    here.git("update-ref", f"refs/heads/{fewer[:7]}", "HEAD")  # a branch with the look of the other's hash
    page = made(fewer, f"refs/heads/{fewer[:7]}", out=tmp_path / "page.html")
    assert table_of(page, "Costs, counted")[0] == ["what", fewer[:7], f"refs/heads/{fewer[:7]}"]
    here.git("update-ref", "-d", f"refs/heads/{fewer[:7]}")
    worst = altered(here, experiment(here, "worst"), {"note": "x"}, "refs/heads/" + fewer[:7])
    page = made(fewer, fewer[:7], out=tmp_path / "page.html")
    assert table_of(page, "Costs, counted")[0] == ["what", f"{fewer[:7]} ({fewer[:10]})", f"{fewer[:7]} ({worst[:10]})"]
    here.git("update-ref", "-d", f"refs/heads/{fewer[:7]}")


def test_an_experiment_of_two_commits_is_the_one_of_this_commit_or_has_to_be_named(here: repository.Repository) -> None:
    ours, other = experiment(here, "fewer"), altered(here, "HEAD", {"x": "1"})
    older = here.git("rev-parse", "HEAD~1").strip()
    ref = f"refs/exps/{older[:2]}/{older[2:]}/fewer"
    here.git("update-ref", ref, other)
    assert revisions.commit_of("fewer") == ours
    for at in (older, other):
        here.git("update-ref", f"refs/exps/{at[:2]}/{at[2:]}/twice", at)
    which = ", ".join(sorted(at[:7] for at in (older, other)))
    with pytest.raises(
        InputError, match=f"^twice: experiments on 2 commits have that name; name one by its hash: {which}$"
    ):
        revisions.commit_of("twice")
    for name in (ref, *(f"refs/exps/{at[:2]}/{at[2:]}/twice" for at in (older, other))):
        here.git("update-ref", "-d", name)


# ---- differences


def wilson(successes: int, trials: int) -> Estimate:
    low, high = binomtest(successes, trials).proportion_ci(method="wilson")
    return Estimate(successes / trials, low, high)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)],
)
def test_independent_shares_have_newcombes_interval(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10, contrasts (a), (b) and (h)."""
    found = compare.independent(wilson(*first), wilson(*second))
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    turned = compare.independent(wilson(*second), wilson(*first))
    assert (turned.low, turned.high, turned.p_value) == pytest.approx((-high, -low, found.p_value), abs=6e-5)


def test_p_of_independent_estimates_is_that_of_the_normal_and_agrees_with_the_interval() -> None:
    z = float(norm.isf(0.025))
    one, other = (Estimate(value, value - z * sd, value + z * sd) for value, sd in ((0.7, 0.03), (0.6, 0.04)))
    assert compare.independent(one, other).p_value == pytest.approx(2 * norm.sf(0.1 / 0.05))
    assert compare.independent(one, one).p_value == 1.0
    for at in np.linspace(0.4, 0.7, 61):
        found = compare.independent(wilson(round(200 * at), 200), wilson(110, 200))
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_shares_of_the_same_records_are_mcnemars() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2):
        a, b = rng.random(150) < 0.8, rng.random(150) < 0.8 - shift
        found = compare.paired(a, b)
        alone = int((a & ~b).sum()), int((b & ~a).sum())
        assert found.difference == pytest.approx(a.mean() - b.mean())
        assert found.p_value == pytest.approx(min(1, binomtest(alone[0], sum(alone)).pvalue))
        assert found.low < found.difference < found.high
        turned = compare.paired(b, a)
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert compare.paired(a, a) == differences.Comparison(0.0, compare.paired(a, a).low, compare.paired(a, a).high, 1.0)


@pytest.mark.statistics
def test_without_a_difference_one_in_twenty_is_told_apart_at_most() -> None:
    """Binomial shares, Clopper and Pearson's limits, which are wide: fewer than 5 %."""
    rng = np.random.default_rng(5)
    draws = rng.binomial(300, 0.1, size=(400, 2))
    lows, highs = intervals.clopper_pearson(draws, 300)
    ps = [
        compare.independent(*(Estimate(draws[at, i] / 300, lows[at, i], highs[at, i]) for i in range(2))).p_value
        for at in range(400)
    ]
    assert np.mean(np.array(ps) < 0.05) < 0.05


# ---- in words


@pytest.fixture
def pair(here: repository.Repository) -> list[Revision]:
    return read("HEAD", "fewer")


def as_verdict(one: Revision, name: str, **changes: Any) -> Revision:
    return replace(one, name=name, verdict=one.verdict.model_copy(update=changes), outs={})


def apart(count: int, p: float, **ps: float) -> list[compare.Pair]:
    none = differences.Comparison(0, 0, 0, 1)
    return [compare.Pair(a, b, None, none, none, none, *[ps.get(f"p{a}{b}", p)] * 3)
            for a in range(count) for b in range(a + 1, count)]  # fmt: skip


def test_the_headline_says_what_can_be_told(pair: list[Revision]) -> None:
    some = [as_verdict(pair[0], name, tpr=tpr, auc=tpr + 0.5) for name, tpr in (("A", 0.05), ("B", 0.02), ("C", 0.1))]
    who = "an attacker who may raise one false alarm in a hundred recognises"
    two = f"{who} 2.0 % (B) and 5.0 % (A) of the training images"
    three = f"{who} 2.0 % (B), 5.0 % (A) and 10 % (C) of the training images"
    say = compare.headline
    assert say(some[:2], apart(2, 0.01), 0.01) == f"B leaks least: {two}; the difference is more than chance."
    assert say(some[:2], apart(2, 0.05), 0.01) == (
        f"It cannot be told which of the two leaks less: {two}; such a difference may be chance."
    )
    assert say(some, apart(3, 0.01), 0.01) == f"B leaks least: {three}; the difference is more than chance."
    assert say(some, apart(3, 0.2), 0.01) == (
        f"It cannot be told which leaks least: {three}; such a difference may be chance."
    )
    assert say(some, apart(3, 0.2, p12=0.01), 0.01) == (
        f"B leaks less than C; whether less than A cannot be told: {three}."
    )
    assert say(some[:2], apart(2, 0.01), None) == (
        "B leaks least: the strongest attack ranks members above others with an AUC of 0.520 (B) and 0.550 (A); the "
        "difference is more than chance."
    )
    five = [replace(some[at % 3], name=str(at)) for at in range(5)]
    assert say(five, apart(5, 0.2), 0.01) == (
        f"It cannot be told which leaks least: {who} 2.0 % (1) to 10 % (2) of the training images; such a "
        "difference may be chance."
    )
    assert compare.ranking(five, apart(5, 0.2, p12=0.01)) == (
        "Over all thresholds, the best AUC is 0.520 (1) to 0.600 (2): of 10 pairs 1 can be told apart."
    )
    assert compare.ranking(some[:2], apart(2, 0.01)) == (
        "Over all thresholds, the best AUC is 0.520 (B) and 0.550 (A): the two can be told apart."
    )
    right = [
        replace(one, target=one.target.model_copy(update={"test_accuracy": at}))
        for one, at in zip(some, (0.9, 0.5, 0.7), strict=True)
    ]
    assert compare.rightness(right[:2], apart(2, 0.05)) == (
        "On non-members the targets are right in 50.0 % (B) and 90.0 % (A): the two cannot be told apart."
    )
    assert compare.rightness(right, apart(3, 0.2)) == (
        "On non-members the targets are right in 50.0 % (B), 70.0 % (C) and 90.0 % (A): none can be told from another."
    )
    assert compare.ranking(some, apart(3, 0.2, p12=0.01)).endswith(": B can be told from C.")


def test_audits_are_compared_at_an_fpr_that_all_measured(pair: list[Revision]) -> None:
    assert revisions.fpr_of(pair) == 0.01
    strict = as_verdict(pair[1], "strict", fpr=0.001)
    entries = {name: one.model_copy(update={"tprs": {0.1: (0.3, 0.2, 0.4), 0.001: (0.0, 0.0, 0.1)}})
               for name, one in strict.attacks.items()}  # fmt: skip
    strict = replace(strict, attacks=entries)
    assert revisions.fpr_of([pair[0], strict]) == 0.1
    assert compare.strongest(strict, 0.1) == ("correctness", Estimate(0.3, 0.2, 0.4))
    assert "verdict of HEAD and strict is at another share" in " ".join(compare.cautions([pair[0], strict], 0.1))
    none = as_verdict(pair[1], "few", fpr=None, tpr_attack=None, tpr=None, tpr_low=None, tpr_high=None)
    none = replace(none, attacks={name: one.model_copy(update={"tprs": {}}) for name, one in none.attacks.items()})
    assert revisions.fpr_of([none, pair[0]]) == 0.01
    assert revisions.fpr_of([none, none]) is None
    some = [none, pair[0]]
    pairs = compare.compare(some, 0.01)
    assert pairs[0].tpr is None
    page = compare.page(some, pairs, 0.01)
    assert "few: not drawn, too few non-members" in text_of(page)
    assert "Not shown: the non-members are too few for an FPR as low." in text_of(page)
    few = [replace(none, name="one"), replace(none, name="other")]
    page = compare.page(few, compare.compare(few, None), None)
    assert "Not drawn: there is no share of false alarms" in text_of(page)
    assert [len(row) for row in table_of(page, "Attacks, side by side")] == [3] * 4


def test_parameters_of_other_data_sets_are_left_out_and_those_of_two_data_sets_stand_side_by_side(
    pair: list[Revision],
) -> None:
    one = replace(pair[0], parameters={**pair[0].parameters, "target.cifake.epochs": 77, "only.here": None})
    assert compare.differing([one, pair[1]]) == [("target.digits.epochs", ["4", "2"]), ("only.here", ["null", "–"])]
    other = replace(pair[1], used=pair[1].used.model_copy(update={"dataset": "cifake"}))
    rows = dict(compare.differing([one, replace(other, parameters={**other.parameters, "data.dataset": "cifake"})]))
    assert rows["target.epochs"] == ["4", "9"]
    assert rows["data.dataset"] == ["digits", "cifake"]


def test_halves_of_an_odd_population_make_a_whole() -> None:
    class One:
        used = revisions.Used(
            dataset="d", knowledge="population", epochs=1, views=1, blocks=[1, 2], per_block=3, train_size=9
        )
        data = revisions.Data(population=101, attacker=0, classes=2)

    assert compare.shadow_images(One()) == 50 * 3 + 51 * 3  # type: ignore[arg-type]  # shadows 3 to 8


def test_make_compare_takes_two_revisions() -> None:
    said = subprocess.run(["make", "-n", "compare", "REVS=a b"], cwd=pipeline.ROOT, capture_output=True, text=True)
    assert "mia compare a b\n" in said.stdout
