"""Documents: their text in reading order, one module for each kind, parsed in processes of their own."""

from inhouse.sources.documents.folder import Folder, names_document
from inhouse.sources.documents.join import (
    DOCUMENT,
    FILE,
    TARGET,
    DocumentFile,
    DocumentFolder,
    document_files,
    read_document_folder,
)
from inhouse.sources.documents.pool import read_documents
from inhouse.sources.documents.reading import ENDINGS, READERS, Part

__all__ = [
    "DOCUMENT",
    "ENDINGS",
    "FILE",
    "READERS",
    "TARGET",
    "DocumentFile",
    "DocumentFolder",
    "Folder",
    "Part",
    "document_files",
    "names_document",
    "read_document_folder",
    "read_documents",
]
