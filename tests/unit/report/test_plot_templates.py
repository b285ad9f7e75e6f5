"""The templates of `dvc plots` have what DVC fills in, and draw what they are given."""

from __future__ import annotations

import json
import re

import pytest

import pipeline
from figure_cases import (
    ATTACKS,
)
from mia.report.figures import (
    style,
)

PLOTS = pipeline.ROOT / ".dvc" / "plots"

# The templates of `dvc plots`, and the columns of the CSV that each one names.
TEMPLATES = {
    "roc": {"attack", "rev"},
    "roc_log": {"attack", "rev"},
    "roc_overlay": {"attack", "rev"},
    "scores": {"attack", "left", "right", "members", "nonmembers", "rev"},
    "confusion_counts": {"attack", "actual", "predicted", "count", "share", "rev"},
    "learning": {"model", "train_loss", "train_accuracy", "test_accuracy", "rev"},
    "leaderboard": {"auc_std", "fold_aucs", "stopped_in_round", "rev"},
    "attacks": {"auc_low", "auc_high", "rev"},
    "comparisons": {"auc_difference", "auc_low", "auc_high", "auc_p_holm", "rev"},
    "classes": {"attack", "auc_low", "auc_high", "n_member", "n_nonmember", "rev"},
}

NUMBERS = {
    name: dict.fromkeys(columns, "number")
    for name, columns in {
        "roc": ("fpr", "tpr"),
        "roc_log": ("fpr", "tpr"),
        "roc_overlay": ("fpr", "tpr"),
        "scores": ("left", "right", "members", "nonmembers"),
        "confusion_counts": ("count", "share"),
        "learning": ("epoch", "train_loss", "train_accuracy", "test_accuracy"),
        "leaderboard": ("auc_mean", "auc_std", "stopped_in_round"),
        "attacks": ("auc", "auc_low", "auc_high"),
        "comparisons": ("auc_difference", "auc_p_holm"),
        "classes": ("auc", "auc_low", "auc_high", "n_member", "n_nonmember"),
    }.items()
}


def test_every_template_is_tested() -> None:
    assert {path.stem for path in PLOTS.glob("*.json")} == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_what_dvc_fills_in(name: str) -> None:
    text = (PLOTS / f"{name}.json").read_text(encoding="utf-8")
    spec = json.loads(text)
    assert spec["$schema"].endswith("/vega-lite/v5.json")
    assert spec["data"]["values"] == "<DVC_METRIC_DATA>"
    assert re.fullmatch(r"[A-Z][^<>]+", spec["title"]["text"])
    # DVC hands numbers of a CSV over as text; a template that does not parse them sorts "10" before "9".
    assert set(spec["data"]["format"]["parse"].values()) == {"number"}
    # It fills placeholders into values only, never into keys.
    assert spec["data"]["format"]["parse"].items() >= NUMBERS[name].items()
    assert not re.search(r'"<DVC_[^"]*>":', text)
    for column in TEMPLATES[name]:
        assert f'"{column}"' in text or f"datum.{column}" in text
    if name in ("roc", "roc_log"):
        needed = ("X", "Y")
        assert all(f"<DVC_METRIC_{anchor}>" in text for anchor in needed)
        # In one layer only: at the top of a layered plot vega-lite makes the signal twice and draws nothing.
        assert "params" not in spec
        zooms = [layer for layer in spec["layer"] if "<DVC_METRIC_ZOOM_AND_PAN>" in layer.get("params", [])]
        assert len(zooms) == 1
        curve = zooms[0]["encoding"]
        assert (curve["color"]["field"], curve["strokeDash"]["field"]) == ("attack", "rev")
        assert zooms[0]["mark"]["interpolate"] == "step-after"
        assert (curve["x"]["scale"].get("type") == "log") == (name == "roc_log")
        # Each attack has a colour to itself; a few are picked from the start, the others faint until they are.
        colours = curve["color"]["scale"]["range"]
        assert len(set(colours)) == len(colours) >= len(ATTACKS)
        picked = next(param for param in zooms[0]["params"] if isinstance(param, dict))
        assert (curve["opacity"]["condition"]["param"], picked["bind"]) == (picked["name"], "legend")
        first = [value["attack"] for value in picked["value"]]
        assert {"loss", "learned", "stacked"} <= set(first) <= set(ATTACKS)
        assert len(first) <= style.MOST
    if name in ("attacks", "comparisons", "classes"):
        assert all(f"<DVC_METRIC_{anchor}>" in text for anchor in ("X", "Y"))


def test_the_overlay_has_a_colour_a_revision_and_any_attack_to_pick() -> None:
    """Two revisions of every attack are too many curves in the other ROC figures: here one attack and the loss."""
    spec = json.loads((PLOTS / "roc_overlay.json").read_text(encoding="utf-8"))
    shown, own = spec["params"]
    assert shown["bind"]["options"] == list(ATTACKS)
    assert shown["value"] in ATTACKS
    assert (own["value"], own["bind"]["input"]) == ("", "text"), "an attack of the user's own is typed"
    assert spec["transform"][-1] == {"filter": "datum.attack === (own || shown) || datum.attack === 'loss'"}
    linear, log = (panel["layer"][1] for panel in spec["hconcat"])
    for curve, kind in ((linear, None), (log, "log")):
        assert curve["mark"]["interpolate"] == "step-after"
        assert (curve["encoding"]["color"]["field"], curve["encoding"]["detail"]["field"]) == ("rev", "attack")
        assert {curve["encoding"][axis]["scale"].get("type") for axis in "xy"} == {kind}


def test_templates_overlay_revisions_or_set_them_side_by_side() -> None:
    templates = {name: json.loads((PLOTS / f"{name}.json").read_text("utf-8")) for name in TEMPLATES}
    assert templates["comparisons"]["facet"]["row"]["field"] == "rev"
    assert templates["comparisons"]["resolve"]["scale"] == {
        "x": "independent",
        "y": "independent",
    }  # each its own order
    assert templates["classes"]["facet"]["field"] == "attack"
    for layer in templates["classes"]["spec"]["layer"]:
        assert layer["encoding"]["yOffset"]["field"] == layer["encoding"]["color"]["field"] == "rev"
