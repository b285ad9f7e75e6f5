"""Imitators: what they learn is what a plain loop computes, and members stand out from an exact imitation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import norm
from torch import nn

import tiny
from mia.attacks import lira, scoring, signals
from mia.attacks.evidence import Answers, Evidence
from mia.attacks.seen import Seen
from mia.errors import InputError, NotApplicable
from mia.evaluation import roc
from mia.models import building, checkpoints, imitations, imitators, lessons, query, training
from mia.models.imitators import Imitated
from mia.models.lessons import Lesson
from mia.params_audit import Recipe
from mia.store import parquet

SHAPE, CLASSES = (8, 8, 1), 3
RECIPE = Recipe(
    architecture="shokri_cnn",
    epochs=2,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.01,
    schedule="constant",
    momentum=0.9,
    weight_decay=0.0,
    label_smoothing=0.1,
    augmentation=[],
    precision="float32",
)
LINEAR = """
from torch import nn


def network(shape, n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], n_classes))
"""


def images(count: int, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def posteriors(count: int) -> NDArray[np.float32]:
    """Log posteriors that have nothing to do with the images."""
    values: NDArray[np.float64] = log_softmax(np.random.default_rng(4).normal(0, 2, (count, CLASSES)), 1)
    return values.astype(np.float32)


def lesson(**changes: Any) -> Lesson:
    return Lesson(**{**vars(Lesson(0, np.arange(40), np.arange(40, 60), 11, 5, 55)), **changes})


def trained(recipe: Recipe, answers: NDArray[np.float32], of: Lesson) -> nn.Module:
    (one,) = training.train(images(60), answers, CLASSES, recipe, None, [of])
    return checkpoints.build(checkpoints.Stored(Path(), one.description, one.weights))


# -- log posteriors in place of labels ---------------------------------------------------------------------------------


def test_an_imitator_is_what_a_plain_loop_computes() -> None:
    """The slow twin: PyTorch's own optimiser, image by image. Label smoothing, without labels, is left out."""
    model, answers = building.create("shokri_cnn", SHAPE, CLASSES, seed=11), posteriors(60)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)  # Adam would not see a factor of the loss
    order = torch.Generator().manual_seed(5)
    shown = images(60)
    for _ in range(2):
        for rows in torch.randperm(40, generator=order).split(16):  # type: ignore[no-untyped-call]
            inputs = torch.stack([torch.from_numpy(shown[k]).permute(2, 0, 1) / 127.5 - 1 for k in rows.tolist()])
            distances = [
                ((torch.log(torch.softmax(said, 0)) - torch.from_numpy(answers[k])) ** 2).sum() / CLASSES
                for said, k in zip(model(inputs), rows.tolist(), strict=True)
            ]
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(distances).mean())
            optimizer.step()
    plain = RECIPE.model_copy(update={"optimizer": "sgd", "momentum": 0.0})
    ours = trained(plain, answers, lesson())
    np.testing.assert_allclose(query.logits(ours, shown), query.logits(model, shown), atol=1e-4)


def test_the_curve_of_an_imitator_counts_the_likeliest_class() -> None:
    answers = posteriors(60)
    (one,) = training.train(images(60), answers, CLASSES, RECIPE, None, [lesson()])
    model = checkpoints.build(checkpoints.Stored(Path(), one.description, one.weights))
    right = query.logits(model, images(60))[40:].argmax(1) == answers[40:].argmax(1)
    assert one.learning["test_accuracy"].iloc[-1] == pytest.approx(right.mean())


def test_imitators_in_the_same_steps_are_those_alone() -> None:
    answers, pair = posteriors(60), [lesson(), lesson(initial_seed=12, order_seed=6)]
    together = training.train(images(60), answers, CLASSES, RECIPE, None, pair)
    for one, alone in zip(together, pair, strict=True):
        model = checkpoints.build(checkpoints.Stored(Path(), one.description, one.weights))
        ours, theirs = (query.logits(of, images(60)) for of in (model, trained(RECIPE, answers, alone)))
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


# -- what they learn from and what they answer -------------------------------------------------------------------------


def learned(
    recipe: Recipe, answers: NDArray[np.float32], tasks: list[imitators.Task], population: NDArray[np.uint8]
) -> list[NDArray[np.float64]]:
    """Margins by each imitator; every label is 0."""
    none, held = np.zeros(len(population), np.int64), images(answers.shape[1])
    shared = population, none, held, np.zeros(len(held), np.int64), answers, recipe, signals.log_odds, None
    return [imitators.learn(*shared, task)[0] for task in tasks]


def test_imitators_of_a_linear_model_answer_as_it_does_and_its_members_stand_out(tmp_path: Path) -> None:
    """A world with a known answer: non-members' margins are linear in the image, members' are higher by two nats."""
    (tmp_path / "recipe.py").write_text(LINEAR)
    recipe = RECIPE.model_copy(
        update={"architecture": f"own:{tmp_path}", "epochs": 150, "learning_rate": 0.02, "schedule": "cosine"}
    )
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.3, (64, CLASSES))

    def answers_of(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        return (shown.reshape(len(shown), -1) / 127.5 - 1) @ weights

    held, population = images(300), images(400, seed=9)
    wanted = log_softmax(answers_of(held), 1).astype(np.float32)[None]
    tasks = imitators.tasks_of(0, [Imitated(0, np.arange(300), "population", np.arange(400))], 2)
    said = learned(recipe, wanted, tasks, population)
    labels = np.zeros(400, np.int64)
    exact = signals.log_odds(answers_of(population), labels)
    for margin in said:
        assert np.abs(margin - exact).max() < 0.05 * exact.std()
    is_member = rng.random(400) < 0.5
    score = score_of(exact + 2 * is_member, np.stack(said), labels)
    assert roc.auc(roc.curve(score, is_member)) == 1
    assert roc.auc(roc.curve(exact + 2 * is_member, is_member)) < 0.9  # the margin alone


def score_of(
    target: NDArray[np.float64], imitating: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """glira's scores of the target, whose one shadow answers the same and whose references are its imitators."""
    count = len(target)
    rows = [
        pd.DataFrame({"model_id": model, "source": source, "sample_id": np.arange(count), "imitator": k, "margin": of})
        for model, source in ((0, "population"), (1, "attacker"))
        for k, of in enumerate(imitating)
    ]
    answers = Answers(
        np.array([1]), target[:, None], target[None, :, None], (np.arange(count) % 2 == 0)[None], labels, "apart"
    )
    nothing = pd.DataFrame()
    seen = Seen(
        nothing,
        nothing,
        {"population": answers, "attacker": answers},
        [],
        {"lira.variance": "auto"},
        lambda _: pytest.fail("no attack model is read"),
        lambda: nothing,
        lambda: pd.concat(rows),
    )
    scores = scoring.scores(seen, "glira")
    np.testing.assert_array_equal(scores.shadows["score"], scores.target)  # of the same answers
    assert scores.shadows["is_member"].tolist() == (np.arange(count) % 2 == 0).tolist()
    assert set(scores.shadows["model_id"]) == {1}
    return scores.target


def test_the_score_is_the_papers() -> None:
    """The slow twin: the tail of a Gaussian at each record's mean over its imitators, with one variance for all."""
    rng = np.random.default_rng(1)
    target, imitating = rng.normal(0, 3, 30), rng.normal(0, 2, (4, 30))
    squares = 0.0
    for row in range(30):
        mean = sum(imitating[:, row]) / 4
        squares += sum((value - mean) ** 2 for value in imitating[:, row])
    deviation = (squares / (30 * 3)) ** 0.5
    expected = [norm.logcdf(target[row], np.mean(imitating[:, row]), deviation) for row in range(30)]
    score = score_of(target, imitating, np.zeros(30, np.int64))
    np.testing.assert_allclose(norm.logcdf(score), expected, rtol=1e-9)
    references = imitating[:, :, None]
    evidence = Evidence(target[:, None], references, np.zeros((4, 30), bool), np.zeros(30, np.int64))
    np.testing.assert_allclose(norm.logcdf(score), lira.offline(evidence, variance="auto"), rtol=1e-9)


def test_records_do_not_tie_where_imitators_agree() -> None:
    """LiRA's own score rounds to 0 for all of them, which would leave no TPR at a low FPR."""
    target = np.linspace(1, 2, 50)
    imitating = np.array([[0.001], [-0.001]]) * np.ones(50)
    score = score_of(target, imitating, np.zeros(50, np.int64))
    assert (np.diff(score) > 0).all()
    evidence = Evidence(target[:, None], imitating[:, :, None], np.zeros((2, 50), bool), np.zeros(50, np.int64))
    assert (lira.offline(evidence, variance="auto") == 0).all()


def test_each_imitator_has_chances_of_its_own_which_do_not_depend_on_how_many_there_are() -> None:
    models = [
        Imitated(0, np.arange(30), "population", np.arange(5)),
        Imitated(3, np.arange(20), "attacker", np.arange(4)),
    ]
    few, many = (imitators.tasks_of(7, models, count) for count in (2, 3))
    kept = [task for task in many if "imitator 3" not in task.lesson.name]
    assert [vars_of(task) for task in few] == [vars_of(task) for task in kept]
    assert len({task.lesson.initial_seed for task in many}) == len({task.lesson.order_seed for task in many}) == 6
    names = [lessons.name_of([task.lesson]) for task in few]
    assert names[0] == "imitator 1 of the target"
    assert names[3] == "imitator 2 of shadow 3"


def vars_of(task: imitators.Task) -> str:
    return repr((task.lesson, task.number, task.source, task.asked))


def test_fewer_than_twenty_records_are_not_learned_from() -> None:
    models = [
        Imitated(0, np.arange(20), "population", np.arange(5)),
        Imitated(3, np.arange(19), "attacker", np.arange(4)),
    ]
    with pytest.raises(NotApplicable) as caught:
        imitators.tasks_of(7, models, 2)
    assert str(caught.value) == ("imitators of shadow 3: expected at least 20 known non-members to learn from, got 19")


def test_an_imitator_that_diverges_leaves_the_attack_out() -> None:
    recipe = RECIPE.model_copy(update={"optimizer": "sgd", "learning_rate": 1e38})
    tasks = imitators.tasks_of(0, [Imitated(0, np.arange(60), "population", np.arange(5))], 2)
    with pytest.raises(
        NotApplicable, match=r"^imitator 1 of the target: the training loss is (nan|inf) in epoch 1 of 2$"
    ):
        learned(recipe, posteriors(60)[None], tasks, images(5))


# -- answers to imitate ------------------------------------------------------------------------------------------------


def answers_table(logits: NDArray[np.float32], **columns: Any) -> pa.Table:
    """Answers about the attacker's records, and one about the population's."""
    of = {"source": "attacker", "sample_id": np.arange(len(logits)), "view": 0, "holds": "posteriors", **columns}
    frame = pd.DataFrame({"model_id": 0, **of})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.append_column("logits", parquet.list_column(logits))


def test_log_posteriors_are_the_attackers_records_in_order_and_no_lower_than_minus_fifty() -> None:
    logits = np.array([[0, 1, 2], [0, -4000, 0], [7, 7, 7], [1, 0, 0]], np.float32)
    columns = {"sample_id": [1, 0, 0, 5], "view": [0, 0, 1, 0], "source": ["attacker"] * 3 + ["population"]}
    found = imitators.log_posteriors(Path("x"), answers_table(logits, **columns), 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-np.log(2), -50, -np.log(2)], log_softmax([0, 1, 2])], rtol=1e-6)


def test_answers_that_cannot_be_imitated_are_said() -> None:
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(NotApplicable) as caught:
        imitators.log_posteriors(Path("data/signals/shadows/0.parquet"), answers_table(logits, margin=0.5), 2)
    assert str(caught.value) == (
        "needs logits of all the attacker's records, and data/signals/shadows/0.parquet is kept short"
    )
    with pytest.raises(NotApplicable, match=r"^the answers hold no posteriors$"):
        imitators.log_posteriors(Path("x"), answers_table(logits, holds="loss"), 2)
    with pytest.raises(InputError) as wrong:
        imitators.log_posteriors(Path("x.parquet"), answers_table(logits), 3)
    assert str(wrong.value) == (
        "x.parquet: expected one answer about each of the attacker's 3 records, got 2 answers; `dvc repro` queries all "
        "models anew"
    )


# -- where there are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        (
            {"attacker.knowledge": "population"},
            "needs records that surely are non-members: attacker.knowledge=generated or disjoint",
        ),
        ({"audit": "table"}, "needs networks: an estimator learns classes, and no other model's posteriors"),
    ],
)
def test_audits_without_imitators_say_why(tmp_path: Path, changes: dict[str, Any], reason: str | None) -> None:
    values = tiny.write_params(tmp_path / "params.yaml", changes)
    assert imitations.refusal(values.audit, values.attacker.knowledge) == reason


def test_shadows_from_elsewhere_are_imitated_where_there_is_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = tiny.write_params(tmp_path / "params.yaml")
    (tmp_path / "audits/digits/answers/shadows/1.csv").write_text("id\n")
    assert values.audit.shadows_door == "elsewhere"
    assert imitations.refusal(values.audit, values.attacker.knowledge) is None
    given = values.audit.model_copy(update={"target": None, "shadow": None})
    reason = "needs networks that are trained here, by the sections target and shadow"
    assert imitations.refusal(given, "population") == reason


def test_a_reason_is_read_back_as_such(tmp_path: Path) -> None:
    imitations.leave_out(tmp_path / "none", "why")
    with pytest.raises(NotApplicable, match=r"^why$"):
        imitations.read(tmp_path / "none")
    with pytest.raises(InputError, match=r"margins.parquet: no such file"):
        imitations.read(tmp_path / "nowhere")
