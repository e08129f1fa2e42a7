"""Distances between surfaces, boundaries and topology."""
