"""Evaluation of files and folders of masks: read, pair, count, and report."""
