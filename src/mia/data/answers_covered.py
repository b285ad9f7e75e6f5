"""Which records of given answers are audited: those with a shadow that was trained on them and one that was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from mia.arrays import Integers
from mia.data import answers_warnings
from mia.data.answers import Answers, Given

FEW = 0.1  # share of records with shadows on one side alone, up to which they are left out of the audit


def covered(path: Path, given: Given, shadows: Mapping[str, Answers]) -> tuple[Given, dict[str, Answers], int]:
    """The records with a shadow on either side, where few have not; else all. Last, how many have not.

    path: of the shadows' answers, for the warning. Attacks that compare with shadows need one that was trained on the
    record and one that was not. Where shadows draw their records at random, which records lack one says nothing of the
    target. What is left out is left out for every attack: all are measured on the same records.
    """
    inside = np.sum([model.is_member for model in shadows.values()], axis=0)
    none_in, none_out = inside == 0, inside == len(shadows)
    lacking = none_in | none_out
    count, members = int(lacking.sum()), int((lacking & given.answers.is_member).sum())
    if not count:
        return given, dict(shadows), 0
    kept = np.flatnonzero(~lacking)
    sides = [model.is_member[kept] for model in (given.answers, *shadows.values())]
    if count > FEW * len(given) or any(min(side.sum(), (~side).sum()) < 2 for side in sides):
        line = (
            f"of {len(given):,} records, no shadow was trained on {int(none_in.sum()):,}, and every shadow on "
            f"{int(none_out.sum()):,}: attacks that compare with shadows are left out; train more, each pair on two "
            "halves"
        )
        answers_warnings.say(path, [line])
        return given, dict(shadows), count
    line = (
        f"of {len(given):,} records, {count:,} are left out of the audit, {members:,} members among them: no shadow "
        f"was trained on {int(none_in.sum()):,}, and every shadow on {int(none_out.sum()):,}; train more to keep them"
    )
    answers_warnings.say(path, [line])
    few = replace(
        given,
        names=given.names.take(pa.array(kept)),
        labels=given.labels[kept],
        answers=_of(given.answers, kept),
        left_out=count,
    )
    return few, {name: _of(model, kept) for name, model in shadows.items()}, count


def _of(answers: Answers, rows: Integers) -> Answers:
    return Answers(answers.logits[:, rows], answers.is_member[rows], answers.times[:, rows])
