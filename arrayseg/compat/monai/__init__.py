"""MONAI: `losses` holds what its releases share, `metrics` its metrics; `v1_5` and `v1_6` hold what differs."""
