"""Time and memory of scoring 256 shadows x 60,000 records, attack by attack, on made-up margins.

python benchmarks/attacks.py [--models 256] [--records 60000] [--views 1]

Each attack runs in a process of its own, forked from one that holds the evidence; statistics over references that
attacks share (Evidence.inside, .outside) are computed anew in each. "peak" is that process's largest resident memory,
the evidence itself included. stacked is measured as the stages run it: sixteen shadows play the target for 10,000
records each, a classifier is fitted, and asked about all records.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mia import params, seeds
from mia.attacks import evidence, rmia, signals, stacked
from mia.catalogue import ATTACKS

N_CLASSES = 10
SETTINGS = {"lira.variance": "auto", "rmia.gamma": 2.0, "rmia.a": 0.3, "base.offline_scale": 0.7}


def made_up(
    models: int, records: int, views: int
) -> tuple[evidence.Answers, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """The population design, margins of records that differ in difficulty, and logits of the target."""
    rng = np.random.default_rng(0)
    is_in = np.empty((models, records), bool)
    for pair in range(models // 2):
        half = rng.permutation(records) < records // 2
        is_in[2 * pair], is_in[2 * pair + 1] = half, ~half
    difficulty = rng.normal(1, 3, (records, 1))
    references = rng.normal(0, 1, (models, records, views))
    for model, members in enumerate(is_in):
        references[model] += difficulty + 1.5 * members[:, None]
    target = difficulty + rng.normal(0, 1, (records, views)) + 1.5 * (rng.random((records, 1)) < 0.5)
    labels = rng.integers(0, N_CLASSES, records)
    logits = rng.normal(size=(records, N_CLASSES)).astype(np.float32)
    return evidence.Answers(np.arange(1, models + 1), target, references, is_in, labels, design="paired"), logits


def memory(name: str) -> float:
    """VmHWM (peak) or VmRSS (now) of this process, MiB."""
    return int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds and peak MiB of some work in a forked process."""

    def child(pipe: multiprocessing.connection.Connection) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
        start = time.perf_counter()
        work()
        pipe.send((time.perf_counter() - start, memory("VmHWM")))

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    process = context.Process(target=child, args=(sender,))
    process.start()
    sender.close()
    found: tuple[float, float] = receiver.recv()
    process.join()
    return found


def stack(known: evidence.Answers) -> None:
    """Fit the stacked attack and ask it, as the stages fit_stacked and score do."""
    given = params.load(Path("params.yaml")).attacks
    played = evidence.plays(
        {"population": known}, given.played.models, given.played.records, lambda k: seeds.generator(0, "bench", k)
    )
    described = [stacked.features(play.evidence, N_CLASSES, use_in=True) for play in played]
    model, _, _ = stacked.fit(
        given.stacked.model_dump(),
        described[0][0],
        np.concatenate([values for _, values in described]),
        np.concatenate([play.is_member for play in played]),
        np.concatenate([np.full(len(play.rows), play.fold) for play in played]),
        0,
        0.01,
    )
    asked = known.of_target()
    names, values = stacked.features(asked, N_CLASSES, use_in=True)
    model.scores(values[:, [names.index(name) for name in model.feature_names]], asked.labels)


def choose(known: evidence.Answers) -> None:
    """RMIA's a, chosen on sixteen shadows."""
    played = evidence.plays({"population": known}, 16, 10_000, lambda k: seeds.generator(0, "bench", k))
    rmia.choose_a([play.evidence for play in played], [play.is_member for play in played])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=256)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--views", type=int, default=1)
    given = parser.parse_args()
    known, logits = made_up(given.models, given.records, given.views)
    asked = known.of_target()
    print(f"{given.models} shadows x {given.records} records x {given.views} views")
    print(f"evidence held: {memory('VmRSS'):.0f} MiB with Python and its libraries\n")
    thresholds = [attack.load() for attack in ATTACKS if attack.family == "threshold"]
    references = {attack.name: attack.with_settings(SETTINGS) for attack in ATTACKS if attack.family == "reference"}
    work: dict[str, Callable[[], object]] = {
        "all threshold attacks": lambda: [score(signals.all_signals(logits, asked.labels)) for score in thresholds],
        **{name: partial(score, asked) for name, score in references.items()},
        "rmia_offline: a chosen": lambda: choose(known),
        "stacked: fit and score": lambda: stack(known),
    }
    print("| attack | seconds | peak MiB |\n| --- | ---: | ---: |")
    for name, run in work.items():
        seconds, peak = measured(run)
        print(f"| {name} | {seconds:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
