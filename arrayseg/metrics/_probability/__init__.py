"""Scores of probabilities: calibration, curves and saliency."""
