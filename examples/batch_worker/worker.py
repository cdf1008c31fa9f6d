"""Classifies lines of text from standard input in plain threads.

    printf 'good\nbad\nfine\n' | python -m examples.batch_worker.worker --brokers 127.0.0.1:9092

Each line is `customer<TAB>text` or just `text`. One JSON line is printed for each, and at the end the emitter's counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from serinus import Emitter, Router

Classifier = Callable[[str], tuple[str, float]]


def classify_v1(text: str) -> tuple[str, float]:
    """Return the class and the confidence, 0 to 1, by a list of words."""
    return ("negative", 0.9) if "bad" in text.lower() else ("positive", 0.7)


def classify_v2(text: str) -> tuple[str, float]:
    """The same by a longer list; this is the candidate."""
    negative = any(word in text.lower() for word in ("bad", "poor", "awful"))
    return ("negative", 0.95) if negative else ("positive", 0.75)


CLASSIFIERS: dict[str, Classifier] = {"v1": classify_v1, "v2": classify_v2}


def work(line: str, router: Router, emitter: Emitter) -> dict[str, object]:
    """Classify one line and emit its event; here by `emit`, to show what `request` does for you."""
    customer, _, text = line.rpartition("\t")
    choice = router.route(customer)
    started_s = time.monotonic()
    label, confidence, failed = "", 0.0, False
    try:
        label, confidence = CLASSIFIERS[choice.version](text)
    except Exception:
        failed = True
        raise
    finally:
        emitter.emit(
            version=choice.version,
            latency_ms=(time.monotonic() - started_s) * 1000,
            error=failed,
            values={} if failed else {"confidence": confidence},
            labels={} if failed else {"class": label},
            unit=customer,
            epoch=choice.epoch,
            bucket=choice.bucket,
        )
    return {"version": choice.version, "class": label, "text": text}


def run(lines: Iterable[str], router: Router, emitter: Emitter, threads: int) -> Iterator[dict[str, object]]:
    """Yield the results in the order of the lines."""
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda line: work(line.rstrip("\n"), router, emitter), lines)


def main() -> None:
    """Work through standard input."""
    parser = argparse.ArgumentParser(description="Classify lines of text with a baseline v1 and a canary v2.")
    parser.add_argument("--brokers", default=os.environ.get("SERINUS_BROKERS", "127.0.0.1:9092"))
    parser.add_argument("--topic-prefix", default=os.environ.get("SERINUS_TOPIC_PREFIX", ""))
    parser.add_argument("--service", default="sentiment")
    parser.add_argument("--threads", type=int, default=4)
    given = parser.parse_args()
    clients = {"service": given.service, "brokers": given.brokers, "topic_prefix": given.topic_prefix}
    with Router(fallback="v1", **clients) as router, Emitter(**clients) as emitter:
        for result in run(sys.stdin, router, emitter, given.threads):
            print(json.dumps(result))
        emitter.flush(10)
        print(json.dumps(asdict(emitter.stats())), file=sys.stderr)


if __name__ == "__main__":
    main()
