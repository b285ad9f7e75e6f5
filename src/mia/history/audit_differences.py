"""Differences of two audits, with their intervals and tests. Nothing is read or written here.

Two audits of the same records with the same members are compared record by record, any others as independent estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, norm

from mia import seeds
from mia.arrays import Bools
from mia.evaluation import differences, intervals, roc
from mia.evaluation.differences import Comparison
from mia.evaluation.intervals import Estimate
from mia.history.revisions import Revision

REPLICATES = 2000
# Of TPR, AUC and the target's accuracy on non-members: the second audit's less the first's.
Differences = tuple[Comparison | None, Comparison, Comparison]


@dataclass(frozen=True)
class Pair:
    """Two audits by their places; each difference is that of the second less the first.

    unlike: why the records are not the same ones, None where they are. tpr: at the common FPR, of each audit's
    strongest attack; None where either has none. auc: likewise. accuracy: of the targets, on non-members.
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


def common_fpr(audits: Sequence[Revision]) -> float | None:
    """The FPR at which audits are compared: that of the first verdict, or the nearest to it that all measured.

    Audits whose non-members resolve no FPR at all do not count; None where no FPR is left.
    """
    able = [audit for audit in audits if audit.verdict.fpr is not None]
    if not able or able[0].verdict.fpr is None:
        return None
    first = able[0].verdict.fpr
    common = set.intersection(*(set(attack.tprs) for audit in able for attack in audit.attacks.values()))
    return min(sorted(common), key=lambda fpr: abs(math.log(fpr / first)), default=None)


def compare(audits: Sequence[Revision], fpr: float | None) -> list[Pair]:
    """Every two audits: record by record where both have the same records, else as independent estimates."""
    pairs = []
    for first, second in combinations(range(len(audits)), 2):
        before, after = audits[first], audits[second]
        why = unlike(before, after)
        if why is None:
            rng = seeds.generator(0, "compare")  # the same draws for every pair
            pairs.append(Pair(first, second, why, *record_by_record(before, after, fpr, rng)))
        else:
            pairs.append(Pair(first, second, why, *estimate_by_estimate(before, after, fpr)))
    return adjusted(pairs)


def adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with p-values adjusted after Holm, those of each number among themselves."""
    by_tpr = iter(differences.holm([pair.tpr.p_value for pair in pairs if pair.tpr is not None]).tolist())
    by_auc = differences.holm([pair.auc.p_value for pair in pairs]).tolist()
    by_accuracy = differences.holm([pair.accuracy.p_value for pair in pairs]).tolist()
    return [
        replace(pair, tpr_p=math.nan if pair.tpr is None else next(by_tpr), auc_p=auc_p, accuracy_p=accuracy_p)
        for pair, auc_p, accuracy_p in zip(pairs, by_auc, by_accuracy, strict=True)
    ]


def unlike(first: Revision, second: Revision) -> str | None:
    """Why two audits cannot be compared record by record; None where they can."""
    for audit in (first, second):
        if isinstance(audit.exposure, str):
            return f"whether both audited the same records is not known ({audit.name}: {audit.exposure})"
    before, after = records(first), records(second)
    keys = ["sample_id", "name", "class"]
    if len(before) != len(after) or not before[keys].equals(after[keys]):
        return "they audited different records"
    moved = int((before["is_member"] != after["is_member"]).sum())
    return f"of the same records, {moved:,} are members of one target and not of the other" if moved else None


def record_by_record(before: Revision, after: Revision, fpr: float | None, rng: np.random.Generator) -> Differences:
    """After less before: of the TPR by a paired bootstrap, of the AUC by DeLong, of accuracy by McNemar.

    Both of the same records (see `unlike`). TPR: None at no FPR, or where either has no attack at that FPR.
    """
    member = members(before)
    best = None if fpr is None else strongest_of_both(before, after, fpr)
    tpr = None
    if fpr is not None and best is not None:
        scored = score(after, best[1][0]), score(before, best[0][0])
        tpr = differences.compare_tpr(*scored, member, fpr=fpr, replicates=REPLICATES, rng=rng)
    placed = [differences.placements(score(audit, audit.verdict.auc_attack), member) for audit in (after, before)]
    right = correct(after), correct(before)
    if right[0] is None or right[1] is None:
        accurate = independent(accuracy(after), accuracy(before))
    else:
        accurate = paired(right[0], right[1])
    return tpr, differences.compare_auc(*placed), accurate


def estimate_by_estimate(before: Revision, after: Revision, fpr: float | None) -> Differences:
    """After less before, as estimates from different records; of a TPR the limits of its one attack.

    TPR: None at no FPR, or where either has no attack at that FPR.
    """
    best = None if fpr is None else strongest_of_both(before, after, fpr)
    tpr = None
    if fpr is not None and best is not None:
        own = [Estimate(*audit.attacks[name].tprs[fpr]) for audit, (name, _) in zip((before, after), best, strict=True)]
        tpr = independent(own[1], own[0])
    areas = [area(audit, audit.verdict.auc_attack) for audit in (after, before)]
    return tpr, independent(*areas), independent(accuracy(after), accuracy(before))


def strongest(audit: Revision, fpr: float) -> tuple[str, Estimate] | None:
    """The attack that recognises most members at an FPR, with the verdict's limits where it is the verdict's FPR.

    None where the audit has no attack at that FPR.
    """
    verdict = audit.verdict
    if verdict.fpr == fpr and verdict.tpr_attack is not None:
        return verdict.tpr_attack, Estimate(*(audit.verdict_numbers[name] for name in ("tpr", "tpr_low", "tpr_high")))
    measured = {name: attack.tprs[fpr] for name, attack in audit.attacks.items() if fpr in attack.tprs}
    if verdict.fpr is None or not measured:
        return None
    best = max(measured, key=lambda name: measured[name][0])
    return best, Estimate(*measured[best])


def strongest_of_both(
    first: Revision, second: Revision, fpr: float
) -> tuple[tuple[str, Estimate], tuple[str, Estimate]] | None:
    """`strongest` of two audits; None where either has no attack at that FPR."""
    best = strongest(first, fpr), strongest(second, fpr)
    return None if best[0] is None or best[1] is None else (best[0], best[1])


def accuracy(audit: Revision) -> Estimate:
    """The target's accuracy on non-members, with Clopper and Pearson's limits."""
    right = round(audit.target.test_accuracy * audit.verdict.n_nonmember)
    low, high = intervals.clopper_pearson(right, audit.verdict.n_nonmember)
    return Estimate(audit.target.test_accuracy, float(low), float(high))


def area(audit: Revision, attack: str) -> Estimate:
    """An attack's AUC."""
    measured = audit.attacks[attack]
    return Estimate(measured.auc, measured.auc_low, measured.auc_high)


def records(audit: Revision) -> pd.DataFrame:
    """data/exposure.parquet of an audit that has it."""
    assert isinstance(audit.exposure, pd.DataFrame)
    return audit.exposure


def score(audit: Revision, attack: str) -> NDArray[np.float64]:
    """(records,): an attack's scores, by sample_id."""
    return records(audit)[f"{attack}_score"].to_numpy(np.float64)


def members(audit: Revision) -> Bools:
    """(records,): which records are members, by sample_id."""
    return records(audit)["is_member"].to_numpy(bool)


def correct(audit: Revision) -> Bools | None:
    """(non-members,): on which the target is right; None where the audit did not write that down."""
    if "correctness" not in audit.attacks:
        return None
    scores = score(audit, "correctness")[~members(audit)]
    right = scores > 0
    if set(np.unique(scores)) - {0.0, 1.0} or abs(float(right.mean()) - audit.target.test_accuracy) > 1e-4:
        return None  # of several views, or of other records
    return right


def named(audit: Revision, attack: str, fpr: float) -> Bools:
    """(records,): the members that an attack recognises at the point of `roc.tpr_at`."""
    scores, member = score(audit, attack), members(audit)
    others = np.sort(scores[~member])[::-1]
    allowed = roc.false_positives_allowed(fpr, others.size)
    threshold = others[allowed] if allowed < others.size else -np.inf
    return member & (scores > threshold)


def independent(a: Estimate, b: Estimate) -> Comparison:
    """Return a less b for estimates from different records, from their 95 % limits alone.

    The limits are joined by MOVER (Zou & Donner, Statistics in Medicine 27, 2008), which for Wilson's limits is
    Newcombe's method 10. p is that of a normal difference with the limit on 0's side (Altman & Bland, BMJ 343, 2011),
    below 0.05 where the interval leaves 0 out.
    """
    difference = a.value - b.value
    below, above = intervals.mover(a, b)
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
