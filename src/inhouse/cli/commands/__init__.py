"""The commands by the part of the journey they belong to. Each parses, calls one function, and shows its result."""
