"""The blocking face: providers for scripts, threads and notebooks."""
