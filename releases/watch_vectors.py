"""All metrics of a version's window together, against its own past: observers of vectors. They never decide."""

from __future__ import annotations

import msgspec
import numpy as np

from detectors.adaptive.half_space_trees import HalfSpaceTrees, HalfSpaceTreesState
from detectors.gaussian.mahalanobis import Mahalanobis, MahalanobisState
from detectors.gaussian.mewma import Mewma, MewmaState
from detectors.protocol import Oddness
from schemas.evidence import Evidence, Verdict

MEWMA_AVERAGE = 5_000.0
"""Windows between false alarms of one healthy version, were its covariance known: seven hours."""

LEARNING = 60
"""Windows that MEWMA learns from: five minutes."""


class Together(msgspec.Struct, frozen=True, eq=False):
    """What the observers know of a version, and what they said of its last window."""

    mahalanobis: MahalanobisState
    mewma: MewmaState
    trees: HalfSpaceTreesState
    said: tuple[Oddness, Oddness, Oddness] = (Oddness(), Oddness(), Oddness())


def _observers(dimensions: int) -> tuple[Mahalanobis, Mewma, HalfSpaceTrees]:
    return (
        Mahalanobis(dimensions, warm_up=30 + dimensions, shrink=True),
        Mewma(dimensions, MEWMA_AVERAGE, learning=LEARNING),
        HalfSpaceTrees(dimensions),
    )


def start(dimensions: int) -> Together:
    """Nothing seen."""
    distance, average, trees = _observers(dimensions)
    return Together(distance.start(), average.start(), trees.start())


def observe(together: Together, vector: tuple[float, ...] | None) -> Together:
    """After one window; a window in which a metric is missing is no vector and says nothing."""
    if vector is None:
        return msgspec.structs.replace(together, said=(Oddness(), Oddness(), Oddness()))
    x = np.array(vector)
    distance, average, trees = _observers(x.size)
    forest = trees.score(together.trees, x)
    said = (distance.score(together.mahalanobis, x), average.score(together.mewma, x), forest)
    bits = trees.debounce.after(together.trees.unusual, bool(forest.unusual))
    return Together(
        distance.learn_scored(together.mahalanobis, x, said[0]),
        average.learn_scored(together.mewma, x, said[1]),
        trees.learn_scored(together.trees, x, bits),
        said,
    )


def evidence(version: str, labels: tuple[str, ...], together: Together) -> list[Evidence]:
    """A row for each observer that raises an alarm; none when there is only one metric to see together."""
    if len(labels) < 2:
        return []
    rows = []
    observers: tuple[Mahalanobis | Mewma | HalfSpaceTrees, ...] = _observers(len(labels))
    for observer, said in zip(observers, together.said, strict=True):
        if said.alarm and said.value is not None and said.limit is not None:
            odd = f"{said.value:.3g}, its limit is {said.limit:.3g}"
            rows.append(
                Evidence(
                    metric="joint",
                    segment="",
                    version=version,
                    detector=observer.NAME,
                    detector_version=observer.VERSION,
                    role="observe",
                    verdict=Verdict.INCONCLUSIVE,
                    n_baseline=0,
                    n_canary=0,
                    sentence=f"{', '.join(labels)} of {version} together are unlike their own past "
                    f"({observer.NAME} {odd}); this alerts only",
                )
            )
    return rows
