"""The one kind of error that a user can mend."""

import re

# Control characters but the end of a line, halves of characters, and what makes text run the other way.
_NOT_SHOWN = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u202a-\\u202e\\u2066-\\u2069]")

# DVC would restore a damaged file from its cache, were it damaged there too: it does not look.
MEND = "delete it, let `make verify` look into DVC's cache, and `dvc repro` restores it or makes it anew"

INTERRUPTED = "interrupted: nothing is left half-written; `dvc repro` starts this stage again"


def shown(text: str) -> str:
    """The text as a terminal may have it: what would do more there than be read is written out, as \\x1b."""
    return _NOT_SHOWN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class InputError(ValueError):
    """Bad input. The message names the place, the rule, the value that came, and the next step.

    The value may be anybody's, a file's name or a parser's word on its content, so that what a terminal would obey is
    written out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class NotApplicable(InputError):  # noqa: N818
    """An attack cannot run under this threat model or on so few shadows; the message says why."""
