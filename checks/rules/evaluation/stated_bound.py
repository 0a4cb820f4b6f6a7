"""Where a submission says that its score is an upper bound on the likelihood: diffusion and other non-autoregressive models."""

from __future__ import annotations

import re

from checks.rules.base import Case
from checks.verdict import Evidence

_BOUND = re.compile(
    r"\bN?ELBO\b|\bevidence lower bound\b|\bvariational (?:(?:upper |lower )?bound|nll|bpb|bits|likelihood)\b"
    r"|\bbound (?:on|of) (?:the )?(?:true |exact |negative |data )*(?:nll|log|likelihood|bits|bpb|code ?length|loss)",
    re.IGNORECASE,
)
_DOCUMENTS = ("readme.md", "submission.json")
_TEXT_BYTES = 200_000


def stated_bound(case: Case) -> Evidence | None:
    """Where the submission says that its score is a bound; the name of a kind of model is no bound. Rulebook section 15."""
    for name in _DOCUMENTS:
        document = next((f for path, f in sorted(case.submission.files.items()) if path.lower() == name), None)
        lines = document.read(_TEXT_BYTES).decode("utf-8", "replace").splitlines() if document is not None else []
        for number, line in enumerate(lines, 1):
            if document is not None and _BOUND.search(line):
                return Evidence(document.path, number, number, "", "states a bound on the likelihood", line[:200])
    return None
