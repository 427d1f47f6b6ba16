"""Verbs, in the order in which they happen; each may import only those above it."""
