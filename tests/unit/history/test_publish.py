"""The report with its commit and date: the same page to the byte but for them, for any revision."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mia import paths
from mia.errors import InputError
from mia.history import commits, publish

PAGE = "<html><dd><!-- provenance -->not in this copy<!-- end --></dd></html>\n"
WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    paths.AUDIT_PAGE.parent.mkdir()
    paths.AUDIT_PAGE.write_text(PAGE)
    subprocess.run(["dvc", "add", "-q", str(paths.AUDIT_PAGE)], check=True)
    commit("first")
    return tmp_path


def commit(message: str) -> str:
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", *WHO, "commit", "-q", "-m", message], check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_a_revision_gets_its_commit_and_date_and_the_same_bytes_again(repository: Path) -> None:
    first = commit_of("HEAD")
    paths.AUDIT_PAGE.unlink()  # out of the cache, whatever the workspace has
    (repository / "other").write_text("later")
    commit("second")
    made = publish.publish("HEAD~1")
    assert made == Path(f"reports/audit-{first[:7]}.html")
    text = made.read_text()
    date = subprocess.run(
        ["git", "show", "-s", "--format=%cI", first], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert text == PAGE.replace("not in this copy", f"<code>{first}</code>, {date}")
    made.unlink()
    assert publish.publish(first).read_text() == text


def commit_of(revision: str) -> str:
    return subprocess.run(["git", "rev-parse", revision], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", ["HEAD", "main", "v1", "kinder", "workspace"])
@pytest.mark.parametrize("short", [False, True], ids=["as it is", "its short hash"])
def test_every_name_that_make_compare_takes_is_published(repository: Path, name: str, short: bool) -> None:
    subprocess.run(["git", "branch", "-M", "main"], check=True)
    subprocess.run(["git", "tag", "v1"], check=True)
    commit_ = commit_of("HEAD")
    if name == "kinder":  # as DVC keeps an experiment
        (repository / "params.yaml").write_text("seed: 1")
        experiment = commit("an experiment")
        subprocess.run(["git", "update-ref", f"refs/exps/{commit_[:2]}/{commit_[2:]}/kinder", experiment], check=True)
        subprocess.run(["git", "reset", "-q", "--hard", commit_], check=True)
        commit_ = experiment
    assert publish.publish(commit_[:7] if short else name) == Path(f"reports/audit-{commit_[:7]}.html")


def test_a_workspace_that_no_commit_holds_is_not_published(repository: Path) -> None:
    paths.PARAMS.write_text("seed: 2")
    with pytest.raises(InputError) as error:
        publish.publish("workspace")
    assert str(error.value) == (
        "workspace: its audit is not that of the last commit, so that there is no commit to name; commit it first"
    )


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("revision", ["nowhere", "--output=x", ""])
def test_an_unknown_revision_is_refused(revision: str) -> None:
    with pytest.raises(InputError) as error:
        publish.publish(revision)
    assert str(error.value) == f"{revision}: no experiment and no git revision of that name; {commits.LIST}"
    assert [path.name for path in Path("reports").glob("*.html")] == ["audit.html"]


def test_a_revision_without_a_report_is_refused(repository: Path) -> None:
    Path(f"{paths.AUDIT_PAGE}.dvc").unlink()
    commit("none")
    with pytest.raises(
        InputError, match=r"^HEAD: neither DVC's cache nor a remote has reports/audit.html \(.*\); run `dvc repro`"
    ):
        publish.publish("HEAD")


def test_a_page_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="no page that `report` wrote"):
        publish.published("<html></html>", "abc", "now")


def test_what_is_written_in_is_escaped() -> None:
    assert "<b>" not in publish.published(PAGE, "<b>", "now")
