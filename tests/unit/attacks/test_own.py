"""The user's own attacks: what a file must be, what it is given, and what is said where it is not so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mia.attacks import own
from mia.attacks.evidence import Evidence
from mia.errors import InputError, NotApplicable

RNG = np.random.default_rng(0)
EVIDENCE = Evidence(
    RNG.normal(size=(5, 2)), RNG.normal(size=(4, 5, 2)), np.arange(20).reshape(4, 5) % 2 == 0, np.array([0, 1, 0, 1, 1])
)


def write(folder: Path, body: str, name: str = "mine.py", head: str = "import numpy as np\n") -> Path:
    """A file of an attack, its `score` with this body."""
    path = folder / name
    path.write_text(f"{head}def score(evidence):\n    {body}\n")
    return path


def score(folder: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    (attack,) = own.read(folder)
    scores = attack.score(EVIDENCE)
    attack.check_repeats(EVIDENCE, scores)
    return scores


def test_a_file_is_an_attack_under_its_name_and_gets_the_evidence(tmp_path: Path) -> None:
    write(tmp_path, "return _shared.first(evidence) - evidence.outside.mean[:, 0]", head="import _shared\n")
    (tmp_path / "_shared.py").write_text("def first(evidence):\n    return evidence.target[:, 0]\n")
    (tmp_path / "notes.txt").write_text("no attack")
    assert [attack.name for attack in own.read(tmp_path)] == ["mine"]
    np.testing.assert_array_equal(score(tmp_path), EVIDENCE.target[:, 0] - EVIDENCE.outside.mean[:, 0])


def test_scores_of_any_kind_of_number_are_taken(tmp_path: Path) -> None:
    write(tmp_path, "return (evidence.target[:, 0] > 0).tolist()")
    scores = score(tmp_path)
    assert scores.dtype == np.float64
    assert set(scores) == {0.0, 1.0}


def test_no_folder_holds_no_attack(tmp_path: Path) -> None:
    assert own.read(tmp_path / "none") == []


def test_what_it_cannot_carry_it_says_itself(tmp_path: Path) -> None:
    write(tmp_path, "raise NotApplicable('needs 99 references')", head="from mia.errors import NotApplicable\n")
    with pytest.raises(NotApplicable, match="needs 99 references"):
        score(tmp_path)


def test_an_attack_cannot_change_what_others_read(tmp_path: Path) -> None:
    before = EVIDENCE.target.copy()
    for array in ("target", "references", "is_in", "labels"):
        write(tmp_path, f"evidence.{array}[:] = 0\n    return evidence.target[:, 0]")
        with pytest.raises(InputError) as caught:
            score(tmp_path)
        assert "line 3: ValueError: assignment destination is read-only; mend it" in str(caught.value)
    np.testing.assert_array_equal(EVIDENCE.target, before)


FAULTS = {
    "views": (
        "return evidence.target",
        "score: expected one score a record, of shape (5,), got shape (5, 2); views are axis 1 of evidence.target, and",
    ),
    "short": ("return evidence.target[1:, 0]", "score: expected one score a record, of shape (5,), got shape (4,); "),
    "nothing": ("pass", "score: expected one score a record, of shape (5,), got shape (); "),
    "nan": (
        "return np.where(np.arange(5) > 2, np.nan, 0)",
        "score: expected finite numbers, got nan for record 3 and 2 in all, of evidence with 4 references; mend it",
    ),
    "infinite": ("return np.full(5, -np.inf)", "score: expected finite numbers, got -inf for record 0 and 5 in all"),
    "text": ("return ['a'] * 5", "score: expected numbers, got <U1; return an array of float64"),
    "complex": ("return np.ones(5) * 1j", "score: expected numbers, got complex128; return an array of float64"),
    "ragged": ("return [[0], 0, 0, 0, 0]", "score: ValueError: setting an array element with a sequence."),
    "raises": ("1 / 0", "score: line 3: ZeroDivisionError: division by zero; mend it"),
    "random": (
        "return np.random.default_rng().random(5)",
        "score: expected the same scores of the same evidence, got ",
    ),
    "syntax": ("return (", "line 3: SyntaxError: '(' was never closed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault: str, tmp_path: Path) -> None:
    body, expected = FAULTS[fault]
    path = write(tmp_path, body)
    with pytest.raises(InputError) as caught:
        score(tmp_path)
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, NotApplicable)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("loss.py", "def score(evidence): ...", "expected a name that no attack of params.yaml has, got loss; rename "),
        ("My-attack.py", "def score(evidence): ...", "expected a name of small letters, digits and _, at most 40, a "),
        ("mine.py", "def scores(evidence): ...", "expected a function score(evidence), got none; write it: docs/attac"),
        ("mine.py", "import nowhere", "line 1: ModuleNotFoundError: No module named 'nowhere'; mend it"),
    ],
)
def test_a_file_that_is_no_attack_is_one_line(name: str, text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        own.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}: {expected}")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_named_holds_attacks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    messages = []
    for place in (tmp_path / "file", tmp_path / "none", tmp_path):
        with pytest.raises(InputError) as caught:
            own.brought(place)
        messages.append(str(caught.value).removeprefix(str(tmp_path)))
    assert messages == [
        "/file: expected a folder of attacks, got a file; correct the path",
        "/none: expected a folder of attacks, got nothing; correct the path",
        ": expected files NAME.py with a function score(evidence), got none; docs/attacks.md has an example",
    ]
