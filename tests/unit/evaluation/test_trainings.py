"""The spread over trainings: against a slow twin, in worlds with a known answer, and where it is not known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mia.attacks import evidence, reference, rmia
from mia.evaluation import differences, roc, trainings

FPRS = (0.1, 0.01)


def played(rng: np.random.Generator, plays: int, records: int, *, leak: float = 1.0, noise: float = 1.0) -> Any:
    """Scores of plays about the same records, half of them members of each: how hard, how well trained, and noise."""
    hard = rng.normal(size=records)
    parts = []
    for _ in range(plays):
        member = rng.permutation(records) < records // 2
        parts.append((member, hard + leak * rng.normal(1, 0.2) * member + noise * rng.normal(size=records)))
    return joined(parts, np.arange(records))


def joined(parts: list[tuple[Any, Any]], sample_id: Any) -> trainings.Played:
    model_id = np.repeat(np.arange(1, len(parts) + 1), len(sample_id))
    member, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return trainings.Played(model_id, np.tile(sample_id, len(parts)), member, scores, "population")


def slow_auc_spread(given: trainings.Played, n_member: int, n_nonmember: int) -> float:
    """From the docstring of `trainings.standard_deviation`, record by record, of plays about the same records."""
    plays = [given.model_id == model for model in np.unique(given.model_id)]
    placed = [differences.placements(given.scores[rows], given.is_member[rows]) for rows in plays]
    members = [given.is_member[rows] for rows in plays]
    aucs = [one.auc for one in placed]
    moved = []  # what each record adds to a play's AUC, for one record of its side
    for one, member in zip(placed, members, strict=True):
        of_play = np.empty(len(member))
        of_play[member], of_play[~member] = one.v10 - one.auc, one.v01 - one.auc
        moved.append(of_play)
    over_records: list[float] = []
    covariances: list[float] = []
    sides: dict[bool, list[float]] = {True: [], False: []}
    for k, (a, of_a) in enumerate(zip(members, moved, strict=True)):
        share = np.where(a, of_a / a.sum(), of_a / (~a).sum())
        over_records.append(sum(share**2))
        for other, (b, of_b) in enumerate(zip(members, moved, strict=True)):
            if k == other:
                continue
            covariances.append(sum(share * np.where(b, of_b / b.sum(), of_b / (~b).sum())))
            for side in (True, False):
                sides[side] += [x * y for x, y, m, n in zip(of_a, of_b, a, b, strict=True) if m == n == side]
    own = max(0.0, float(np.var(aucs, ddof=1) - np.mean(over_records) + np.mean(covariances)))
    for side, size in ((True, n_member), (False, n_nonmember)):
        variance = np.mean([np.mean(of[member == side] ** 2) for of, member in zip(moved, members, strict=True)])
        own += max(0.0, float(variance) - max(0.0, float(np.mean(sides[side])))) / size
    return math.sqrt(own)


@pytest.mark.parametrize(("noise", "leak"), [(1.0, 1.0), (0.1, 1.0), (3.0, 0.0)])
def test_it_is_what_its_docstring_says(noise: float, leak: float) -> None:
    given = played(np.random.default_rng(3), 5, 120, noise=noise, leak=leak)
    found = trainings.spreads(given, 40, 70, FPRS)
    assert found["auc_spread"] == pytest.approx(slow_auc_spread(given, 40, 70), abs=1e-5)


def test_the_order_of_rows_and_the_names_of_records_do_not_matter() -> None:
    given = played(np.random.default_rng(0), 4, 200)
    found = trainings.spreads(given, 100, 100, FPRS)
    order = np.random.default_rng(1).permutation(len(given.scores))
    shuffled = trainings.Played(
        given.model_id[order],
        3 * given.sample_id[order] + 1,
        given.is_member[order],
        given.scores[order],
        "population",
    )
    assert trainings.spreads(shuffled, 100, 100, FPRS) == found
    names = {"auc_spread", "tpr_at_fpr_0_1_spread", "tpr_at_fpr_0_01_spread", "plays", "plays_of", "spread_missing"}
    assert set(found) == names
    assert found["spread_missing"] is None
    json.dumps(found, allow_nan=False)


def test_trainings_that_all_give_the_same_spread_not_at_all() -> None:
    rng = np.random.default_rng(0)
    member = np.arange(400) % 2 == 0
    scores = rng.normal(size=400) + member
    found = trainings.spreads(joined([(member, scores)] * 6, np.arange(400)), 200, 200, FPRS)
    assert [found[name] for name in found if name.endswith("spread")] == [0.0, 0.0, 0.0]


def test_scores_that_are_all_alike_spread_not_at_all() -> None:
    member = np.arange(200) % 2 == 0
    found = trainings.spreads(joined([(member, np.zeros(200))] * 4, np.arange(200)), 100, 100, FPRS)
    assert [found[name] for name in found if name.endswith("spread")] == [0.0, 0.0, 0.0]


def test_where_no_record_is_shared_the_whole_of_the_records_own_noise_is_counted() -> None:
    """As of an attacker with few shadows, whose records are shared out: DeLong's variance, and not less."""
    rng = np.random.default_rng(0)
    given = played(rng, 6, 400)
    apart = trainings.Played(
        given.model_id, given.sample_id + 400 * given.model_id, given.is_member, given.scores, "attacker"
    )
    delong = math.sqrt(0.25 / 6 / 200 * 2)
    found = trainings.spreads(apart, 200, 200, FPRS)
    assert found["plays_of"] == "attacker"
    assert found["auc_spread"] > 0.6 * delong
    assert found["auc_spread"] > trainings.spreads(given, 200, 200, FPRS)["auc_spread"]


@pytest.mark.parametrize(
    ("plays", "why"),
    [(1, "one shadow in the target's place, 4 needed"), (3, "3 shadows in the target's place, 4 needed")],
)
def test_too_few_plays_give_no_number_and_the_reason(plays: int, why: str) -> None:
    found = trainings.spreads(played(np.random.default_rng(0), plays, 100), 50, 50, FPRS)
    nothing = {"auc_spread": None, "tpr_at_fpr_0_1_spread": None, "tpr_at_fpr_0_01_spread": None}
    assert found == nothing | {"plays": plays, "plays_of": None, "spread_missing": why}


def test_without_shadows_there_is_no_number() -> None:
    found = trainings.spreads(None, 50, 50, [0.1])
    why = "no shadow in the target's place, 4 needed"
    nothing = {"auc_spread": None, "tpr_at_fpr_0_1_spread": None, "plays": 0, "plays_of": None}
    assert found == nothing | {"spread_missing": why}


def test_an_fpr_that_plays_do_not_resolve_has_no_number() -> None:
    found = trainings.spreads(played(np.random.default_rng(0), 4, 100), 500, 500, FPRS)
    assert found["tpr_at_fpr_0_01_spread"] is None
    assert found["tpr_at_fpr_0_1_spread"] > 0
    assert found["spread_missing"] == "at FPR 0.01, which the shadows' 50 non-members do not resolve"


def test_the_verdict_has_the_spreads_of_the_attacks_it_is_about() -> None:
    measured: list[dict[str, Any]] = [
        {"attack": "loss", "auc_spread": 0.01, "tpr_at_fpr_0_1_spread": 0.02, "plays": 5, "plays_of": "attacker"},
        {"attack": "quantile", "auc_spread": None, "tpr_at_fpr_0_1_spread": None, "plays": 1, "spread_missing": "why"},
    ]
    by_auc = {"auc_attack": "loss", "auc": 0.6}
    assert trainings.of_verdict(by_auc, measured) == {"auc_spread": 0.01, "plays": 5, "plays_of": "attacker"}
    by_tpr = {**by_auc, "tpr_attack": "quantile", "tpr": 0.3, "fpr": 0.1}
    assert trainings.of_verdict(by_tpr, measured) == {
        "auc_spread": 0.01, "tpr_spread": None, "plays": 1, "spread_missing": "why"
    }  # fmt: skip
    other = {"auc_attack": "quantile", "auc": 0.6, "tpr_attack": "loss", "tpr": 0.3, "fpr": 0.1}
    assert trainings.of_verdict(other, measured) == {
        "auc_spread": None, "tpr_spread": 0.02, "plays": 5, "plays_of": "attacker", "spread_missing": "why"
    }  # fmt: skip


ATTACKS: dict[str, Callable[[evidence.Evidence], Any]] = {
    "loss": lambda given: given.target[:, 0],
    "calibrated": reference.calibrated,
    "rmia": lambda given: rmia.online(given, gamma=2.0),
}


def world(seed: int, shadows: int, records: int, played_records: int, vary: float) -> dict[str, list[float]]:
    """By attack the spreads of AUC, TPR at 10 % and at 1 %, then the true ones: 30 targets trained on the same members.

    Margins are how hard a record is, how much this training leaks (`vary`: its relative deviation), and noise; shadows
    share out the records in pairs, and are the same for all targets.
    """
    rng = np.random.default_rng(seed)
    hard, exposed = rng.normal(2, 2, records), np.exp(rng.normal(0, 0.7, records))

    def train(is_in: Any) -> Any:
        leak = exposed * (1 + vary * rng.standard_normal()) * is_in
        return (hard + leak + rng.standard_normal(records))[:, None]

    halves = [rng.permutation(records) < records // 2 for _ in range(shadows // 2)]
    is_in = np.array([side for half in halves for side in (half, ~half)])
    member, labels = rng.permutation(records) < records // 2, np.zeros(records, np.int64)
    answers = evidence.Answers(
        np.arange(1, shadows + 1), train(member), np.array([train(side) for side in is_in]), is_in, labels, "paired"
    )
    plays = evidence.plays(
        {"population": answers}, 16, played_records, lambda model: np.random.default_rng([seed, model])
    )
    fresh = [evidence.Evidence(train(member), answers.references, is_in, labels) for _ in range(30)]
    found = {}
    for name, attack in ATTACKS.items():
        given = trainings.Played(
            np.concatenate([np.full(len(play.rows), play.model_id) for play in plays]),
            np.concatenate([play.rows for play in plays]),
            np.concatenate([play.is_member for play in plays]),
            np.concatenate([attack(play.evidence) for play in plays]),
            "population",
        )
        spreads = trainings.spreads(given, int(member.sum()), int((~member).sum()), FPRS)
        curves = [roc.curve(attack(target), member) for target in fresh]
        values = [[roc.auc(curve), *(roc.tpr_at(curve, fpr) for fpr in FPRS)] for curve in curves]
        estimated = [value for key, value in spreads.items() if key.endswith("_spread")]
        found[name] = [*estimated, *np.std(values, axis=0, ddof=1).tolist()]
    return found


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("shadows", "records", "played_records", "vary", "least", "most"),
    [
        (16, 1000, 1000, 0.1, 0.9, 1.25),
        (16, 1000, 1000, 0.3, 0.9, 1.2),
        (16, 1000, 1000, 0.0, 0.95, 1.6),  # a term of the training that is none cannot come out below none
        (16, 2000, 600, 0.2, 0.85, 1.4),  # plays ask about fewer records than there are
        (8, 1000, 1000, 0.2, 0.9, 1.3),
        (4, 1000, 1000, 0.2, 0.9, 1.6),  # two references, where the target has four
    ],
)
def test_it_is_near_the_true_deviation_over_fresh_trainings(
    shadows: int, records: int, played_records: int, vary: float, least: float, most: float
) -> None:
    """In the root mean square over worlds. It errs on the large side, the more so the fewer shadows there are."""
    worlds = [world(seed, shadows, records, played_records, vary) for seed in range(40)]
    for attack in ATTACKS:
        square = (np.array([of[attack] for of in worlds]) ** 2).mean(axis=0)
        ratios = np.sqrt(square[:3] / square[3:])
        print(shadows, records, played_records, vary, attack, ratios.round(2))
        assert (least < ratios).all(), (attack, ratios)
        assert (ratios < most).all(), (attack, ratios)
