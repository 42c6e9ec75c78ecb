"""A Ray cluster of three nodes on this machine: a head without cores, and two of one core each.

Prints its address. A line on stdin removes a node; the end of stdin ends the cluster.
"""

import sys


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    cluster.add_node(num_cpus=0, include_dashboard=False)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    _say(cluster.address)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        _say("removed")
    cluster.shutdown()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
