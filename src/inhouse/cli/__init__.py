"""The command line: parse, call one function of the pipeline, show."""

from inhouse.cli.main import main

__all__ = ["main"]
