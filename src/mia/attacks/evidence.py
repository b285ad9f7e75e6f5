"""Evidence: the answers about the attacker's queries. It never holds which records are members of the target.

Every attack is a pure function of one `Evidence` to scores of shape (samples,), higher = more likely a member.
Statistics over reference models are summed one model at a time, so that the memory beside the evidence itself does not
grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mia.arrays import Bools, Floats
from mia.attacks import signals
from mia.errors import InputError

# How shadows were drawn. paired: shadows 2j - 1 and 2j split one permutation of the audited records (`population`).
# balanced: each audited record is in the training sets of as many shadows, two or more, and outside of two or more.
# free: each was trained on audited records of its own. apart: none was trained on an audited record.
DESIGNS = ("paired", "balanced", "free", "apart")


@dataclass(frozen=True, eq=False)
class Moments:
    """What one side of the reference models, IN or OUT, says of each record.

    count: int64, (samples,): models on this side. mean: (samples, views): their mean margin, nats; NaN without a model.
    squares: (samples, views): the sum over models of (margin - mean)^2. log_mean_p: (samples, views): the log of their
    mean posterior of the true class; -inf without a model.
    """

    count: NDArray[np.int64]
    mean: Floats
    squares: Floats
    log_mean_p: Floats


@dataclass(frozen=True, eq=False)
class Evidence:
    """Margins of the true class, nats, by the model under attack and by reference models of known membership.

    target: (samples, views). references: (models, samples, views). is_in: bool, (models, samples): the reference was
    trained on the record. labels: int64, (samples,). View 0 is the record itself. blind: references that were trained
    on a record say nothing of it, as if there were none.
    """

    target: Floats
    references: Floats
    is_in: Bools
    labels: NDArray[np.int64]
    blind: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def inside(self) -> Moments:
        """Over the references that were trained on the record."""
        return self._moments(np.zeros_like(self.is_in) if self.blind else self.is_in)

    @cached_property
    def outside(self) -> Moments:
        """Over the references that were not trained on the record."""
        return self._moments(~self.is_in)

    def _moments(self, side: Bools) -> Moments:
        count = side.sum(axis=0, dtype=np.int64)
        total, squares = np.zeros_like(self.target), np.zeros_like(self.target)
        log_sum_p = np.full_like(self.target, -np.inf)
        for margins, rows in zip(self.references, side, strict=True):
            total[rows] += margins[rows]
            log_sum_p[rows] = np.logaddexp(log_sum_p[rows], log_p(margins[rows]))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count[:, None]
            log_mean_p = np.where(count[:, None] > 0, log_sum_p - np.log(count)[:, None], -np.inf)
        for margins, rows in zip(self.references, side, strict=True):
            squares[rows] += (margins[rows] - mean[rows]) ** 2
        return Moments(count, mean, squares, log_mean_p)


def log_p(margin: Floats) -> Floats:
    """The log of the posterior of the true class, nats, from its margin log p - log(1 - p), nats; neither saturates."""
    value: Floats = -np.logaddexp(0, -margin)
    return value


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of all models about one source's records; row i of every array is the record with sample_id i.

    model_ids: (models,), shadows in ascending order. target: (samples, views), or None without its answers.
    references, is_in, labels: as in Evidence, for all shadows. design: one of DESIGNS.
    """

    model_ids: NDArray[np.int64]
    target: Floats | None
    references: Floats
    is_in: Bools
    labels: NDArray[np.int64]
    design: str

    def of_target(self) -> Evidence:
        """The target is attacked, every shadow is a reference."""
        assert self.target is not None
        return Evidence(self.target, self.references, self.is_in, self.labels)

    def others(self, model_id: int) -> Bools:
        """The references of a shadow that plays the target, (models,): all others, in the paired design no partner."""
        pairs = self.design == "paired"
        pair = (self.model_ids - 1) // 2 if pairs else self.model_ids
        other: Bools = pair != ((model_id - 1) // 2 if pairs else model_id)
        return other

    def of_shadow(self, model_id: int, rows: NDArray[np.int64]) -> Evidence:
        """A shadow plays the target for these records, the other shadows are its references.

        In the population design its partner is left out too: its records are exactly those that this one lacks, which
        no row of a true target's references is. Where shadows were drawn apart it sees no reference that was trained on
        a record, as no reference was trained on the target's. Where the design is balanced, the other shadows lack one
        on the side of this one, which would tell it: one on the other side, another for each record, is left out too.
        """
        others = self.others(model_id)
        mine = int(np.flatnonzero(self.model_ids == model_id)[0])
        references, is_in = self.references[np.ix_(others, rows)], self.is_in[np.ix_(others, rows)]
        if self.design == "balanced":
            kept = _without_one(is_in, ~self.is_in[mine][rows], rows)
            references = np.take_along_axis(references, kept[:, :, None], axis=0)
            is_in = np.take_along_axis(is_in, kept, axis=0)
        return Evidence(self.references[mine][rows], references, is_in, self.labels[rows], blind=self.design == "apart")


def _without_one(is_in: Bools, side: Bools, sample_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which references are kept of each record, (models - 1, samples): all but one of those whose is_in is `side`."""
    of_side = is_in == side
    number = np.cumsum(of_side, axis=0) - 1
    left_out = of_side & (number == sample_id % of_side.sum(axis=0))
    kept = np.argsort(left_out, axis=0, kind="stable")[:-1]
    return kept.astype(np.int64)


def gather(target: pa.Table, shadows: Iterable[pa.Table]) -> dict[str, Answers]:
    """Every model's margins, by source ("population", and "attacker" where the attacker's own records are others).

    target: SIGNALS of the target, with queries about every record. shadows: schemas.MARGINS, one part a model.
    Models are joined by (source, sample_id, view), in whatever order their rows come.
    Raises InputError where a model lacks a record or view that another has, or answered twice.
    """
    source = target.column("source").to_numpy(zero_copy_only=False)
    shape: dict[str, tuple[int, int]] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    margins: dict[str, Floats] = {}
    for name in dict.fromkeys(source.tolist()):
        of_source = target.filter(pa.array(source == name))
        view, sample_id = (of_source.column(key).to_numpy().astype(np.int64) for key in ("view", "sample_id"))
        shape[name] = int(view.max()) + 1, int(sample_id.max()) + 1
        order = _by_key(view, sample_id, shape[name], f"data/signals/target.parquet: the target of the {name}")
        given = of_source.column("label").to_numpy().astype(np.int64)
        logits = of_source.column("logits").combine_chunks().flatten().to_numpy().reshape(len(of_source), -1)
        labels[name] = given[order][: shape[name][1]]
        margins[name] = signals.log_odds(logits, given)[order].reshape(shape[name]).T
    model_ids: list[int] = []
    designs: set[str] = set()
    said: dict[str, list[Floats]] = {name: [] for name in shape}
    sides: dict[str, list[Bools]] = {name: [] for name in shape}
    for part in shadows:
        model_ids.append(part.column("model_id")[0].as_py())
        designs.add(part.column("design")[0].as_py())
        of_part = part.column("source").to_numpy(zero_copy_only=False)
        for name, (n_views, n_samples) in shape.items():
            rows = np.flatnonzero(of_part == name)
            view, sample_id = (part.column(key).to_numpy()[rows].astype(np.int64) for key in ("view", "sample_id"))
            rows = rows[
                _by_key(view, sample_id, shape[name], f"data/margins.parquet: shadow {model_ids[-1]} of the {name}")
            ]
            said[name].append(part.column("margin").to_numpy()[rows].reshape(n_views, n_samples).T)
            is_member = part.column("is_member").to_numpy(zero_copy_only=False)
            sides[name].append(is_member[rows[:n_samples]].astype(bool))
    if len(designs) > 1:
        raise InputError("data/margins.parquet: shadows of two designs; `dvc repro` makes it anew")
    return {
        name: Answers(
            np.array(model_ids, np.int64),
            margins[name],
            np.stack(said[name]) if model_ids else np.empty((0, samples, views)),
            np.stack(sides[name]) if model_ids else np.empty((0, samples), bool),
            labels[name],
            next(iter(designs), "apart"),
        )
        for name, (views, samples) in shape.items()
    }


def _by_key(
    view: NDArray[np.int64], sample_id: NDArray[np.int64], shape: tuple[int, int], who: str
) -> NDArray[np.int64]:
    """The rows in the order of their view, then of their sample_id; shape: how many there are of each."""
    n_views, n_samples = shape
    again = "`dvc repro` queries all models anew"
    strange = (view >= n_views) | (sample_id >= n_samples) | (view < 0) | (sample_id < 0)
    if strange.any():
        row = int(np.argmax(strange))
        raise InputError(
            f"{who}: answered about record {sample_id[row]} in view {view[row]}, about which the target was not "
            f"queried; {again}"
        )
    place = view * n_samples + sample_id
    times = np.bincount(place, minlength=n_views * n_samples)
    if (times != 1).any():
        wrong = int(np.argmax(times != 1))
        raise InputError(
            f"{who}: expected one answer about record {wrong % n_samples} in view {wrong // n_samples}, got "
            f"{times[wrong]}; {again}"
        )
    return np.argsort(place, kind="stable")


@dataclass(frozen=True, eq=False)
class Play:
    """A shadow in the target's place: the records of its queries, as rows of the source, and their membership."""

    model_id: int
    source: str
    rows: NDArray[np.int64]
    is_member: Bools
    evidence: Evidence
    paired: bool

    def only(self, chosen: Bools) -> Play:
        """The same play of some of its records. chosen: (samples,)."""
        e = self.evidence
        evidence = replace(
            e,
            target=e.target[chosen],
            references=e.references[:, chosen],
            is_in=e.is_in[:, chosen],
            labels=e.labels[chosen],
        )
        return replace(self, rows=self.rows[chosen], is_member=self.is_member[chosen], evidence=evidence)

    @property
    def fold(self) -> int:
        """Equal for shadows that must not stand on both sides of a fold: in the population design for partners."""
        return (self.model_id - 1) // 2 if self.paired else self.model_id


def plays(
    answers: Mapping[str, Answers], models: int, records: int, rng_of: Callable[[int], np.random.Generator]
) -> list[Play]:
    """The first `models` shadows as targets, each with queries about as many members as non-members, `records` at most.

    The records are the attacker's own where it has any, else the population's, drawn by rng_of(model_id): among those
    with the same number of OUT references (at least one) as many members as non-members. A record that a shadow was
    trained on is one that others more often were not, where shadows share out their data; the target's records have no
    such mark. Shadows without such records are left out.
    """
    source = "attacker" if "attacker" in answers else "population"
    known = answers[source]
    played = []
    for number, model_id in enumerate(known.model_ids[:models].tolist()):
        is_in, rng = known.is_in[number], rng_of(model_id)
        count = (~known.is_in[known.others(model_id)]).sum(axis=0)
        if known.design == "balanced":  # as `of_shadow` leaves them
            count = count - is_in
        matched = []
        for value in np.unique(count[count > 0]):
            sides = [rng.permutation(np.flatnonzero((count == value) & (is_in == side))) for side in (True, False)]
            size = min(map(len, sides))
            matched.append(np.stack([side[:size] for side in sides]))
        pairs = np.concatenate([np.empty((2, 0), np.int64), *matched], axis=1)
        rows = np.sort(pairs[:, rng.permutation(pairs.shape[1])[: records // 2]].ravel())
        if len(rows):
            played.append(
                Play(model_id, source, rows, is_in[rows], known.of_shadow(model_id, rows), known.design == "paired")
            )
    return played
