"""Audits side by side: experiments of the real `dvc` on one page, with the numbers of their files, nobody's script."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

import pipeline
import planted
import repository
from mia import commands, paths, seeds
from mia.errors import shown
from mia.evaluation import differences, intervals, verdict, wording
from mia.evaluation.intervals import Estimate
from mia.history import (
    audit_differences,
    compare_page,
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> repository.Repository:
    return planted.create(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def here(repo: repository.Repository, monkeypatch: pytest.MonkeyPatch) -> repository.Repository:
    planted.enter(repo, monkeypatch)
    return repo


def test_the_command_prints_each_verdict_and_where_the_page_is(repo: repository.Repository) -> None:
    printed = repo.run(sys.executable, "-m", "mia.commands", "compare", "HEAD", "fewer").splitlines()
    for line, name, audit in zip(printed, ("HEAD", "fewer"), ("1-generated-4", "1-generated-2"), strict=False):
        hash_ = repo.git("rev-parse", "HEAD").strip() if name == "HEAD" else planted.experiment(repo, name)
        date = repo.git("show", "-s", "--format=%cI", hash_).strip()
        sentence = verdict.sentence(json.loads((repo.root / "prepared" / audit / paths.VERDICT).read_text()))
        assert line == f"{name} (commit {hash_[:7]} of {date[:10]} {date[11:16]}): {sentence}"
    assert printed[2] == ""
    assert printed[3].startswith("fewer leaks least: at 1 % FPR, an attacker recognises ")
    assert printed[3].endswith("of the training images. The difference is more than chance.")
    assert printed[4:] == ["The comparison: reports/compare.html"]
    page = (repo.root / "reports/compare.html").read_text()
    assert all(html.unescape(line.partition(": ")[2]) in planted.text_of(page) for line in printed[:2])
    assert printed[3] in planted.text_of(page)
    assert repo.git("status", "--porcelain") == ""


def test_audits_of_the_same_records_are_compared_record_by_record(here: repository.Repository, tmp_path: Path) -> None:
    page = planted.made("HEAD", "fewer", out=tmp_path / "page.html")
    a, b = planted.exposure("1-generated-4"), planted.exposure("1-generated-2")
    member = a["is_member"].to_numpy()
    names = [planted.metric(audit, paths.VERDICT)["tpr_attack"] for audit in ("1-generated-4", "1-generated-2")]
    scores = b[f"{names[1]}_score"], a[f"{names[0]}_score"]
    rng = seeds.generator(0, "compare")
    tpr = differences.compare_tpr(*scores, member, fpr=0.01, replicates=audit_differences.REPLICATES, rng=rng)
    by_auc = [planted.metric(audit, paths.VERDICT)["auc_attack"] for audit in ("1-generated-4", "1-generated-2")]
    placed = [differences.placements(t[f"{by}_score"], member) for t, by in ((b, by_auc[1]), (a, by_auc[0]))]
    auc = differences.compare_auc(*placed)
    right = [t["correctness_score"].to_numpy()[~member] > 0 for t in (b, a)]
    lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    (row,) = planted.table_of(page, "Differences")[1:]
    assert row[0] == "fewer less HEAD"
    assert row[1] == compare_page.signed(tpr, 100, 1)
    assert row[3] == compare_page.signed(auc, 1, 3, form=wording.FRACTION)
    assert row[2] == compare_page.p_text(tpr.p_value)
    assert row[4] == compare_page.p_text(auc.p_value)
    difference = 100 * (lost[1] - lost[0]) / (~member).sum()
    assert row[5].startswith(f"−{abs(difference):.1f} (−")
    assert row[5] == compare_page.signed(audit_differences.paired(right[0], right[1]), 100, 1)
    assert row[6] == compare_page.p_text(binomtest(lost[0], sum(lost)).pvalue)
    assert "Compared record by record" in planted.text_of(page)
    assert "as independent estimates" not in planted.text_of(page)


def test_the_page_has_the_numbers_of_the_files(here: repository.Repository, tmp_path: Path) -> None:
    page = planted.made("HEAD", "fewer", "worst", out=tmp_path / "page.html")
    audits = "1-generated-4", "1-generated-2", "1-population-4"
    assert planted.table_of(page, "Parameters that differ") == [
        ["parameter", "HEAD", "fewer", "worst"],
        ["attacker.knowledge", "generated", "generated", "population"],
        ["target.epochs", "4", "2", "4"],
    ]
    results = {row[0]: row[1:] for row in planted.table_of(page, "Results")}
    targets = [planted.metric(audit, paths.TARGET_METRICS)["test_accuracy"] for audit in audits]
    for cell, share in zip(results["accuracy on non-members"], targets, strict=True):
        low, high = intervals.clopper_pearson(round(share * planted.N / 2), planted.N // 2)
        assert cell == f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    verdicts = [planted.metric(audit, paths.VERDICT) for audit in audits]
    assert results["attack with this TPR"] == [entry["tpr_attack"] for entry in verdicts]
    assert results["best AUC"] == [wording.fraction(entry, "auc") for entry in verdicts]
    rows = {row[0]: row[1:] for row in planted.table_of(page, "Attacks, side by side")}
    assert set(rows) == {"attack", *planted.ATTACKS}
    for at, audit in enumerate(audits):
        for entry in planted.metric(audit, paths.ATTACK_METRICS):
            tpr, auc = rows[entry["attack"]][2 * at : 2 * at + 2]
            ends = [verdict.percent(entry[f"tpr_at_fpr_0_01{end}"]) for end in ("", "_low", "_high")]
            assert tpr == "{} % ({} to {})".format(*ends)
            ends = [f"{entry[f'auc{end}']:.3f}".removeprefix("0") for end in ("", "_low", "_high")]
            assert auc == "{} ({}–{})".format(*ends)
    assert page.count("<svg") > 9
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert not re.search(r"url\((?!#)", page)


def test_costs_are_counted(here: repository.Repository, tmp_path: Path) -> None:
    page = planted.made("HEAD", "fewer", "worst", out=tmp_path / "page.html")
    rows = {row[0]: row[1:] for row in planted.table_of(page, "Costs, counted")}
    assert rows.pop("cost") == ["HEAD", "fewer", "worst"]
    assert rows == {
        "images through training, target: epochs × members": ["480", "240", "480"],
        "images through training, all shadows: epochs × images": ["600", "300", "1,440"],  # 3 halves of 240, 4 epochs
        "models trained: target and shadows": ["4", "4", "4"],
        "queries of each model: records × views": ["2,480", "2,480", "480"],
        "queries of all models": ["9,920", "9,920", "1,920"],
        "stored models, in bytes": ["370", "371", "370"],
    }


def test_who_is_named_is_counted_and_named(here: repository.Repository, tmp_path: Path) -> None:
    page = planted.made("HEAD", "worst", out=tmp_path / "page.html")
    sets = []
    for audit in ("1-generated-4", "1-population-4"):
        frame = planted.exposure(audit)
        score = frame[f"{planted.metric(audit, paths.VERDICT)['tpr_attack']}_score"].to_numpy()
        member = frame["is_member"].to_numpy()
        threshold = sorted(score[~member], reverse=True)[1]  # 120 non-members, 1 %: one false alarm
        sets.append(set(np.flatnonzero(member & (score > threshold)).tolist()))
    both, before, after = sets[0] & sets[1], sets[0] - sets[1], sets[1] - sets[0]
    assert min(len(before), len(after), len(both)) > 0
    section = planted.text_of(page.split('id="members"', 1)[1])
    counts = (
        f"{len(both)} recognised in both {len(before)} recognised only in HEAD {len(after)} recognised only in worst"
    )
    assert counts in section
    frame = planted.exposure("1-population-4")
    by = f"{planted.metric('1-population-4', paths.VERDICT)['tpr_attack']}_rank"
    surest = frame.loc[sorted(after)].sort_values(by).head(12)
    listed = " ".join(f"{shown(record['name'])} {record['class']}" for record in surest.to_dict("records"))
    title = "recognised only in worst" + (
        f": the 12 of {len(after)} with the highest scores" if len(after) > 12 else ""
    )
    assert f"{title} record class {listed}" in section


def test_one_model_under_two_attackers_is_said_to_be_one(here: repository.Repository, tmp_path: Path) -> None:
    printed = planted.text_of(planted.made("HEAD", "worst", out=tmp_path / "page.html"))
    assert "One trained model, audited in different ways: at 1 % FPR, an attacker recognises" in printed
    assert "Only the attacker differs: attacker.knowledge." in printed
    printed = planted.text_of(planted.made("fewer", "worst", out=tmp_path / "page.html"))
    assert "The audits differ in more than the training: attacker.knowledge." in printed


def test_of_other_members_estimates_are_independent_and_no_member_is_named(
    here: repository.Repository, tmp_path: Path
) -> None:
    page = planted.made("HEAD", "drawn", out=tmp_path / "page.html")
    moved = int(
        (planted.exposure("1-generated-4")["is_member"] != planted.exposure("2-generated-4")["is_member"]).sum()
    )
    why = f"of the same records, {moved} are members of one target and not of the other"
    assert f"drawn less HEAD: compared as independent estimates, because {why}." in planted.text_of(page)
    assert f"Not shown: {why}." in planted.text_of(page)
    (row,) = planted.table_of(page, "Differences")[1:]
    after, before = (
        {e["attack"]: e for e in planted.metric(a, paths.ATTACK_METRICS)} for a in ("2-generated-4", "1-generated-4")
    )
    ends = "", "_low", "_high"
    best = [planted.metric(a, paths.VERDICT)["tpr_attack"] for a in ("2-generated-4", "1-generated-4")]
    estimates = (
        Estimate(*(entries[attack][f"tpr_at_fpr_0_01{end}"] for end in ends))
        for entries, attack in zip((after, before), best, strict=True)
    )
    tpr = audit_differences.independent(*estimates)
    assert row[1:3] == [compare_page.signed(tpr, 100, 1), compare_page.p_text(tpr.p_value)]
    assert "compared record by record" not in planted.text_of(page)


def test_without_exposures_the_rest_of_the_page_is_made(
    here: repository.Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = re.sub(
        "(path: data/exposure.parquet\n.*\n.*md5: ).{8}", r"\g<1>00000000", (here.root / "dvc.lock").read_text()
    )
    assert lost != (here.root / "dvc.lock").read_text()
    without = planted.altered(here, planted.experiment(here, "fewer"), {"dvc.lock": lost})
    page = planted.made("HEAD", without, out=tmp_path / "page.html")
    why = re.search(
        r"Not shown: (whether both audited the same records is not known \((.*?)\))\.", planted.text_of(page)
    )
    assert why
    assert why[2].startswith(f"{without[:7]}: data/exposure.parquet: neither in DVC's cache nor in a remote (")
    assert str(tmp_path) not in page
    assert f"because {why[1]}" in planted.text_of(page)
    assert len(planted.table_of(page, "Attacks, side by side")) == 4
    spoiled = here.root / ".dvc/cache/files/md5/aa" / ("a" * 30)
    spoiled.parent.mkdir(exist_ok=True)
    spoiled.write_bytes(b"PAR1 no more")
    spoiled.chmod(0o444)  # DVC does not look at what nobody may write
    lock = re.sub(r"(path: data/exposure.parquet\n.*\n.*md5: ).*", r"\g<1>" + "a" * 32, lost)
    bad = planted.altered(here, "HEAD", {"dvc.lock": lock})
    first, second = (planted.made("HEAD", bad, out=tmp_path / "page.html") for _ in range(2))
    assert "data/exposure.parquet: not a whole Parquet file (" in planted.text_of(first)
    assert first == second  # no name of a temporary file
    no_lock = planted.altered(here, "HEAD", {"dvc.lock": None})
    page = planted.made("fewer", no_lock, out=tmp_path / "page.html")
    assert planted.table_of(page, "Costs, counted")[-1] == ["stored models, in bytes", "371", "–"]


def test_the_same_commits_give_the_same_bytes(here: repository.Repository, tmp_path: Path) -> None:
    first = planted.made("HEAD", "fewer", "drawn", out=tmp_path / "one.html")
    assert planted.made("HEAD", "fewer", "drawn", out=tmp_path / "two.html") == first
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
    params = planted.PARAMS.replace(
        "seed: 1", f"seed: 1\n{planted.HOSTILE}: '{planted.HOSTILE}\\n'\nterminal: \"\\e[31m\""
    )
    ref = f"refs/heads/{name}"
    planted.altered(here, planted.experiment(here, "worst"), {"params.yaml": params}, ref)
    page = planted.made("HEAD", name, out=tmp_path / "page.html")
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 1
    assert "img" not in tags.tags
    assert tags.code == []
    assert "One trained model, audited in different ways: " in planted.text_of(page)
    for text in (name, planted.HOSTILE, planted.CLASSES[2], f"needs {planted.HOSTILE}"):
        assert html.escape(text, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
    assert "\x1b" not in page
    assert planted.TURNED not in page
    assert "\\u202e" in page
    assert "\\x1b[31m" in page
    assert "Content-Security-Policy" in page
    capsys.readouterr()
    here.git("update-ref", "-d", ref)


@pytest.mark.usefixtures("here")
def test_a_page_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["compare", "HEAD", "fewer", "--out", "params.yaml/page.html"]) == 1
    assert capsys.readouterr().err == "error: params.yaml: File exists\n"


def test_the_workspace_is_compared_as_it_lies(here: repository.Repository, tmp_path: Path) -> None:
    before = (here.root / paths.VERDICT).read_text()
    values = json.loads(before)
    try:
        (here.root / paths.VERDICT).write_text(json.dumps(values | {"auc": 0.4321, "auc_low": 0.4}))
        page = planted.made("HEAD", "workspace", out=tmp_path / "page.html")
    finally:
        (here.root / paths.VERDICT).write_text(before)
    head = here.git("rev-parse", "HEAD").strip()[:7]
    assert f"workspace not committed, on commit {head} of " in planted.text_of(page)
    assert ".432 (.400–" in planted.table_of(page, "Results")[6][2]
    assert "Compared record by record" in planted.text_of(page)


def test_two_names_that_look_alike_are_told_apart(here: repository.Repository, tmp_path: Path) -> None:
    fewer = planted.experiment(here, "fewer")
    here.git("update-ref", f"refs/heads/{fewer[:7]}", "HEAD")  # a branch with the look of the other's hash
    page = planted.made(fewer, f"refs/heads/{fewer[:7]}", out=tmp_path / "page.html")
    assert planted.table_of(page, "Costs, counted")[0] == ["cost", fewer[:7], f"refs/heads/{fewer[:7]}"]
    here.git("update-ref", "-d", f"refs/heads/{fewer[:7]}")
    worst = planted.altered(here, planted.experiment(here, "worst"), {"note": "x"}, "refs/heads/" + fewer[:7])
    page = planted.made(fewer, fewer[:7], out=tmp_path / "page.html")
    assert planted.table_of(page, "Costs, counted")[0] == [
        "cost",
        f"{fewer[:7]} ({fewer[:10]})",
        f"{fewer[:7]} ({worst[:10]})",
    ]
    here.git("update-ref", "-d", f"refs/heads/{fewer[:7]}")


def test_make_compare_takes_two_revisions() -> None:
    printed = subprocess.run(["make", "-n", "compare", "REVS=a b"], cwd=pipeline.ROOT, capture_output=True, text=True)
    assert "mia compare a b\n" in printed.stdout
