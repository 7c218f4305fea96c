"""Suspect and broken targets: what a target says against its input, against its own kind, and against the others."""
