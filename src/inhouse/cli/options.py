"""The arguments and options that several commands share, and how help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inhouse.cli.panels import FIRST, READING, TOGETHER

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="name of the task, such as tickets")]
Folder = Annotated[Path, typer.Option("--workspace", "-w", metavar="DIR", help="the workspace folder")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="COLUMN",
        help="input column, a dotted path into JSON, or NAME=COLUMN; may be repeated. Where it holds "
        "names of documents (.pdf, .docx, .eml, ...), their text is read",
        rich_help_panel=FIRST,
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="the column with the right answer, or a dotted path into JSON; repeated: an object's fields",
        rich_help_panel=FIRST,
    ),
]
Group = Annotated[
    str,
    typer.Option(
        "--group",
        metavar="COLUMN",
        help="a column, or a dotted path into JSON; rows of one group stay in one split",
        rich_help_panel=TOGETHER,
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="COLUMN",
        help="a column that tells rows apart: a row of a corrected file replaces its older form",
        rich_help_panel=TOGETHER,
    ),
]
PATHS = (
    "CSV, TSV, XLSX, Parquet, JSON or JSONL (chat files too); a folder of them or of documents, a pattern such as "
    "'exports/*.csv', or the URL of a database"
)
MODEL = "a name of `inhouse models list`, a GGUF file, a model folder, or a hub id (ORG/NAME)"
KIND = "classify: one label out of a set; extract: a JSON object; generate: a text of fixed structure"
Kind = Annotated[
    str, typer.Option("--kind", help=f"of a new task; not given, it is inferred. {KIND}", rich_help_panel=FIRST)
]
TestFile = Annotated[
    Path | None,
    typer.Option("--test", metavar="FILE", help="a file that is the test set, unedited", rich_help_panel=FIRST),
]
DropRare = Annotated[
    bool, typer.Option("--drop-rare", help="set labels that appear once aside", rich_help_panel=TOGETHER)
]
Query = Annotated[
    str,
    typer.Option(
        "--query", metavar="SQL", help="what to read from a database; only reading is allowed", rich_help_panel=READING
    ),
]
Sheet = Annotated[str, typer.Option("--sheet", metavar="NAME", help="the sheet of a workbook", rich_help_panel=READING)]
Header = Annotated[
    int,
    typer.Option(
        "--header", metavar="ROW", min=0, help="the row that names the columns, the first is 1", rich_help_panel=READING
    ),
]
Encoding = Annotated[
    str, typer.Option("--encoding", metavar="NAME", help="of text files, such as cp1252", rich_help_panel=READING)
]
Delimiter = Annotated[
    str,
    typer.Option(
        "--delimiter", metavar="TEXT", help=r"between the cells of a CSV file; \t is a tab", rich_help_panel=READING
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="take what is inferred without asking")]
Which = Annotated[str, typer.Option("--version", metavar="N", help="a version number, champion, candidate or latest")]
TrainedModel = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="what to fine-tune: causal, or encoder for a classify task"),
]

HERE = Path()
