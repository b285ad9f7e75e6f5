"""How often does an audit find a leak where there is none, and how large must one be to be found?

    python benchmarks/null_worlds.py [--worlds 400] [--out FOLDER]

A world is a target's members and non-members and the scores of attacks that are correlated by .7. In half of the worlds
they know nothing; in the others every attack's score of a member is higher by a shift. Of each world what the audit
would claim is counted, by the functions that the stages call. Two tables are printed, and kept as null_worlds.md and
power.md in FOLDER with the counts as null_worlds.json.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mia import progress
from mia.evaluation import bootstrap, by_class, differences, epsilon, permutation, roc, strongest, verdict
from mia.report import text_table
from mia.store import atomic

CORRELATION = 0.7
FPRS = (0.1, 0.01, 0.001, 0.0001)  # of params.yaml
CLASSES = 10
PERMUTATIONS = 999
SHIFTS = (0.2, 0.35, 0.5)  # of a member's score, in standard deviations: AUC .556, .598, .638
CHANCE = 0.05


class Size(NamedTuple):
    """Of a world."""

    members: int
    nonmembers: int
    attacks: int
    ties: bool = False


NULL = [
    Size(20, 20, 1),
    Size(20, 20, 24),
    Size(60, 60, 1),
    Size(60, 60, 24),
    Size(120, 120, 1),
    Size(120, 120, 24),
    Size(120, 120, 24, ties=True),
    Size(300, 60, 24),
    Size(60, 300, 24),
    Size(449, 449, 1),
    Size(449, 449, 24),
    Size(449, 449, 24, ties=True),
    Size(1000, 200, 24),
    Size(5000, 5000, 1),
    Size(5000, 5000, 24),
]
PLANTED = [Size(n, n, 24) for n in (20, 60, 120, 449, 1000)]


def world(rng: np.random.Generator, size: Size, shift: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores, (attacks, samples), and who is a member."""
    samples = size.members + size.nonmembers
    is_member = np.zeros(samples, bool)
    is_member[rng.permutation(samples)[: size.members]] = True
    common, own = rng.standard_normal(samples), rng.standard_normal((size.attacks, samples))
    scores = CORRELATION**0.5 * common + (1 - CORRELATION) ** 0.5 * own + shift * is_member
    return (np.round(2 * scores) / 2 if size.ties else scores), is_member


def claims(seed: list[int], size: Size, shift: float) -> dict[str, bool]:
    """What an audit of one world says."""
    rng = np.random.default_rng(seed)
    scores, is_member = world(rng, size, shift)
    names = [f"attack {at}" for at in range(size.attacks)]
    by_name = dict(zip(names, scores, strict=True))
    fprs = [fpr for fpr in FPRS if roc.resolvable(fpr, size.nonmembers)]
    chance = permutation.p_values(scores, is_member, fprs=fprs, rng=rng, permutations=PERMUTATIONS)
    found = strongest.verdict_numbers(by_name, is_member, fprs, chance)
    said = {"recognises": verdict.recognises(found)} if "fpr" in found else {}
    said["ranks"] = verdict.ranks(found)
    said["either"] = any(said.values())
    if shift:
        return said
    said["an attack finds members"] = any(
        permutation.excludes_chance(p) and bootstrap.estimates(row, is_member, **DRAWS, rng=rng)["auc"].low > 0.5
        for row, p in zip(scores, chance.auc, strict=True)
    )
    best = by_name[found["auc_attack"]]
    labels, p_value = rng.integers(CLASSES, size=is_member.size), float(chance.auc[names.index(found["auc_attack"])])
    rows = by_class.auc_rows(best, is_member, labels, p_value=p_value)
    said["a class leaks"] = any(row.get("auc_low", 0) > 0.5 for row in rows)
    said["classes differ"] = by_class.homogeneity_p_value(best, is_member, labels) < CHANCE
    said["epsilon above 0"] = any(bounded(rng, size, row, is_member) for row in scores)
    others, _ = world(rng, size, shift)
    other = dict(zip(names, others, strict=True))
    second = strongest.strongest_auc(other, is_member, p_value=1.0)
    placed = [differences.placements(row, is_member) for row in (best, other[second.attack])]
    said["two audits differ, AUC"] = differences.compare_auc(placed[0], placed[1]).p_value < CHANCE
    if "fpr" in found:
        second = strongest.strongest_tpr(other, is_member, fpr=found["fpr"], p_value=1.0)
        pair = by_name[found["tpr_attack"]], other[second.attack]
        told = differences.compare_tpr(*pair, is_member, fpr=found["fpr"], replicates=500, rng=rng)
        said["two audits differ, TPR"] = told.p_value < CHANCE
    return said


DRAWS: dict[str, Any] = {"fprs": (), "replicates": 1000}


def bounded(rng: np.random.Generator, size: Size, score: NDArray[np.float64], is_member: NDArray[np.bool_]) -> bool:
    """Whether epsilon is said to be above 0, at a threshold chosen on a shadow that knows nothing either."""
    shadow, shadows_member = world(rng, Size(500, 500, 1, size.ties), 0)
    sizes = {"n_member": size.members, "n_nonmember": size.nonmembers}
    called = score >= epsilon.best_threshold(shadow[0], shadows_member, **sizes)
    counts = int((called & is_member).sum()), size.members, int((called & ~is_member).sum()), size.nonmembers
    return epsilon.lower_bound(*counts) > 0


def counted(size: Size, shift: float, worlds: int) -> dict[str, Any]:
    """One row: of so many worlds, in how many each claim is made."""
    work = (delayed(claims)([at, *size, round(100 * shift)], size, shift) for at in range(worlds))
    title = f"{size.members} and {size.nonmembers}, {size.attacks} attacks, shift {shift:g}"
    said = list(
        progress.bar(Parallel(n_jobs=os.cpu_count(), return_as="generator")(work), title, total=worlds, unit="world")
    )
    return {**size._asdict(), "shift": shift, "worlds": worlds, **{k: sum(one[k] for one in said) for k in said[0]}}


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, numbers to the right."""
    return text_table.markdown([head, *rows], words=())


def shares(row: dict[str, Any], kinds: list[str]) -> list[str]:
    """The share of worlds with each claim, in percent; a dash where the records are too few for it."""
    return [f"{100 * row[kind] / row['worlds']:.1f}" if kind in row else "–" for kind in kinds]


def named(row: dict[str, Any]) -> list[str]:
    """The first columns of a row."""
    return [f"{row['members']:,}", f"{row['nonmembers']:,}", str(row["attacks"]) + (", tied" if row["ties"] else "")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--out", type=Path, help="a folder")
    given = parser.parse_args()
    null = [counted(size, 0.0, given.worlds) for size in NULL]
    planted = [counted(size, shift, given.worlds // 2) for size in PLANTED for shift in SHIFTS]
    kinds = [key for key in null[-1] if key not in (*Size._fields, "shift", "worlds")]
    first = ["members", "non-members", "attacks"]
    found = ["recognises", "ranks", "either"]
    tables = {
        "null_worlds": markdown([*first, *kinds], [[*named(row), *shares(row, kinds)] for row in null]),
        "power": markdown(
            [*first, "shift", *found], [[*named(row), f"{row['shift']:g}", *shares(row, found)] for row in planted]
        ),
    }
    print("\n\n".join(tables.values()))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        contents = {f"{name}.md": text + "\n" for name, text in tables.items()}
        contents["null_worlds.json"] = json.dumps({"null": null, "planted": planted}, indent=1) + "\n"
        for name, text in contents.items():
            with atomic.file(given.out / name) as temporary:
                temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
