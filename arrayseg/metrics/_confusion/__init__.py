"""Confusion matrices and the scores of them."""
