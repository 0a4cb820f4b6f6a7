"""Judges a pull request: reads each record folder, asks every rule, and weighs the findings into a verdict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from checks import reading
from checks.facts import facts
from checks.rulebook import Rulebook
from checks.rules.base import Case, PullRequestCase, Verdicts
from checks.rules.registry import Rule, rules
from checks.submission import no_claim
from checks.submission.files import TRACK_PREFIX
from checks.submission.model import PullRequest, Submission
from checks.submission.readme_claims import title_score
from checks.verdict import (
    Evidence,
    Finding,
    Group,
    Outcome,
    Recommendation,
    RulebookRef,
    Status,
    SubmissionVerdict,
    Target,
    Verdict,
    conclude,
)

NO_SUBMISSION = "no submission: this pull request adds no record folder, so it was not judged as one"
FOLDER_ITSELF = "."
LIMITS = ("artifact_cap_bytes", "train_cap_seconds", "eval_cap_seconds", "seeds")


@dataclass(frozen=True)
class Options:
    """How to judge.

    ``as_of``: by the rules in force on that day (None: all rules). ``record_bpb``: the record to beat (None: the
    rulebook's). ``chosen``: rule codes to ask. ``environment``: NAME -> value that the reviewer sets. ``skip``:
    "step:folder" -> why a step is not taken (it killed an earlier attempt).
    """

    as_of: dt.date | None = None
    record_bpb: float | None = None
    chosen: Collection[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    tool_version: str = "0"


def judge(
    pull_request: PullRequest, rulebook: Rulebook, options: Options, announce: Callable[[str], None] = lambda step: None
) -> Verdict:
    """Judge every record folder of a pull request, and the pull request as a whole.

    Args:
        pull_request: the target as it was read; contents are loaded here.
        rulebook: the challenge's numbers and dates.
        options: how to judge.
        announce: told the name of each step before it begins.
    """
    rulebook = replace(rulebook, as_of=options.as_of) if options.as_of else rulebook
    readings = [
        reading.read(s, pull_request.title, options.environment, announce, options.skip)
        for s in pull_request.submissions
    ]
    pull_request = replace(pull_request, submissions=tuple(r.submission for r in readings))
    judge_one = _Judge(pull_request, rulebook, options, announce)
    notes = (*pull_request.notes, *(note for r in readings for note in _notes(r.submission)))
    findings = judge_one.whole() if pull_request.changes else ()
    submissions = tuple(judge_one.submission(r) for r in readings)
    if not readings:
        findings, notes = _without_folder(findings), (NO_SUBMISSION, *notes)
        if findings and pull_request.loose is not None:
            loose = reading.read(pull_request.loose, pull_request.title, options.environment, announce, options.skip)
            findings = (*findings, *judge_one.loose(loose))
    verdict = Verdict(
        tool_version=options.tool_version,
        rulebook=RulebookRef(
            name=rulebook.name,
            version=rulebook.version,
            as_of=options.as_of.isoformat() if options.as_of else None,
            limits={name: rulebook.constants[name] for name in LIMITS if name in rulebook.constants},
        ),
        target=Target(
            path=pull_request.path,
            pr=pull_request.pr,
            head=pull_request.head,
            base=pull_request.base,
            created=pull_request.created.isoformat() if pull_request.created else None,
            title=pull_request.title,
            repository=rulebook.constants.get("repository") if pull_request.pr else None,
        ),
        verdict=Outcome.UNDETERMINED,
        recommendation=Recommendation.HUMAN_REVIEW,
        findings=findings,
        submissions=submissions,
        notes=notes,
    )
    return weigh(verdict)


def _without_folder(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What to say where nothing was judged: nothing, or that a claim lacks its files; never blocking."""
    if not claims_submission(findings):
        return ()
    return tuple(replace(f, blocking=False) for f in findings if f.rule == "missing-files")


def no_score(submission: Submission, pull_request: PullRequest) -> Evidence | None:
    """Where it shows that this one of the folders has no score; None when one is claimed, logged or merely unstated."""
    if no_claim.left_over(submission, pull_request.submissions):
        what = "holds no README, submission.json, log or score; the pull request's submission is in another folder"
        return Evidence(submission.path, what=what)
    words = (pull_request.title,) if pull_request.title is not None else pull_request.subjects
    if no_claim.silent(submission, words):
        return Evidence(submission.path, what="names no score, nor does the pull request's title or a commit to it")
    claims = submission.claims
    logged = any(run.complete and run.val_bpb is not None for run in submission.runs)
    stated = claims.val_bpb is not None or claims.readme_val_bpb or claims.title_val_bpb is not None
    named = title_score(submission.path.rsplit("/", 1)[-1]) is not None
    if not claims.unclaimed or ((stated or logged or named) and not claims.withdrawn):
        return None
    file, _, line = claims.unclaimed.rpartition(":")
    return Evidence(file, int(line), int(line), what="says that there is no score")


def _noted(finding: Finding, said: Evidence) -> Finding:
    """A breach of an evaluation rule where no score is claimed: a note on the code (rulebook, "No claimed score")."""
    if finding.group is not Group.EVALUATION or finding.status is not Status.FAIL:
        return finding
    summary = f"{finding.summary} No score is claimed: this is a note on the code, not a breach."
    return replace(finding, status=Status.WARN, blocking=False, summary=summary, evidence=(*finding.evidence, said))


def _notes(submission: Submission) -> list[str]:
    """What of a folder was not read; a reader of the report has to know."""
    place = "" if submission.path == FOLDER_ITSELF else f"{submission.path}: "
    return [f"{place}{note}" for note in submission.notes]


def claims_submission(findings: Iterable[Finding]) -> bool:
    """Whether a pull request without a record folder is a submission by its own words: the rule on files found so."""
    return any(f.rule == "missing-files" and f.status is Status.FAIL for f in findings)


def weigh(verdict: Verdict) -> Verdict:
    """Conclude from the findings as they stand: each folder by its own, the pull request by all.

    A pull request without a record folder is no submission: nothing was judged, so it is undetermined, for a person to
    look at; unless it claims a result all the same, and so lacks its files.
    """
    if not verdict.submissions and not claims_submission(verdict.findings):
        return replace(verdict, verdict=Outcome.UNDETERMINED, recommendation=Recommendation.HUMAN_REVIEW)
    submissions = []
    for submission in verdict.submissions:
        outcome, advice = conclude(submission.findings)
        submissions.append(replace(submission, verdict=outcome, recommendation=advice))
    everything = [*verdict.findings, *(f for s in submissions for f in s.findings)]
    outcome, advice = conclude(everything)
    return replace(verdict, submissions=tuple(submissions), verdict=outcome, recommendation=advice)


@dataclass(frozen=True)
class _Judge:
    pull_request: PullRequest
    rulebook: Rulebook
    options: Options
    announce: Callable[[str], None]

    def whole(self) -> tuple[Finding, ...]:
        """Ask the rules on the pull request as a whole."""
        case = PullRequestCase(self.pull_request, self.rulebook)
        place = Evidence(next((c.path for c in self.pull_request.changes), self.pull_request.path))
        return tuple(
            self._ask(rule, "", partial(rule.check_pull_request, case), place)
            for rule in self._rules()
            if rule.check_pull_request is not None
        )

    def submission(self, read: reading.Reading) -> SubmissionVerdict:
        """Ask the rules on one record folder."""
        submission = read.submission
        case = Case(submission, self.pull_request, read.program, self.rulebook, self.options.record_bpb)
        place = Evidence(submission.script or submission.path)
        findings = [
            self._ask(rule, submission.path, partial(rule.check, case), place)
            for rule in self._rules()
            if rule.check is not None
        ]
        if unclaimed := no_score(submission, self.pull_request):
            findings = [_noted(f, unclaimed) for f in findings]
        script = read.program.scripts.get(submission.script or "")
        return SubmissionVerdict(
            path=self.pull_request.path if submission.path == FOLDER_ITSELF else submission.path,
            track=submission.track[len(TRACK_PREFIX) :] if submission.track else None,
            script=_rooted(submission, submission.script) if submission.script else None,
            packed=script.packed if script is not None else False,
            verdict=Outcome.UNDETERMINED,
            recommendation=Recommendation.HUMAN_REVIEW,
            facts=facts(read),
            findings=tuple(self._with_places(submission, f) for f in findings),
        )

    def loose(self, read: reading.Reading) -> tuple[Finding, ...]:
        """Evaluation rules that the changed scripts would break if they were submitted: said, never blocking."""
        judged = self.submission(read)
        return tuple(
            replace(f, blocking=False, summary=f"{f.summary} (Not judged as a submission: it has no record folder.)")
            for f in judged.findings
            if f.group is Group.EVALUATION and f.status is Status.FAIL
        )

    def _with_places(self, submission: Submission, finding: Finding) -> Finding:
        """Evidence as a person would open it: from the repository's top, or the reviewed folder by its own name."""
        folder = self.pull_request.path

        def place(file: str) -> str:
            return folder if file == submission.path == FOLDER_ITSELF else _rooted(submission, file)

        return replace(finding, evidence=tuple(replace(e, file=place(e.file)) for e in finding.evidence))

    def _rules(self) -> list[Rule]:
        chosen = self.options.chosen
        return [rule for rule in rules() if chosen is None or rule.code in chosen]

    def _ask(self, rule: Rule, folder: str, check: Callable[[], Finding], place: Evidence) -> Finding:
        """Ask one rule; one that raises, or that killed an earlier attempt, is unknown for a reason that is ours."""
        say = Verdicts(rule.code, rule.group, self.rulebook)
        since = self.rulebook.rule(rule.code).since
        if self.options.as_of is not None and since > self.options.as_of:
            return say.not_applicable(f"Not in force on {self.options.as_of}: it binds from {since}.")
        step = f"rule {rule.code}:{folder}"
        if step in self.options.skip:
            return say.unknown(f"The rule could not be checked: {self.options.skip[step]}.", [place])
        self.announce(step)
        try:
            return check()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a rule that raises is our bug, never the submission's acquittal
            text = f"Our bug, not the submission's: the rule raised {type(error).__name__}: {str(error)[:300]}"
            return say.unknown(text, [place], "Report this to the authors of pgolf.")


def _rooted(submission: Submission, file: str) -> str:
    """Return a path of the folder as a path of the repository; others unchanged."""
    if submission.path == FOLDER_ITSELF or file.startswith(f"{submission.path}/"):
        return file
    inside = file.partition("!")[0] in submission.files
    return f"{submission.path}/{file}" if inside and submission.path else file
