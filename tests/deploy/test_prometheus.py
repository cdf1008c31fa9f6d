"""What Prometheus scrapes and on what it alerts. When the rules fire is told by `alerts_test.yml` for promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.apt import program

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
METRICS = {
    "serinus_worker_services_stuck",
    "serinus_retention_gap_records_total",
    "serinus_events_total",
    "serinus_dead_letters_total",
    "serinus_ingest_lag_records",
    "serinus_slice_delay_seconds",
    "serinus_decisions_total",
    "serinus_verdict",
    "serinus_weight_ratio",
    "serinus_event_to_route_seconds_bucket",
    "serinus_hooks_total",
}


def test_scrapes_the_services_where_they_listen() -> None:
    """Every target is a service of docker-compose.yml at the port of its health check."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = [
        (name, target["port"]) for job in scraped for target in job["dns_sd_configs"] for name in target["names"]
    ]
    assert {name for name, _ in targets} == {"worker", "ingest", "hooks"}
    for name, port in targets:
        assert f":{port}/" in services[name]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_alerts_use_metrics_that_exist_and_say_what_to_do(rule: dict[str, Any]) -> None:
    """An alert on a mistyped metric never fires, and one without a text helps nobody at night."""
    assert set(re.findall(r"serinus_\w+", rule["expr"])) <= METRICS
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def test_every_alert_has_a_case() -> None:
    """The rule tests of promtool leave out no alert."""
    cases = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    tried = {case["alertname"] for test in cases for case in test["alert_rule_test"]}
    assert tried == {rule["alert"] for rule in RULES}


def test_promtool_agrees() -> None:
    """It accepts the files, and the rules fire exactly when they should."""
    promtool = program("promtool", "prometheus")
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        finished = subprocess.run(
            [promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
