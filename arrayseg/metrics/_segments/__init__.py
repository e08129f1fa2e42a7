"""Instances, segments and partitions: matching, counting and scores."""
