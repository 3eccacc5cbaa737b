"""Teach a network to compare, then recognise new classes from one example."""
