"""Words for what the judge found: made when a decision, a refusal or a reader needs them, from the same evidence."""

from __future__ import annotations

import msgspec

from releases.assessment import Judgement, assess
from releases.groups import asked_of
from releases.judge import JudgeState
from releases.machine_io import Judged
from releases.release_state import Release


def told(release: Release, judge: JudgeState) -> Release:
    """The release with its last assessment in words.

    The evidence and the running canaries are still those that the assessment was made of: both change only with the
    next one or with a decision, and a decision leaves its assessment in words.

    Parameters
    ----------
    release : as it stands.
    judge : its evidence.
    """
    said = release.assessment
    if said.reason:
        return release
    words = _words(release, judge, said.for_share_ppm)
    said = msgspec.structs.replace(said, reason=words.reason, evidence=words.evidence)
    return msgspec.structs.replace(release, assessment=said)


def told_judged(judged: Judged, release: Release, judge: JudgeState) -> Judged:
    """A judgement in words, before the machine takes it.

    Parameters
    ----------
    judged : made of this evidence.
    release : which it is about.
    """
    words = _words(release, judge, judged.for_share_ppm)
    return msgspec.structs.replace(judged, reason=words.reason, evidence=words.evidence)


def _words(release: Release, judge: JudgeState, for_share_ppm: int) -> Judgement:
    asked = asked_of(release)
    return assess(release.plan, judge, running=release.running, for_share_ppm=for_share_ppm, groups=asked)
