"""A model's answers, given as a table: checked whole and brought to logits, for the target and for shadows.

Nothing is trained or asked here. Probabilities become their logs, with half of the smallest one in the target's file in
place of 0. A loss alone is the margin -log(expm1(loss)); the other classes share what is left evenly, so that these
logits have that margin. A predicted class alone says whether the model is right.

Records are sorted by id: no number depends on the order of rows or columns, nor on how shadows are cut into files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mia.arrays import Bools, Floats, Integers
from mia.data import answers_file, answers_warnings
from mia.data.answers_file import Batch, Layout, shortened
from mia.errors import InputError

Holds = Literal["posteriors", "loss", "predicted"]
TOLERANCE = 0.02  # of the sum of a row's probabilities: of ten classes rounded to two digits
LARGEST = 1e9  # of a logit or a loss: squares and sums of such numbers are finite


@dataclass(eq=False)
class Answers:
    """What one model says of the target's records: row i is the record with sample_id i.

    logits: float32, (views, samples, classes). is_member: (samples,).
    """

    logits: NDArray[np.float32]
    is_member: Bools
    times: NDArray[np.int32] = field(repr=False)  # (views, samples): rows that the file holds of each

    @staticmethod
    def empty(views: int, samples: int, classes: int) -> Answers:
        """Room for the answers of one model."""
        logits = np.zeros((views, samples, classes), np.float32)
        return Answers(logits, np.zeros(samples, bool), np.zeros((views, samples), np.int32))


@dataclass(frozen=True, eq=False)
class Given:
    """The target's answers. names: text, (samples,). labels: (samples,). floor: what stands for a probability of 0.

    left_out: records of the file that are not audited, since shadows stand on one side of them alone.
    """

    path: Path
    names: pa.Array
    labels: Integers
    classes: tuple[str, ...]
    holds: Holds
    floor: float
    answers: Answers
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.names)


def read_target(path: Path) -> Given:
    """Read the target's answers. Raises InputError with place, rule, value and next step; warns on stderr."""
    (file,) = answers_file.files(path) if path.is_file() or not path.is_dir() else [_only(path)]
    parts: list[Batch] = []
    layout: Layout | None = None
    for table in answers_file.batches(file):
        layout = layout or answers_file.layout(path, table.column_names, shadows=False)
        parts.append(answers_file.parsed(path, table, layout, sum(map(len, parts))))
    if layout is None or not sum(map(len, parts)):
        raise InputError(f"{path}: expected a row a record, got none")
    frame = pd.DataFrame(
        {
            "id": pa.chunked_array([part.ids for part in parts]).to_pylist(),
            "label": pa.chunked_array([part.labels for part in parts]).to_pylist(),
            "member": np.concatenate([part.member for part in parts]),
        }
    )
    classes = _classes(path, layout, parts, frame["label"])
    index = {name: number for number, name in enumerate(classes)}
    unknown = ~frame["label"].isin(index).to_numpy()
    if unknown.any():
        row, known = int(unknown.argmax()), ", ".join(classes[:12])
        raise InputError(
            f"{path}: row {row + 1:,}: label: expected one of {known}, got {shortened(frame['label'][row])}; mend it"
        )
    records = frame.drop_duplicates("id")
    order = [_natural(name) for name in records["id"]]
    records = records.iloc[sorted(range(len(records)), key=order.__getitem__)]
    holds: Holds = "posteriors" if layout.form in ("logits", "probabilities") else layout.form  # type: ignore[assignment]
    views = 1 + max(int(part.view.max(initial=0)) for part in parts)
    if views * len(records) > 2 * len(frame):  # no room for what cannot be there
        raise InputError(
            f"{path}: view: expected each record in each of {views:,} views, got {len(frame):,} rows of "
            f"{len(records):,} records; number each record's views 0, 1, 2 and so on"
        )
    given = Given(
        path,
        pa.array(records["id"].tolist(), pa.string()),
        np.array(records["label"].map(index), np.int64),
        classes,
        holds,
        _floor(parts) if layout.form == "probabilities" else 0.0,
        Answers.empty(views, len(records), len(classes)),
    )
    for part in parts:
        _add(given, given.answers, part, layout, np.arange(len(part)), _places(given, part, path), path, "the target")
    _complete(given, given.answers, path, "the target")
    members = int(given.answers.is_member.sum())
    if min(members, len(given) - members) < 2:
        raise InputError(
            f"{path}: member: an audit needs at least 2 members and 2 non-members, got {members} and "
            f"{len(given) - members}; add records that the model was not trained on"
        )
    _warn(given, layout, [person for part in parts for person in part.person], np.asarray(frame["member"]))
    return given


def read_shadows(path: Path, given: Given) -> dict[str, Answers]:
    """Read shadows' answers, by model in the order of their names, partners on two halves beside each other.

    path: a file, or a folder of files. Errors as in `read_models`; warns on stderr.
    """
    models = read_models(path, given)
    _warn_of_unlike(path, given, list(models.values()))
    return _in_pairs(dict(sorted(models.items(), key=lambda model: _natural(model[0]))))


def read_models(path: Path, given: Given) -> dict[str, Answers]:
    """Read answers of several models about the records of `given`, by model; path: a file, or a folder of files.

    Raises InputError where a model lacks a record or answers twice, or the classes are others.
    """
    models: dict[str, Answers] = {}
    files = answers_file.files(path)
    most = sum(map(answers_file.most_rows, files)) // given.answers.times.size + 1
    for file in files:
        start, layout = 0, None
        for table in answers_file.batches(file):
            layout = layout or _same(given, answers_file.layout(file, table.column_names, shadows=True), file)
            part = answers_file.parsed(file, table, layout, start)
            start += len(part)
            assert part.model is not None
            places = _places(given, part, file)
            encoded = part.model.dictionary_encode()
            number = encoded.indices.to_numpy(zero_copy_only=False)
            for which, name in enumerate(encoded.dictionary.to_pylist()):
                rows = np.flatnonzero(number == which)
                if name not in models:
                    if len(models) == most:
                        raise InputError(
                            f"{file}: model: expected a row of each of the target's {len(given):,} records and each "
                            f"shadow, got too few rows for {most + 1} shadows; {answers_file.HELP}"
                        )
                    models[name] = Answers.empty(*given.answers.logits.shape)
                _add(given, models[name], part, layout, rows, places[rows], file, f"shadow {name}")
    if not models:
        raise InputError(f"{path}: expected a row a shadow and record, got none")
    for name, answers in models.items():
        _complete(given, answers, path, f"shadow {name}")
        if answers.is_member.all() or not answers.is_member.any():
            raise InputError(
                f"{path}: shadow {name}: member: expected members and non-members, got one of the two alone"
            )
    return models


def _only(folder: Path) -> Path:
    files = answers_file.files(folder)
    if len(files) > 1:
        raise InputError(f"{folder}: expected one file of the target's answers, got {len(files)}; leave one")
    return files[0]


def _classes(path: Path, layout: Layout, parts: list[Batch], labels: pd.Series) -> tuple[str, ...]:
    """The classes' names: of the columns, of the places in a list, or of the labels."""
    if layout.classes:
        classes = tuple(sorted(layout.classes, key=_natural))
    elif layout.form in ("logits", "probabilities"):
        classes = tuple(str(label) for label in range(max(np.asarray(part.values).shape[1] for part in parts)))
    else:
        names = set(labels)
        if layout.form == "predicted":
            predicted = {name for part in parts for name in pc.unique(part.values).to_pylist()}
            if not names & predicted:
                raise InputError(
                    f"{path}: predicted: expected classes as in label, such as {min(names, key=_natural)}, got "
                    f"{shortened(min(predicted, key=_natural))}; write both in one way"
                )
            names |= predicted
        classes = tuple(sorted(names, key=_natural))
    if len(classes) < 2:
        raise InputError(f"{path}: expected 2 classes or more, got {', '.join(classes)} alone; {answers_file.HELP}")
    return classes


def _same(given: Given, layout: Layout, path: Path) -> Layout:
    """A shadow's form must be the target's."""
    holds = "posteriors" if layout.form in ("logits", "probabilities") else layout.form
    if holds != given.holds:
        raise InputError(
            f"{path}: expected answers as the target's, {given.holds}, got {layout.form}; write them as the target's"
        )
    if layout.classes and set(layout.classes) != set(given.classes):
        other = sorted(set(layout.classes) ^ set(given.classes))
        raise InputError(
            f"{path}: expected the target's classes, got others: {', '.join(other[:6])}; {answers_file.HELP}"
        )
    return layout


def _places(given: Given, part: Batch, path: Path) -> Integers:
    """Which record of the target each row of a batch is of. Raises InputError where it is none, or of another label."""
    at: Integers = pc.index_in(part.ids, value_set=given.names).fill_null(-1).to_numpy().astype(np.int64)
    if (at < 0).any():
        row = int(np.argmax(at < 0))
        rule = f"expected a record of the target, got {shortened(part.ids[row].as_py())}; leave it out"
        raise InputError(f"{path}: row {part.start + row + 1:,}: id: {rule}")
    if part.labels is not None:
        labels = pc.index_in(part.labels, value_set=pa.array(given.classes)).fill_null(-1).to_numpy()
        if (labels != given.labels[at]).any():
            row = int(np.argmax(labels != given.labels[at]))
            expected, value = given.classes[given.labels[at[row]]], part.labels[row].as_py()
            rule = f"expected {shortened(expected)} as in the first row of this record, got {shortened(value)}; mend it"
            raise InputError(f"{path}: row {part.start + row + 1:,}: label: {rule}")
    return at


def _add(
    given: Given, answers: Answers, part: Batch, layout: Layout, rows: Integers, at: Integers, path: Path, who: str
) -> None:  # fmt: skip
    """Put rows of a batch where their records are, `at`. who: whose answers they are, for errors."""
    view, views = part.view[rows], len(answers.logits)
    if (view >= views).any():
        row = int(np.argmax(view >= views))
        rule = f"view: expected 0 to {views - 1} as the target's"
        raise InputError(f"{path}: row {part.start + rows[row] + 1:,}: {rule}, got {view[row]}; leave it out")
    member, before = part.member[rows], answers.times[:, at].any(axis=0)
    answers.logits[view, at] = _logits(given, part, layout, rows, at, path)
    np.add.at(answers.times, (view, at), 1)
    # Rows of one record are its views: one of them decides, and the others must agree.
    answers.is_member[at] = np.where(before, answers.is_member[at], member)
    if (answers.is_member[at] != member).any():
        row = int(rows[np.argmax(answers.is_member[at] != member)])
        raise InputError(
            f"{path}: {who}: member: expected the same in every row of a record, got both of "
            f"{shortened(part.ids[row].as_py())}; mend it"
        )


def _logits(given: Given, part: Batch, layout: Layout, rows: Integers, at: Integers, path: Path) -> NDArray[np.float32]:
    n_classes, labels = len(given.classes), given.labels[at]
    if layout.form == "predicted":
        assert isinstance(part.values, pa.Array)
        index = pc.fill_null(pc.index_in(part.values, value_set=pa.array(given.classes)), -1)
        predicted = index.to_numpy(zero_copy_only=False)[rows]
        # A shadow may predict a class that the target's file does not hold: it is not the label, whichever it is.
        predicted = np.where(predicted < 0, (labels + 1) % n_classes, predicted)
        certain: NDArray[np.float32] = (np.arange(n_classes) == predicted[:, None]).astype(np.float32)
        return certain
    values = np.asarray(part.values, np.float64)[rows]
    if layout.form != "probabilities":
        size = np.abs(values).reshape(len(values), -1).max(axis=1)
        rule = f"{layout.form}: expected numbers of at most {LARGEST:g}"
        _check(path, part, rows, np.asarray(size > LARGEST), rule, size)
    if layout.form == "loss":
        _check(path, part, rows, np.asarray(values < 0), "loss: expected a number of at least 0", values)
        loss = np.maximum(values, 1e-30)
        logits = np.full((len(values), n_classes), -np.log(n_classes - 1))
        logits[np.arange(len(values)), labels] = np.where(loss > 30, -loss, -np.log(np.expm1(np.minimum(loss, 30))))
        return logits.astype(np.float32)
    if values.shape[1] != n_classes:
        rule = f"expected {n_classes} classes as the target's, got {values.shape[1]}; mend it"
        raise InputError(f"{path}: row {part.start + 1:,}: {rule}")
    if layout.classes:
        values = values[:, [layout.classes.index(name) for name in given.classes]]
    if layout.form == "probabilities":
        out = (values < 0) | (values > 1 + TOLERANCE)
        what = "probabilities: expected numbers from 0 to 1 (scores before the softmax are called logit_CLASS)"
        offending = values[np.arange(len(values)), out.argmax(axis=1)]
        _check(path, part, rows, np.asarray(out.any(axis=1)), what, offending)
        total = values.sum(axis=1)
        _check(path, part, rows, np.asarray(np.abs(total - 1) > TOLERANCE), "probabilities: expected a sum of 1", total)
        values = np.log(np.maximum(values, given.floor))
    return values.astype(np.float32)


def _check(path: Path, part: Batch, rows: Integers, wrong: Bools, rule: str, values: Floats) -> None:
    if np.any(wrong):
        first = int(np.argmax(wrong))
        raise InputError(f"{path}: row {part.start + rows[first] + 1:,}: {rule}, got {values[first]:.6g}; mend it")


def _complete(given: Given, answers: Answers, path: Path, who: str) -> None:
    """One answer a record and view."""
    if (answers.times == 1).all():
        return
    view, row = np.argwhere(answers.times != 1)[0]
    in_view = f" in view {view}" if len(answers.times) > 1 else ""
    count, name = answers.times[view, row], given.names[int(row)].as_py()
    raise InputError(
        f"{path}: {who}: expected one row of each record, got {count} of {shortened(name)}{in_view}; every model "
        "must answer about every record of the target once"
    )


def _floor(parts: list[Batch]) -> float:
    """Half of the smallest probability above 0 in the file: what a 0 may have been before it was rounded."""
    positive = [
        values[values > 0].min() for values in (np.asarray(part.values) for part in parts) if (values > 0).any()
    ]
    return float(max(np.finfo(np.float32).tiny, min(positive, default=1.0) / 2))


def _warn(given: Given, layout: Layout, persons: list[str], is_member: Bools) -> None:
    lines = [f"columns that are not read: {', '.join(layout.ignored[:12])}"] if layout.ignored else []
    lines += answers_warnings.of_target(
        given.answers.logits[0],
        given.labels,
        given.answers.is_member,
        posteriors=given.holds == "posteriors",
        probabilities=layout.form == "probabilities",
    )
    if persons:
        lines += answers_warnings.of_persons(persons, is_member)
    answers_warnings.say(given.path, lines)


def _warn_of_unlike(path: Path, given: Given, models: list[Answers]) -> None:
    target, *shadows = (
        (model.is_member, model.logits[0].argmax(axis=1) == given.labels) for model in (given.answers, *models)
    )
    # A loss alone does not say whether a model is right.
    answers_warnings.say(path, answers_warnings.of_shadows(target, shadows, accuracy=given.holds != "loss"))


def _in_pairs(models: dict[str, Answers]) -> dict[str, Answers]:
    """Partners beside each other where each model has one that was trained on exactly the records it was not."""
    waiting: dict[bytes, list[str]] = {}
    pairs: list[str] = []
    for name, model in models.items():
        if partners := waiting.get((~model.is_member).tobytes()):
            pairs += [partners.pop(0), name]
        else:
            waiting.setdefault(model.is_member.tobytes(), []).append(name)
    return {name: models[name] for name in pairs} if len(pairs) == len(models) else models


def _natural(name: str) -> tuple[int, int, str]:
    number = name.isascii() and name.isdecimal() and len(name) < 19
    return (0, int(name), name) if number else (1, 0, name)
