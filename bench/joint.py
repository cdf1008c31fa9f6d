"""The joint gate on many releases at once: false alarms, and requests until a difference is found.

    python3 -m bench.joint

Releases stand side by side as rows of one state, each with coordinates and a covariance that it has learned of its own
baseline, as the worker does. Writes ``bench/results/joint.json``.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy.special import ndtr

from detectors.arrays import Floats
from detectors.coordinates import SCALES, dimensions_of, learned, scaled, vectors_of
from detectors.sequential.joint import Joint, JointState
from detectors.summaries.log_histogram import LogHistogram
from detectors.vector_batches import VectorBatch
from releases.joint_gate import LEARN_VALUES, LEARN_VECTORS, TUNED
from schemas.basis import Coordinate

RESULTS: Final = Path(__file__).parent / "results" / "joint.json"
TOKENS: Final = Path("streams/demo/azure_llm_2023/AzureLLMInferenceTrace_code.csv")
NAMES: Final = ("latency_ms", "values.tokens_out", "values.confidence")
ALPHA: Final = 0.05
BLOCK: Final = 40
STANDARD: Final = tuple(Coordinate(name, "raw", 0.0, 1.0) for name in NAMES)
"""For values that are standardised already: what is left is to clip them and to multiply pairs."""
CORRELATION: Final = 0.7


class Canary(NamedTuple):
    """How a canary differs: by shifts in standard deviations of the normal scores, and in its correlation."""

    shifts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    correlation: float = CORRELATION


def _tokens() -> Floats:
    path = Path(__file__).parent.parent / TOKENS
    with path.open(encoding="utf-8") as file:
        return np.sort(np.array([float(row["GeneratedTokens"]) for row in csv.DictReader(file)]))


def values_of(kind: str, normal: Floats) -> Floats:
    """Metrics from their normal scores [releases, n, 3]."""
    match kind:
        case "normal":
            return 10.0 + normal
        case "lognormal, sigma 0.5":
            return np.asarray(np.exp(5.0 + 0.5 * normal))
        case "lognormal, sigma 1":
            return np.asarray(np.exp(5.0 + normal))
        case "exponential":
            return -100.0 * np.log(np.maximum(ndtr(-normal), 1e-300))
        case "latency, recorded tokens, confidence":
            tokens, found = _tokens(), np.exp(5.0 + 0.5 * normal)
            rank = (ndtr(normal[..., 1]) * tokens.size).astype(int)
            found[..., 1] = tokens[np.minimum(rank, tokens.size - 1)]
            found[..., 2] = 0.8 + 0.1 * normal[..., 2]
            return np.asarray(found)
        case _:
            raise ValueError(f"metrics are of no kind {kind!r}")


class Releases:
    """Releases side by side, each with a basis of its own.

    Parameters
    ----------
    share : of the canary in a block of BLOCK requests.
    """

    def __init__(self, count: int, kind: str, share: float, seed: int) -> None:
        self._count, self._kind, self._rng = count, kind, np.random.default_rng(seed)
        self.n_c = max(1, round(BLOCK * share))
        self.n_b = BLOCK - self.n_c
        first = self._values(LEARN_VALUES, Canary())
        bases = [self._basis(values) for values in first]
        self._scale = np.array([[one.scale for one in basis] for basis in bases])
        self._mean = np.array([[one.mean for one in basis] for basis in bases])
        self._sd = np.array([[one.sd for one in basis] for basis in bases])
        d = dimensions_of(len(NAMES))
        self.gate = Joint(dimensions=d, tuned=TUNED, learn=max(LEARN_VECTORS, 10 * d))
        self.blocks_learned = math.ceil(self.gate.learn / (self.n_b - 1))
        scatter = sum(self._arm(self.n_b, Canary())[2] for _ in range(self.blocks_learned))
        # Row 0 is the total over segments, which releases side by side do not have.
        own = np.concatenate([np.eye(d)[None], np.asarray(scatter)])
        n = np.array([self.blocks_learned * (self.n_b - 1.0)])
        rows = count + 1
        self.state = JointState(n, own, np.zeros((rows, d)), np.zeros((rows, d, d)), np.full(rows, -1.0))

    @property
    def learning(self) -> int:
        """Canary requests that come while the baseline is learned."""
        return (math.ceil(LEARN_VALUES / self.n_b) + self.blocks_learned) * self.n_c

    def observe(self, canary: Canary) -> Floats:
        """One block more of every release; [releases] log e-values."""
        rows = np.arange(1, self._count + 1)
        arms = (*self._arm(self.n_b, Canary()), *self._arm(self.n_c, canary))
        self.state = self.gate.observe(self.state, VectorBatch(rows, *arms))
        return self.gate.harm(self.state)[1:]

    def _values(self, n: int, canary: Canary) -> Floats:
        normal = self._rng.normal(size=(self._count, n, 3))
        rho = canary.correlation
        normal[..., 1] = rho * normal[..., 0] + math.sqrt(1.0 - rho**2) * normal[..., 1]
        return values_of(self._kind, normal + np.array(canary.shifts))

    def _basis(self, values: Floats) -> tuple[Coordinate, ...]:
        return learned({name: LogHistogram.of(values[:, at]) for at, name in enumerate(NAMES)}, NAMES)

    def _arm(self, n: int, canary: Canary) -> tuple[Floats, Floats, Floats]:
        values = self._values(n, canary)
        for scale in SCALES:
            release, metric = np.nonzero(self._scale == scale)
            values[release, :, metric] = scaled(values[release, :, metric], scale)
        standard = (values - self._mean[:, None]) / self._sd[:, None]
        u = vectors_of(standard.reshape(-1, len(NAMES)), STANDARD).reshape(self._count, n, -1)
        mean = u.mean(axis=1)
        centred = u - mean[:, None]
        return np.full(self._count, float(n)), mean, np.matmul(centred.transpose(0, 2, 1), centred)


def canary_requests(releases: Releases, canary: Canary, *, blocks: int) -> Floats:
    """[releases] canary requests since the start until the evidence reaches 1/ALPHA; inf where it never does."""
    found = np.full(releases.state.s.shape[0] - 1, np.inf)
    for block in range(1, blocks + 1):
        fires = releases.observe(canary) >= -math.log(ALPHA)
        found[np.isinf(found) & fires] = releases.learning + block * releases.n_c
        if np.isfinite(found).all():
            break
    return found


HEALTHY: Final = ("normal", "lognormal, sigma 1", "exponential", "latency, recorded tokens, confidence")
DIFFERENT: Final = {
    "three shifts of 0.2 sd, against the correlation": Canary(shifts=(0.2, -0.2, 0.2)),
    "three shifts of 0.2 sd, along it": Canary(shifts=(0.2, 0.2, 0.2)),
    "correlation 0.7 to -0.2": Canary(correlation=-0.2),
}
SHARES: Final = (0.05, 0.5)


def main(releases: int = 2_000, blocks: int = 400, found_in: int = 300) -> None:
    """All of it, and the file."""
    healthy = {
        kind: {f"{share:g}": _false_alarms(kind, share, releases, blocks) for share in SHARES} for kind in HEALTHY
    }
    different = {
        name: {
            f"{share:g}": float(
                np.median(canary_requests(Releases(found_in, "lognormal, sigma 0.5", share, 2), canary, blocks=blocks))
            )
            for share in SHARES
        }
        for name, canary in DIFFERENT.items()
    }
    said = {"releases": releases, "blocks": blocks, "block": BLOCK, "healthy": healthy, "different": different}
    RESULTS.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(said, indent=2, ensure_ascii=False))


def _false_alarms(kind: str, share: float, count: int, blocks: int) -> float:
    parts = [min(500, count - start) for start in range(0, count, 500)]
    hits = [
        np.isfinite(canary_requests(Releases(part, kind, share, 100 + seed), Canary(), blocks=blocks))
        for seed, part in enumerate(parts)
    ]
    return float(np.concatenate(hits).mean())


if __name__ == "__main__":
    main()
