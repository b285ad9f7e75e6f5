"""Audits of other commits: what cannot be found, or is damaged, is one line with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import planted
import repository
from mia import commands, paths
from mia.errors import InputError
from mia.history import (
    audit_files,
    commits,
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> repository.Repository:
    return planted.create(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def here(repo: repository.Repository, monkeypatch: pytest.MonkeyPatch) -> repository.Repository:
    planted.enter(repo, monkeypatch)
    return repo


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
    names, message = ERRORS[case]
    head, before = (here.git("rev-parse", rev).strip()[:7] for rev in ("HEAD", "HEAD~1"))
    assert commands.main(["compare", "--out", str(tmp_path / "page.html"), "--", *names]) == 1
    expected = message.format(list=commits.LIST, head=head, before=before, again=audit_files.AGAIN)
    assert capsys.readouterr().err == f"error: {expected}\n"
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
    "params without epochs": ("params.yaml", "audit: digits", "knowledge: a valid string"),
    "a kind of record that is none": (VERDICT, {"kind": "song"}, "kind: 'image' or 'record'"),
    "params of an older version": ("params.yaml", "data: {dataset: digits}", "it names no audit"),
    "params no YAML": ("params.yaml", "a: [", "not YAML: "),
    "params a bomb": ("params.yaml", BOMB, "more than 10,000 values"),
    "a lock that is none": ("dvc.lock", "stages: 3", "not what DVC writes (AttributeError)"),
    "no table": ("plots/roc.csv", "a,b\n1,2\n", "not the table it was ("),
    "a rate that is none": (
        "plots/roc.csv",
        HEADS + "".join(f"{attack},0,2,0,0\n" for attack in planted.ATTACKS),
        "rates that are not between 0 and 1",
    ),
    "an attack without a curve": ("plots/roc.csv", HEADS + "loss,0,0,0,0\n", "no curve of 'correctness'"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_named_with_its_revision(
    case: str, here: repository.Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, content, fault = DAMAGED[case]
    if not isinstance(content, str):
        content = json.dumps({**json.loads((here.root / path).read_text()), **content})
    bad = planted.altered(here, "HEAD", {path: content})
    assert commands.main(["compare", "HEAD", bad, "--out", str(tmp_path / "page.html")]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {bad}: {path}: damaged: {fault}")
    assert err.endswith(f"; {audit_files.AGAIN}\n")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_of_two_commits_is_the_one_of_this_commit_or_has_to_be_named(here: repository.Repository) -> None:
    ours, other = planted.experiment(here, "fewer"), planted.altered(here, "HEAD", {"x": "1"})
    older = here.git("rev-parse", "HEAD~1").strip()
    ref = f"refs/exps/{older[:2]}/{older[2:]}/fewer"
    here.git("update-ref", ref, other)
    assert commits.commit_of("fewer") == ours
    for at in (older, other):
        here.git("update-ref", f"refs/exps/{at[:2]}/{at[2:]}/twice", at)
    which = ", ".join(sorted(at[:7] for at in (older, other)))
    with pytest.raises(
        InputError, match=f"^twice: experiments on 2 commits have that name; name one by its hash: {which}$"
    ):
        commits.commit_of("twice")
    for name in (ref, *(f"refs/exps/{at[:2]}/{at[2:]}/twice" for at in (older, other))):
        here.git("update-ref", "-d", name)
