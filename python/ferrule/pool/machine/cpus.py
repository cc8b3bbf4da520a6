"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from ferrule.pool.machine.cgroup import read_cgroup

__all__ = ["usable_cpus"]


def usable_cpus(root: str = "/") -> int:
    """The number of CPUs that this process may use, at least 1.

    That is its affinity, as `os.process_cpu_count()` of Python 3.13 has it, and no more than the quota of its control
    groups, rounded up as Go's `GOMAXPROCS` is.

    Args:
        root: Where `proc` and `sys` are.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, math.ceil(min(_quotas(root), default=allowed))))


def _quotas(root: str) -> Iterator[float]:
    """CPUs that each control group allows; those without a quota are left out."""
    for text in read_cgroup("cpu", "cpu.max", root):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            yield int(quota) / int(period)
    quotas = read_cgroup("cpu", "cpu.cfs_quota_us", root)
    periods = read_cgroup("cpu", "cpu.cfs_period_us", root)
    for quota, period in zip(quotas, periods, strict=False):
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            yield int(quota) / int(period)
