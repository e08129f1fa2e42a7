"""Keras: `losses` and `metrics` hold what its releases share; `v3_15` and `v3_16` hold what differs."""
