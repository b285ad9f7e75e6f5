"""cifar10.load: the binary version, planes to pixels, and only as published."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mia.data import cifar10, downloads
from mia.errors import InputError

NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
META = "\n".join(cifar10.CLASSES) + "\n\n"
PER_BATCH = 7
THEN = "; set data.path to the binary version, or to null to download it"


def write(root: Path, changed: dict[str, bytes] | None = None) -> Path:
    rng = np.random.default_rng(0)
    root.mkdir()
    for name in NAMES:
        records = rng.integers(0, 256, (PER_BATCH, 3073), np.uint8)
        records[:, 0] %= 10
        (root / name).write_bytes(records.tobytes())
    (root / "batches.meta.txt").write_text(META)
    (root / "readme.html").write_text("")
    for name, data in (changed or {}).items():
        (root / name).write_bytes(data)
    return root


def published(root: Path) -> cifar10.Published:
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in NAMES}
    return cifar10.Published(PER_BATCH, digests, "http://127.0.0.1:9/x", "md5:0")


def refused(root: Path, expected: cifar10.Published, message: str) -> None:
    with pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z"):
        cifar10.load(root, root.parent / "cache", expected=expected)


def test_records_become_pixels_labels_splits_and_names(tmp_path: Path) -> None:
    root = write(tmp_path / "cifar-10-batches-bin")
    data = cifar10.load(root, tmp_path, expected=published(root))
    assert data.images.shape == (42, 32, 32, 3)
    assert data.published_train is not None
    assert data.published_train.tolist() == [True] * 35 + [False] * 7
    assert data.names[0] == "data_batch_1.bin:0"
    assert data.names[-1] == "test_batch.bin:6"
    # By the description at https://www.cs.toronto.edu/~kriz/cifar.html, byte for byte.
    for row in (0, 8, 41):
        raw = (root / NAMES[row // 7]).read_bytes()[row % 7 * 3073 :][:3073]
        assert data.labels[row] == raw[0]
        for y, x in ((0, 0), (0, 31), (5, 17), (31, 0)):
            assert data.images[row, y, x].tolist() == [raw[1 + 1024 * plane + 32 * y + x] for plane in range(3)]


def test_an_archive_gives_the_same_set(tmp_path: Path) -> None:
    root = write(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(root, root.name)
    a = cifar10.load(root, tmp_path, expected=published(root))
    b = cifar10.load(tmp_path / "x.tar.gz", tmp_path, expected=published(root))
    assert np.array_equal(a.images, b.images)
    assert np.array_equal(a.labels, b.labels)
    assert np.array_equal(a.names, b.names)


def test_without_a_path_the_pinned_archive_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "x")
    asked = []

    def fetch(url: str, target: Path, *, known_hash: str | None, instead: str) -> Path:
        asked.append((url, target, known_hash, instead))
        return root

    monkeypatch.setattr(downloads, "fetch", fetch)
    assert len(cifar10.load(None, tmp_path / "c", expected=published(root))) == 42
    target = tmp_path / "c" / "cifar-10-binary.tar.gz"
    assert asked == [("http://127.0.0.1:9/x", target, "md5:0", "data.path")]


def test_a_missing_batch_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x")
    expected = published(root)
    (root / "data_batch_3.bin").unlink()
    (root / "batches.meta.txt").unlink()
    refused(
        root,
        expected,
        f"{root}: expected the binary version of CIFAR-10, data_batch_3.bin, batches.meta.txt not found{THEN}",
    )


def test_a_batch_cut_short_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x")
    expected = published(root)
    (root / "test_batch.bin").write_bytes((root / "test_batch.bin").read_bytes()[:-1])
    refused(root, expected, f"{root}: test_batch.bin: expected 7 records of 3,073 bytes, got 21,510 bytes{THEN}")


def test_a_label_above_nine_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x")
    data = bytearray((root / "data_batch_2.bin").read_bytes())
    data[2 * 3073] = 10
    (root / "data_batch_2.bin").write_bytes(data)
    refused(
        root,
        published(root),
        f"{root}: data_batch_2.bin: record 2: expected a label from 0 to 9, got 10{THEN}",
    )


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x")
    expected = published(root)
    data = bytearray((root / "data_batch_5.bin").read_bytes())
    data[1] ^= 1
    (root / "data_batch_5.bin").write_bytes(data)
    was, now = expected.digests["data_batch_5.bin"], hashlib.sha256(data).hexdigest()
    refused(root, expected, f"{root}: data_batch_5.bin: not as published: expected sha256 {was}, got {now}{THEN}")


def test_other_classes_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x", {"batches.meta.txt": META.replace("cat", "kitten").encode()})
    names = ", ".join(cifar10.CLASSES)
    refused(
        root,
        published(root),
        f"{root}: batches.meta.txt: expected the classes {names}, got {names.replace('cat', 'kitten')}{THEN}",
    )


def test_two_copies_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x")
    write(root / "y")
    refused(
        root,
        published(root),
        f"{root}: holds batches.meta.txt twice, the second time at y/batches.meta.txt; name one of the two",
    )
