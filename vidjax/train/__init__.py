"""State, step, optimizer, sharding, checkpoints and the loop."""
