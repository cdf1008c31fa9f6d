"""The broker configuration that a local cluster is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.kafka.layout import Cluster
from deploy.kafka.properties import render, settings


def cluster(brokers: int, data: Path = Path("/data")) -> Cluster:
    return Cluster(data=data, brokers=brokers, port=9092, cluster_id="AAAAAAAAAAAAAAAAAAAAAA")


def test_three_brokers_name_each_other_as_voters() -> None:
    """Every node lists the same three voters, at the ports on which the controllers really listen."""
    three = cluster(3)
    voters = {settings(three, node)["controller.quorum.voters"] for node in three.nodes}
    assert voters == {"1@127.0.0.1:9102,2@127.0.0.1:9103,3@127.0.0.1:9104"}
    for node in three.nodes:
        assert f"CONTROLLER://127.0.0.1:{9101 + node}" in settings(three, node)["listeners"]


def test_ports_never_meet() -> None:
    """Six listeners of one cluster have six ports, and a cluster 20 ports further shares none of them."""
    first = cluster(3)
    second = Cluster(data=Path("/other"), brokers=3, port=9112, cluster_id="")
    assert len(set(first.ports)) == 6
    assert not set(first.ports) & set(second.ports)


@pytest.mark.parametrize(("brokers", "in_sync"), [(1, "1"), (3, "2")])
def test_internal_topics_fit_the_broker_count(brokers: int, in_sync: str) -> None:
    """One broker alone can hold its internal topics; three keep each of them on all, two in sync."""
    found = settings(cluster(brokers), 1)
    for name in (
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ):
        assert found[name] == str(brokers)
    assert found["min.insync.replicas"] == in_sync
    assert found["transaction.state.log.min.isr"] == in_sync


def test_listens_on_this_machine_only() -> None:
    """A broker without authentication must not be reachable from another machine."""
    found = settings(cluster(1), 1)
    for name in ("listeners", "advertised.listeners"):
        for listener in found[name].split(","):
            assert listener.split("://")[1].startswith("127.0.0.1:")


def test_followers_can_fetch_what_leaders_accept() -> None:
    """The largest record that is accepted can also be replicated."""
    found = settings(cluster(3), 1)
    assert int(found["replica.fetch.max.bytes"]) >= int(found["message.max.bytes"]) == 10_485_760


def test_rendered_file_has_every_setting_once() -> None:
    """What is rendered is one `name=value` line per setting, and topics are never created by a typing error."""
    lines = render(cluster(1), 1).splitlines()
    names = [line.partition("=")[0] for line in lines]
    assert sorted(names) == sorted(set(names)) == sorted(settings(cluster(1), 1))
    assert "auto.create.topics.enable=false" in lines


def test_bootstrap_lists_every_broker() -> None:
    """A client that is given the bootstrap line survives the loss of any one broker."""
    assert cluster(3).bootstrap == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
