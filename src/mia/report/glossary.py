"""The terms and their sentences, the one source of docs/glossary.md and of the glossary at a page's end."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNLINKED = ("a", "bdi", "button", "code", "dt", "em", "h2", "h3", "h4", "summary", "svg", "td", "th")  # without links
START = '<section aria-labelledby="glossary">'  # where a page's glossary begins
_TAG = re.compile(r"(<[^>]*>)")
_NAME = re.compile(r"<(/?)([a-z0-9]+)")


@dataclass(frozen=True)
class Term:
    """A term. text: its sentence, with `code` in backticks. pattern: how pages write the term; None: no page does."""

    name: str
    text: str
    pattern: str | None = None

    @property
    def anchor(self) -> str:
        """The id of the term on a page."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


SECTIONS: dict[str, tuple[Term, ...]] = {
    "Records and models": (
        Term("audit", "What is audited and how it was trained: a folder `audits/NAME`."),
        Term("record", "One image, or one row of a table, with its true label.", "[Rr]ecords?"),
        Term("population", "The real records under audit."),
        Term(
            "member, non-member",
            "A record that was, or was not, in the training set of a given model.",
            "(?:[Nn]on-m|[Mm])embers?",
        ),
        Term("recipe", "How a model is trained from records; the target and the shadows share it."),
        Term("target model", "The model under audit; its `model_id` is 0.", "[Tt]arget(?: model)?"),
        Term(
            "shadow model",
            "A model that the attacker trains as the target was trained, with members that the attacker knows.",
            "[Ss]hadow models?|[Ss]hadows",
        ),
        Term("reference model", "A shadow model that shows an attack how hard a record is."),
        Term(
            "imitator",
            "A network that learns another model's posteriors of records that this model was not trained on.",
        ),
        Term(
            "generated, disjoint, population",
            "The records on which the attacker trains its shadows (`attacker.knowledge`): made-up ones, other real "
            "ones, or those under audit.",
        ),
        Term("estimator", "A classifier of scikit-learn, XGBoost or LightGBM, or your own with the same methods."),
        Term("block", "Shadows that DVC trains, caches and shares as one."),
        Term("play", "A shadow takes the target's place, and the other shadows are its references."),
    ),
    "What an attack sees": (
        Term("query", "To put a record to a model and read its answer.", "[Qq]uer(?:y|ies)"),
        Term(
            "answer",
            "What a model gives for a record: logits, posteriors, a loss, or a predicted class.",
            "[Aa]nswers?",
        ),
        Term("posterior", "The probability that a model gives a class."),
        Term("loss", "Minus the log of the posterior of the true class, in nats.", "[Ll]oss"),
        Term("margin", "log p − log(1 − p), where p is the posterior of the true class, in nats."),
        Term("signal", "One number from a model's answer: loss, margin, confidence or entropy."),
        Term("view", "A copy of a record for a query: the record itself, mirrored, or moved by a pixel.", "views?"),
        Term("attack", "A rule that gives each record a score from the models' answers.", "[Aa]ttacks?"),
        Term(
            "online attack",
            "An attack that compares the target with shadows that were trained on the record and with shadows that "
            "were not; an offline attack uses the second kind alone.",
        ),
        Term("score", 'An attack\'s number for a record; a higher score means "more likely a member".', "[Ss]cores?"),
        Term("threshold", "A record whose score is at least the threshold is called a member.", "[Tt]hresholds?"),
        Term("accuse", "To call a record a member, whether it is one or not."),
        Term("recognise", "To accuse a record that is a member."),
    ),
    "What is measured": (
        Term("leak", "What a model's answers tell about who is a member, beyond guessing."),
        Term("TPR", "The share of members that an attack calls members.", "TPR"),
        Term("FPR", "The share of non-members that an attack calls members.", "FPR"),
        Term(
            "TPR at 1 % FPR",
            "The share of members recognised if one non-member in a hundred is accused; guessing gives 1 %.",
        ),
        Term("ROC curve", "TPR against FPR, over all thresholds.", "ROC(?: curves?)?"),
        Term(
            "AUC",
            "The probability that a random member has a higher score than a random non-member; ties count one half; "
            "guessing gives .5.",
            "AUC",
        ),
        Term(
            "balanced accuracy",
            "The mean of TPR and 1 − FPR; guessing gives .5, however many records are members.",
            "[Bb]alanced accuracy",
        ),
        Term(
            'always "member"',
            "An attack that accuses every record: it recognises nobody beyond guessing, and still has a high accuracy "
            "if most records are members.",
        ),
        Term(
            "epsilon at least",
            "A training with differential privacy of a smaller epsilon (delta = 0) would not leak this much, with 95 % "
            "confidence; 0 means that nothing is shown.",
            "[Ee]psilon(?: at least)?",
        ),
        Term("exposure", "What the attacks say of one record: scores and ranks.", "[Ee]xposure"),
        Term(
            "interval",
            "The 95 % interval over records: how much other records would move a number.",
            "[Ii]ntervals?",
        ),
        Term("±", "How much another training of the target would move a number, as one standard deviation."),
        Term("forecast", "What a model's losses alone say about how much attacks with shadow models would recognise."),
        Term(
            "verdict",
            "The strongest attack's TPR and AUC, with intervals that hold for all attacks at once.",
            "[Vv]erdict",
        ),
    ),
}
PAGE = tuple(term for terms in SECTIONS.values() for term in terms if term.pattern)
_PATTERN = re.compile(
    r"(?<![\w-])(?:" + "|".join(f"(?P<t{at}>{term.pattern})" for at, term in enumerate(PAGE)) + r")(?![\w-])"
)


def linked(page: str) -> str:
    """Return a page whose terms link to the glossary at its end, each at its first place in a section before that.

    page: HTML that escapes what it was given, so that every "<" begins a tag. `UNLINKED`: elements without links.
    """
    start, end = page.find("<main"), page.find(START)
    inside, seen, parts = 0, set[str](), []

    def link(match: re.Match[str]) -> str:
        term = PAGE[int(str(match.lastgroup)[1:])]
        if term.anchor in seen:
            return match[0]
        seen.add(term.anchor)
        return f'<a class="term" href="#{term.anchor}">{match[0]}</a>'

    for part in _TAG.split(page[start:end]):
        if tag := _NAME.match(part):
            closing, name = tag.groups()
            if name in UNLINKED:
                inside += -1 if closing else 1
            elif name == "section":
                seen.clear()
        elif not inside and not part.startswith("<"):
            part = _PATTERN.sub(link, part)
        parts.append(part)
    return page[:start] + "".join(parts) + page[end:]


def markdown(section: str) -> str:
    """Return the table of a section in docs/glossary.md."""
    rows = [f"| {term.name} | {term.text} |" for term in SECTIONS[section]]
    return "\n".join(["| term | meaning |", "|---|---|", *rows])
