"""Files in, Records and Examples out: tables and JSON, checked, with the line of every row.

Each module of this package may register a reader with `@source`; they are all imported here, so that a new one is
one new file.
"""

import importlib
import pkgutil

from inhouse.sources.below import name_of
from inhouse.sources.database import hosts_of, is_url, read_database, without_password
from inhouse.sources.documents import ENDINGS as DOCUMENT_ENDINGS
from inhouse.sources.documents import DocumentFolder, document_files, read_document_folder, read_documents
from inhouse.sources.examples import MAX_LABEL_CHARS, row_text, to_examples
from inhouse.sources.inputs import InputReader, document_columns, input_reader, with_documents
from inhouse.sources.mapping import Mapping, infer_kind, infer_mapping
from inhouse.sources.onto import Columns, fits, map_onto
from inhouse.sources.places import check_columns
from inhouse.sources.registry import (
    READERS,
    RawFile,
    Reader,
    ReadOptions,
    Source,
    read_source,
    require_used,
    source,
)
from inhouse.sources.rejected import SOURCE_NOTES, escaped, rejects_csv, remedy_of
from inhouse.sources.walk import Found, Walk, find_files

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "DOCUMENT_ENDINGS",
    "MAX_LABEL_CHARS",
    "READERS",
    "SOURCE_NOTES",
    "Columns",
    "DocumentFolder",
    "Found",
    "InputReader",
    "Mapping",
    "RawFile",
    "ReadOptions",
    "Reader",
    "Source",
    "Walk",
    "check_columns",
    "document_columns",
    "document_files",
    "escaped",
    "find_files",
    "fits",
    "hosts_of",
    "infer_kind",
    "infer_mapping",
    "input_reader",
    "is_url",
    "map_onto",
    "name_of",
    "read_database",
    "read_document_folder",
    "read_documents",
    "read_source",
    "rejects_csv",
    "remedy_of",
    "require_used",
    "row_text",
    "source",
    "to_examples",
    "with_documents",
    "without_password",
]
