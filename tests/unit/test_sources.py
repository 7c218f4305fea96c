"""Files as users have them: every row with its line, every fault with its place and a way out."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import input_key
from inhouse.errors import SourceError, UsageError
from inhouse.sources import Mapping, ReadOptions, infer_mapping, read_source, rejects_csv, to_examples
from inhouse.sources.mapping import infer_kind

CLASSIFY = Mapping("classify", ("text",), ("label",))


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FOUND = ReadOptions()


def fails(path, content=None, options=FOUND):
    with pytest.raises(SourceError) as caught:
        read_source(path if content is None else write(path, content), options)
    assert caught.value.exit_code == 3
    assert caught.value.file == str(path)
    return caught.value


def table(rows=20, header="text,label"):
    return header + "\n" + "".join(f"message number {i},{'ab'[i % 2]}\n" for i in range(rows))


# --- CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path, delimiter):
    text = f"text{delimiter}label\n" + f'"a, b; c | d"{delimiter}x\nplain, with a comma{delimiter}y\n'.replace(
        "plain, with", "plain with"
    )
    source = read_source(write(tmp_path / "d.csv", text))
    assert source.columns == ("text", "label")
    assert [r.values["label"] for r in source.records] == ["x", "y"]
    assert source.records[0].values["text"] == "a, b; c | d"


TITLES = ["Export Kundenservice 2025\n", "Export, 2025;;\n\n", ";;Stand: heute\n  \nnur intern;;\n", "sep=;\nExport\n"]


@pytest.mark.parametrize("titles", TITLES)
def test_titles_above_the_header_are_passed_over_and_told(tmp_path, titles):
    rows = [f'T-{i};"Ware {i}, gefällt mir nicht;\nGeld zurück";retour' for i in range(20)]
    file = write(tmp_path / "d.csv", titles + "Nr;Nachricht;Kategorie\n" + "\n".join(rows) + "\n")
    source = read_source(file)
    assert source.columns == ("Nr", "Nachricht", "Kategorie")
    assert (len(source.records), source.rejections) == (20, [])
    line = titles.count("\n") + 1
    assert source.records[0].provenance.line == line + 1
    told = next(note for note in source.notes if "left out above it" in note)
    assert told.startswith(f"the header is line {line}; left out above it: '")
    assert source == replace(read_source(file, ReadOptions(header=line)), notes=source.notes)


@pytest.mark.parametrize(
    "text",
    [
        "text\nhello, you\nfoo, bar\n",
        "amount\n12,5\n13,7\n",
        "text,label\n1,2,a\n3,4,b\n5,6,c\n",
        "text\none\ntwo\n",
        "a,,c\n1,2,3\n",
    ],
)
def test_no_row_is_taken_for_a_header_because_the_first_line_is_odd(tmp_path, text):
    found: list[str] = []
    with contextlib.suppress(SourceError):
        found = [note for note in read_source(write(tmp_path / "d.csv", text)).notes if "left out above" in note]
    assert found == []


@pytest.mark.parametrize("delimiter", ["~", "^", "\x1f", "\x01", "¦", ":", "#"])
def test_a_delimiter_that_is_unusual_is_found_where_it_cuts_all_rows(tmp_path, delimiter):
    rows = [["text", "price, EUR", "label"], *([f"message {i}, and more", "1,50", "ab"[i % 2]] for i in range(5))]
    source = read_source(write(tmp_path / "d.csv", "".join(delimiter.join(row) + "\n" for row in rows)))
    assert source.columns == ("text", "price, EUR", "label")
    assert [r.values["label"] for r in source.records] == list("ababa")


def test_signs_of_a_text_are_no_delimiter(tmp_path):
    text = "question: the text\nwhat: one\nor two\n" + "a: b\n" * 9
    source = read_source(write(tmp_path / "d.csv", text))
    assert source.columns == ("question: the text",)
    assert read_source(tmp_path / "d.csv", ReadOptions(delimiter=":")).columns == ("question", "the text")


@pytest.mark.parametrize("name", ["tab", "\\t", "\t"])
def test_a_delimiter_can_be_named(tmp_path, name):
    path = write(tmp_path / "d.csv", "a,b\tlabel\n1,2\tx\n3,4\ty\n5,6\tx\n")
    assert read_source(path).columns == ("a", "b\tlabel")
    assert read_source(path, ReadOptions(delimiter=name)).columns == ("a,b", "label")


def test_excels_own_line_on_the_separator(tmp_path):
    source = read_source(write(tmp_path / "d.csv", "sep=;\r\na,x;label\r\n1,5;p\r\n"))
    assert (source.columns, source.records[0].provenance.line) == (("a,x", "label"), 3)


def test_the_header_can_be_named(tmp_path):
    path = write(tmp_path / "d.csv", "Report of May\n\ntext;label\none;a\ntwo;b\n")
    source = read_source(path, ReadOptions(header=3))
    assert source.columns == ("text", "label")
    assert [r.provenance.line for r in source.records] == [4, 5]
    assert "line 9 is no header" in fails(path, options=ReadOptions(header=9)).what


def test_lines_and_cells_beyond_all_measure_cost_their_row(tmp_path, monkeypatch):
    for module in ("bounds", "text", "csv_file"):
        monkeypatch.setattr(f"inhouse.sources.{module}.MAX_CHARS", 1000)
    text = "text,label\none,a\n" + "x" * 5000 + ',b\n"two\nlines",a\n"a' + "\n" + "y" * 3000 + '",b\nlast,b\nmore,a\n'
    source = read_source(write(tmp_path / "d.csv", text))
    assert [(r.provenance.line, r.values["text"]) for r in source.records] == [
        (2, "one"), (4, "two\nlines"), (8, "last"), (9, "more"),
    ]  # fmt: skip
    assert [(r.provenance.line, r.reason.split(";")[0], len(r.row)) for r in source.rejections] == [
        (3, "a line of more than 1,000 characters", 200),
        (6, "line 7, inside a quote, of more than 1,000 characters", 200),
    ]
    error = fails(tmp_path / "e.csv", 'text,label\none,a\n"open,b\n' + "three,a\n" * 500)
    assert (error.line, "more than 1,000 characters" in error.what) == (3, True)
    source = read_source(write(tmp_path / "d.jsonl", '{"a": "x"}\n{"a": "' + "y" * 2000 + '"}\n{"a": "z"}'))
    assert [r.provenance.line for r in source.records] == [1, 3]
    assert "a line of more than" in source.rejections[0].reason


def test_a_line_of_a_quarter_of_a_gigabyte_takes_no_memory(tmp_path):
    path = tmp_path / "d.csv"
    with path.open("wb") as file:
        file.write(b"text,label\none,a\n")
        for _ in range(256):
            file.write(b"x" * 2**20)
        file.write(b",b\ntwo,b\n")
    told = (
        "import resource\nfrom inhouse.sources import read_source\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"source = read_source({str(path)!r})\n"
        "print([r.provenance.line for r in source.records], [r.provenance.line for r in source.rejections])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 150_000)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    path.unlink()
    assert done.stdout.splitlines() == ["[2, 4] [3]", "True"]


def test_semicolons_win_over_decimal_commas(tmp_path):
    source = read_source(write(tmp_path / "d.csv", "naam;bedrag,eur;rekening\na;1,50;4100\nb;2,50;4200\n"))
    assert source.columns == ("naam", "bedrag,eur", "rekening")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_where_rows_start(tmp_path, end):
    text = end.join(["text,label", '"two', 'lines",a', "", "one,b", 'x,"y"', ""])
    source = read_source(write(tmp_path / "d.csv", text))
    assert [r.provenance.line for r in source.records] == [2, 5, 6]
    assert source.records[0].values["text"] == f"two{end}lines"
    assert source.records[0].provenance.file == "d.csv"
    assert source.records[0].provenance.sha256 == source.sha256


def test_old_mac_line_ends(tmp_path):
    source = read_source(write(tmp_path / "d.csv", "text,label\rone,a\rtwo,b\r"))
    assert [(r.provenance.line, r.values["label"]) for r in source.records] == [(2, "a"), (3, "b")]


def test_odd_rows_are_rejected_with_line_and_reason(tmp_path):
    text = table(6) + "too,many,cells\nfew\n" + 'a "quoted" word,a\n"text"after,b\n'
    source = read_source(write(tmp_path / "d.csv", text))
    assert [(r.provenance.line, r.reason.split(";")[0]) for r in source.rejections] == [
        (8, "3 cells where the header has 2"),
        (9, "1 cell where the header has 2"),
        (11, "text after a closing quote"),
    ]
    assert source.rejections[0].row == "too,many,cells"
    assert source.records[-1].values["text"] == 'a "quoted" word'
    kept = list(csv.DictReader(io.StringIO(rejects_csv(source.columns, source.rejections).decode())))
    assert (kept[1]["text"], kept[1]["label"]) == ("few", "")
    assert (kept[1]["inhouse_file"], kept[1]["inhouse_line"]) == ("d.csv", "9")
    assert kept[1]["inhouse_reason"] == source.rejections[1].reason
    assert "one cell for each column" in kept[1]["inhouse_remedy"]


def test_a_stray_carriage_return_costs_one_row_and_no_line_number(tmp_path):
    source = read_source(write(tmp_path / "d.csv", "text,label\none,a\nbro\rken,a\ntwo,b\n"))
    assert [r.provenance.line for r in source.records] == [2, 4]
    assert source.rejections[0].provenance.line == 3


def test_a_quote_that_swallows_the_rest_names_where_it_opened(tmp_path):
    error = fails(tmp_path / "d.csv", 'text,label\nfine,a\n"not closed,b\nx,a\ny,b\n')
    assert error.line == 3
    assert "never closed" in error.what


def test_the_opening_line_inside_a_row_of_many_lines(tmp_path):
    assert fails(tmp_path / "d.csv", 'text,label\n"a ""b""\nc","open\nx,a\n').line == 3


def test_a_quote_closed_too_late_rejects_every_line_it_took(tmp_path):
    text = table(8) + '"not closed,b\nx,a\n"quoted",b\n' + "last,a\n"
    source = read_source(write(tmp_path / "d.csv", text))
    assert [r.provenance.line for r in source.rejections] == [10, 11, 12]
    assert all("opens in line 10" in r.reason for r in source.rejections)
    assert source.records[-1].values["text"] == "last"


@pytest.mark.parametrize(
    ("header", "part"), [("text,,label", "column 2 of 3 has no name"), ("a,b,a", "'a' stands twice")]
)
def test_headers_that_cannot_be_used(tmp_path, header, part):
    error = fails(tmp_path / "d.csv", f"{header}\n1,2,3\n")
    assert part in error.what
    assert error.line == 1


def test_a_header_alone_and_mostly_broken_rows_are_refused(tmp_path):
    assert "no rows" in fails(tmp_path / "d.csv", "text,label\n").what
    error = fails(tmp_path / "e.csv", "text,label\na,b\nc\nd\ne\n")
    assert "3 of 4 rows" in error.what
    assert error.line == 3


def test_one_column_and_huge_cells_can_be_read(tmp_path):
    huge = "x" * 300_000
    source = read_source(write(tmp_path / "d.csv", f"text\n{huge}\nsmall\n"))
    assert [len(r.values["text"]) for r in source.records] == [300_000, 5]
    with pytest.raises(SourceError, match="one column only"):
        infer_mapping(source)


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs", "Cc"))), st.sampled_from("ab")), min_size=1))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    source = read_source(write(tmp_path_factory.mktemp("csv") / "d.csv", text.getvalue()))
    assert [tuple(r.values.values()) for r in source.records] == rows


@given(st.binary(max_size=60), st.sampled_from(["csv", "jsonl", "json", "xlsx"]))
def test_any_bytes_give_rows_or_a_source_error(tmp_path_factory, data, extension):
    with contextlib.suppress(SourceError):
        infer_mapping(read_source(write(tmp_path_factory.mktemp("any") / f"d.{extension}", data)))


# --- text


ENCODED = {
    "en": ("cp1252", "The fee is 10 € – it’s “quoted” so."),
    "nl": ("cp1252", "Waar is mijn café-rekening? Ik heb één factuur van 10 € gekregen."),
    "de": ("cp1252", "Können Sie mir bitte die Größe der Tür für das Büro schicken? Grüße aus München."),
    "fr": ("cp1252", "Le numéro de téléphone a été changé, voilà l'adresse à Besançon, où êtes-vous."),
    "de on DOS": ("cp850", "Können Sie mir bitte die Größe der Tür für das Büro schicken? Grüße aus München."),
    "de on a Mac": ("mac_roman", "Können Sie mir bitte die Größe der Tür für das Büro schicken? Grüße aus München."),
    "pl": ("cp1250", "Gdzie jest moja faktura? Proszę o przesłanie łącznej kwoty za żółtą książkę, dziękuję."),
    "cs": ("cp1250", "Kde je moje faktura? Prosím o zaslání účtu za žlutou knihu, děkuji, příště přijdu."),
    "cs on DOS": ("cp852", "Kde je moje faktura? Prosím o zaslání účtu za žlutou knihu, děkuji, příště přijdu."),
    "hu": ("cp1250", "Hol van a számlám? Kérem küldje el az összeget a sárga könyvért, köszönöm szépen, gyűjtő."),
    "tr": ("cp1254", "Faturam nerede? Lütfen sarı kitap için tutarı gönderin, teşekkür ederim, şişe ığdır."),
    "lt": ("cp1257", "Kur yra mano sąskaita faktūra? Prašau atsiųsti sumą už geltoną knygą, ačiū."),
    "ru": ("cp1251", "Где мой счёт? Пожалуйста, пришлите сумму за жёлтую книгу, спасибо."),
    "ru on Unix": ("koi8_r", "Где мой счёт? Пожалуйста, пришлите сумму за жёлтую книгу, спасибо."),
    "el": ("cp1253", "Πού είναι το τιμολόγιό μου; Παρακαλώ στείλτε το ποσό."),
    "ja": ("cp932", "請求書はどこですか。黄色い本の金額を送ってください。ありがとうございます。"),
    "zh": ("gb18030", "我的发票在哪里?请把黄皮书的金额发给我,谢谢。"),
    "fi": ("cp1252", "Missä laskuni on? Lähettäkää keltaisen kirjan summa, kiitos hyvää päivää."),
    "es on DOS": ("cp850", "¿Dónde está la factura del señor Muñoz? Año nuevo, ¡gracias!"),
    "fr on a Mac": ("mac_roman", "Le numéro de téléphone a été changé, voilà l'adresse à Besançon, où êtes-vous."),
    "hr": ("cp1250", "Gdje je moj račun? Molim vas pošaljite iznos za žutu knjigu, hvala, džem, đak."),
    "he": ("cp1255", "היכן החשבונית שלי? אנא שלחו את הסכום של הספר הצהוב"),
    "ar": ("cp1256", "أين فاتورتي؟ يرجى إرسال المبلغ"),
    "th": ("cp874", "ใบแจ้งหนี้ของฉันอยู่ที่ไหน"),
    "zh in Taiwan": ("big5", "我的發票在哪裡?請把黃皮書的金額發給我,謝謝。"),
    "ja on Unix": ("euc_jp", "請求書はどこですか。黄色い本の金額を送ってください。"),
    "ko": ("cp949", "제 송장은 어디에 있습니까? 노란 책의 금액을 보내 주세요. 감사합니다."),
}


@pytest.mark.parametrize("language", ENCODED)
def test_older_encodings_are_found_and_told_with_a_line(tmp_path, language):
    encoding, text = ENCODED[language]
    path = write(tmp_path / "d.csv", f'text,label\nplain,a\n"{text}",b\n'.encode(encoding))
    source = read_source(path)
    assert [r.values["text"] for r in source.records] == ["plain", text]
    [note] = source.notes
    assert note.startswith("the file is read as ")
    assert "for example in line 3: " in note
    assert "--encoding NAME" in note


@pytest.mark.parametrize("text", ["Café", "10 €"])
def test_one_word_is_enough_for_the_west(tmp_path, text):
    source = read_source(write(tmp_path / "d.csv", table().encode() + f"{text},a\n".encode("cp1252")))
    assert source.records[-1].values["text"] == text
    assert "Windows-1252" in source.notes[0]


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_unicode_is_read_with_and_without_a_byte_order_mark(tmp_path, kind, encoding, mark):
    rows = [{"text": f"één {i} счёт", "label": "ab"[i % 2]} for i in range(4)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = {
        "csv": "text,label\r\n" + "".join(f"{row['text']},{row['label']}\r\n" for row in rows),
        "jsonl": "\n".join(lines),
        "json": f"[{','.join(lines)}]",
    }[kind]
    source = read_source(write(tmp_path / f"d.{kind}", (("\ufeff" if mark else "") + text).encode(encoding)))
    assert source.columns == ("text", "label")
    assert [dict(r.values) for r in source.records] == rows
    assert len(source.notes) == (encoding != "utf-8")


def test_a_named_encoding_goes_before_what_is_found(tmp_path):
    path = write(tmp_path / "d.csv", "text,label\nПривет,a\nsch\u00f6n,b\n".encode("utf-8"))
    assert read_source(path, ReadOptions(encoding="koi8-r")).records[0].values["text"] != "Привет"
    path = write(tmp_path / "e.csv", "text,label\nprix 5 ¤,a\n".encode("iso8859-1"))
    assert read_source(path, ReadOptions(encoding="iso8859-15")).records[0].values["text"] == "prix 5 €"
    path = write(tmp_path / "f.csv", "\ufefftext,label\nx,a\n".encode())
    assert read_source(path, ReadOptions(encoding="utf8")).columns == ("text", "label")


def test_bytes_that_are_not_utf_8_cost_their_row_alone(tmp_path):
    lines = ["text,label", "naïve,a", *(f"text {i},b" for i in range(6))]
    data = "\n".join(lines).encode() + b"\ncaf\xe9,b\nlast \xc3\xa9,b\n"
    source = read_source(write(tmp_path / "d.csv", data))
    assert [(r.provenance.line, r.reason) for r in source.rejections] == [(9, "byte 0xE9 is not UTF-8, after 'caf'")]
    assert source.records[-1].values["text"] == "last é"
    assert source.notes == ("the file is UTF-8 and 1 of its bytes are not: rows with them are rejected",)


@pytest.mark.parametrize("piece", [7, 8, 9, 64])
def test_characters_that_a_piece_cuts_are_counted_right(tmp_path, monkeypatch, piece):
    monkeypatch.setattr("inhouse.sources.encodings.CHUNK", piece)
    text = "text,label\n" + "ééé😀счёт,a\n" * 9
    assert read_source(write(tmp_path / "d.csv", text)).notes == ()
    source = read_source(write(tmp_path / "e.csv", text.encode() + b"x\xff,b\nx,b\n"))
    assert [r.provenance.line for r in source.rejections] == [11]


def test_a_nul_costs_its_row_and_what_is_no_text_is_refused(tmp_path):
    source = read_source(write(tmp_path / "b.csv", table() + "a\0b,c\n"))
    assert [(r.provenance.line, r.reason) for r in source.rejections] == [(22, "a NUL byte, after 'a': it is no text")]
    assert "a NUL byte" in fails(tmp_path / "b.jsonl", '{"a": "x\0"}\n').what
    for content in (random.Random(0).randbytes(5000), b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 20):
        for extension in ("csv", "jsonl", "json"):
            assert "this is no text" in fails(tmp_path / f"c.{extension}", content).what
    error = fails(write(tmp_path / "d.csv", table().encode("utf-16-le")), options=ReadOptions(encoding="utf-8"))
    assert "this is no text" in error.what
    for content in ("", "\n \n"):
        assert "empty" in fails(tmp_path / "c.csv", content).what
        assert "empty" in fails(tmp_path / "c.jsonl", content).what


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"encoding": "latin-99"}, "the encoding 'latin-99' is not known"),
        ({"encoding": "base64"}, "the encoding 'base64' is not known"),
        ({"delimiter": "||"}, "'||' cannot be the delimiter"),
        ({"delimiter": '"'}, "cannot be the delimiter"),
        ({"header": -1}, "the header cannot be in line -1"),
    ],
)
def test_options_that_cannot_be(options, part):
    with pytest.raises(UsageError) as caught:
        ReadOptions(**options)
    assert part in caught.value.what


def test_files_that_are_none(tmp_path):
    assert "no such file" in fails(tmp_path / "absent.csv").what
    assert "folder" in fails(tmp_path).what
    for known in (".csv, .tsv", ".jsonl", ".json", ".xlsx", ".parquet"):
        assert known in fails(tmp_path / "d.feather", "x").remedy
    assert "no extension" in fails(tmp_path / "data", "x").what


# --- JSON Lines


def test_jsonl_values_become_text_and_columns_are_the_union(tmp_path):
    text = (
        '{"text": " a ", "n": 1.50}\n\n{"text": "b\\u2028c", "ok": true, "none": null, "n": 12345678901234567890}\r\n'
    )
    source = read_source(write(tmp_path / "d.jsonl", text))
    assert source.columns == ("text", "n", "ok", "none")
    assert dict(source.records[0].values) == {"text": " a ", "n": "1.50"}
    assert dict(source.records[1].values) == {
        "text": "b\u2028c",
        "ok": "true",
        "none": "",
        "n": "12345678901234567890",
    }
    assert [r.provenance.line for r in source.records] == [1, 3]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{broken", "not valid JSON"),
        ('["a"]', "not a JSON object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"": 1}', "empty"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": ' + "[" * 200_000, "nested"),
    ],
)
def test_bad_lines_are_rejected(tmp_path, line, part):
    source = read_source(write(tmp_path / "d.jsonl", f'{{"a": "x"}}\n{line}\n{{"a": "y"}}\n'))
    assert len(source.records) == 2
    assert source.rejections[0].provenance.line == 2
    assert part in source.rejections[0].reason


@pytest.mark.parametrize(
    ("text", "lines"), [('[{"text": "a"}]', [1]), ('\n[\n {"text": "a"},\n {"text": "b"}\n]', [3, 4])]
)
def test_one_json_document_named_as_lines_is_read_and_told(tmp_path, text, lines):
    source = read_source(write(tmp_path / "d.jsonl", text))
    assert [r.provenance.line for r in source.records] == lines
    assert "one JSON document" in source.notes[0]


def test_nested_and_missing_values_reject_the_row_only_where_needed(tmp_path):
    lines = ['{"text": "t", "label": "a", "slots": [1]}'] * 4
    lines += ['{"text": "t", "label": {"x": 1}}', '{"label": "a"}', '{"text": "t", "label": null}']
    source = read_source(write(tmp_path / "d.jsonl", "\n".join(lines)))
    examples, rejections = to_examples(source, CLASSIFY)
    assert len(examples) == 4
    assert [(r.provenance.line, r.reason) for r in rejections] == [
        (5, "a list or an object in column 'label'"),
        (6, "no value for column 'text'"),
        (7, "the target is empty (label)"),
    ]


# --- mapping


def test_a_missing_column_lists_those_there_and_guesses(tmp_path):
    source = read_source(write(tmp_path / "d.csv", table()))
    with pytest.raises(SourceError) as caught:
        infer_mapping(source, target="Lable")
    assert "'Lable' is missing; the columns there are text, label" in caught.value.what
    assert "did you mean 'label'?" in caught.value.remedy
    for wrong in ({"fields": ("zzz",)}, {"group": "zzz"}):
        with pytest.raises(SourceError, match="'zzz' is missing"):
            infer_mapping(source, **wrong)


def test_names_given_are_taken_as_they_are(tmp_path):
    source = read_source(write(tmp_path / "d.csv", table()))
    mapping = infer_mapping(source, kind="classify", fields=["text"], target="label", group="text")
    assert mapping == Mapping("classify", ("text",), ("label",), "text")
    assert mapping.why == ()
    with pytest.raises(UsageError):
        infer_mapping(source, kind="extracts")
    with pytest.raises(UsageError):
        infer_mapping(source, fields=["label"], target="label")


def test_inference_leaves_out_ids_dates_and_constants(tmp_path):
    rows = [
        f"F{i // 2:04},2025-01-{i % 28 + 1:02},{i + 1},line {i} of it,{i * 7 % 50 / 4:.2f},EUR,4{i % 3 // 2} A"
        for i in range(40)
    ]
    text = "invoice_no,date,seq,description,amount,currency,booked_on\n" + "\n".join(rows)
    mapping = infer_mapping(read_source(write(tmp_path / "d.csv", text)))
    assert (mapping.fields, mapping.target) == (("description", "amount"), "booked_on")
    why = "\n".join(mapping.why)
    for part in ("its 2 values repeat", "invoice_no, as", "--group invoice_no", "date, as it holds dates", "one value"):
        assert part in why


def test_a_name_decides_the_target(tmp_path):
    text = "Category,text,flag\n" + "".join(f"{'xy'[i % 2]},text {i},{i % 3}\n" for i in range(12))
    mapping = infer_mapping(read_source(write(tmp_path / "d.csv", text)))
    assert (mapping.target, mapping.fields) == ("Category", ("text", "flag"))


@pytest.mark.parametrize(
    ("value", "part", "kind"),
    [("answer {i} in words", "20 of 20 values are distinct (100%)", "generate"), ('"{{""a"": 1}}"', "JSON", "extract")],
)
def test_a_target_of_free_text_or_json_is_refused_with_the_kind_that_learns_it(tmp_path, value, part, kind):
    text = "text,output\n" + "".join(f"text {i},{value.format(i=i)}\n" for i in range(20))
    with pytest.raises(SourceError) as caught:
        infer_mapping(read_source(write(tmp_path / "d.csv", text)))
    assert part in caught.value.what
    assert f"--kind {kind}" in caught.value.remedy


def test_no_column_looks_like_labels(tmp_path):
    text = "a,b\n" + "".join(f"text {i},words {i}\n" for i in range(20))
    with pytest.raises(SourceError, match="no column looks like labels; the columns there are a, b"):
        infer_mapping(read_source(write(tmp_path / "d.csv", text)))


# --- kind


def rows_of(tmp_path, **columns):
    """Twenty-four rows as JSON Lines; a column is what makes its value of the row's number."""
    rows = [{name: make(i) for name, make in columns.items()} for i in range(24)]
    return read_source(write(tmp_path / "d.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))


def a_text(i):
    return f"some words of row {i}"


def a_label(i):
    return "abc"[i % 3]


def an_object(i):
    return {"total": i}


@pytest.mark.parametrize(
    ("columns", "kind", "why"),
    [
        ({"text": a_text, "category": a_label}, "classify", "category has 3 different values in 24 rows"),
        ({"text": a_text, "mood": a_label}, "classify", "mood has 3"),
        ({"text": a_text, "fields": an_object}, "extract", "fields holds JSON objects"),
        ({"text": a_text, "payload": an_object, "mood": a_label}, "extract", "payload holds"),
        ({"text": a_text, "page": lambda i: json.dumps({"n": i})}, "extract", "page holds"),
        ({"text": a_text, "label": a_label, "meta": an_object}, "classify", "label has 3"),
        ({"text": a_text, "label": a_label, "slots": lambda i: [i]}, "classify", "label has 3"),
        ({"prompt": a_text, "completion": a_text}, "generate", "completion holds texts"),
        ({"cv": a_text, "summary": a_text, "language": a_label}, "generate", "summary holds texts"),
        ({"one": a_text, "two": a_text}, "generate", "two holds texts"),
        ({"text": a_text, "category": a_text}, "classify", "no column says otherwise"),
        ({"text": a_text}, "classify", "no column says otherwise"),
    ],
)
def test_the_kind_of_a_file(tmp_path, columns, kind, why):
    found, reason = infer_kind(rows_of(tmp_path, **columns))
    assert (found, why in reason) == (kind, True), reason


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("label", "classify"),
        ("text", "generate"),
        ("payload", "extract"),
        (("label", "text"), "extract"),
        ("payload.total", "classify"),
    ],
)
def test_a_target_that_is_named_tells_the_kind(tmp_path, target, kind):
    source = rows_of(tmp_path, text=a_text, label=a_label, payload=an_object)
    assert infer_kind(source, target=target)[0] == kind


def test_a_column_that_is_missing_is_told_before_any_kind(tmp_path):
    for wrong in ({"target": "zzz"}, {"fields": ("zzz",)}, {"group": "zzz"}):
        with pytest.raises(SourceError, match="'zzz' is missing"):
            infer_kind(rows_of(tmp_path, text=a_text, label=a_label), **wrong)


# --- examples


def test_outer_space_goes_inner_space_stays_and_groups(tmp_path):
    text = 'text,label,doc\n"  a  b\n c ", x ,d1\nplain,y,\nother,y,d1\n'
    source = read_source(write(tmp_path / "d.csv", text))
    examples, rejections = to_examples(source, Mapping("classify", ("text",), ("label",), "doc"))
    assert not rejections
    assert dict(examples[0].inputs) == {"text": "a  b\n c"}
    assert examples[0].target == "x"
    assert [e.group for e in examples] == ["d1", input_key({"text": "plain"}), "d1"]
    assert to_examples(source, CLASSIFY)[0][2].group == input_key({"text": "other"})


def test_empty_inputs_and_targets_are_rejected_and_half_is_too_much(tmp_path):
    source = read_source(write(tmp_path / "d.csv", table(4) + " ,a\nword,\n"))
    examples, rejections = to_examples(source, CLASSIFY)
    assert len(examples) == 4
    assert [(r.provenance.line, r.reason) for r in rejections] == [
        (6, "the input is empty (text)"),
        (7, "the target is empty (label)"),
    ]
    source = read_source(write(tmp_path / "e.csv", table(1) + "word,\nword,\n"))
    with pytest.raises(SourceError, match="2 of 3 rows cannot be used, the first because: the target is empty"):
        to_examples(source, CLASSIFY)


def test_a_target_of_30_000_characters(tmp_path):
    source = read_source(write(tmp_path / "d.csv", table() + f"text,{'long ' * 6000}\n"))
    with pytest.raises(SourceError) as caught:
        to_examples(source, infer_mapping(source, target="label"))
    assert caught.value.line == 22
    assert "29,999 characters" in caught.value.what
    assert len(caught.value.what) < 250


def test_a_named_utf_16_may_lack_its_byte_order_mark(tmp_path):
    path = write(tmp_path / "d.csv", table(4).encode("utf-16-le"))
    assert len(read_source(path, ReadOptions(encoding="utf-16")).records) == 4
    fails(tmp_path / "e.csv", table(), options=ReadOptions(encoding="utf-16"))
