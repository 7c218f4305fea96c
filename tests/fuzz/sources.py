"""Fuzzes the readers of files for some minutes: `PYTHONPATH=tests python -m fuzz.sources MINUTES [FORMAT...]`.

Whatever a file holds, reading it gives rows with their lines, or a document's text, or an error of ours that says why
not: never another exception, a process that ends, or one that takes all memory or time. Hypothesis breaks good files of
each format, each in a process of its own, and shrinks what it finds. What ended a process lies beside the summary.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import polars as pl
import xlsxwriter
from fuzz.documents import DOCUMENTS, check_document
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from inhouse.errors import InhouseError
from inhouse.sources import ReadOptions, infer_mapping, read_source, to_examples
from inhouse.sources.mapping import infer_kind

_MEMORY = 6 * 2**30
_SECONDS_A_FILE = 20
_EXAMPLES_A_ROUND = 50

ROWS = [{"text": f"é message {i}, with a comma", "label": "ab"[i % 2], "n": i, "tags": [i, "x"]} for i in range(6)]
CHATS = [
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}]},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"},
    {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]},
    {"instruction": "i", "input": "x", "output": "o", "history": [["q", "a"]], "system": ""},
    {
        "input": {"messages": [{"role": "user", "content": "q"}]},
        "preferred_output": [{"role": "assistant", "content": "a"}],
        "non_preferred_output": [{"role": "assistant", "content": "b"}],
    },
    {
        "prompt": [{"role": "user", "content": "q"}],
        "chosen": [{"role": "assistant", "content": "a"}],
        "rejected": [{"role": "assistant", "content": "b"}],
    },
]


def csv_seeds() -> list[bytes]:
    """Tables in several encodings and with several delimiters."""
    rows = [["text", "label"], ["one, “two”", "a"], ["three\nlines", "b"], ["Größe café", "a"], ["", ""]]
    texts = ["\n".join(d.join(f'"{cell}"' for cell in row) for row in rows) for d in (",", ";", "\t", "~")]
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "cp1252"]
    return [text.encode(encoding) for text in texts for encoding in encodings] + [b"sep=;\r\na;b\r\n1;2\r\n"]


def json_seeds() -> list[bytes]:
    """Arrays, containers, and objects after one another."""
    values: list[object] = [ROWS, {"data": ROWS, "page": 1}, {"x": ROWS}, ROWS[0], *([c] * 3 for c in CHATS)]
    return [json.dumps(v, ensure_ascii=False, indent=i).encode() for v in values for i in (None, 1)] + jsonl_seeds()


def jsonl_seeds() -> list[bytes]:
    """A row in each line."""
    return ["\n".join(json.dumps(row) for row in rows).encode() for rows in (ROWS, *([c] * 3 for c in CHATS))]


def xlsx_seeds() -> list[bytes]:
    """A workbook with a title, merged cells, a formula, a number format and a second sheet."""
    data = io.BytesIO()
    book = xlsxwriter.Workbook(data, {"in_memory": True})
    sheet = book.add_worksheet("Now")
    sheet.write(0, 0, "a title")
    sheet.write_row(1, 0, ["text", "label", "code"])
    for i in range(2, 9):
        sheet.write_row(i, 0, [f"message {i}", "ab"[i % 2]])
        sheet.write_number(i, 2, i, book.add_format({"num_format": "00000"}))
    sheet.merge_range("B4:B5", "both")
    sheet.write_formula("A8", "=A3", None, "message")
    book.add_worksheet("Old").write_row(0, 0, ["x", "y"])
    book.close()
    return [data.getvalue()]


def ods_seeds() -> list[bytes]:
    """An OpenDocument sheet."""
    space = "urn:oasis:names:tc:opendocument:xmlns:{0}:1.0"
    names = " ".join(f'xmlns:{n}="{space.format(n)}"' for n in ("office", "table", "text"))
    cell = '<table:table-cell office:value-type="string" table:number-columns-repeated="{1}"><text:p>{0}</text:p></table:table-cell>'
    rows = "".join(
        f'<table:table-row table:number-rows-repeated="1">{cell.format(a, 1)}{cell.format(b, 1)}</table:table-row>'
        for a, b in (("text", "label"), ("one", "a"), ("two", "b"))
    )
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet><table:table '
        f'table:name="S">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    manifest = (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", manifest)
        file.writestr("content.xml", content)
    return [data.getvalue()]


def parquet_seeds() -> list[bytes]:
    """Typed, nested and conversational columns."""
    seeds = []
    for rows in (ROWS, [CHATS[0]] * 3, [CHATS[1]] * 3):
        for compression in ("zstd", "snappy", "uncompressed"):
            data = io.BytesIO()
            frame = pl.DataFrame([{**row, "tags": ["a", None]} if "tags" in row else row for row in rows])
            frame.write_parquet(data, compression=compression)
            seeds.append(data.getvalue())
    return seeds


TABLES: dict[str, Callable[[], list[bytes]]] = {
    "csv": csv_seeds,
    "json": json_seeds,
    "jsonl": jsonl_seeds,
    "xlsx": xlsx_seeds,
    "ods": ods_seeds,
    "parquet": parquet_seeds,
}
SEEDS = {**TABLES, **DOCUMENTS}


@cache
def seeds(extension: str) -> list[bytes]:
    """Good files of a format."""
    return SEEDS[extension]()


WORDS = [
    *(c.encode() for c in ('"', '""', "\n", "\r", "\r\n", ",", ";", "\t", "|", "\0", "\ufeff", "é", "😀")),
    *(b"\xff", b"\xe9", b"\x80", b"\xff\xfe", b"PAR1", b"PK\x03\x04"),
    *(b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"1e999", b'"\\ud800"', b"-0", b"[[[[[[[[[[[[[[[[[[[["),
    *(
        b'"data":',
        b'"messages"',
        b'"conversations"',
        b'"role"',
        b'"weight":0',
        b"sep=;\n",
        b'<c r="XFD1048576"><v>1</v></c>',
    ),
    *(
        b"<f>A1</f>",
        b' t="s"',
        b' t="str"',
        b' r="9999999"',
        b"&#0;",
        b"<![CDATA[",
        b"<row/>",
        b"</sheetData>",
        b'"16384"',
    ),
    *(b"<td>", b"</table>", b"<div>" * 40, b"&#xD800;", b'charset="utf-7"', b"<w:p>", b"</w:tbl>", b"<w:tbl>"),
    *(b"endobj", b"stream\n", b"/Rotate 90", b"/Length -1", b"/Kids [1 0 R]", b"1e30 0 0 1e30 0 0 Tm", b"(\\000) Tj"),
    *(
        b"\n\n",
        b"\nFrom ",
        b"boundary=",
        b"base64",
        b"=?utf-8?b?/w==?=",
        b"message/rfc822",
        b"charset=x",
        b"name*=''%FF",
    ),
]
_MUTATION = st.tuples(
    st.sampled_from(["insert", "delete", "repeat", "replace", "flip"]),
    st.floats(0, 1, allow_nan=False),
    st.integers(1, 40),
    st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8),
)


def mutated(data: bytes, mutations: list[tuple[str, float, int, bytes]]) -> bytes:
    """Bytes after some changes, each at a place that is a share of their length."""
    for kind, share, length, word in mutations:
        at = int(share * len(data))
        if kind == "insert":
            data = data[:at] + word + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + length] * 3 + data[at + length :]
        elif kind == "replace":
            data = data[:at] + word + data[at + len(word) :]
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << length % 8]) + data[at + 1 :]
    return data


def mutated_archive(data: bytes, mutations: list[tuple[str, float, int, bytes]], part: int) -> bytes:
    """A packed file with one of its parts changed, and whole otherwise."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        parts = [(name, old.read(name)) for name in old.namelist()]
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        for number, (name, content) in enumerate(parts):
            new.writestr(name, mutated(content, mutations) if number == part % len(parts) else content)
    return result.getvalue()


def files(extension: str) -> st.SearchStrategy[bytes]:
    """Broken files of a format."""
    return _broken(extension, seeds(extension))  # made here: mails draw their boundaries, and drawing may not


@st.composite
def _broken(draw: st.DrawFn, extension: str, good: list[bytes]) -> bytes:
    data = draw(st.sampled_from(good))
    mutations = draw(st.lists(_MUTATION, min_size=0, max_size=6))
    if extension in ("xlsx", "ods", "docx") and draw(st.integers(0, 3)):
        return mutated_archive(data, mutations, draw(st.integers(0, 20)))
    return mutated(data, mutations)


_OPTIONS = st.builds(
    ReadOptions,
    sheet=st.sampled_from(["", "", "", "Old"]),
    header=st.sampled_from([0, 0, 0, 1, 2, 9]),
    encoding=st.sampled_from(["", "", "", "utf-8", "utf-16", "cp1252", "cp932"]),
    delimiter=st.sampled_from(["", "", "", ";", "tab", "x"]),
)


def check(path: Path, options: ReadOptions) -> bool:
    """Read a file as `add` does; raises for whatever is no error of ours, or rows that are wrong.

    Returns whether there was anything to read in it.
    """
    if path.suffix[1:] in DOCUMENTS:
        return check_document(path)
    try:
        source = read_source(path, options)
    except InhouseError as error:
        if not error.remedy or error.file != str(path):
            raise AssertionError("it says not where, or not what to do") from error
        return None
    lines = [record.provenance.line for record in source.records]
    assert lines == sorted(lines)
    assert all(line >= 1 for line in lines)
    for record in source.records:
        assert set(record.values) <= set(source.columns)
        for name in record.json:
            json.loads(record.values[name])
        "".join(record.values.values()).encode()  # it is text
    assert all(rejection.reason for rejection in source.rejections)
    for kind in ("classify", "extract", "generate"):
        with suppress(InhouseError):
            infer_kind(source)
            to_examples(source, infer_mapping(source, kind=kind))
    return bool(source.records)


def fuzz(extension: str, minutes: float, folder: Path) -> None:
    """Rounds of broken files of a format until the time is over."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("error")
    path, end, count = folder / f"last.{extension}", time.monotonic() + 60 * minutes, 0
    rounds = int(time.time())

    def one(data: bytes, options: ReadOptions) -> None:
        nonlocal count
        count += 1
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, _SECONDS_A_FILE)  # of computing, not of waiting
        check(path, options)
        signal.setitimer(signal.ITIMER_PROF, 0)

    while time.monotonic() < end:
        rounds += 1
        test = settings(
            max_examples=_EXAMPLES_A_ROUND,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )(seed(rounds)(given(files(extension), _OPTIONS)(one)))
        test()
    print(f"{extension}: {count:,} files, nothing found", flush=True)


def main(minutes: float, extensions: list[str]) -> int:
    """Fuzz each format for its share of the minutes; returns 1 where anything was found."""
    found = 0
    for extension in extensions or list(SEEDS):
        folder = Path(tempfile.mkdtemp(prefix="inhouse-fuzz-"))
        share = minutes / len(extensions or SEEDS)
        process = multiprocessing.get_context("spawn").Process(target=fuzz, args=(extension, share, folder))
        process.start()
        process.join()
        if process.exitcode:
            found = 1
            print(f"{extension}: ended with {process.exitcode}; the last file is {folder / f'last.{extension}'}")
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
