"""Pictures as people have them: each kind is read or refused as docs/images.md says, and changed as it says."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import image_kinds
from image_kinds import KINDS, colour, encoded, good, grey, pixels, written
from mia.data import folder, image_conversion, image_files, image_tables, own_images
from mia.data.image_files import Reading
from mia.errors import InputError

DOC = image_kinds.DOC.read_text(encoding="utf-8")
ROWS = DOC.partition(image_kinds.HEAD)[2].splitlines()


def test_there_is_a_row_for_each_kind() -> None:
    assert len(ROWS) == len(KINDS) > 38


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[f"{kind.name} {kind.keys}" for kind in KINDS])
def test_a_kind_is_read_or_refused_as_the_table_says(tmp_path: Path, number: int) -> None:
    assert KINDS[number].row(tmp_path / "data") == ROWS[number]


def test_the_docs_name_every_change_and_every_column() -> None:
    for name, what in image_conversion.CHANGES.items():
        assert f"| `{name}` | {what} |" in DOC
    for columns in (image_tables.IMAGE_COLUMNS, image_tables.LABEL_COLUMNS):
        assert ", ".join(columns) in DOC


def decoded(content: bytes, size: tuple[int, int] | None = None) -> tuple[Any, list[str]]:
    return image_files.decode(content, size)


def test_translucent_pixels_are_laid_on_white() -> None:
    image, changes = decoded(encoded(image_kinds.translucent(1)))
    assert changes == ["on_white"]
    assert np.array_equal(image[0, 0], [255, 127, 127])  # half of red, half of white
    assert np.array_equal(image[1:], pixels(1)[1:])
    half = Image.merge("LA", (grey(1), Image.new("L", (6, 5), 0)))
    image, changes = decoded(encoded(half))
    assert (image.shape, changes) == ((5, 6, 1), ["on_white"])
    assert (image == 255).all()


@pytest.mark.parametrize("kind", ["palette", "colour"])
def test_a_colour_that_stands_for_nothing_is_white(kind: str) -> None:
    image = colour(1).quantize(8) if kind == "palette" else colour(1)
    nothing: Any = image.getpixel((2, 3))
    found, changes = decoded(encoded(image, transparency=nothing))
    assert "on_white" in changes
    assert np.array_equal(found[3, 2], [255] * 3)


def test_of_sixteen_bits_the_upper_eight_are_kept() -> None:
    image, changes = decoded(encoded(image_kinds.sixteen_bit(1)))
    assert changes == ["sixteen_bit"]
    assert np.array_equal(image[..., 0], pixels(1)[..., 0])
    image, _ = decoded(image_kinds.deep_colour(1))
    assert np.array_equal(image, pixels(1))
    image, _ = decoded(encoded(image_kinds.sixteen_bit(1), "TIFF"))
    assert np.array_equal(image[..., 0], pixels(1)[..., 0])
    assert decoded(image_kinds.dark(1))[1] == ["sixteen_bit", "dark_sixteen_bit"]


def test_a_negative_of_sixteen_bits_is_turned() -> None:
    content = encoded(image_kinds.sixteen_bit(1), "TIFF", tiffinfo={262: 0})
    image, _ = decoded(content)
    assert np.array_equal(image[..., 0], 255 - pixels(1)[..., 0])


def test_cmyk_is_converted_by_pillows_formula() -> None:
    content = encoded(colour(1).convert("CMYK"), "TIFF")
    image, changes = decoded(content)
    assert changes == ["cmyk"]
    assert np.array_equal(image, np.asarray(colour(1).convert("CMYK").convert("RGB")))


def test_a_cmyk_jpeg_is_no_negative() -> None:
    red = Image.new("RGB", (16, 16), "red").convert("CMYK")
    image, _ = decoded(encoded(red, "JPEG"))
    assert image[8, 8, 0] > 200
    assert image[8, 8, 1:].max() < 60


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_taken(kind: str) -> None:
    flat = [Image.new("RGB", (6, 5), shade) for shade in ("white", "black")]
    content = io.BytesIO()
    flat[0].save(content, kind, save_all=True, append_images=flat[1:])
    image, changes = decoded(content.getvalue())
    assert "first_frame" in changes
    assert image.min() > 250


def test_a_smaller_image_has_the_means_of_areas() -> None:
    shades = np.arange(8 * 4, dtype=np.uint8).reshape(4, 8) * 4
    image, changes = decoded(encoded(Image.fromarray(shades)), (4, 2))
    assert changes == ["reduced"]
    means = shades.reshape(2, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(image[..., 0] - means).max() <= 0.5


def test_a_larger_image_is_bicubic() -> None:
    image, changes = decoded(encoded(colour(1)), (12, 10))
    assert changes == ["enlarged"]
    assert np.array_equal(image, np.asarray(colour(1).resize((12, 10), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(("size", "box"), [((4, 4), (1, 1, 5, 5)), ((5, 5), (0, 0, 5, 5)), ((6, 1), (0, 2, 6, 3))])
def test_the_middle_is_taken(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """6x5: a square of five columns begins at the first of the two that are left out."""
    image, changes = decoded(encoded(colour(1)), size)
    assert changes[0] == "cropped"
    if changes == ["cropped"]:
        assert np.array_equal(image, np.asarray(colour(1).crop(box)))
    else:
        expected = colour(1).crop((0, 0, 5, 5)).resize(size, Image.Resampling.BOX)
        assert np.array_equal(image, np.asarray(expected))


def test_an_image_of_the_size_is_left_as_it_is() -> None:
    image, changes = decoded(encoded(colour(1)), (6, 5))
    assert changes == []
    assert np.array_equal(image, pixels(1))


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1), (7, 3)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (33, 32)])
def test_every_size_becomes_every_other(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image, _ = decoded(encoded(Image.new("RGB", shape, "red")), size)
    assert image.shape == (size[1], size[0], 3)
    assert (image == (255, 0, 0)).all()


def test_changes_are_counted_in_a_set(tmp_path: Path) -> None:
    files = good() | {"cat/7.png": encoded(grey(1)), "dog/7.png": encoded(image_kinds.translucent(1))}
    _, account = folder.read(written(tmp_path, files), min_per_class=1)
    assert own_images.counts(account) == {"changed": {"grey_to_colour": 1, "on_white": 1}}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("path,label\na.png,cat\na.png,dog\n", "a.png: named twice by list.csv; mend them or take them out"),
        ("path,label\n./a.png,cat\na.png,dog\n", "a.png: named twice by list.csv; mend them or take them out"),
        ("path,label\n../a.png,cat\n", "../a.png: named by list.csv, and not there as an image; mend them or take"),
        ("path,label\n/etc/passwd,cat\n", "/etc/passwd: named by list.csv, and not there as an image; mend them"),
        ("path,label\na.png,\n", "list.csv: row 2: expected a label, got an empty cell; fill it in"),
        ("path,label\na.png\n", "list.csv: expected rows of 2 cells, got row 2 with 1; write it again"),
        ("path,label\n", "list.csv: expected rows of 2 cells, got none; write it again"),
        (
            "path;label\na.png;cat\n",
            "list.csv: expected the columns path and label, each once, separated by commas, and",
        ),
        ("path,label,member,split\na.png,cat,1,train\n", "list.csv: expected the columns path and label, each once"),
        ("path,label,member\na.png,cat,maybe\n", "list.csv: row 2: member: expected true or false, got 'maybe'; "),
        ("path,label,split\na.png,cat,train\nb.png,dog,dev\n", "found the splits dev (1 images), train (1 images)"),
        (
            "path,label,split\na.png,cat,fold1\n",
            "found the splits fold1 (1 images): expected the meaning of fold1; write it",
        ),
        ("", "list.csv: expected the columns path and label, each once, separated by commas"),
        ('path,label\n"a.png,cat\n', "list.csv: not a CSV in UTF-8 (unexpected end of data); write it again"),
    ],
)
def test_a_list_that_is_wrong_is_refused(tmp_path: Path, rows: str, fault: str) -> None:
    root = image_kinds.listed(tmp_path, rows)
    with pytest.raises(InputError) as caught:
        folder.load(root, min_per_class=1, reading=Reading(file_list="list.csv"))
    assert re.sub(rf"^{root}: ", "", str(caught.value)).startswith(fault), caught.value


def test_a_list_names_images_below_its_own_folder_in_its_order(tmp_path: Path) -> None:
    root = written(tmp_path, {f"photos/{name}.png": encoded(colour(at)) for at, name in enumerate("abc")})
    rows = "\ufefffile_name,label,person\nc.png,x,eve\nb.png,y,eve\n"
    written(root, {"photos/metadata.csv": rows.encode()})
    reading = Reading(file_list="photos/metadata.csv")
    for source in (root, image_kinds.zipped(tmp_path.parent / f"{tmp_path.name}-x", {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.*"))
    })):  # fmt: skip
        records, account = folder.read(source, min_per_class=1, reading=reading)
        assert records.names.tolist() == ["photos/c.png", "photos/b.png"]
        assert np.array_equal(records.images, [pixels(2), pixels(1)])
        assert account.persons is not None
        assert own_images.counts(account) == {"unused": 1, "persons": 1}


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = written(tmp_path, good())
    with pytest.raises(InputError, match=r"list.csv: no such file in it; correct the audit's data.file_list"):
        folder.load(root, min_per_class=1, reading=Reading(file_list="list.csv"))


def test_broken_images_are_listed(tmp_path: Path) -> None:
    root = written(tmp_path, image_kinds.good() | image_kinds.BROKEN)
    records, account = folder.read(root, min_per_class=1, reading=Reading(skip_broken=True))
    assert len(records) == 4
    assert own_images.counts(account)["broken"] == [
        f"cat/8.png: {image_files.CUT}",
        f"dog/9.png: {image_files.NO_IMAGE}",
    ]
    written(root, {"cat/7.tif": encoded(grey(1).convert("F"), "TIFF")})
    with pytest.raises(InputError, match="got mode F; mend them or take them out$"):
        folder.read(root, min_per_class=1, reading=Reading(skip_broken=True))


def test_all_splits_unused_are_refused(tmp_path: Path) -> None:
    root = written(tmp_path, good("val/", "dev/"))
    with pytest.raises(InputError, match=r"found the splits dev \(4 images\), val \(4 images\), all of them unused"):
        folder.read(root, min_per_class=1, reading=Reading(splits={"val": "unused", "dev": "unused"}))


def test_each_table_names_its_own_labels(tmp_path: Path) -> None:
    """Hugging Face's `datasets` takes the first file's names for all (docs/log.md)."""
    for file, names in (("a.parquet", ["cat", "dog"]), ("b.parquet", ["dog", "cat"])):
        image_kinds.table(tmp_path / "data", pa.array([0, 0, 1]), file=file, names=names)
    records = folder.load(tmp_path / "data", min_per_class=1)
    assert [records.classes[label] for label in records.labels] == ["cat", "cat", "dog", "dog", "dog", "cat"]
