"""The hosts under measurement: one module each, run as a process of its own.

Every module takes `--plugin PATH --cycles N [--mtls] [--at-once N]` and prints one JSON object per cycle on standard
output (see `hosts.cycle.Cycle`), so a host in another language only has to print the same lines.
"""
