"""go-plugin's own host, the reference of every ratio: hands over to the Go program that prints the same lines."""

import argparse
import os

from hosts import cycle


def main() -> None:
    """Replace this process by the Go host, so that no Python remains beside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--go-host", required=True, help="path of the Go host")
    own, rest = parser.parse_known_args()
    arguments = cycle.parse_arguments(rest)
    # No warm-up of its own: all hosts are asked for the same number of lives, and the first ones are dropped alike.
    flags = ["-plugin", arguments.plugin, "-n", str(arguments.cycles), "-warmup", "0"]
    flags += ["-at-once", str(arguments.at_once)]
    os.execv(own.go_host, [own.go_host, *flags, *(["-mtls"] if arguments.mtls else [])])


if __name__ == "__main__":
    main()
