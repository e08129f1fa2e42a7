"""Metrics of the confusion matrix: overlap, rates, agreement, costs, scores of images and the report."""
