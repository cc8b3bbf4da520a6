"""What keeps many plugins: `ferrule.pool`, and what people write without it."""
