"""Audits side by side, as one page: `mia compare REV REV [REV...]`.

Takes experiments by their names, git revisions, or the word workspace; two to seven. Reads of each, out of git, what
`mia.history.revisions` names, and data/exposure.parquet out of DVC's cache or remote. Writes reports/compare.html,
which is the same to the byte for the same commits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, norm

from mia import params, paths, seeds
from mia.arrays import Bools
from mia.errors import InputError, shown
from mia.evaluation import differences, metrics, roc, verdict
from mia.evaluation.differences import Comparison
from mia.evaluation.metrics import Estimate
from mia.history import revisions
from mia.history.revisions import Revision
from mia.report import html, show
from mia.report.audit import headline as audit_headline
from mia.report.figures import roc_of_revisions, style, tradeoff
from mia.store import atomic

OUT = Path("reports/compare.html")
MOST = style.MOST
REPLICATES = 2000
CHANCE = style.NOT_APART  # from this p on, a difference may be chance
LISTED = 4  # revisions that a sentence names; of more the first and the last
NAMED = 12  # members named in full
# Sections of params.yaml that make the attack; data, seed and target make the target.
ATTACKING = ("attacker", "shadow", "query", "features", "attacks", "select", "estimators")


@dataclass(frozen=True)
class Pair:
    """Two revisions by their places; each difference is that of the second less the first.

    unlike: why the records are not the same ones, None where they are. tpr: at the common FPR, of each one's strongest
    attack; None where either has none. auc: likewise. accuracy: of the targets, on non-members.
    tpr_p, auc_p, accuracy_p: adjusted after Holm for all pairs.
    """

    first: int
    second: int
    unlike: str | None
    tpr: Comparison | None
    auc: Comparison
    accuracy: Comparison
    tpr_p: float = math.nan
    auc_p: float = math.nan
    accuracy_p: float = math.nan


def strongest(one: Revision, fpr: float) -> tuple[str, Estimate] | None:
    """The attack that recognises most members at an FPR, with the verdict's limits where it is the verdict's FPR."""
    found = one.verdict
    if found.fpr == fpr and found.tpr_attack is not None:
        return found.tpr_attack, Estimate(*(one.found[name] for name in ("tpr", "tpr_low", "tpr_high")))
    measured = {name: attack.tprs[fpr] for name, attack in one.attacks.items() if fpr in attack.tprs}
    if found.fpr is None or not measured:
        return None
    best = max(measured, key=lambda name: measured[name][0])
    return best, Estimate(*measured[best])


def accuracy(one: Revision) -> Estimate:
    """The target's accuracy on non-members, with Clopper and Pearson's limits."""
    right = round(one.target.test_accuracy * one.verdict.n_nonmember)
    low, high = metrics.clopper_pearson(right, one.verdict.n_nonmember)
    return Estimate(one.target.test_accuracy, float(low), float(high))


# ---- differences


def unlike(a: Revision, b: Revision) -> str | None:
    """Why two audits cannot be compared record by record; None where they can."""
    for one in (a, b):
        if isinstance(one.exposure, str):
            return f"whether both audited the same records is not known ({one.name}: {one.exposure})"
    assert isinstance(a.exposure, pd.DataFrame)
    assert isinstance(b.exposure, pd.DataFrame)
    keys = ["sample_id", "name", "class"]
    if len(a.exposure) != len(b.exposure) or not a.exposure[keys].equals(b.exposure[keys]):
        return "they audited different records"
    moved = int((a.exposure["is_member"] != b.exposure["is_member"]).sum())
    return f"of the same records, {moved:,} are members of one target and not of the other" if moved else None


def compare(some: Sequence[Revision], fpr: float | None) -> list[Pair]:
    """Every two revisions: record by record where both audited the same ones, else as independent estimates."""
    pairs = []
    for first, second in combinations(range(len(some)), 2):
        a, b = some[first], some[second]
        why = unlike(a, b)
        rng = seeds.generator(0, "compare")  # the same draws for every pair
        pairs.append(Pair(first, second, why, *(apart(a, b, fpr) if why else alike(a, b, fpr, rng))))
    by_tpr = iter(differences.holm([one.tpr.p_value for one in pairs if one.tpr is not None]).tolist())
    by_auc = differences.holm([one.auc.p_value for one in pairs]).tolist()
    by_accuracy = differences.holm([one.accuracy.p_value for one in pairs]).tolist()
    return [
        replace(one, tpr_p=math.nan if one.tpr is None else next(by_tpr), auc_p=auc_p, accuracy_p=accuracy_p)
        for one, auc_p, accuracy_p in zip(pairs, by_auc, by_accuracy, strict=True)
    ]


Differences = tuple[Comparison | None, Comparison, Comparison]  # of TPR, AUC, accuracy: the second's less the first's


def alike(a: Revision, b: Revision, fpr: float | None, rng: np.random.Generator) -> Differences:
    """b less a, record by record: of the TPR by a paired bootstrap, of the AUC by DeLong, of accuracy by McNemar."""
    tpr, member = None, members(a)
    if fpr is not None:
        one, other = strongest(b, fpr), strongest(a, fpr)
        if one is not None and other is not None:
            scores = score(b, one[0]), score(a, other[0])
            tpr = differences.compare_tpr(*scores, member, fpr=fpr, replicates=REPLICATES, rng=rng)
    placed = [differences.placements(score(one, one.verdict.auc_attack), member) for one in (b, a)]
    right = correct(b), correct(a)
    if right[0] is None or right[1] is None:
        accurate = independent(accuracy(b), accuracy(a))
    else:
        accurate = paired(right[0], right[1])
    return tpr, differences.compare_auc(*placed), accurate


def apart(a: Revision, b: Revision, fpr: float | None) -> Differences:
    """b less a, as estimates from different records; of a TPR the limits of its one attack."""
    tpr = None
    if fpr is not None:
        one, other = strongest(b, fpr), strongest(a, fpr)
        if one is not None and other is not None:
            own = Estimate(*b.attacks[one[0]].tprs[fpr]), Estimate(*a.attacks[other[0]].tprs[fpr])
            tpr = independent(*own)
    areas = [area(one, one.verdict.auc_attack) for one in (b, a)]
    return tpr, independent(*areas), independent(accuracy(b), accuracy(a))


def score(one: Revision, attack: str) -> NDArray[np.float64]:
    """(records,): an attack's scores, by sample_id."""
    assert isinstance(one.exposure, pd.DataFrame)
    return one.exposure[f"{attack}_score"].to_numpy(np.float64)


def members(one: Revision) -> Bools:
    """(records,): who is a member, by sample_id."""
    assert isinstance(one.exposure, pd.DataFrame)
    return one.exposure["is_member"].to_numpy(bool)


def area(one: Revision, attack: str) -> Estimate:
    """An attack's AUC."""
    measured = one.attacks[attack]
    return Estimate(measured.auc, measured.auc_low, measured.auc_high)


def correct(one: Revision) -> Bools | None:
    """(non-members,): on which the target is right; None where the audit did not write that down."""
    if "correctness" not in one.attacks:
        return None
    said = score(one, "correctness")[~members(one)]
    right = said > 0
    if set(np.unique(said)) - {0.0, 1.0} or abs(float(right.mean()) - one.target.test_accuracy) > 1e-4:
        return None  # of several views, or of other records
    return right


def independent(a: Estimate, b: Estimate) -> Comparison:
    """Return a less b for estimates from different records, from their 95 % limits alone.

    The limits are joined by MOVER (Zou & Donner, Statistics in Medicine 27, 2008), which for Wilson's limits is
    Newcombe's method 10. p is that of a normal difference with the limit on 0's side (Altman & Bland, BMJ 343, 2011),
    below 0.05 where the interval leaves 0 out.
    """
    difference = a.value - b.value
    below, above = metrics.mover(a, b)
    reach = below if difference > 0 else above
    p = 1.0 if difference == 0 else 0.0 if reach == 0 else 2 * float(norm.sf(norm.isf(0.025) * abs(difference) / reach))
    return Comparison(difference, max(-1.0, difference - below), min(1.0, difference + above), p)


def paired(a: Bools, b: Bools) -> Comparison:
    """Return the share that a gets right less that of b, of the same records: McNemar's exact test.

    Limits: Clopper and Pearson's of the shares that only one of them gets right, joined by MOVER.
    """
    n, a_alone, b_alone = a.size, int((a & ~b).sum()), int((b & ~a).sum())
    difference = (a_alone - b_alone) / n
    below, above = differences.reach_of_shares(a_alone, b_alone, n)
    p = min(1.0, 2 * float(binom.cdf(min(a_alone, b_alone), a_alone + b_alone, 0.5)))
    return Comparison(difference, max(-1.0, difference - below), min(1.0, difference + above), p)


# ---- in words


def headline(some: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> str:
    """Which leaks least, and whether that can be told from chance."""
    best = [None if fpr is None else strongest(one, fpr) for one in some]
    if fpr is not None and all(best):
        values = [one[1].value for one in best if one is not None]
        who = f"an attacker who may raise one false alarm in {verdict.one_in(fpr)} recognises"
        said = [f"{verdict.percent(value)} %" for value in values]
        of, ps = "of the training images", [one.tpr_p for one in pairs]
    else:
        values = [one.verdict.auc for one in some]
        who, said = (
            "the strongest attack ranks members above others with an AUC of",
            [f"{value:.3f}" for value in values],
        )
        of, ps = "", [one.auc_p for one in pairs]
    p_of = {frozenset((one.first, one.second)): p for one, p in zip(pairs, ps, strict=True)}
    least, *others = sorted(range(len(some)), key=lambda at: values[at])
    sure = [some[at].name for at in others if p_of[frozenset((least, at))] < CHANCE and values[at] > values[least]]
    unsure = [some[at].name for at in others if some[at].name not in sure]
    name = some[least].name
    parts = [f"{said[at]} ({some[at].name})" for at in (least, *others)]
    what = f"{who} {shortened(parts)}"
    what += f" {of}" if of else ""
    if one_model(some):
        told = (
            "is more than chance"
            if not unsure
            else f"is more than chance to {listing(sure)} only"
            if sure
            else "may be chance"
        )
        return f"One trained model, audited in different ways: {what}; the difference {told}."
    if not unsure:
        return f"{name} leaks least: {what}; the difference is more than chance."
    if not sure:
        which = "which of the two leaks less" if len(some) == 2 else "which leaks least"
        return f"It cannot be told {which}: {what}; such a difference may be chance."
    return f"{name} leaks less than {listing(sure)}; whether less than {listing(unsure)} cannot be told: {what}."


def ranking(some: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """Leakage over all thresholds: each one's best AUC, and which can be told apart."""
    order = sorted(some, key=lambda one: one.verdict.auc)
    said = shortened([f"{one.verdict.auc:.3f} ({one.name})" for one in order])
    return f"Over all thresholds, the best AUC is {said}: {told(some, pairs, [one.auc_p for one in pairs])}."


def rightness(some: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """What the targets are worth: their accuracy on non-members, and which can be told apart."""
    order = sorted(some, key=lambda one: one.target.test_accuracy)
    said = shortened([f"{100 * one.target.test_accuracy:.1f} % ({one.name})" for one in order])
    return f"On non-members the targets are right in {said}: {told(some, pairs, [one.accuracy_p for one in pairs])}."


def told(some: Sequence[Revision], pairs: Sequence[Pair], ps: Sequence[float]) -> str:
    """Which pairs can be told apart, by their p-values."""
    sure = [
        f"{some[one.first].name} can be told from {some[one.second].name}"
        for one, p in zip(pairs, ps, strict=True)
        if p < CHANCE
    ]
    if len(some) == 2:
        return "the two can be told apart" if sure else "the two cannot be told apart"
    if len(some) > LISTED:
        return f"of {len(pairs)} pairs {len(sure)} can be told apart"
    return listing(sure) if sure else "none can be told from another"


def shortened(parts: Sequence[str]) -> str:
    """A listing, of many the first and the last."""
    return listing(parts) if len(parts) <= LISTED else f"{parts[0]} to {parts[-1]}"


def listing(parts: Sequence[str]) -> str:
    """Parts of a sentence: a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def one_model(some: Sequence[Revision]) -> bool:
    """Whether all audited the very same trained model, as dvc.lock has it."""
    targets = {one.outs.get(paths.TARGET_MODEL.as_posix(), (one.name, 0))[0] for one in some}
    return len(targets) == 1


def cautions(some: Sequence[Revision], fpr: float | None) -> list[str]:
    """What the headline does not say, and must be known to decide by it."""
    said = []
    names = [name for name, _ in differing(some)]
    attacking = [name for name in names if name.split(".")[0] in ATTACKING]
    if one_model(some):
        said.append(
            "The trained model is the same in all of them (dvc.lock), and so is what it gives away; what differs is "
            f"who looks{': ' + listing(attacking) if attacking else ''}. The strongest audit is the one to go by."
        )
    elif attacking:
        said.append(
            f"They differ in more than the training: {listing(attacking)}. So the difference is not the training’s "
            "alone; audit both with the same attacker to compare trainings."
        )
    own = [one.name for one in some if fpr is not None and one.verdict.fpr not in (None, fpr)]
    if own and fpr is not None:
        said.append(
            f"The verdict of {listing(own)} is at another share of false alarms. Compared is at "
            f"{verdict.rate(fpr)} %, which all have measured; there, its limits do not allow for the strongest "
            "attack’s having been picked."
        )
    said.append(
        "Intervals and p-values are about other records, put to these very models. They know nothing of another "
        "training with the same settings, which gives another model; to choose a recipe, train each with several seeds."
    )
    said.append(
        "Each audit’s strongest attack was picked on the records it is compared on. Where as many attacks were tried, "
        "the luck in that is much the same on both sides, and mostly cancels; the tests do not know of it."
    )
    return said


def differing(some: Sequence[Revision]) -> list[tuple[str, list[str]]]:
    """The parameters that differ, those of the active data sets only, each with a value a revision."""
    every = [active(one, fold=len({one.used.dataset for one in some}) > 1) for one in some]
    names = dict.fromkeys(name for values in every for name in values)
    rows = [(name, [revisions.text_of(values[name]) if name in values else "–" for values in every]) for name in names]
    return [(shown(name), values) for name, values in rows if len(set(values)) > 1]


def active(one: Revision, *, fold: bool) -> dict[str, Any]:
    """Parameters without those of data sets that are not used; fold: the data set's name left out of them."""
    found = {}
    for name, value in one.parameters.items():
        section, _, rest = name.partition(".")
        dataset, _, last = rest.partition(".")
        if section in ("data", "target", "shadow") and last and dataset in DATASETS:
            if dataset != one.used.dataset:
                continue
            name = f"{section}.{last}" if fold else name
        found[name] = value
    return found


DATASETS = get_args(params.Dataset)


# ---- costs


def costs(one: Revision) -> dict[str, str]:
    """What an audit took, counted and not timed, so that it is the same everywhere; "–": not known."""
    trained_on = one.verdict.n_member
    shadows = shadow_images(one)
    models = 1 + one.shadows.models
    asked = one.data.population + (0 if one.used.knowledge == "population" else one.data.attacker)
    stored = [paths.TARGET_MODEL.as_posix(), *(paths.shadow_models(block).as_posix() for block in one.used.blocks)]
    sizes = [one.outs[path][1] for path in stored if path in one.outs]
    about = "about " if one.used.knowledge == "population" and one.data.population_duplicates else ""
    return {
        "images through training, target: epochs × members": f"{one.used.epochs * trained_on:,}",
        "images through training, all shadows: epochs × images": f"{about}{one.used.epochs * shadows:,}",
        "models trained: target and shadows": f"{models:,}",
        "questions asked of each model: records × views": f"{asked * one.used.views:,}",
        "questions asked of all models": f"{asked * one.used.views * models:,}",
        "stored models, in bytes": f"{sum(sizes):,}" if len(sizes) == len(stored) else "–",
    }


def shadow_images(one: Revision) -> int:
    """Images in the training sets of all shadows; of those that are halves of the population, two make a whole."""
    if one.used.knowledge != "population":
        return one.shadows.models * one.used.train_size
    numbers = [block * one.used.per_block + at for block in one.used.blocks for at in range(one.used.per_block)]
    half = one.data.population // 2
    return sum(half if number % 2 == 0 else one.data.population - half for number in numbers)


# ---- who is named


def named(one: Revision, attack: str, fpr: float) -> Bools:
    """(records,): the members that an attack names at the point of `roc.tpr_at`."""
    values, member = score(one, attack), members(one)
    others = np.sort(values[~member])[::-1]
    allowed = roc.false_positives_allowed(fpr, others.size)
    threshold = others[allowed] if allowed < others.size else -np.inf
    return member & (values > threshold)


def exposures(some: Sequence[Revision], fpr: float | None) -> list[dict[str, Any]]:
    """The first revision beside each other one: which members are named in both, and in one of them only."""
    rows = []
    first = some[0]
    for other in some[1:]:
        row: dict[str, Any] = {"first": first.name, "other": other.name, "why": unlike(first, other), "groups": []}
        rows.append(row)
        best = [None if fpr is None else strongest(one, fpr) for one in (first, other)]
        if fpr is None or best[0] is None or best[1] is None:
            row["why"] = row["why"] or "the non-members are too few for an FPR as low"
        if row["why"] is not None:
            continue
        attacks = [one[0] for one in best if one is not None]
        before, after = (named(one, by, fpr or 1) for one, by in zip((first, other), attacks, strict=True))
        row["attacks"] = attacks
        row["members"] = first.verdict.n_member
        for title, who, of, by in (
            ("named in both", before & after, first, attacks[0]),
            (f"named in {first.name} only", before & ~after, first, attacks[0]),
            (f"named in {other.name} only", after & ~before, other, attacks[1]),
        ):
            assert isinstance(of.exposure, pd.DataFrame)
            ranked = of.exposure[who].sort_values([f"{by}_rank", "sample_id"]).head(NAMED)
            row["groups"].append(
                {
                    "title": title,
                    "count": int(who.sum()),
                    "records": [(shown(one["name"]), shown(one["class"])) for one in ranked.to_dict("records")],
                }
            )
    return rows


# ---- the page


def page(some: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> str:
    """The page, src/mia/report/templates/compare.html filled. pairs: of `compare`, at the FPR."""
    keys = roc_of_revisions.keys([one.name for one in some])
    return html.render(
        "compare.html",
        headline=headline(some, pairs, fpr),
        beside=[ranking(some, pairs), rightness(some, pairs)],
        cautions=cautions(some, fpr),
        fpr=None if fpr is None else verdict.rate(fpr),
        chance=CHANCE,
        keys=keys,
        revisions=[
            {
                "name": one.name,
                "said": provenance(one),
                "sentence": verdict.sentence(one.found),
                "scale": scale(one),
            }
            for one in some
        ],
        pairs=[pair_row(some, one) for one in pairs],
        tradeoff=None
        if fpr is None
        else html.figure(
            tradeoff.figure(points(some, fpr)),
            "tradeoff",
            "Each audit by the accuracy of its target on non-members and by the share of members that its strongest "
            "attack recognises; the table below it has the numbers.",
        ),
        parameters=differing(some),
        results=results(some, fpr),
        costs=transposed([costs(one) for one in some]),
        roc=[
            html.figure(
                roc_of_revisions.figure(
                    curves(some, fpr), n_nonmember=max(one.verdict.n_nonmember for one in some), log=log
                ),
                f"roc-{'log' if log else 'linear'}",
                f"ROC curves of each audit’s strongest attack and of loss, {'logarithmic' if log else 'linear'} axes.",
            )
            for log in (True, False)
        ],
        drawn=[(one.name, strongest_of(one, fpr)) for one in some],
        attacks=attack_rows(some, fpr),
        refused=[(one.name, name, shown(why)) for one in some for name, why in one.refused.items()],
        exposures=exposures(some, fpr),
    )


def scale(one: Revision) -> dict[str, Any] | None:
    """The verdict on a scale, without the mark before the last, for which half a page is too narrow."""
    made = audit_headline.scale(one.found)
    return None if made is None else made | {"ticks": [*made["ticks"][:-2], made["ticks"][-1]]}


def provenance(one: Revision) -> str:
    """Commit and date, as git has them."""
    of = f"commit {one.commit[:7]} of {one.date}"
    return f"not committed, on {of}" if one.changed else of


def strongest_of(one: Revision, fpr: float | None) -> str:
    """The attack whose curve is drawn: the strongest at the FPR, else by AUC."""
    best = None if fpr is None else strongest(one, fpr)
    return best[0] if best else one.verdict.auc_attack


def curves(some: Sequence[Revision], fpr: float | None) -> pd.DataFrame:
    """What roc_of_revisions.figure draws."""
    parts = []
    for one in some:
        best = strongest_of(one, fpr)
        for attack, role in ((best, "strongest"), ("loss", "loss")):
            if role == "strongest" or (attack in one.attacks and attack != best):
                mine = one.curves[one.curves["attack"] == attack]
                parts.append(mine.drop(columns="attack").assign(revision=one.name, role=role))
    return pd.concat(parts, ignore_index=True)


def points(some: Sequence[Revision], fpr: float) -> pd.DataFrame:
    """What tradeoff.figure draws."""
    rows = []
    for one in some:
        best, right = strongest(one, fpr), accuracy(one)
        tpr = best[1] if best else Estimate(math.nan, math.nan, math.nan)
        row = {"label": one.name, "fpr": fpr}
        for name, estimate in (("accuracy", right), ("tpr", tpr)):
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows)


def results(some: Sequence[Revision], fpr: float | None) -> list[tuple[str, list[str]]]:
    """What was measured, a row a number, a cell a revision."""
    columns = []
    for one in some:
        best = None if fpr is None else strongest(one, fpr)
        right = accuracy(one)
        auc = one.found
        recognised = {}
        if fpr is not None:
            recognised[f"recognised at {verdict.rate(fpr)} % false alarms (TPR)"] = (
                estimated(best[1], percent) if best else "–"
            )
            recognised["by the attack"] = html.words(best[0]) if best else "–"
        columns.append(
            {
                "accuracy on members": f"{100 * one.target.train_accuracy:.1f} %",
                "accuracy on non-members": estimated(right, percent),
                "gap, points": f"{100 * (one.target.train_accuracy - one.target.test_accuracy):.1f}",
                **recognised,
                "best AUC": f"{auc['auc']:.3f} ({auc['auc_low']:.3f} to {auc['auc_high']:.3f})",
                "of the attack": html.words(one.verdict.auc_attack),
                "members, non-members": f"{one.verdict.n_member:,}, {one.verdict.n_nonmember:,}",
                "attacks measured": f"{one.verdict.attacks:,}",
                "attacker.knowledge": shown(one.used.knowledge),
                "shadow models": f"{one.shadows.models:,}",
            }
        )  # fmt: skip
    return transposed(columns)


def transposed(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Rows of a table whose columns all have the same names."""
    return [(name, [column[name] for column in columns]) for name in columns[0]]


def percent(share: float) -> str:
    """A share in percent, to one decimal where it is large enough."""
    return f"{100 * share:.1f}" if share >= 0.0995 else verdict.percent(share)


def estimated(one: Estimate, text: Any) -> str:
    """An estimate in percent with its limits."""
    return f"{text(one.value)} % ({text(one.low)} to {text(one.high)})"


def pair_row(some: Sequence[Revision], one: Pair) -> dict[str, Any]:
    """A row of the table of differences."""
    return {
        "name": f"{some[one.second].name} less {some[one.first].name}",
        "tpr": signed(one.tpr, 100, 1) if one.tpr else "–",
        "tpr_p": p_text(one.tpr_p) if one.tpr else "–",
        "tpr_sure": one.tpr_p < CHANCE,
        "auc": signed(one.auc, 1, 3),
        "auc_p": p_text(one.auc_p),
        "auc_sure": one.auc_p < CHANCE,
        "accuracy": signed(one.accuracy, 100, 1),
        "accuracy_p": p_text(one.accuracy_p),
        "accuracy_sure": one.accuracy_p < CHANCE,
        "why": one.unlike,
    }


def signed(one: Comparison, times: float, digits: int) -> str:
    """A difference with its limits, signed."""
    value, low, high = (
        f"{round(times * end, digits) + 0.0:+.{digits}f}".replace("-", "−")
        for end in (one.difference, one.low, one.high)
    )
    return f"{value} ({low} to {high})"


def p_text(p: float) -> str:
    """A p-value as text."""
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def attack_rows(some: Sequence[Revision], fpr: float | None) -> list[dict[str, Any]]:
    """Every attack that any has, with its numbers in each; those strongest in the first revision come first."""
    names = list(dict.fromkeys(name for one in some for name in one.attacks))

    def first(name: str) -> tuple[float, ...]:
        attack = some[0].attacks.get(name)
        return (-attack.tprs.get(fpr or 0, (-1.0,))[0], -attack.auc) if attack else (2.0, 0.0)

    rows = []
    for name in sorted(names, key=first):
        cells = []
        for one in some:
            attack = one.attacks.get(name)
            tpr = attack.tprs.get(fpr or 0) if attack else None
            if fpr is not None:
                text = "{} ({}–{})".format(*map(verdict.percent, tpr)) if tpr else "–"
                cells.append((tpr[0] if tpr else "", text))
            auc = show.interval(attack.model_dump(), "auc", 3) if attack else "–"
            cells.append((attack.auc if attack else "", auc))
        strong = any(name in (one.verdict.tpr_attack, one.verdict.auc_attack) for one in some)
        rows.append({"attack": name, "cells": cells, "strong": strong})
    return rows


# ---- the command


def report(names: Sequence[str], out: Path) -> None:
    """Read, compare, write the page, say what was found."""
    if not 2 <= len(names) <= MOST:
        raise InputError(
            f"expected two to seven audits to compare, got {len(names)}: experiments by name ({revisions.LIST}), git "
            "revisions, or workspace"
        )
    read = [revisions.read(name, commit) for name, commit in zip(names, revisions.resolve(names), strict=True)]
    called = [one.name for one in read]
    some = [
        one if called.count(one.name) == 1 else replace(one, name=f"{one.name} ({one.commit[:10]})") for one in read
    ]
    fpr = revisions.fpr_of(some)
    pairs = compare(some, fpr)
    made = page(some, pairs, fpr)
    with atomic.file(out) as temporary:
        temporary.write_text(made, encoding="utf-8")
    for one in some:
        print(shown(f"{one.name} ({provenance(one)}): {verdict.sentence(one.found)}"))
    print(shown(f"\n{headline(some, pairs, fpr)}\nThe comparison: {out}"))
