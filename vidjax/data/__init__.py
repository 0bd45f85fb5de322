"""Videos to batches of clips, on the host, without JAX."""
