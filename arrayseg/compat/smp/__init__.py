"""segmentation_models_pytorch: `losses` holds what its releases share; `v0_3` and `v0_6` hold what differs."""
