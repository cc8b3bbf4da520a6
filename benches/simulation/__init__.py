"""A pool of plugins on many nodes as a discrete-event simulation: no process, no clock, the same figures every time."""
