"""The HTTP face: the OpenAI-shaped endpoints of `inhouse serve`."""

from inhouse.api.app import make_app
from inhouse.api.server import serve

__all__ = ["make_app", "serve"]
