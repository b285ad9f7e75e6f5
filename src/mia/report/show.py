"""The numbers of an audit as a table: `mia show [metrics/attacks.json]`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mia import paths
from mia.errors import InputError, shown
from mia.evaluation import verdict, wording
from mia.report import text_table, without_shadows
from mia.repository import git
from mia.store import metrics_files, sealed_json

MAKING = (
    paths.PARAMS.as_posix(),
    paths.AUDITS.as_posix(),
    "dvc.yaml",
    "src",
    "requirements.txt",
)  # what makes the numbers, beside the machine
NAMES = {"auc": "AUC", "tpr_at_fpr_0_1": "TPR at 10 % FPR", "tpr_at_fpr_0_01": "TPR at 1 % FPR"}
SHOWN = {"auc": 3, "tpr_at_fpr_0_1": 4, "tpr_at_fpr_0_01": 4}  # decimals in the table
MOST_MOVED = 4  # numbers that the note names
FINDS = "finds members"  # the sentence of mia.evaluation.detectable for an attack that works
TPRS = {"tpr_at_fpr_0_1": ("10", ".1000"), "tpr_at_fpr_0_01": ("1", ".0100"), "tpr_at_fpr_0_001": ("0.1", ".0010")}
MANY = 1000  # non-members that resolve 0.1 % FPR


def tprs(measured: Sequence[dict[str, Any]]) -> list[str]:
    """The two TPRs of the table: those at 1 % and 0.1 % FPR, or at 10 % and 1 % where there are few non-members."""
    few = measured[0]["n_nonmember"] < MANY
    return list(TPRS)[:2] if few else list(TPRS)[1:]


def columns(measured: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The heads of the table."""
    at = (f"TPR at {TPRS[name][0]} % FPR" for name in tprs(measured))
    return "attack", "AUC", *at, "balanced accuracy", "accuracy", "F1", "epsilon at least (delta 0)"


def rows(measured: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row an attack, best AUC first, with 95 % intervals; then the numbers of always answering "member"."""
    fraction = wording.decimals(3)
    rates = tprs(measured)
    table = []
    for entry in sorted(measured, key=lambda entry: -entry["auc"]):
        table.append(
            (
                wording.words(entry["attack"]),
                text_table.interval(entry, "auc", 3),
                *(text_table.interval(entry, name, 4) for name in rates),
                text_table.interval(entry, "balanced_accuracy", 3),
                fraction(entry["accuracy"]),
                fraction(entry["f1"]),
                f"{entry['epsilon_lower']:.2f}",
            )
        )
    first = measured[0]
    guess = fraction(first["always_member_accuracy"]), fraction(first["always_member_f1"])
    return [*table, ("*always “member”*", ".500", *(TPRS[name][1] for name in rates), ".500", *guess, "0.00")]


def markdown(measured: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    return text_table.markdown([columns(measured), *rows(measured)])


def plain(measured: Sequence[dict[str, Any]], width: int | None = None) -> str:
    """The rows in columns for a terminal; where it is `width` letters wide, the first columns that fit."""
    table = [columns(measured), *rows(measured)]
    return text_table.plain([[cell.replace("*", "") for cell in row] for row in table], width)


def remarks(measured: Sequence[dict[str, Any]], refused: dict[str, str]) -> list[str]:
    """What to know beside the table: attacks that find nothing here, and those that cannot run, and why."""
    idle: dict[str, list[str]] = {}
    for entry in measured:
        if entry.get("verdict", FINDS) != FINDS:
            idle.setdefault(entry["verdict"], []).append(wording.words(entry["attack"]))
    by_reason: dict[str, list[str]] = {}
    for attack, reason in refused.items():
        by_reason.setdefault(reason, []).append(wording.words(attack))
    lines = [f"{', '.join(attacks)}: {finding}" for finding, attacks in idle.items()]
    lines += [f"{', '.join(attacks)}: cannot run, {reason}" for reason, attacks in by_reason.items()]
    if len(reasons := text_table.without_spread(measured)) == 1 and len(next(iter(reasons.values()))) == len(measured):
        return [*lines, f"no ± over trainings: {next(iter(reasons))}"]
    return lines + [f"{', '.join(map(wording.words, of))}: no ± over trainings, {why}" for why, of in reasons.items()]


def intervals(measured: Sequence[dict[str, Any]]) -> str:
    """The meaning of the numbers in brackets, and after ± if an attack has a spread."""
    known = any(entry.get("auc_spread") is not None for entry in measured)
    return "95 % intervals over records" + ("; ± standard deviation over trainings" if known else "")


def thresholds(measured: Sequence[dict[str, Any]]) -> str:
    """What the attacks' thresholds were chosen on."""
    if any(entry.get("thresholds") == "cross-fitted" for entry in measured):
        return "thresholds cross-fitted on the audited records, which an auditor can do and an attacker cannot"
    return "thresholds chosen on shadows"


def moved(measured: Sequence[dict[str, Any]]) -> str | None:
    """Which numbers differ from those in git by more than rounding; None where none does.

    None too where the last commit has other parameters or code: then the machine is not the only difference.
    """
    committed = git("show", f"HEAD:./{paths.ATTACK_METRICS.as_posix()}")
    if committed is None or git("diff", "--quiet", "HEAD", "--", *MAKING) is None:
        return None
    before = {entry["attack"]: entry for entry in sealed_json.parse(committed.decode())}
    parts, attacks = [], set()
    for entry in measured:
        for key, decimals in SHOWN.items():
            there, here = before.get(entry["attack"], {}).get(key), entry.get(key)
            if there is not None and here is not None and abs(there - here) > 1.5 * 10**-decimals:
                attacks.add(entry["attack"])
                texts = (f"{value:.{decimals}f}".removeprefix("0") for value in (there, here))
                parts.append("{} {} {} there, {} here".format(wording.words(entry["attack"]), NAMES[key], *texts))
    if not parts:
        return None
    left = len(parts) - MOST_MOVED
    more = f"; and {left} more number{'s' if left > 1 else ''}" if left > 0 else ""
    return (
        f"note: {len(attacks)} of {len(measured)} attacks differ{'s' if len(attacks) == 1 else ''} from the numbers in "
        "git by more than rounding, because another processor rounds differently: "
        f"{'; '.join(parts[:MOST_MOVED])}{more}"
    )


def report(path: Path) -> None:
    """Print the table of this file, the verdict and the place of the report.

    Raises InputError where the file is missing, or not what `evaluate` writes.
    """
    measured = metrics_files.read_json(path)
    root = path.parent.parent
    places = f"\nfigures: {root / paths.LEAK_FIGURE.parent}/*.png; which records: {root / paths.EXPOSURE}; "
    places += f"every number: {path}"
    refused, strongest, alone = (
        metrics_files.read_json(beside) if (beside := path.with_name(other.name)).exists() else {}
        for other in (paths.NOT_APPLICABLE, paths.VERDICT, paths.WITHOUT_SHADOWS)
    )
    try:
        first = measured[0]
        size = f"{first['n_member']} members, {first['n_nonmember']} non-members"
        lines = [
            f"\n{size}; {intervals(measured)}; {thresholds(measured)}\n",
            plain(measured, width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None),
            "",
            *remarks(measured, refused),
            *(f"\n{sentence}" for sentence in without_shadows.sentences(alone, verdict.noun(strongest))),
            *([places] if path == root / paths.ATTACK_METRICS else []),
            *([f"\n{verdict.sentence(strongest)}"] if strongest else []),
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not what `evaluate` writes ({error!r})") from None
    print(shown("\n".join(lines)))  # the file may be anybody's
    if path == root / paths.ATTACK_METRICS and (root / paths.AUDIT_PAGE).exists():
        print(f"The report: {root / paths.AUDIT_PAGE}")
    if path == paths.ATTACK_METRICS and (note := moved(measured)):
        print(shown(f"\n{note}"))
