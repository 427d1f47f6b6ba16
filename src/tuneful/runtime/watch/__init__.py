"""Watching a model at work: what it predicted is recorded, compared with what it was like, and a change raises an alarm at a stated rate."""
