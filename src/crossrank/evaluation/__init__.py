"""Measuring rankings: judgement files, runs and measures."""
