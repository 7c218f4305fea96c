"""Work that a client of the HTTP API asks for, and that is done later."""
