"""Techniques: one idea, one source, one file. Families never import one another."""
