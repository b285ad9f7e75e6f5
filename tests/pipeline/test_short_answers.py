"""Short answers of shadows give the attacks what whole ones give, and data/signals holds few logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import tiny
from mia import paths
from mia.data.records import Records
from mia.models import query, short_answers
from stages import query_shadows

COLUMNS = ["posteriors", "signals", "label"]
TRAINED = ("prepare", "split", "train_target", "train_shadows", "query_target")


@pytest.mark.long
@pytest.mark.parametrize("knowledge", ["population", "generated"])
def test_short_answers_give_the_same_features_margins_and_metrics(
    knowledge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"attacker.knowledge": knowledge, "query.views": 2, "features.max_records": 80}
    changes["features.columns"] = COLUMNS
    tiny.run(*TRAINED, "query_shadows", "build_features", changes=changes)
    features, margins = (pd.read_parquet(path) for path in (paths.SHADOW_FEATURES, paths.MARGINS))
    metrics = json.loads(paths.SHADOW_METRICS.read_text())

    monkeypatch.setattr(short_answers, "LIMIT", 0)
    monkeypatch.setattr(query, "CHUNK", query.BATCH)
    monkeypatch.setattr(query_shadows, "KEPT", 50)
    tiny.run("query_shadows", "build_features", changes=changes)
    for block in (0, 1):
        signals = pq.read_table(paths.shadow_signals(block))
        assert signals.schema.names == short_answers.SHORT.names
        with_logits = signals.to_pandas().assign(has=lambda rows: rows["logits"].map(len) == 10).query("has")
        assert with_logits.groupby("model_id").size().tolist() == [25, 25]
        assert (with_logits["view"] == 0).all()
    pd.testing.assert_frame_equal(pd.read_parquet(paths.SHADOW_FEATURES), features, rtol=1e-12)
    pd.testing.assert_frame_equal(pd.read_parquet(paths.MARGINS), margins, rtol=1e-12)
    assert len(features) == 80
    short = json.loads(paths.SHADOW_METRICS.read_text())
    assert short.pop("records_with_logits") == 25
    assert short == pytest.approx(metrics, rel=1e-12)
    assert "max_records" not in capsys.readouterr().err

    tiny.run("build_features", changes={**changes, "features.max_records": 400})
    assert "features.max_records asks for 100 records of each shadow; data/signals holds the logits of 25, and " in (
        capsys.readouterr().err
    )
    assert len(pd.read_parquet(paths.SHADOW_FEATURES)) == 4 * 25


def test_answers_are_short_from_four_gibibytes_of_a_block_on() -> None:
    def records(count: int, classes: int) -> Records:
        images, names = np.zeros((count, 1, 1, 1), np.uint8), np.zeros(count, str)
        return Records(images, np.zeros(count, np.int64), tuple(map(str, range(classes))), None, names)

    sources = {"population": records(1 << 10, 1 << 8), "attacker": records(1 << 10, 1 << 8)}
    assert not short_answers.needed(sources, 2, 1 << 10)
    assert short_answers.needed(sources, 2, (1 << 10) + 1)
    assert not short_answers.needed({"population": records(60_000, 10)}, 18, 32)  # CIFAR, as large as it comes here
