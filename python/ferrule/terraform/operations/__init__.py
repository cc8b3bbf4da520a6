"""What core does between a configuration and a provider, without I/O: each operation is a generator of calls."""
