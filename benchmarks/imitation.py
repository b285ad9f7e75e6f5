"""Do models that imitate the target, or proxies for its members, beat our attacks where shadows mislead?

python benchmarks/imitation.py CIFAKE [--targets 8] [--out docs/results/imitation]

CIFAKE is a folder or archive of it. Each target is the CNN of Shokri et al., trained on 2,500 of the same 5,000 photos.
An attacker holds 5,000 other images, generated or real; its 8 shadows, on halves of them, serve against every target.

PMIA (Du et al., arXiv 2507.21412, code zealscott/MIA): LiRA online, with margins IN of the attacker's own records in
place of the record's: of all, of its class, of the 10 of its class most like it (ours: by random patches, not CLIP).
IMIA (Du et al., arXiv 2509.06796, code zealscott/IMIA, non-adaptive): each shadow is trained on for a fifth of its
epochs, once on its own records with half of the loss the squared distance to the target's log posteriors (OUT), once on
the half of the attacker's records of which the target is surest (IN). A record's score is how much closer its margin
lies to its class' median margin IN than to its own OUT. Theirs begins each model anew and keeps its best epoch.
imitated: ours. 4 of the shadows learn the target's log posteriors of all the attacker's records by the squared distance
alone, in as many steps as one training takes. They replace the shadows in our own attacks.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import binomtest, norm
from threadpoolctl import threadpool_limits
from torch import nn

from mia import params
from mia.arrays import Bools, Floats, Integers
from mia.attacks import evidence, image_features, lira, quantile, rmia, signals, stacked
from mia.attacks.learned import AttackModel
from mia.data import cifake
from mia.data.records import Records
from mia.evaluation import roc
from mia.models import building, checkpoints, lessons, query, training
from mia.params_audit import Recipe

RECORDS, CLASSES, SHADOWS, IMITATORS, NEAREST = 5000, 10, 8, 4, 10
IMIA_EPOCHS, EPOCHS = 2, 5  # theirs are 20 of 100, after 80 of warm-up; ours are as many steps as one training
RECIPE = Recipe.model_validate(
    {"architecture": "shokri_cnn", "epochs": 10, "batch_size": 64, "optimizer": "adam", "learning_rate": 0.001}
    | {"schedule": "constant", "momentum": 0.9, "weight_decay": 0.0, "label_smoothing": 0.0}
    | {"augmentation": [], "precision": "float32"}
)
OURS = ("loss", "lira offline", "rmia offline", "quantile", "stacked")
MEASURES = ("AUC", "TPR at 1 %", "TPR at .1 %")


@dataclass(frozen=True)
class Attacker:
    """What serves against every target: shadows and their margins, of own records and of the population's.

    is_in, own: (shadows, own records). audited: (shadows, population). a: RMIA's. features: of the population, of the
    own records. nearest: (population, NEAREST), own records. stacked: None where references mislead.
    """

    records: Records
    is_in: Bools
    shadows: list[nn.Module]
    own: Floats
    audited: Floats
    a: float
    features: tuple[NDArray[np.float32], NDArray[np.float32]]
    nearest: Integers
    stacked: AttackModel | None


def records_of(path: Path) -> tuple[Records, dict[str, Records]]:
    """The population and what each attacker holds, RECORDS each; of byte-identical images one."""
    real, fake = cifake.load(path, Path(), instead="the path")
    rng = np.random.default_rng(0)
    _, once = np.unique([image.tobytes() for image in fake.images], return_index=True)
    drawn, generated = rng.permutation(len(real)), rng.permutation(once)
    held = {"generated": fake.take(generated[:RECORDS]), "disjoint": real.take(drawn[RECORDS : 2 * RECORDS])}
    return real.take(drawn[:RECORDS]), held


def model_of(records: Records, member: Bools, number: int) -> nn.Module:
    """Train one model on the members."""
    lesson = lessons.Lesson(number, np.flatnonzero(member), np.flatnonzero(~member)[:250], number, number, number)
    (trained,) = training.train(records.images, records.labels, CLASSES, RECIPE, None, [lesson])
    return checkpoints.build(checkpoints.Stored(Path(), trained.description, trained.weights))


def margins(models: list[nn.Module], records: Records) -> Floats:
    """Of the true class, nats, (models, records)."""
    return np.stack([signals.log_odds(query.logits(model, records.images), records.labels) for model in models])


def evidence_of(target: Floats, references: Floats, labels: Integers) -> evidence.Evidence:
    """References (models, records) that were not trained on these records."""
    return evidence.Evidence(target[:, None], references[:, :, None], np.zeros(references.shape, bool), labels)


def attacker_of(records: Records, population: Records, number: int) -> Attacker:
    """Train the shadows and fit what depends on no target."""
    rng = np.random.default_rng([0, number])
    is_in = np.array([rng.permutation(RECORDS) < RECORDS // 2 for _ in range(SHADOWS)])
    shadows = [model_of(records, member, 100 * number + k) for k, member in enumerate(is_in)]
    own, audited = margins(shadows, records), margins(shadows, population)
    answers = evidence.Answers(np.arange(SHADOWS), None, own[:, :, None], is_in, records.labels, "apart")
    played = evidence.plays({"attacker": answers}, SHADOWS, RECORDS, lambda k: np.random.default_rng([0, number, k]))
    is_member, evidences = [play.is_member for play in played], [play.evidence for play in played]
    fitted = None
    if not stacked.misled(evidence_of(audited[0], audited, population.labels), evidences):
        described = [stacked.features(one, CLASSES, use_in=False) for one in evidences]
        values, folds = np.concatenate([v for _, v in described]), np.repeat(range(len(played)), [*map(len, evidences)])
        candidates = params.load(Path("params.yaml")).attacks.stacked.model_dump()
        fitted, *_ = stacked.fit(candidates, described[0][0], values, np.concatenate(is_member), folds, 0, 0.01)
    patches = image_features.draw(records.images, 128, rng)
    theirs, mine = (image_features.compute(patches, of.images, name="features") for of in (population, records))
    features = image_features.standardised(theirs, mine), image_features.standardised(mine, mine)
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in features]
    fits = (population.labels[:, None] == records.labels) & (is_in.sum(axis=0) > 1)
    nearest = np.argsort(np.where(fits, -unit[0] @ unit[1].T, 2), axis=1)[:, :NEAREST]
    a = rmia.choose_a(evidences, is_member)
    return Attacker(records, is_in, shadows, own, audited, a, features, nearest, fitted)


def taught(
    model: nn.Module, records: Records, rows: Integers, epochs: int, seed: list[int], wanted: Floats, share: float
) -> nn.Module:
    """A copy of the model, trained on these rows. share: of the loss, to imitate wanted, log posteriors of records."""
    rng, student = np.random.default_rng(seed), copy.deepcopy(model).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=RECIPE.learning_rate)
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(rows), -(-len(rows) // RECIPE.batch_size)):
            logits = student(building.to_input(records.images[batch]))
            distance = nn.functional.mse_loss(logits.log_softmax(1), torch.from_numpy(wanted[batch]).float())
            labelled = nn.functional.cross_entropy(logits, torch.from_numpy(records.labels[batch]))
            optimizer.zero_grad()
            torch.autograd.backward(share * distance + (1 - share) * labelled)
            optimizer.step()
    return student


def scores_of(
    known: Attacker, population: Records, target: nn.Module, seed: int
) -> Iterator[tuple[str, Floats, float]]:
    """Every attack, its scores, (population,), and the CPU seconds of what was made for this target alone."""
    own, labels, clock = known.records, population.labels, time.process_time
    wanted, (margin,) = (
        log_softmax(query.logits(target, own.images).astype(np.float64), 1),
        margins([target], population),
    )
    plain, began = evidence_of(margin, known.audited, labels), clock()
    line = quantile.fit(known.features[1], own.labels, signals.log_odds(wanted, own.labels), n_classes=CLASSES, name="")
    mean, deviation = line.predict(known.features[0], labels)
    unlike, cost = (margin - mean) / deviation, clock() - began
    yield "loss", margin, 0
    yield "lira offline", lira.offline(plain, variance="auto"), 0
    yield "rmia offline", rmia.offline(plain, gamma=2.0, a=known.a), 0
    yield "quantile", unlike, cost
    if known.stacked is None:
        yield "stacked", stacked.cautious(plain, unlike), cost
    else:
        names, values = stacked.features(plain, CLASSES, use_in=False)
        read = [names.index(name) for name in known.stacked.feature_names]
        yield "stacked", known.stacked.scores(values[:, read], labels), 0
    yield from ((name, score, 0) for name, score in proxies(known, plain))
    began = clock()
    score = imia(known, population, margin, wanted, seed)
    yield "imia", score, clock() - began
    began, every = clock(), np.arange(RECORDS)
    imitating = [taught(known.shadows[k], own, every, EPOCHS, [seed, k, 2], wanted, 1) for k in range(IMITATORS)]
    audited = margins(imitating, population)
    cost = clock() - began
    for count in (1, IMITATORS):
        near = evidence_of(margin, audited[:count], labels)
        yield f"rmia offline, {count} imitated", rmia.offline(near, gamma=2.0, a=known.a), cost * count / IMITATORS
    yield f"lira offline, {IMITATORS} imitated", lira.offline(near, variance="auto"), cost


def imia(known: Attacker, population: Records, margin: Floats, wanted: Floats, seed: int) -> Floats:
    """IMIA's scores. margin: (population,). wanted: (own records, classes), the target's log posteriors."""
    own, inside, outside = known.records, [], []
    sure = wanted[np.arange(RECORDS), own.labels]
    rows_of = [np.flatnonzero(own.labels == c) for c in range(CLASSES)]
    pivots = [rows[np.argsort(-sure[rows])][: len(rows) // 2] for rows in rows_of]
    for k, (shadow, is_in) in enumerate(zip(known.shadows, known.is_in, strict=True)):
        inside.append(taught(shadow, own, np.concatenate(pivots), IMIA_EPOCHS, [seed, k, 0], wanted, 0))
        outside.append(taught(shadow, own, np.flatnonzero(is_in), IMIA_EPOCHS, [seed, k, 1], wanted, 0.5))
    out, answered = np.median(margins(outside, population), axis=0), margins(inside, own)
    middle = np.array([np.median(answered[:, rows]) for rows in pivots])[population.labels]
    return np.where(middle < out, 0, (out - margin) ** 2 - (middle - margin) ** 2)


def proxies(known: Attacker, plain: evidence.Evidence) -> Iterator[tuple[str, Floats]]:
    """PMIA's scores by its three kinds of proxies; the variance OUT is pooled where our LiRA pools it."""
    inside = np.where(known.is_in, known.own, np.nan)  # (shadows, own records)
    by_class = [inside[:, known.records.labels == c] for c in range(CLASSES)]
    spread = np.sqrt(lira.side_variance(plain.outside, "OUT", "auto"))[:, 0]
    log_out = norm.logpdf(plain.target[:, 0], np.median(plain.references[:, :, 0], axis=0), spread)
    every, near = np.arange(len(plain)), list(np.moveaxis(inside[:, known.nearest], 1, 0))
    kinds = {"all": ([inside], plain.labels * 0), "class": (by_class, plain.labels), "nearest": (near, every)}
    for name, (groups, which) in kinds.items():
        middle, deviation = (np.array([of(group) for group in groups])[which] for of in (np.nanmedian, np.nanstd))
        yield f"pmia: {name}", norm.logpdf(plain.target[:, 0], middle, deviation) - log_out


def report(found: dict[str, Any]) -> str:
    """A table for each attacker: means over targets, and on how many of them an attack is ahead of the best of ours."""
    lines = [f"One training: {np.mean(found['training_cpu_seconds']):.1f} CPU seconds.", ""]
    for attacker, of_attack in found["attackers"].items():
        values = {name: np.array(rows) for name, rows in of_attack.items()}
        means = {name: rows.mean(axis=0) for name, rows in values.items()}
        best = [max(OURS, key=lambda name: float(means[name][k])) for k in range(3)]
        against = " | ".join(f"{measure} | ahead of {name}" for name, measure in zip(best, MEASURES, strict=True))
        lines += [f"{attacker}, {len(values['loss'])} targets", "", f"| attack | {against} | CPU s a target |"]
        lines.append("|---" + "|---:|---" * 3 + "|---:|")
        for name in sorted(values, key=lambda name: -means[name][0]):
            row = f"| {name} "
            for k in range(3):
                difference = values[name][:, k] - values[best[k]][:, k]
                wins, decided = int((difference > 0).sum()), int((difference != 0).sum())
                ahead = f"{wins} of {decided}, p = {binomtest(wins, decided).pvalue:.2g}" if decided else ""
                row += f"| {means[name][k]:.4f} | {'' if name in OURS else ahead} "
            lines.append(f"{row}| {means[name][3]:.1f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifake", type=Path)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/results/imitation"))
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    population, held = records_of(parsed.cifake)
    with threadpool_limits(1):
        known = {name: attacker_of(records, population, k) for k, (name, records) in enumerate(held.items(), 1)}
        found: dict[str, Any] = {"a": {name: attacker.a for name, attacker in known.items()}}
        found |= {"training_cpu_seconds": [], "attackers": {name: {} for name in known}}
        for number in range(1, parsed.targets + 1):
            is_member = np.random.default_rng([0, 0, number]).permutation(RECORDS) < RECORDS // 2
            began = time.process_time()
            target = model_of(population, is_member, number)
            found["training_cpu_seconds"].append(round(time.process_time() - began, 2))
            for name, attacker in known.items():
                for attack, score, seconds in scores_of(attacker, population, target, number):
                    curve = roc.curve(score, is_member)
                    row = [roc.auc(curve), roc.tpr_at(curve, 0.01), roc.tpr_at(curve, 0.001), seconds]
                    found["attackers"][name].setdefault(attack, []).append([round(value, 5) for value in row])
            (parsed.out / "imitation.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
            (parsed.out / "imitation.md").write_text(report(found), encoding="utf-8")
            print(f"target {number} of {parsed.targets}\n{report(found)}", flush=True)


if __name__ == "__main__":
    main()
