"""A file list: a CSV beside the images, whose rows name an image, its label, and its person or its split."""

from __future__ import annotations

import csv
import difflib
import io
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from mia.data import archives, image_folders, image_splits
from mia.data.image_files import NamedImages, Reading, listed, refuse
from mia.errors import InputError

COLUMNS = ("path", "label", "member", "split", "person")
ALSO = {"file_name": "path"}  # as Hugging Face's metadata.csv calls it
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
CLOSE = 0.8  # of difflib: a column that is nearly one of ours is a mistyped one


def read(path: Path, reading: Reading) -> NamedImages:
    """The images that the list names, in its order; others are counted as unused.

    path: the folder or archive with the list and the images. The list is UTF-8, its cells parted by commas, its first
    row names the columns (COLUMNS, in any order): path (below the list's folder) and label, and where there are any
    member (true or false), split (as `image_splits` knows them) and person (whose image it is).

    Raises InputError where the list is none, lacks a column, names a file that is not there or one twice, or where a
    cell is empty or has another value.
    """
    assert reading.file_list is not None
    place = f"{path}: {reading.file_list}"
    content = find(path, reading.file_list)
    if content is None:
        raise InputError(f"{place}: no such file in it; correct the audit's data.file_list, or set it to null")
    table, unknown = _table(place, content)
    above = PurePosixPath(reading.file_list).parent
    paths = [(above / name.replace("\\", "/")).as_posix() for name in table["path"]]
    twice = [name for name, count in Counter(paths).items() if count > 1]
    refuse(path, {f"named twice by {reading.file_list}": twice})
    collected = image_folders.collect(path, reading, frozenset(paths))
    account = collected.account
    # The list itself is no image that was passed over.
    account.passed_over = [name for name in account.passed_over if name != reading.file_list]
    if unknown:
        account.notes.append(f"{reading.file_list}: columns that are not used: {listed(unknown)}")
    broken = {name.partition(": ")[0] for name in account.broken}
    missing = [name for name in paths if name not in collected.rows and name not in broken]
    refuse(path, {f"named by {reading.file_list}, and not there as an image": missing})
    rows, train = _membership(path, place, table, reading)
    account.unused += len(paths) - len(rows)
    rows = [row for row in rows if paths[row] in collected.rows]
    class_names = [unicodedata.normalize("NFC", table["label"][row]) for row in rows]
    if "person" in table:
        account.persons = np.array([table["person"][row] for row in rows], str)
    names = [paths[row] for row in rows]
    return NamedImages(
        names=names,
        rows=np.array([collected.rows[name] for name in names], np.int64),
        class_names=class_names,
        published_train=None if train is None else np.array([train[row] for row in rows], bool),
        classes=set(class_names),
        account=account,
        pixels=collected.pixels,
    )


def find(path: Path, name: str) -> bytes | None:
    """The content of the list in a folder or archive; None where it is not there."""
    if path.is_dir() and not (path / name).is_file():
        return None
    found = archives.files(path, wanted=lambda place: place == name)
    return next((content for _, content in found), None)


def _table(place: str, content: bytes) -> tuple[dict[str, list[str]], list[str]]:
    """The cells of each column that is used, and the names of the others."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{place}: not a CSV in UTF-8 ({error}); write it again") from None
    rows = [row for row in rows if row]
    head = [ALSO.get(name.strip().casefold(), name.strip().casefold()) for name in rows[0]] if rows else []
    unknown = [name for name in head if name not in COLUMNS]
    for name in unknown:
        if meant := difflib.get_close_matches(name[:200], COLUMNS, n=1, cutoff=CLOSE):
            raise InputError(f"{place}: column {name!r}: unknown; did you mean '{meant[0]}'?")
    if not {"path", "label"} <= set(head) or len(set(head)) < len(head) or {"member", "split"} <= set(head):
        raise InputError(
            f"{place}: expected the columns path and label, each once, separated by commas, and at most one of "
            f"member and split, got {listed(head)}; write it so"
        )
    body = rows[1:]
    wrong = [number for number, row in enumerate(body, 2) if len(row) != len(head)]
    if wrong or not body:
        got = f"row {wrong[0]} with {len(body[wrong[0] - 2])}" if wrong else "none"
        raise InputError(f"{place}: expected rows of {len(head)} cells, got {got}; write it again")
    table = {name: [row[at].strip() for row in body] for at, name in enumerate(head) if name in COLUMNS}
    for name, cells in table.items():
        if "" in cells:
            raise InputError(f"{place}: row {cells.index('') + 2}: expected a {name}, got an empty cell; fill it in")
    return table, unknown


def _membership(
    path: Path, place: str, table: dict[str, list[str]], reading: Reading
) -> tuple[list[int], list[bool] | None]:
    """The rows that are used, and of every row whether it is a member; None where no column says so."""
    rows = list(range(len(table["path"])))
    if "split" in table:
        meanings = image_splits.meanings(path, table["split"], reading.splits)
        return [row for row in rows if meanings[row] != "unused"], [meaning == "member" for meaning in meanings]
    if "member" not in table:
        return rows, None
    other = [row for row in rows if table["member"][row].casefold() not in TRUTH]
    if other:
        raise InputError(
            f"{place}: row {other[0] + 2}: member: expected true or false, got {table['member'][other[0]][:50]!r}; "
            "correct it"
        )
    return rows, [TRUTH[cell.casefold()] for cell in table["member"]]
