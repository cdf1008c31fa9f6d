"""Plans of the tests, short enough to run in real time."""

from __future__ import annotations

DEMO_METRICS = """
  - {name: error_rate, worse: higher, margin: 1%}
  - {name: latency_ms, worse: higher, margin: 10%}
"""


def stages(service: str, *steps: tuple[str, str], alpha: float = 0.05, metrics: str = DEMO_METRICS) -> str:
    """A plan with fixed stages for ``v1`` and its canary ``v2``.

    Parameters
    ----------
    steps : weight and hold of each, as in a file: ``("5%", "10s")``.
    """
    listed = ", ".join(f"{{weight: {weight}, hold: {hold}}}" for weight, hold in steps)
    return (
        f"service: {service}\nbaseline: v1\ncanaries: [v2]\nalpha: {alpha}\n"
        f"ramp: {{kind: stages, steps: [{listed}]}}\nmetrics:{metrics}"
    )
