"""Nouns: frozen values. No torch; fast to import."""
