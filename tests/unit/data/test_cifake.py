"""cifake.load: the same images from a folder, a zip and a tar, classes by number, and only as published."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mia.data import cifake, cifar10, downloads
from mia.data.records import Records
from mia.errors import InputError

TRAIN, TEST = 21, 10


def jpeg(seed: int, side: int = 32, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


@cache
def images() -> dict[str, bytes]:
    """Small CIFAKE: files numbered as the published ones are, "0003.jpg", "0003 (2).jpg", ... "0003 (10).jpg"."""
    files: dict[str, bytes] = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        for half in ("REAL", "FAKE"):
            for index in range(count):
                number, nth = divmod(index, 10)
                name = f"{number:04}.jpg" if nth == 0 else f"{number:04} ({nth + 1}).jpg"
                files[f"{split}/{half}/{name}"] = jpeg(len(files))
    return files


def published(files: dict[str, bytes]) -> cifake.Published:
    listing = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return cifake.Published(TRAIN, TEST, hashlib.sha256(listing.encode()).hexdigest(), "http://127.0.0.1:9/x")


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(target: Path, files: dict[str, bytes], above: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name in reversed(files):
            archive.writestr(above + name, files[name])
    return target


def load(path: Path, files: dict[str, bytes] | None = None) -> tuple[Records, Records]:
    return cifake.load(path, path.parent / "cache", expected=published(files or images()))


def refused(path: Path, message: str, files: dict[str, bytes] | None = None) -> None:
    with pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z"):
        load(path, files)


def same(a: Records, b: Records) -> bool:
    arrays = ((a.images, b.images), (a.labels, b.labels), (a.names, b.names), (a.published_train, b.published_train))
    return a.classes == b.classes and all(np.array_equal(x, y) for x, y in arrays)  # type: ignore[arg-type]


def test_what_is_published_is_pinned() -> None:
    assert cifake.CIFAKE.train == 50_000
    assert cifake.CIFAKE.test == 10_000
    assert cifake.CIFAKE.digest == "ea9f7d74b64f6b14d969c95be945064fb1148ca73b17916bedcbde515b36baee"
    assert "datasetVersionNumber=" in cifake.CIFAKE.url


def test_every_image_has_its_own_label_split_and_name(tmp_path: Path) -> None:
    for half, part in zip(("REAL", "FAKE"), load(write_folder(tmp_path / "x", images())), strict=True):
        assert len(part) == TRAIN + TEST
        assert part.published_train is not None
        assert list(part.names) == sorted(name for name in images() if f"/{half}/" in name)
        for row, name in enumerate(part.names):
            number = re.search(r"\((\d+)\)", name)
            assert part.labels[row] == (int(number[1]) - 1 if number else 0)
            assert part.published_train[row] == name.startswith("train/")
            assert np.array_equal(part.images[row], np.asarray(Image.open(io.BytesIO(images()[name]))))


def test_folder_zip_and_tar_give_the_same_sets_under_a_leading_folder_or_not(tmp_path: Path) -> None:
    first = load(write_folder(tmp_path / "x", images()))
    write_folder(tmp_path / "y" / "DATASET", images())
    (tmp_path / "y" / "README.md").write_text("no image")
    tar = tmp_path / "x.tar.xz"
    with tarfile.open(tar, "w:xz") as archive:
        archive.add(tmp_path / "x", ".")
    sources = [tmp_path / "y", tar, write_zip(tmp_path / "x.zip", images())]
    sources.append(write_zip(tmp_path / "y.zip", images(), "repository/DATASET/"))
    for source in sources:
        assert all(map(same, load(source), first)), source


def test_classes_are_named_in_cifar10s_order() -> None:
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert list(cifar10.CLASSES) == names
    # In sorted order 10 would follow 1: the truck would be an automobile.
    assert [cifake.label(name) for name in ("7.jpg", "7 (2).jpg", "7 (10).jpg")] == [0, 1, 9]


@given(st.integers(0, 10**6), st.integers(1, 10))
def test_the_number_in_brackets_is_the_class(number: int, nth: int) -> None:
    bracket = "" if nth == 1 else f" ({nth})"
    assert cifake.label(f"{number}{bracket}.jpg") == nth - 1
    assert cifake.label(f"{number:04}{bracket}.jpg") == nth - 1


@pytest.mark.parametrize(
    "name", ["7 (11).jpg", "7 (0).jpg", "7 (1).jpg", "7(2).jpg", "a.jpg", "7 (2).png", "7 (٢).jpg"]
)
def test_another_name_has_no_class(name: str) -> None:
    assert cifake.label(name) is None


def test_missing_and_surplus_images_are_counted(tmp_path: Path) -> None:
    files = dict(images())
    del files["train/REAL/0000 (3).jpg"]
    files["test/FAKE/0099.jpg"] = jpeg(1)
    source = write_folder(tmp_path / "x", files)
    refused(
        source,
        f"{source}: expected 21 in train/REAL, got 20; 10 in test/FAKE, got 11 (*.jpg); "
        "set data.path to the whole data set, or to null to download it",
    )


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", images() | {"test/REAL/0000.jpg": jpeg(999)})
    with pytest.raises(InputError) as caught:
        load(source)
    assert str(caught.value).startswith(
        f"{source}: not CIFAKE as published: expected sha256 {published(images()).digest}"
    )


def test_two_files_that_change_places_are_refused(tmp_path: Path) -> None:
    a, b = "train/FAKE/0000 (2).jpg", "train/FAKE/0000 (3).jpg"
    with pytest.raises(InputError, match="not CIFAKE as published"):
        load(write_folder(tmp_path / "x", images() | {a: images()[b], b: images()[a]}))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (jpeg(1, side=16), "expected 32x32 RGB, got 16x16 RGB"),
        (jpeg(1, mode="L"), "expected 32x32 RGB, got 32x32 L"),
        (jpeg(1)[:-200], "not a whole JPEG image"),
        (b"GIF89a", "not a whole JPEG image"),
        (bytes(1 << 16) + b"x", "expected 65,536 bytes at most, got 65,537"),
    ],
)
def test_an_image_of_another_kind_is_refused_whatever_its_digest(tmp_path: Path, data: bytes, rule: str) -> None:
    files = images() | {"test/REAL/0000.jpg": data}
    source = write_folder(tmp_path / "x", files)
    with pytest.raises(InputError) as caught:
        load(source, files)
    assert str(caught.value) == (
        f"{source}: test/REAL/0000.jpg: {rule}; set data.path to the whole data set, or to null to download it"
    )


def test_a_name_without_a_class_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x", images() | {"test/REAL/0000 (11).jpg": jpeg(1)})
    refused(
        source,
        f"{source}: test/REAL/0000 (11).jpg: expected a name like '0000.jpg' or '0000 (4).jpg'; "
        "set data.path to the whole data set, or to null to download it",
    )


def test_two_copies_are_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "x" / "a", images()).parent
    write_folder(source / "b", images())
    refused(
        source,
        f"{source}: holds CIFAKE twice, the second time at b/test/FAKE/0000 (10).jpg; name one of the two",
    )


def test_a_folder_with_none_of_it_is_refused(tmp_path: Path) -> None:
    refused(
        tmp_path,
        f"{tmp_path}: expected 21 in train/REAL, got 0; 21 in train/FAKE, got 0; 10 in test/REAL, got 0; "
        "10 in test/FAKE, got 0 (*.jpg); set data.path to the whole data set, or to null to download it",
    )


def served(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    def fetch(url: str, target: Path, *, known_hash: str | None, instead: str) -> Path:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
        return target

    monkeypatch.setattr(downloads, "fetch", fetch)


def test_without_a_path_the_download_is_read_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_zip(tmp_path / "x.zip", images())
    served(monkeypatch, source)
    found = cifake.load(None, tmp_path / "cache", expected=published(images()))
    assert all(map(same, found, load(source)))
    assert (tmp_path / "cache" / "cifake.zip").exists()


def test_a_download_with_other_content_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, write_zip(tmp_path / "x.zip", images()))
    with pytest.raises(
        InputError, match=r"; the file is removed: run again, or set data\.y\.path to a copy you have\Z"
    ):
        cifake.load(
            None, tmp_path / "cache", instead="data.y.path", expected=replace(published(images()), digest="0" * 64)
        )
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_with_other_content_may_be_removed_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(archive: Path, *_: object) -> None:
        archive.unlink()
        raise InputError("other content")

    served(monkeypatch, write_zip(tmp_path / "x.zip", images()))
    monkeypatch.setattr(cifake, "_read", read)
    with pytest.raises(InputError, match="other content"):
        cifake.load(None, tmp_path / "cache", expected=published(images()))
