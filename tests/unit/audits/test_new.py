"""`mia new`: the folder it writes is an audit that runs, and what it cannot make is one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from mia import commands, params, paths
from mia.data import image_files, stored_records
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
        "Attacks of your own go into audits/mine/attacks (docs/attacks.md).",
        "Read audits/mine/params.yaml, then:",
        "  git add audits/mine && dvc exp run -S audit=mine",
    ]
    assert Path("audits/mine/data/population").resolve() == here / "real"
    values = [line for line in Path("audits/mine/params.yaml").read_text().splitlines() if re.match(r"  \w", line)]
    assert "  size: null " in Path("audits/mine/params.yaml").read_text()
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


def test_how_images_are_read_is_said_when_the_audit_is_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "real", "train/cat", "train/dog", "val/cat", "val/dog")
    (here / "real/train/cat/99.png").write_bytes(b"x")
    (here / "real/notes.txt").write_text("x")
    values = ["size=[8, 6]", "splits={val: nonmember}", "skip_broken=true"]
    data = [part for value in values for part in ("--data", value)]
    assert commands.main(["new", "mine", "--images", "real", *data]) == 0
    said = capsys.readouterr().out.splitlines()
    broken = f"  train/cat/99.png: {image_files.NO_IMAGE}"
    assert said[1:5] == [
        "changed: cropped 48, reduced 48",
        "files passed over: txt 1",
        "broken images skipped: 1",
        broken,
    ]
    loaded = chosen("mine", "population")
    assert loaded.audit.data.model_dump(exclude={"min_per_class", "population_size", "attacker_size"}) == {
        "source": "images",
        "split": "published",
        "size": [8, 6],
        "splits": {"val": "nonmember"},
        "skip_broken": True,
        "image_column": None,
        "label_column": None,
        "file_list": None,
    }
    prepare.main(loaded)
    assert stored_records.load(paths.POPULATION).images.shape == (48, 6, 8, 3)
    assert json.loads(paths.DATA_METRICS.read_text())["images"] == {
        "population": {
            "changed": {"cropped": 48, "reduced": 48},
            "passed_over": {"txt": 1},
            "skipped_broken": 1,
            "broken": [broken.strip()],
        }
    }
    assert "real: changed: cropped 48, reduced 48" in capsys.readouterr().err


def test_generated_images_are_read_alike_and_may_have_no_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(here / "real", "cat", "dog")
    photos(here / "made", "dog", "cat", count=30)
    rows = [f"{name}/{row}.png,{name},{row % 2}" for name in ("cat", "dog") for row in range(10)]
    (here / "real/list.csv").write_text("\n".join(["path,label,member", *rows]))
    data = ["--data", "file_list=list.csv", "--data", "size=[4,4]"]
    assert commands.main(["new", "mine", "--images", "real", "--generated", "made", *data]) == 0
    loaded = chosen("mine", "generated")
    assert loaded.audit.data.split == "published"
    prepare.main(loaded)
    assert stored_records.load(paths.POPULATION).images.shape == (20, 4, 4, 3)
    assert len(stored_records.load(paths.ATTACKER)) == 60
    counted = json.loads(paths.DATA_METRICS.read_text())["images"]
    assert counted["population"]["unused"] == 4
    assert counted["generated"]["changed"] == {"cropped": 60, "reduced": 60}


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        (["sise=[8,8]"], ["--data sise=[8,8]: did you mean 'size'?"]),
        (["size=8"], ["--data: size: expected a list, got 8"]),
        (
            ["size=[8]", "splits={val: maybe}", "skip_broken=perhaps"],
            [
                "--data: size: expected at least 2 items, got [8]",
                "--data: splits.val: expected 'member', 'nonmember' or 'unused', got 'maybe'",
                "--data: skip_broken: expected a boolean, got 'perhaps'",
            ],
        ),
        (["splits={Val: member, val: unused}"], ["--data: splits: expected each name once, whatever its case, got {'"]),
        (["size=[8,"], ["--data size=[8,: not YAML: "]),
    ],
)
def test_a_value_that_cannot_be_is_named_and_all_at_once(
    here: Path, capsys: pytest.CaptureFixture[str], values: list[str], faults: list[str]
) -> None:
    photos(here / "real", "cat", "dog")
    data = [part for value in values for part in ("--data", value)]
    assert commands.main(["new", "mine", "--images", "real", *data]) == 1
    lines = capsys.readouterr().err.removeprefix("error: ").splitlines()
    assert len(lines) == len(faults), lines
    for line, fault in zip(lines, faults, strict=True):
        assert fault in line


def test_a_list_is_named_by_its_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "list.csv").write_text("path,label\n")
    assert commands.main(["new", "mine", "--images", "list.csv"]) == 1
    assert "list.csv: a file list; name its folder, and --data file_list=list.csv" in capsys.readouterr().err


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
