"""Evaluation of files and folders of masks."""
