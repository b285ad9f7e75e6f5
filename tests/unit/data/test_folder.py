"""folder.load and folder.align: the user's own images, by the names of their classes, and every way they go wrong."""

from __future__ import annotations

import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import tiny
from mia import paths
from mia.data import folder, image_files, stored_records
from mia.data.records import Records
from mia.errors import InputError
from stages import prepare

MEND = "; mend them or take them out"
SKIP = f"{MEND}, or skip broken ones: data.skip_broken: true"
NO_IMAGE, CUT = image_files.NO_IMAGE, image_files.CUT


def pixels(seed: int, *, width: int = 5, height: int = 4, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(seed: int, **shape: int) -> bytes:
    data = pixels(seed, **shape)
    return encode(Image.fromarray(data[..., 0] if data.shape[2] == 1 else data))


GOOD = {f"{name}/{number}.png": png(10 * row + number) for row, name in enumerate("ab") for number in range(3)}


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(target: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name in reversed(files):
            archive.writestr(name, files[name])
    return target


def write_tar(target: Path, root: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        archive.add(root, root.name)
    return target


def write_parquet(
    target: Path,
    rows: Iterable[tuple[bytes | None, int | None]],
    *,
    names: list[str] | None = None,
    image: str = "image",
    label: str = "label",
) -> Path:
    """As `datasets` writes it."""
    pictures, labels = zip(*rows, strict=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            image: pa.array([{"bytes": data, "path": None} for data in pictures], kind),
            label: pa.array(labels, pa.int64()),
        }
    )
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, row_group_size=3)
    return target


def refused(path: Path, message: str, min_per_class: int = 1) -> None:
    with pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z"):
        folder.load(path, min_per_class=min_per_class)


def same(a: Records, b: Records) -> bool:
    arrays = ((a.images, b.images), (a.labels, b.labels), (a.published_train, b.published_train))
    return a.classes == b.classes and all(np.array_equal(x, y) for x, y in arrays)  # type: ignore[arg-type]


def png_of(depth: int, color: int, width: int, height: int) -> bytes:
    """A PNG's header and an empty picture, written by hand as Pillow does not write every depth."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    rows = zlib.compress(bytes((1 + width * channels * depth // 8) * min(height, 64)))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# An image folder


def test_every_image_has_its_pixels_label_and_name(tmp_path: Path) -> None:
    data = folder.load(write(tmp_path / "x", GOOD), min_per_class=3)
    assert data.classes == ("a", "b")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.names.tolist() == list(GOOD)
    assert data.published_train is None
    assert np.array_equal(data.images, [pixels(10 * row + number) for row in range(2) for number in range(3)])


def test_folder_zip_and_tar_give_the_same_set_under_a_leading_folder_or_not(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD | {"README.md": b"about"})
    first = folder.load(root, min_per_class=1)
    sources = [write_zip(tmp_path / "x.zip", GOOD), write_tar(tmp_path / "x.tar.gz", root)]
    sources.append(write(tmp_path / "y", {f"deep/er/{name}": data for name, data in GOOD.items()}))
    for source in sources:
        assert same(folder.load(source, min_per_class=1), first), source


class_name = st.text("abcdefgh019 _-é", min_size=1, max_size=6).map(str.strip).filter(bool)


@given(
    st.dictionaries(class_name, st.lists(st.booleans(), min_size=1, max_size=3), min_size=2, max_size=5), st.booleans()
)
@settings(max_examples=25)
def test_any_set_is_the_same_from_a_folder_a_zip_and_a_tar(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, list[bool]], split: bool
) -> None:
    tmp_path = tmp_path_factory.mktemp("x")
    files: dict[str, bytes] = {}
    splits, classes = [], []
    for name, trained in content.items():
        for number, train in enumerate(trained):
            place = f"{'train' if train else 'test'}/{name}" if split else name
            files[f"{place}/{number}.png"] = png(len(files))
    root = write(tmp_path / "x", files)
    data = folder.load(root, min_per_class=1)
    for name in data.names:
        parts = name.split("/")
        classes.append(parts[-2])
        splits.append(parts[0] == "train")
    assert [data.classes[label] for label in data.labels] == classes
    assert set(data.classes) == set(content)
    assert (data.published_train.tolist() if data.published_train is not None else None) == (splits if split else None)
    for source in (write_zip(tmp_path / "x.zip", files), write_tar(tmp_path / "x.tar", root)):
        assert same(folder.load(source, min_per_class=1), data)


def test_train_and_test_folders_are_the_published_split(tmp_path: Path) -> None:
    files = {f"{split}/{name}": data for split in ("test", "train") for name, data in GOOD.items()}
    for above in ("", "x/"):
        root = write(tmp_path / f"y{above}", {above + name: data for name, data in files.items()})
        data = folder.load(root, min_per_class=1)
        assert data.classes == ("a", "b")
        assert data.published_train is not None
        assert data.published_train.tolist() == [False] * 6 + [True] * 6


def test_a_train_folder_alone_is_a_published_split_too(tmp_path: Path) -> None:
    data = folder.load(write(tmp_path, {f"train/{name}": data for name, data in GOOD.items()}), min_per_class=1)
    assert data.published_train is not None
    assert data.published_train.all()


def test_classes_come_in_natural_order(tmp_path: Path) -> None:
    names = ["1", "10", "2", "a10b", "a2b", "01", "b"]
    data = folder.load(write(tmp_path, {f"{name}/x.png": png(1) for name in names}), min_per_class=1)
    assert data.classes == ("01", "1", "2", "10", "a2b", "a10b", "b")
    assert [data.classes[label] for label in data.labels] == [name.split("/")[0] for name in data.names]


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    data = folder.load(
        write_zip(tmp_path / "x.zip", {"caf\u00e9/1.png": png(1), "cafe\u0301/2.png": png(2), "b/3.png": png(3)}),
        min_per_class=1,
    )
    assert data.classes == ("b", "caf\u00e9")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "JPEG"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = {f"{name}/x.{kind.lower()}": encode(Image.fromarray(pixels(1)), kind, **options) for name in "ab"}
    found = folder.load(write(tmp_path, data), min_per_class=1).images[0]
    if kind != "JPEG":
        assert np.array_equal(found, pixels(1))
    assert found.shape == (4, 5, 3)


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    data = folder.load(write(tmp_path, {f"{name}/x.png": png(1, channels=1) for name in "ab"}), min_per_class=1)
    assert np.array_equal(data.images[0], pixels(1, channels=1))


def test_grey_images_among_colour_ones_become_colour(tmp_path: Path) -> None:
    data = folder.load(write(tmp_path, {"a/x.png": png(1), "b/x.png": png(1, channels=1)}), min_per_class=1)
    assert np.array_equal(data.images[1], np.repeat(pixels(1, channels=1), 3, axis=2))


def modes() -> dict[str, tuple[Image.Image, NDArray[np.uint8]]]:
    colour, grey = Image.fromarray(pixels(1)), Image.fromarray(pixels(1)[..., 0])
    palette = colour.quantize(8)
    bilevel = grey.point(lambda value: 255 * (value > 99)).convert("1")
    opaque, opaque_grey = colour.convert("RGBA"), grey.convert("LA")
    return {
        "palette": (palette, np.asarray(palette.convert("RGB"))),
        "bilevel": (bilevel, np.asarray(bilevel.convert("L"))[..., None]),
        "opaque": (opaque, pixels(1)),
        "opaque grey": (opaque_grey, pixels(1)[..., :1]),
    }


@pytest.mark.parametrize("mode", list(modes()))
def test_modes_that_lose_nothing_are_converted(tmp_path: Path, mode: str) -> None:
    image, expected = modes()[mode]
    data = folder.load(write(tmp_path, {f"{name}/x.png": encode(image) for name in "ab"}), min_per_class=1)
    assert np.array_equal(data.images[0], expected)


def refusals() -> dict[str, tuple[bytes, str]]:
    """What is no image to be read, and the rule that it breaks with what follows."""
    colour = Image.fromarray(pixels(1))
    # The declared length of the first IDAT chunk, zero: what follows is no chunk (Pillow: SyntaxError).
    broken_chunk = bytearray(png(1))
    broken_chunk[broken_chunk.index(b"IDAT") - 1] = 0
    head = png(1).replace(b"\x00\x00\x00\x0dIHDR", b"\x00\x00\x00\x01IHDR")
    small, resize = "an image may have 1,048,576 pixels, this", "; data.size: [32, 32] reads more and makes it smaller"
    depth = "expected grey or colour with 8 or 16 bits a channel, got mode"
    return {
        "floats": (encode(colour.convert("F"), "TIFF"), f"{depth} F{MEND}"),
        "Lab": (encode(colour.convert("LAB"), "TIFF"), f"{depth} LAB{MEND}"),
        "cut short": (png(1)[:-30], f"{CUT}{SKIP}"),
        "a broken chunk": (bytes(broken_chunk), f"{CUT}{SKIP}"),
        "a broken header": (head, f"{NO_IMAGE}{SKIP}"),
        "text": (b"hello", f"{NO_IMAGE}{SKIP}"),
        "a PCX": (encode(colour, "PCX"), f"{NO_IMAGE}{SKIP}"),
        "nothing": (b"", f"{NO_IMAGE}{SKIP}"),
        "a megapixel and more": (png_of(8, 0, 1025, 1024), f"{small} has 1025x1024{resize}{MEND}"),
        "a bomb": (png_of(8, 0, 60_000, 60_000), f"{small} declares far more{MEND}"),
        "a smaller bomb": (png_of(8, 0, 10_000, 10_000), f"{small} declares far more{MEND}"),
        "a line": (
            png_of(8, 0, 32_769, 1),
            f"an image may have 32,768 pixels a side, this has 32769x1{MEND}",
        ),
    }


@pytest.mark.parametrize("name", list(refusals()))
def test_what_is_no_image_to_be_read_is_refused(tmp_path: Path, name: str) -> None:
    content, rule = refusals()[name]
    root = write(tmp_path / "x", GOOD | {"b/x.png": content})
    refused(root, f"{root}: b/x.png: {rule}")


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_image_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(image_files.FORMATS))
    size = data.draw(st.sampled_from([None, (3, 3), (20, 7)]))
    damaged = bytearray(encode(Image.fromarray(pixels(1)), kind))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    try:
        image, _ = image_files.decode(bytes(damaged[:end]), size)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] in (1, 3)


def test_an_image_with_odd_metadata_is_read_without_a_warning(tmp_path: Path) -> None:
    # An animation of no frames, at which Pillow warns; warnings are errors in these tests.
    chunk = b"acTL" + bytes(8)
    odd = png(1)[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png(1)[33:]
    data = folder.load(write(tmp_path, {f"{name}/x.png": odd for name in "ab"}), min_per_class=1)
    assert np.array_equal(data.images[0], pixels(1))


def test_faults_of_a_kind_are_counted_and_kinds_listed(tmp_path: Path) -> None:
    bad = {"a/8.png": b"x", "a/9.png": b"x", "b/7.png": b"x", "b/8.png": png(1)[:-30]}
    root = write(tmp_path / "x", GOOD | bad)
    refused(
        root,
        f"{root}: a/8.png: {NO_IMAGE} (and 2 more); b/8.png: {CUT}{SKIP}",
    )


def test_another_size_is_refused_whichever_comes_first(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD | {"a/0.png": png(1, width=6), "b/9.png": png(1, height=3)})
    refused(
        root,
        f"{root}: a/0.png: expected 5x4 like 5 of 7 images, got another size (and 1 more){MEND}, or have all resized: "
        "data.size: [5, 4]",
    )


def test_other_files_are_passed_over_whatever_their_size_and_images_of_other_kinds_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD | {"LICENSE": b"", "a/.gitkeep": b"", "b/notes.txt": b"", "b/x.json": b""})
    with (root / "b/boxes.json").open("wb") as large:
        large.truncate(image_files.MAX_BYTES + 1)
    records, account = folder.read(root, min_per_class=1)
    assert len(records) == 6
    assert account.kinds_passed_over == {"json": 2, "txt": 1, "other": 1, "hidden": 1}
    write(root, {"b/x.heic": b"", "b/y.SVG": b""})
    refused(root, f"{root}: b/x.heic: an image of a kind that is not read; convert it to PNG (and 1 more){MEND}")


def test_an_empty_class_folder_is_refused_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD)
    (root / ".git" / "refs").mkdir(parents=True)
    assert len(folder.load(root, min_per_class=1)) == 6
    (root / "c").mkdir()
    refused(root, f"{root}: c: a folder without files{MEND}")
    write(root, {"c/.gitkeep": b""})
    refused(root, f"{root}: c: a folder without files{MEND}")
    write(root, {"c/about.txt": b""})
    assert len(folder.load(root, min_per_class=1)) == 6


def test_a_small_class_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD | {"c/1.png": png(1), "d/1.png": png(1)})
    refused(
        root,
        f"{root}: expected at least 2 images in each class, got 1 in 'c' (and 1 more); "
        "add images, leave the class out or lower min_per_class",
        min_per_class=2,
    )


def test_one_class_and_too_many_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x", {"a/1.png": png(1)})
    then = "; the classes are the folders that the images lie in, or the labels of the table"
    refused(root, f"{root}: expected 2 to 1,000 classes, got 1 ('a'){then}")
    many = write_zip(tmp_path / "x.zip", {f"{number}/1.png": png(1) for number in range(1001)})
    refused(many, f"{many}: expected 2 to 1,000 classes, got 1,001 ('0', '1', '2', '3', '4' and 996 more){then}")


LAYOUT = "expected CLASS/IMAGE for every image, or train/CLASS/IMAGE and test/CLASS/IMAGE for every image"
MOVE = "move it or take it out, or say in the audit's data.splits which folders are splits"


def test_an_image_above_the_classes_or_beside_the_splits_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "x", GOOD | {"x.png": png(1)})
    refused(root, f"{root}: x.png: {LAYOUT}; found the folders 'a', 'b'; {MOVE}")
    root = write(tmp_path / "y", {f"{split}/a/1.png": png(1) for split in ("train", "test", "more")})
    refused(root, f"{root}: more/a/1.png: {LAYOUT}; found the folders 'more', 'test', 'train'; {MOVE}")


@pytest.mark.parametrize(
    ("members", "others"), [("members", "nonmembers"), ("Members", "non-members"), ("train", "test")]
)
def test_folders_of_members_and_nonmembers_say_who_is_one(tmp_path: Path, members: str, others: str) -> None:
    root = write(tmp_path / "x", {f"{split}/{label}/1.png": png(1) for split in (members, others) for label in "ab"})
    records = folder.load(root, min_per_class=1)
    assert records.published_train is not None
    assert [name.startswith(members) for name in records.names] == records.published_train.tolist()


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "DEV"])
def test_a_third_split_is_refused_with_what_was_found(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / "x", {f"{split}/{label}/1.png": png(1) for split in ("Train", name) for label in "ab"})
    shown = sorted(["train (2 images)", f"{name.lower()} (2 images)"])
    refused(
        root,
        f"{root}: found the splits {', '.join(shown)}: expected the meaning of {name.lower()}; write it into the "
        f"audit's data.splits: {{{name.lower()}: nonmember}} (member: trained on, nonmember, or unused)",
    )


def test_no_images_are_refused_with_what_else_is_there(tmp_path: Path) -> None:
    suffixes = ", ".join(image_files.SUFFIXES)
    rule = f"{tmp_path}: expected images ({suffixes}) in a folder for each class, found none"
    refused(tmp_path, rule)
    write(tmp_path, {"a.npy": b"", "b.npy": b"", "c.txt": b""})
    refused(tmp_path, f"{rule}; of other files npy: 2, txt: 1")


# Parquet

ROWS = [(png(seed), label) for seed, label in enumerate([1, 0, 2, 1, 0, 2, 1])]


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label")])
def test_a_table_gives_pixels_labels_and_names(tmp_path: Path, image: str, label: str) -> None:
    table = write_parquet(tmp_path / "x.parquet", ROWS, names=["dog", "cat", "ape"], image=image, label=label)
    data = folder.load(table, min_per_class=2)
    assert data.classes == ("ape", "cat", "dog")
    assert [data.classes[label] for label in data.labels] == ["cat", "dog", "ape", "cat", "dog", "ape", "cat"]
    assert data.names.tolist() == [f"x.parquet:{row}" for row in range(7)]
    assert data.published_train is None
    assert np.array_equal(data.images, [pixels(seed) for seed in range(7)])


def test_labels_without_names_name_themselves(tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "x.parquet", [(png(1), label) for label in (10, 2, 0, 10)])
    data = folder.load(table, min_per_class=1)
    assert data.classes == ("0", "2", "10")
    assert data.labels.tolist() == [2, 1, 0, 2]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("plain/train/0000.parquet", "plain/test/0000.parquet"),
    ],
)
def test_files_called_train_and_test_are_the_published_split(tmp_path: Path, train: str, test: str) -> None:
    write_parquet(tmp_path / train, ROWS[:4])
    write_parquet(tmp_path / test, ROWS[4:])
    write(tmp_path, {"README.md": b"", ".cache/x.parquet": b""})
    data = folder.load(tmp_path, min_per_class=1)
    assert data.published_train is not None
    assert data.published_train.tolist() == [False] * 3 + [True] * 4
    assert data.names[0] == f"{test}:0"
    assert np.array_equal(data.images[3:], [pixels(seed) for seed in range(4)])


def test_a_class_of_the_metadata_without_rows_is_refused(tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "x.parquet", ROWS, names=["dog", "cat", "ape", "bee"])
    refused(
        table,
        f"{table}: expected at least 1 images in each class, got 0 in 'bee'; "
        "add images, leave the class out or lower min_per_class",
    )


def test_a_third_split_among_tables_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test", "validation"):
        write_parquet(tmp_path / f"{split}-0.parquet", ROWS)
    refused(
        tmp_path,
        f"{tmp_path}: found the splits test (7 images), train (7 images), validation (7 images): expected the "
        "meaning of validation; write it into the audit's data.splits: {validation: nonmember} (member: "
        "trained on, nonmember, or unused)",
    )


def test_a_table_without_a_split_beside_others_is_refused(tmp_path: Path) -> None:
    for name in ("train-0", "more", "trained"):
        write_parquet(tmp_path / f"{name}.parquet", ROWS)
    refused(
        tmp_path,
        f"{tmp_path}/more.parquet: expected the name of a split, as other files have one ('train'): train-*.parquet, "
        "test-*.parquet; take it out, rename it, or name its beginning in the audit's data.splits",
    )


def test_tables_with_other_classes_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", ROWS, names=["dog", "cat", "ape"])
    write_parquet(tmp_path / "test.parquet", ROWS)
    refused(
        tmp_path,
        f"{tmp_path}/train.parquet: expected the classes' names of {tmp_path}/test.parquet, "
        "got others; write both alike",
    )


def test_null_broken_and_mislabelled_rows_are_named_and_counted(tmp_path: Path) -> None:
    bad = [(None, 0), (b"x", 0), (b"y", 1), (png(1), 3), (png(1), -1), (png(1), None)]
    table = write_parquet(tmp_path / "x.parquet", [*ROWS, *bad], names=["dog", "cat", "ape"])
    refused(
        table,
        f"{table}: x.parquet:7: expected the image's bytes, got null; "
        f"x.parquet:8: {NO_IMAGE} (and 1 more); "
        "x.parquet:10: expected a label from 0 and below 3, got 3; "
        "x.parquet:11: expected a label from 0 and below 3, got -1; "
        f"x.parquet:12: expected a label from 0 and below 3, got None{SKIP}",
    )


def test_a_missing_column_and_a_column_of_another_kind_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "x.parquet"
    pq.write_table(pa.table({"pixels": [b"x"], "label": [0]}), table)
    refused(
        table,
        f"{table}: expected a column image or img or picture, once, with each row's image, got 'pixels', 'label'; "
        "name it: the audit's data.image_column",
    )
    pq.write_table(pa.table({"image": ["x"], "label": [0]}), table)
    refused(
        table,
        f"{table}: column image: expected the files' bytes, or a struct {{bytes: binary, path}}, got 'string'; "
        "write it so",
    )
    pq.write_table(pa.table({"image": [{"bytes": b"x"}], "label": [1.5]}), table)
    refused(
        table,
        f"{table}: column label: expected integers, text or booleans, got double; write it so, or name another: "
        "data.label_column",
    )


def test_a_table_cut_anywhere_is_refused(tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "x.parquet", ROWS)
    whole = table.read_bytes()
    for size in range(0, len(whole), 97):
        table.write_bytes(whole[:size])
        with pytest.raises(
            InputError, match=r"x\.parquet: not a whole Parquet file \(.+\); write it again or name another\Z"
        ):
            folder.load(table, min_per_class=1)


def test_a_table_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "x.parquet"
    refused(table, f"{table}: no such file; correct the path")
    kind = pa.struct([("bytes", pa.binary())])
    pq.write_table(pa.table({"image": pa.array([], kind), "label": pa.array([], pa.int64())}), table)
    refused(table, f"{table}: expected rows with images, got none; name another table")


# Two sets


def a_set(classes: tuple[str, ...], labels: list[int], shape: tuple[int, ...] = (4, 5, 3)) -> Records:
    names = np.array([str(row) for row in range(len(labels))])
    return Records(np.zeros((len(labels), *shape), np.uint8), np.array(labels, np.int64), classes, None, names)


@given(st.permutations(["dog", "cat", "ape", "bee"]), st.lists(st.integers(0, 3), min_size=1))
def test_aligned_labels_mean_the_same_names(order: list[str], labels: list[int]) -> None:
    first, second = a_set(("ape", "bee", "cat", "dog"), [0]), a_set(tuple(order), labels)
    aligned = folder.align(first, second)
    assert aligned.classes == first.classes
    assert [aligned.classes[label] for label in aligned.labels] == [order[label] for label in labels]


def test_sets_that_differ_are_refused_with_every_difference() -> None:
    first = a_set(("ape", "bee", "cat"), [0])
    with pytest.raises(InputError) as caught:
        folder.align(first, a_set(("bee", "cow"), [0], (4, 6, 1)), place="data.generated")
    assert str(caught.value) == (
        "data.generated: lacks the classes 'ape', 'cat'; has classes that the first lacks: 'cow'; "
        "expected images of 5x4 with 3 channels, got 6x4 with 1 channel; "
        "both need the same classes by name, and images of one shape"
    )


def test_images_that_a_copy_of_the_repository_lacks_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` copies what git tracks, and so not the images of an audit that git does not hold."""
    place = "audits/images/data/population"
    none = f"{place}: expected a folder, an archive or a Parquet file, or a link to one, got nothing"
    why = "; this copy holds only what git and DVC track: make it a link to an absolute path, or `dvc add` it"
    for root in (tmp_path, tmp_path / ".dvc/tmp/exps/tmp1"):
        root.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(root)
        with pytest.raises(InputError) as caught:
            prepare.main(tiny.write_params(paths.PARAMS, {"audit": "images"}))
        assert str(caught.value) == none + (why if root != tmp_path else "")


def test_the_images_of_an_audit_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = tiny.write_params(paths.PARAMS, {"audit": "images", "attacker.knowledge": "population"})
    write(Path("elsewhere"), {f"{label}/{row}.png": png(row) for label in "ab" for row in range(12)})
    Path("audits/images/data/population").rmdir()
    Path("audits/images/data/population").symlink_to(tmp_path / "elsewhere")
    prepare.main(params)
    assert len(stored_records.load(paths.POPULATION)) == 24
