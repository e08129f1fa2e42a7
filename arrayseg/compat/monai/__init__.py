"""MONAI: `losses` and `metrics` have the numbers of its newest release here; a release module says which it has."""
