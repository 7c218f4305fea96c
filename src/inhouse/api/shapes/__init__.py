"""Bodies as they come in and go out: what stands on the wire, apart from what is done with it."""
