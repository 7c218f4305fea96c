"""What a training loads first, for processes that are forked once it is here.

Nothing that starts threads, as polars does: a process that is forked beside them may wait for them for ever.
"""

from importlib import import_module

from inhouse.engine.quiet import settle_transformers

settle_transformers()
for name in ("torch", "transformers.models.bert", "transformers.models.llama", "openvino", "sqlalchemy"):
    import_module(name)
