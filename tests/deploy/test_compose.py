"""docker-compose.yml and the Dockerfile, checked without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
ONE_SHOT = {"topics"}
# The commands of the outside contract that make sense in a container.
SUBCOMMANDS = {("up",), ("ingest",), ("worker",), ("hooks",), ("topics", "create"), ("topics", "check")}
PINNED = re.compile(r"[^:\s]+:v?\d+\.\d+\.\d+[\w.-]*$")
OWN_IMAGES = {"serinus", "serinus-example"}


def dockerfile_steps(name: str) -> list[list[str]]:
    lines = DOCKERFILE.read_text().splitlines()
    return [line.split()[1:] for line in lines if line.startswith(f"{name} ")]


def test_everything_asked_for_is_there() -> None:
    """The services are the ones that the documentation promises."""
    assert set(SERVICES) == {"kafka", "topics", "ingest", "worker", "hooks", "prometheus", "chat", "load"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """The same file starts the same software next year: no image without a full version."""
    assert PINNED.match(SERVICES[name]["image"])


def test_base_images_are_pinned() -> None:
    """The same holds for what the images are built on."""
    stages = {step[2] for step in dockerfile_steps("FROM") if len(step) == 3}
    bases = {step[0] for step in dockerfile_steps("FROM")} - stages
    assert bases
    assert all(PINNED.match(base) for base in bases)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_long_running_services_have_a_health_check(name: str) -> None:
    """Docker can tell a service that hangs from one that works."""
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_are_awaited_by_a_condition_that_can_come_true(name: str) -> None:
    """Nobody starts before what it needs, and nobody waits for a state that its dependency never reaches."""
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        if needed in ONE_SHOT:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[needed]["restart"] == "no"
        else:
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[needed]


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name]["image"].startswith("serinus:")])
def test_pipeline_commands_exist(name: str) -> None:
    """A container runs a command of the contract, as the user who may write its data and nothing else."""
    assert tuple(SERVICES[name]["command"]) in SUBCOMMANDS
    assert "user" not in SERVICES[name]


def test_containers_are_not_root() -> None:
    """The last word of the Dockerfile about the user is a number that is not 0."""
    assert dockerfile_steps("USER")[-1] == ["10001"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_builds_point_at_stages_of_the_dockerfile(name: str) -> None:
    """Every image that is built has its stage, and only what is built is called ours."""
    build = SERVICES[name]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).samefile(DOCKERFILE)
    assert build["target"] in {step[2] for step in dockerfile_steps("FROM") if len(step) == 3}
    assert SERVICES[name]["image"].split(":")[0] in OWN_IMAGES


def test_dockerfile_copies_what_exists() -> None:
    """Every file that the Dockerfile copies from the repository is there and let through by its ignore file."""
    allowed = (ROOT / "deploy" / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    for step in dockerfile_steps("COPY"):
        if step[0].startswith("--from"):
            continue
        for source in step[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in allowed


@pytest.mark.parametrize("name", ["ingest", "worker", "hooks", "topics", "chat"])
def test_clients_use_the_inner_listener(name: str) -> None:
    """Inside the network Kafka is reached by the listener that advertises its name there, not localhost."""
    brokers = SERVICES[name]["environment"]["SERINUS_BROKERS"]
    assert f"INSIDE://{brokers}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


@pytest.mark.parametrize("name", ["ingest", "worker", "hooks"])
def test_http_is_reachable_from_the_other_containers(name: str) -> None:
    """Prometheus asks from another container: listening on localhost alone would look healthy and be unseen."""
    assert SERVICES[name]["environment"]["SERINUS_HTTP_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    """Nothing here asks for a password, so nothing here is offered to the network."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_volumes_are_declared() -> None:
    """A named volume that is not declared is an error of `docker compose up`."""
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(COMPOSE["volumes"])
    assert all((ROOT / mount).exists() for mount in mounts if mount.startswith("."))
