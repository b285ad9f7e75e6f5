"""The tables that attacks read and write."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from mia.store.parquet import read_checked, write

MARGINS = pa.schema(
    [
        pa.field("model_id", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("view", pa.int16()),
        pa.field("is_member", pa.bool_()),  # this model was trained on the record, or on a byte-identical one
        pa.field("margin", pa.float64()),  # of the true class, nats
        pa.field("design", pa.string()),  # how shadows were drawn: one of evidence.DESIGNS
    ]
)


QUANTILES = pa.schema(
    [
        pa.field("model_id", pa.int32()),  # whose margins were predicted: 0 is the target
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("mean", pa.float64()),  # of the margin, nats, were the record a non-member
        pa.field("deviation", pa.float64()),  # its standard deviation, nats
    ]
)


SCORES = pa.schema(
    [
        pa.field("attack", pa.string()),
        pa.field("model_id", pa.int32()),  # the shadow whose members the attack looked for
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("label", pa.int32()),
        pa.field("is_member", pa.bool_()),
        pa.field("score", pa.float64()),  # higher: more likely a member
    ]
)


OUT_OF_FOLD = pa.schema(
    [
        pa.field("model_id", pa.int32()),
        pa.field("sample_id", pa.int64()),
        pa.field("score", pa.float64()),  # of an attack model that was not fitted on this shadow's outputs
    ]
)


def features(names: list[str], *, with_membership: bool) -> pa.Schema:
    """The schema of attack features: keys, membership (shadows only), then one column a feature."""
    keys = [
        pa.field("model_id", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("label", pa.int32()),
    ]
    member = [pa.field("is_member", pa.bool_())] if with_membership else []
    return pa.schema(keys + member + [pa.field(name, pa.float64()) for name in names])


def target_scores(attacks: list[str]) -> pa.Schema:
    """The schema of what every attack says of each audited record, a row a record, as `score` writes it."""
    keys = [pa.field("sample_id", pa.int64()), pa.field("label", pa.int32())]
    return pa.schema([*keys, *(pa.field(f"{attack}_score", pa.float64()) for attack in attacks)])


def exposure(attacks: list[str]) -> pa.Schema:
    """The schema of what every attack says of each audited record, a row a record; rank 1 is the likeliest member."""
    keys = [
        pa.field("sample_id", pa.int64()),
        pa.field("name", pa.string()),  # where the image came from
        pa.field("label", pa.int32()),
        pa.field("class", pa.string()),
        pa.field("is_member", pa.bool_()),
    ]
    of_attack = [
        field
        for attack in attacks
        for field in (pa.field(f"{attack}_score", pa.float64()), pa.field(f"{attack}_rank", pa.int64()))
    ]
    return pa.schema(keys + of_attack)


def read_target_scores(path: Path) -> tuple[list[str], pd.DataFrame]:
    """The attacks that scored the audited records, in the order of their columns, and the table of `target_scores`.

    Errors as in `read_table`.
    """
    keys = len(target_scores([]))

    def attacks(got: pa.Schema) -> list[str]:
        return [name.removesuffix("_score") for name in got.names[keys:]]

    table = read_checked(path, lambda got: target_scores(attacks(got)))
    return attacks(table.schema), table.to_pandas()


def read_features(path: Path, *, with_membership: bool) -> pd.DataFrame:
    """Read attack features: the keys of `features`, then any float columns; errors as in `read_table`."""
    keys = features([], with_membership=with_membership)
    table = read_checked(path, lambda got: features(got.names[len(keys) :], with_membership=with_membership))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def write_features(path: Path, frame: pd.DataFrame, *, with_membership: bool) -> None:
    """Write attack features: the keys of `features`, then every other column as a feature."""
    keys = {"model_id", "source", "sample_id", "label", "is_member"}
    names = [name for name in frame.columns if name not in keys]
    write(path, frame, features(names, with_membership=with_membership))
