"""What the machine has for plugins: CPUs, descriptors, process ids, memory; and what all pools of a process share."""

from __future__ import annotations

from ferrule.pool.machine.capacity import (
    check_max_plugins,
    default_max_plugins,
    raise_descriptors,
    room,
)
from ferrule.pool.machine.cpus import usable_cpus
from ferrule.pool.machine.machine import Machine, this_machine
from ferrule.pool.machine.memory_budget import UNKNOWN_PROGRAM_BYTES, MemoryBudget, MemoryShare
from ferrule.pool.machine.processes import CpuTime, Memory, ProcessMeter, SystemMeter
from ferrule.pool.machine.sampler import Sample, Sampler
from ferrule.pool.machine.start_slots import SlotShare, StartSlots

__all__ = [
    "UNKNOWN_PROGRAM_BYTES",
    "CpuTime",
    "Machine",
    "Memory",
    "MemoryBudget",
    "MemoryShare",
    "ProcessMeter",
    "Sample",
    "Sampler",
    "SlotShare",
    "StartSlots",
    "SystemMeter",
    "check_max_plugins",
    "default_max_plugins",
    "raise_descriptors",
    "room",
    "this_machine",
    "usable_cpus",
]
