"""The page of an audit of answers that were given: of records, without a gallery, and of nobody's training."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from typing import Any

import pytest

import planted
import reports
from mia.models import families
from mia.report import glossary
from mia.report.audit import advice, attacker, drawings
from parsed_page import Parsed

CASES: dict[str, dict[str, Any]] = {
    "no shadows": {},
    "four shadows": {"shadows": 4},
    "one shadow": {"shadows": 1},
    "no loss": {"loss": False},
    "few non-members": {"n_member": 30, "n_nonmember": 8},
    "few members": {"n_member": 3, "n_nonmember": 300},
    "nothing leaks": {"leak": 0.0},
    "one attack": {"attacks": ["loss"]},
    "hostile names": {"classes": reports.HOSTILE, "names": reports.HOSTILE},
}


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> str:
    return reports.page(reports.answered(**CASES[request.param]))


def body_of(page: str) -> str:
    """The page without its style and script."""
    return re.sub(r"(?s)<(style|script)>.*?</\1>", "", page)


def before_glossary(page: str) -> str:
    """The body without the sentences that every page has."""
    return body_of(page).partition(glossary.START)[0]


def test_no_record_is_called_an_image(page: str) -> None:
    body = before_glossary(page)
    for name in reports.HOSTILE:
        body = body.replace(name, "")
    assert "image" not in body.lower()
    assert "<img" not in body
    assert "records" in body


def test_nothing_is_said_of_a_training(page: str) -> None:
    text = planted.text_of(page)
    for word in ("epoch", "ugment", "learning curve", "shokri_cnn", "attacker.knowledge", "dvc exp run"):
        assert word not in re.sub(r"attacks\.quantile\.epochs", "", text)
    assert "Target model trained elsewhere; its answers were given: " in text


def test_tags_are_closed_and_nothing_is_loaded(page: str) -> None:
    parsed = Parsed(page)
    assert (parsed.wrong, parsed.open) == ([], [])
    assert {link[:1] for link in parsed.loads} <= {"#"}


def test_no_section_list_or_table_is_empty_and_every_link_leads_somewhere(page: str) -> None:
    body = body_of(page)
    ids = re.findall(r'\bid="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', body)) <= set(ids)
    for tag in ("section", "ul", "tbody", "table", "figure", "figcaption", "h2", "h3", "p", "div"):
        assert not re.search(rf"<{tag}\b[^>]*>\s*</{tag}>", body), tag
    heads = [int(level) for level in re.findall(r"<h([1-6])\b", body)]
    assert heads.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(heads))
    assert not re.search(r"<h(\d)[^>]*>[^<]*</h\1>\s*(<h\1|</section)", body)


def test_without_shadows_the_page_says_whose_thresholds_they_are_and_leaves_their_models_out() -> None:
    text = planted.text_of(reports.page(reports.answered()))
    assert text.count(attacker.CROSS_FITTED) == 1
    assert "holds the target’s answers, and no shadow model" in text
    assert "chosen on the shadows" not in text
    assert "The learned attack fits a classifier" not in text
    assert "Models" not in text.partition("Is it bad?")[2].partition("Method")[0]


def test_with_shadows_the_page_has_their_accuracy_and_the_attack_models() -> None:
    page = reports.page(reports.answered(shadows=4))
    text = planted.text_of(page)
    assert "and the answers and the members of 4 shadow models (accuracy 70.0 % on non-members)" in text
    assert "The shadows have 97.0 % and 70.0 %." in text
    assert "The learned attack fits a classifier" in text
    assert "at the threshold chosen on the shadows" in text
    assert attacker.CROSS_FITTED not in text
    assert "How the models learned" not in text


def test_the_most_and_least_exposed_are_listed_by_name_class_and_score() -> None:
    audit = reports.answered()
    page = reports.page(audit, gallery=6)
    attack = audit.verdict["tpr_attack"]
    members = audit.exposure[audit.exposure["is_member"]].sort_values(f"{attack}_rank")
    rows = planted.table_of(page, "Most exposed, the first 5")
    assert rows[0] == ["record", "class", "rank", "score", "loss, nats", "non-members with a score as high"]
    for row, record in zip(rows[1:], members.head(5).to_dict("records"), strict=True):
        assert row[:4] == [
            record["name"],
            record["class"],
            str(record[f"{attack}_rank"]),
            f"{record[f'{attack}_score']:.3g}",
        ]
    assert [row[0] for row in planted.table_of(page, "Least exposed, the first 5")[1:]] == members["name"].tolist()[
        :-6:-1
    ]
    without = reports.page(reports.answered(loss=False))
    assert planted.table_of(without, "Most exposed, the first 5")[0] == [
        "record",
        "class",
        "rank",
        "score",
        "non-members with a score as high",
    ]
    assert "loss, nats" not in without
    hidden = planted.text_of(reports.page(audit, gallery=0))
    assert "This page lists no records" in hidden
    assert not any(name in hidden for name in members["name"])


def test_advice_is_given_where_it_applies_alone() -> None:
    audit = reports.answered()
    assert "Narrow the gap between members and non-members" in planted.text_of(reports.page(audit))
    alike = dataclasses.replace(audit, target={"train_accuracy": 0.7, "test_accuracy": 0.7, "gap": 0.0})
    assert "Narrow the gap" not in reports.page(alike)


@pytest.mark.parametrize("shadows", [0, 4])
def test_every_figure_is_drawn_and_one_without_data_says_why(shadows: int) -> None:
    audit = reports.answered(shadows=shadows)
    figures = drawings.for_files(audit, chosen=audit.selection["best"], given=True)
    texts = {name: [text.get_text() for text in draw().texts] for name, draw in figures.items()}
    assert set(texts) == set(drawings.for_files(reports.made(), chosen="ada_boost", given=False))
    assert texts["learning"] == ["No learning curves: the models were not trained here."]
    assert (texts["leaderboard"] == [drawings.NO_BOARD]) == (shadows == 0)
    assert any("cross-fitted" in text for text in texts["confusion"]) == (shadows == 0)


def test_rows_of_a_table_that_was_trained_on_here_are_records_too() -> None:
    audit = dataclasses.replace(reports.made(), images=None)
    audit = dataclasses.replace(audit, verdict={**audit.verdict, "kind": "record"})
    page = reports.table_page(audit, {"estimator": "random_forest", "settings": {"max_depth": 4, "bootstrap": False}})
    assert "image" not in before_glossary(page).lower()
    text = planted.text_of(page)
    assert "Target model random_forest, max_depth 4, bootstrap false" in text
    assert "the recipe: the estimator and its settings" in text
    assert "holds generated records, and no real record; 4 shadow models, each trained on" in text
    assert "Augment" not in text


def test_images_on_which_an_estimator_was_trained_have_no_augmentation_to_turn_on() -> None:
    page = reports.table_page(reports.made(), {"estimator": "random_forest", "settings": {}}, source="images")
    assert "Augment" not in planted.text_of(page)


def test_an_estimator_has_no_learning_curves_and_its_owner_is_told_of_a_setting() -> None:
    audit = reports.made()
    audit = dataclasses.replace(audit, history=audit.history[audit.history["epoch"] == 1])
    forest: dict[str, Any] = {"estimator": "random_forest", "settings": {}}
    page = reports.table_page(audit, forest)
    text = planted.text_of(page)
    assert "How the models learned" not in text
    assert "Target model random_forest, its default settings" in text
    assert "The target’s accuracy is 98.0 % on members and 71.0 % on non-members" in text
    assert "dvc exp run -S audits/mine/params.yaml:target.settings.min_samples_leaf=50" in text
    chosen = {**forest, "settings": {"min_samples_leaf": 5}}
    assert (
        "target.settings.min_samples_leaf"
        not in planted.text_of(reports.table_page(audit, chosen)).partition("Every")[0]
    )
    (drawn,) = drawings.for_files(audit, chosen="ada_boost", given=False)["learning"]().texts
    assert drawn.get_text() == "No learning curves: the models were not trained in several epochs."


def test_every_setting_that_the_advice_names_is_one_of_its_estimator() -> None:
    for name, (setting, value) in advice.SMOOTHER.items():
        if name in ("lightgbm", "xgboost"):
            pytest.importorskip(name)
        families._classifier(name, {setting: value}, 0, "target.settings")
