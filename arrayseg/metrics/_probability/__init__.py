"""Metrics of probabilities and scores: calibration, curves and saliency."""
