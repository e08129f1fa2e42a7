"""segmentation_models_pytorch: as of its newest release here; a release module says which presets it has."""
