"""Evidence: every number at its place, no reference that gives a side away, and never the target's membership."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia import seeds
from mia.attacks import evidence, schemas, signals
from mia.attacks.evidence import Answers
from mia.data import splits
from mia.errors import InputError
from mia.models.logits import SIGNALS
from mia.store import parquet

CLASSES, VIEWS = 3, 2
COUNTS = {"population": 4, "attacker": 3}
LABELS = {"population": np.array([0, 2, 1, 0]), "attacker": np.array([1, 1, 2])}
Logits = dict[str, NDArray[np.float32]]  # source: (views, samples, classes)
quick = settings(max_examples=40)


def logits(model_id: int, sources: tuple[str, ...], n_views: int = VIEWS) -> Logits:
    rng = np.random.default_rng(model_id)
    return {source: rng.normal(0, 3, (n_views, COUNTS[source], CLASSES)).astype(np.float32) for source in sources}


def keys(model_id: int, said: Logits) -> pd.DataFrame:
    """Rows as `query` writes them: by source, view, record."""
    rows = [
        (model_id, source, sample_id, view, int(LABELS[source][sample_id]))
        for source, values in said.items()
        for view in range(len(values))
        for sample_id in range(COUNTS[source])
    ]
    return pd.DataFrame(rows, columns=["model_id", "source", "sample_id", "view", "label"])


def target_table(said: Logits) -> pa.Table:
    values = np.concatenate([one.reshape(-1, CLASSES) for one in said.values()])
    frame = pa.Table.from_pandas(keys(0, said).assign(holds="posteriors"), preserve_index=False)
    return frame.append_column("logits", parquet.list_column(values)).cast(SIGNALS)


def is_in(model_id: int, source: str) -> NDArray[np.bool_]:
    side: NDArray[np.bool_] = np.arange(COUNTS[source]) % 3 == model_id % 3
    return side


def shadow_table(model_id: int, said: Logits) -> pa.Table:
    frame = keys(model_id, said)
    frame["is_member"] = [
        bool(is_in(model_id, source)[sample])
        for source, sample in zip(frame["source"], frame["sample_id"], strict=True)
    ]
    values = np.concatenate([one.reshape(-1, CLASSES) for one in said.values()])
    frame["margin"] = signals.log_odds(values, frame["label"].to_numpy())
    frame["design"] = "paired" if len(said) == 1 else "apart"
    return pa.Table.from_pandas(frame, schema=schemas.MARGINS, preserve_index=False)


BOTH = ("population", "attacker")


@pytest.mark.parametrize("sources", [BOTH, ("population",)])
@pytest.mark.parametrize("n_views", [1, 2])
def test_every_margin_stands_where_its_model_record_and_view_say(sources: tuple[str, ...], n_views: int) -> None:
    said = {model_id: logits(model_id, sources, n_views) for model_id in range(4)}
    shadows = [shadow_table(model_id, said[model_id]) for model_id in (1, 2, 3)]
    gathered = evidence.gather(target_table(said[0]), iter(shadows))
    assert list(gathered) == list(sources)
    for source, known in gathered.items():
        assert known.model_ids.tolist() == [1, 2, 3]
        assert known.design == ("paired" if sources == ("population",) else "apart")
        np.testing.assert_array_equal(known.labels, LABELS[source])
        assert known.target is not None
        assert known.target.shape == (COUNTS[source], n_views)
        assert known.references.shape == (3, COUNTS[source], n_views)
        for view in range(n_views):
            for sample in range(COUNTS[source]):
                for model_id in range(4):
                    expected = signals.log_odds(said[model_id][source][view, [sample]], LABELS[source][[sample]])[0]
                    of_model = known.target if model_id == 0 else known.references[model_id - 1]
                    assert of_model[sample, view] == expected
        for number, model_id in enumerate((1, 2, 3)):
            np.testing.assert_array_equal(known.is_in[number], is_in(model_id, source))


def test_models_are_joined_by_key_and_not_by_the_order_of_their_rows() -> None:
    said = {model_id: logits(model_id, BOTH) for model_id in range(3)}
    tables = [target_table(said[0]), *(shadow_table(model_id, said[model_id]) for model_id in (1, 2))]
    mixed = [table.take(np.random.default_rng(at).permutation(len(table))) for at, table in enumerate(tables)]
    for source, known in evidence.gather(tables[0], tables[1:]).items():
        again = evidence.gather(mixed[0], mixed[1:])[source]
        for field in fields(known):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(known, field.name))


AGAIN = "`dvc repro` queries all models anew"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (slice(0, -1), f"attacker: expected one answer about record 2 in view 1, got 0; {AGAIN}"),
        ([0, 0, *range(2, 14)], f"population: expected one answer about record 0 in view 0, got 2; {AGAIN}"),
        (slice(0, 8), f"attacker: expected one answer about record 0 in view 0, got 0; {AGAIN}"),
    ],
)
def test_a_record_that_a_shadow_lacks_or_has_twice_is_named(rows: slice | list[int], said: str) -> None:
    whole = shadow_table(2, logits(2, BOTH))
    shadow = whole.take(np.arange(len(whole))[rows])
    with pytest.raises(InputError) as caught:
        evidence.gather(target_table(logits(0, BOTH)), [shadow_table(1, logits(1, BOTH)), shadow])
    assert str(caught.value) == f"data/margins.parquet: shadow 2 of the {said}"


def test_a_record_or_view_that_the_target_lacks_is_named() -> None:
    with pytest.raises(InputError) as caught:
        evidence.gather(target_table(logits(0, BOTH, 1)), [shadow_table(1, logits(1, BOTH))])
    assert str(caught.value) == (
        "data/margins.parquet: shadow 1 of the population: answered about record 0 in view 1, about which the target "
        f"was not queried; {AGAIN}"
    )


def test_shadows_of_two_designs_are_refused() -> None:
    tables = [shadow_table(model_id, logits(model_id, BOTH)) for model_id in (1, 2)]
    tables[1] = tables[1].set_column(6, "design", pa.array(["paired"] * len(tables[1])))
    with pytest.raises(InputError, match="^data/margins.parquet: shadows of two designs; "):
        evidence.gather(target_table(logits(0, BOTH)), tables)


def test_no_attack_is_given_the_targets_membership() -> None:
    """What stands in evidence and in answers is of references, or a margin of the target."""
    assert {field.name for field in fields(evidence.Evidence)} == {"target", "references", "is_in", "labels", "blind"}
    assert "is_member" not in SIGNALS.names


# -- a shadow in the target's place ----------------------------------------------------------------------------------


def answers(*, paired: bool, n_models: int = 6, n_samples: int = 40, seed: int = 0) -> Answers:
    """Paired: complementary halves, of the population. Else: each shadow in on a fifth of the attacker's records."""
    rng = np.random.default_rng(seed)
    if paired:
        half = rng.permuted(np.tile(np.arange(n_samples) % 2 == 0, (n_models // 2, 1)), axis=1)
        rows = np.stack([half, ~half], axis=1).reshape(n_models, n_samples)
    else:
        rows = rng.random((n_models, n_samples)) < 0.2
    references = np.arange(n_models)[:, None, None] * 1000.0 + np.arange(n_samples)[:, None] + np.arange(2) / 10
    return Answers(
        np.arange(1, n_models + 1),
        None,
        references,
        rows,
        rng.integers(0, 3, n_samples),
        design="paired" if paired else "apart",
    )


@pytest.mark.parametrize(("paired", "others"), [(False, [0, 1, 3, 4, 5]), (True, [0, 1, 4, 5])])
def test_a_shadow_that_plays_the_target_is_no_reference_of_itself_nor_is_its_partner(
    paired: bool, others: list[int]
) -> None:
    known, rows = answers(paired=paired), np.array([3, 7, 8])
    seen = known.of_shadow(3, rows)
    np.testing.assert_array_equal(seen.target, known.references[2][rows])
    np.testing.assert_array_equal(seen.references, known.references[others][:, rows])
    np.testing.assert_array_equal(seen.is_in, known.is_in[others][:, rows])
    np.testing.assert_array_equal(seen.labels, known.labels[rows])
    assert seen.blind != paired


def test_in_the_paired_design_a_record_has_as_many_references_on_each_side_whichever_side_it_is_on() -> None:
    """With the partner left in, a member would have one OUT reference more: counting would give it away."""
    known = answers(paired=True)
    for model_id in known.model_ids:
        seen = known.of_shadow(int(model_id), np.arange(40))
        assert set(seen.is_in.sum(axis=0)) == {2}
        with_partner = np.delete(known.is_in, model_id - 1, axis=0).sum(axis=0)
        np.testing.assert_array_equal(with_partner, 3 - known.is_in[model_id - 1])  # the fault


def test_blind_evidence_has_no_inside_and_counts_no_reference_that_saw_the_record() -> None:
    known = answers(paired=False)
    seen = known.of_shadow(2, np.arange(40))
    assert not seen.inside.count.any()
    assert np.isnan(seen.inside.mean).all()
    assert np.isneginf(seen.inside.log_mean_p).all()
    np.testing.assert_array_equal(seen.outside.count, (~seen.is_in).sum(axis=0))
    some = int(np.flatnonzero(seen.is_in.any(axis=0))[0])
    np.testing.assert_allclose(seen.outside.mean[some], seen.references[~seen.is_in[:, some], some].mean(axis=0))


@quick
@given(st.booleans(), st.integers(2, 4), st.integers(2, 60), st.integers(1, 9), st.integers(0, 99))
def test_played_records_are_members_and_nonmembers_alike_and_no_more_than_asked_for(
    paired: bool, pairs: int, records: int, models: int, seed: int
) -> None:
    known = answers(paired=paired, n_models=2 * pairs, seed=seed)
    source = "population" if paired else "attacker"
    sources = {"population": known} if paired else {"population": answers(paired=False, seed=seed), "attacker": known}
    played = evidence.plays(sources, models, records, lambda model_id: seeds.generator(seed, "test", model_id))
    assert len(played) <= min(models, 2 * pairs)
    for play in played:
        assert play.source == source
        assert play.is_member.sum() == (~play.is_member).sum() > 0
        assert len(play.rows) == len(set(play.rows)) <= records
        assert (np.diff(play.rows) > 0).all()
        np.testing.assert_array_equal(play.is_member, known.is_in[play.model_id - 1][play.rows])
        np.testing.assert_array_equal(play.evidence.target, known.references[play.model_id - 1][play.rows])
        assert play.evidence.outside.count.all()
        assert play.fold == ((play.model_id - 1) // 2 if paired else play.model_id)
    if records > 1 and paired and pairs > 1:
        assert len(played) == min(models, 2 * pairs)


def test_a_record_that_every_other_shadow_was_trained_on_is_not_asked_about() -> None:
    known = answers(paired=False, n_models=3)
    known.is_in[1:, :20] = True
    known.is_in[0, :30] = np.arange(30) % 2 == 0
    (play,) = evidence.plays({"attacker": known}, 1, 1000, lambda model_id: seeds.generator(0, "test", model_id))
    assert play.rows.min() >= 20


@pytest.mark.parametrize("train_size", [10, 20])
def test_the_number_of_references_gives_no_record_away(train_size: int) -> None:
    """Where shadows share out a pool, a record of one is a record that the others lack; counting would find it."""
    group = np.arange(150)
    pools = group[:100], group[100:]
    rows = np.zeros((5, 150), bool)
    for index in range(5):
        members, _ = splits.draw_shadow(
            group, *pools, index=index, train_size=train_size, heldout_size=train_size // 2, rng_of=rng_of
        )
        rows[index, members] = True
    count = (~rows[1:]).sum(axis=0)
    assert count[rows[0]].mean() > count[~rows[0]].mean()  # so it would, were all records asked about
    known = Answers(np.arange(1, 6), None, np.zeros((5, 150, 1)), rows, np.zeros(150, np.int64), design="apart")
    played = evidence.plays({"attacker": known}, 5, 150, rng_of)
    assert len(played) == 5
    for play in played:
        counts = play.evidence.outside.count
        assert sorted(counts[play.is_member]) == sorted(counts[~play.is_member])


def test_a_shadow_plays_the_same_records_whatever_the_number_of_shadows_that_play() -> None:
    known = answers(paired=True)

    def rows(models: int) -> list[list[int]]:
        played = evidence.plays({"population": known}, models, 10, lambda number: seeds.generator(0, "test", number))
        return [play.rows.tolist() for play in played]

    assert rows(2) == rows(6)[:2]
    assert len({tuple(one) for one in rows(6)}) == 6


def test_two_partners_alone_have_no_one_to_be_compared_with() -> None:
    known = answers(paired=True, n_models=2)
    assert evidence.plays({"population": known}, 2, 10, rng_of) == []


def rng_of(number: int) -> np.random.Generator:
    return seeds.generator(0, "test", number)


def test_a_balanced_design_does_not_tell_who_plays_the_target() -> None:
    """Members and non-members of a play have as many references on either side, each with its own margins."""
    rng = np.random.default_rng(5)
    models, samples = 8, 60
    is_in = rng.random((models, samples)).argsort(axis=0) < models // 2
    references = rng.normal(size=(models, samples, 2))
    labels = np.zeros(samples, np.int64)
    known = evidence.Answers(
        np.arange(1, models + 1), rng.normal(size=(samples, 2)), references, is_in, labels, "balanced"
    )
    played = evidence.plays({"population": known}, models, samples, np.random.default_rng)
    assert len(played) == models
    for play in played:
        assert play.is_member.sum() * 2 == len(play.rows)
        assert (play.evidence.inside.count == models // 2 - 1).all()
        assert (play.evidence.outside.count == models // 2 - 1).all()
        for column, row in enumerate(play.rows):
            for margins, side in zip(play.evidence.references[:, column], play.evidence.is_in[:, column], strict=True):
                (model,) = np.flatnonzero((references[:, row] == margins).all(axis=1))
                assert is_in[model, row] == side
                assert model + 1 != play.model_id
