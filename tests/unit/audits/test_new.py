"""`mia new`: the folder it writes is an audit that runs, and what it cannot make is one line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from mia import commands, params, paths
from mia.data import stored_records
from stages import prepare

ROOT_PARAMS = (pipeline.ROOT / "params.yaml").read_text()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with no audit in it."""
    monkeypatch.chdir(tmp_path)
    paths.AUDITS.mkdir()
    return tmp_path


def photos(folder: Path, *names: str, count: int = 12) -> Path:
    """`count` images in each folder, 9x8 in colour."""
    rng = np.random.default_rng(len(names))
    for name in names:
        (folder / name).mkdir(parents=True)
        for row in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(folder / name / f"{row}.png")
    return folder


def chosen(name: str, knowledge: str) -> params.Params:
    """The parameters as the stages read them."""
    text = ROOT_PARAMS.replace("audit: digits", f"audit: {name}").replace(
        "knowledge: generated", f"knowledge: {knowledge}"
    )
    paths.PARAMS.write_text(text)
    return params.load(paths.PARAMS)


def test_an_audit_of_images_is_written_and_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "real", "cat", "dog")
    photos(here / "made", "dog", "cat", count=30)
    assert commands.main(["new", "mine", "--images", "real", "--generated", "made"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "audits/mine: 24 images of 2 classes, 9x8, in colour; generated: 60 images",
        "There is no published split (train/ and test/): half of the images are drawn as members.",
        "Read audits/mine/params.yaml, then:",
        "  git add audits/mine && dvc exp run -S audit=mine",
    ]
    assert Path("audits/mine/data/population").resolve() == here / "real"
    values = [line for line in Path("audits/mine/params.yaml").read_text().splitlines() if re.match(r"  \w", line)]
    uncommented = [line.split(":")[0].strip() for line in values if "#" not in line]
    assert uncommented == ["epochs", "learning_rate", "weight_decay", "label_smoothing"]
    prepare.main(chosen("mine", "generated"))
    assert len(stored_records.load(paths.POPULATION)) == 24
    assert len(stored_records.load(paths.ATTACKER)) == 60


def test_a_published_split_is_seen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "real", "train/cat", "train/dog", "test/cat", "test/dog")
    assert commands.main(["new", "mine", "--images", "real"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("-S audit=mine -S attacker.knowledge=population")
    loaded = chosen("mine", "population")
    assert loaded.audit.data.split == "published"
    prepare.main(loaded)


@pytest.mark.parametrize(
    ("name", "images", "fault"),
    [
        ("../mine", "real", "'../mine': expected a name of letters, digits, - and _, at most 64; choose another"),
        ("taken", "real", "audits/taken exists; choose another name, or remove it: `rm -r audits/taken`"),
        ("mine", "nowhere", "nowhere: expected a folder or a .zip or .tar archive, found nothing; correct the path"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_nothing_is_left(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, images: str, fault: str
) -> None:
    photos(here / "real", "cat", "dog")
    (paths.AUDITS / "taken").mkdir()
    assert commands.main(["new", name, "--images", images]) == 1
    assert capsys.readouterr().err == f"error: {fault}\n"
    assert [path.name for path in paths.AUDITS.iterdir()] == ["taken"]


def test_outside_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.main(["new", "mine", "--images", "real"]) == 1
