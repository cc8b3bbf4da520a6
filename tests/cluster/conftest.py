"""A Ray cluster in a box: each node has a raylet of its own, all on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from peers import ROOT

# `make ray` has it, and no other target does.
collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]

# A node that hangs is declared dead after 3 s, not after a minute.
SETTINGS = {
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
    "RAY_health_check_initial_delay_ms": "0",
    # Of a machine that is busy with other things.
    "RAY_raylet_start_wait_time_s": "180",
    "RAY_agent_register_timeout_ms": "180000",
    # Heartbeats come in time on a machine that is busy with other things.
    "RAY_worker_niceness": "0",
}
# Some are read when Ray is imported.
if find_spec("ray"):
    os.environ.update(SETTINGS)

OBJECT_STORE = 80 * 2**20


def persistently(start: Callable[[], Any]) -> Any:
    """What a start returns. Ray gives a node 30 s to start, which a busy machine may not keep."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            late = error
    raise late


class Box:
    """A head without plugins, and nodes that tests add and take away.

    Args:
        cluster: Ray's own cluster for tests.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._nodes: list[Any] = []

    def add(self, resource: str, count: int = 1) -> list[Any]:
        """Further nodes with a resource."""
        settings = {"num_cpus": 1, "object_store_memory": OBJECT_STORE, "resources": {resource: 1}, "wait": False}
        nodes = [persistently(lambda: self._cluster.add_node(**settings)) for _ in range(count)]
        self._nodes += nodes
        self._cluster.wait_for_nodes()
        return nodes

    def kill(self, node: Any) -> None:
        """SIGKILL to everything of a node."""
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def remove_all(self) -> None:
        """Takes all nodes but the head away."""
        for node in list(self._nodes):
            self.kill(node)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head, and a connection to it, for all tests."""
    import ray
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    # Its sockets' paths are long.
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        os.environ.update(RAY_TMPDIR=directory, TMPDIR=directory)
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "tests" / "unit")])
        head = {"num_cpus": 1, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
        cluster = persistently(lambda: Cluster(initialize_head=True, head_node_args=head))
        ray.init(
            address=cluster.address,
            logging_level="ERROR",
            log_to_driver=False,
            # What a killed node leaves goes with the directory.
            runtime_env={"env_vars": {"PYTHONPATH": path, "TMPDIR": directory}},
        )
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def box(cluster: Any) -> Iterator[Box]:
    """Nodes for one test."""
    box = Box(cluster)
    yield box
    box.remove_all()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where plugins write down what they do."""
    return tmp_path / "journal"
