"""Every format, with real files written by the libraries that write them."""

import gzip
import zipfile
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.retrieval.ingest.parse import Heading, Unit, read_units

for package in ("bs4", "pypdf", "docx", "markdown_it"):
    pytest.importorskip(package, reason="needs the extra rag")


def units(path: Path) -> list[Unit]:
    return list(read_units(path))


def test_plain_text_keeps_every_character(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffOne\r\n\r\ntwo é 中".encode())
    assert units(file) == [Unit("One\r\n\r\ntwo é 中")]


def test_markdown_has_headings_but_not_those_in_code(tmp_path: Path) -> None:
    text = "Intro\n\n# Up *here*\n\n```\n# no heading\n```\n\nBelow\n=====\n\n### Deep\ntext\n"
    file = tmp_path / "a.md"
    file.write_text(text)
    (unit,) = units(file)
    assert unit.text == text
    assert [(h.level, h.title) for h in unit.headings] == [
        (1, "Up *here*"),
        (1, "Below"),
        (3, "Deep"),
    ]
    assert [text[h.start :].split("\n")[0] for h in unit.headings] == [
        "# Up *here*",
        "Below",
        "### Deep",
    ]


def test_a_page_reads_as_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text(
        "<html><head><title>T</title><style>p{}</style></head><body><nav>menu</nav>"
        "<h1>Big <i>title</i></h1><!-- no --><p>One\n two<br>three</p><ul><li>a</li><li>b</li></ul>"
        "<script>bad()</script><h2>Small</h2>x &amp; y</body></html>"
    )
    (unit,) = units(file)
    assert unit.text == "Big title\nOne two\nthree\na\nb\nSmall\nx & y\n"
    assert unit.headings == (Heading(0, 1, "Big title"), Heading(28, 2, "Small"))
    assert unit.text[28:33] == "Small"


def test_a_page_in_a_form_is_read_without_its_controls(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text(
        '<body><form action="a.aspx"><h1>Opening <label>hours</label></h1><p>From nine.</p>'
        "<select><option>Monday</option></select><textarea>notes</textarea>"
        "<button>Send</button><datalist><option>x</option></datalist>To five.</form></body>"
    )
    (unit,) = units(file)
    assert unit.text == "Opening hours\nFrom nine.\nTo five.\n"
    assert unit.headings == (Heading(0, 1, "Opening hours"),)


def test_deep_nesting_is_no_danger(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text("<div>" * 5000 + "deep" + "</div>" * 5000)
    assert units(file)[0].text == "deep\n"


def test_docx_paragraphs_headings_and_tables_in_order(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_heading("Title", 0)
    document.add_heading("Part", 2)
    document.add_paragraph("First words.")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "left", "right"
    document.add_paragraph("Last words.")
    document.save(str(tmp_path / "a.docx"))
    (unit,) = units(tmp_path / "a.docx")
    assert unit.text == "Title\nPart\nFirst words.\nleft | right\nLast words.\n"
    assert unit.headings == (Heading(0, 1, "Title"), Heading(6, 2, "Part"))


def test_a_docx_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.retrieval.ingest import office

    monkeypatch.setattr(office, "MOST_UNPACKED", 1000)
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "x" * 2000)
    with pytest.raises(InputError, match="at most 1000 bytes unpacked"):
        units(tmp_path / "a.docx")


def test_pdf_pages(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.figure", reason="writes the PDF")
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(tmp_path / "a.pdf") as pages:
        for words in ("Paris is the capital.", "Bread is baked."):
            figure = pyplot.Figure()
            figure.text(0.1, 0.5, words)
            pages.savefig(figure)
    found = units(tmp_path / "a.pdf")
    assert [(unit.place, unit.text.strip()) for unit in found] == [
        ("page 1", "Paris is the capital."),
        ("page 2", "Bread is baked."),
    ]


def test_rows_of_jsonl_and_csv(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "two", "title": "T"}\n')
    assert units(tmp_path / "a.jsonl") == [
        Unit("one", place="line 1"),
        Unit("two", (Heading(0, 1, "T"),), "line 3"),
    ]
    (tmp_path / "a.csv").write_text('title,text\nT,"one\ntwo"\n,three\n')
    assert [unit.text for unit in units(tmp_path / "a.csv")] == ["one\ntwo", "three"]
    (tmp_path / "a.tsv").write_text("text\ttitle\none\tT\n")
    assert units(tmp_path / "a.tsv") == [Unit("one", (Heading(0, 1, "T"),), "line 2")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe\x00", "UTF-8 is required"),
        ("a.pdf", b"%PDF-1.4 garbage", "a PDF that can be read is required"),
        ("a.pdf", b"", "a PDF that can be read is required"),
        ("a.docx", b"no zip", "a DOCX that can be read is required"),
        ("a.jsonl", b'{"text": 1}\n', "line 1: a string 'text' is required"),
        ("a.csv", b"title\nT\n", "a column 'text' is required"),
        ("a.csv", b"", "a column 'text' is required"),
        ("a.exe", b"MZ", "one of .txt, .md"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        units(file)
    assert str(file) in str(error.value)


def test_headings_stand_where_they_are_behind_unusual_characters(tmp_path: Path) -> None:
    text = "a\fb\x85c\u2028d\r\n\r\n# Here\n\rtext\n"
    (tmp_path / "a.md").write_bytes(text.encode())
    (unit,) = units(tmp_path / "a.md")
    assert [text[h.start : h.start + 6] for h in unit.headings] == ["# Here"]


def test_damaged_and_locked_office_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import docx
    import pypdf

    document = docx.Document()
    document.save(str(tmp_path / "whole.docx"))
    with (
        zipfile.ZipFile(tmp_path / "whole.docx") as whole,
        zipfile.ZipFile(tmp_path / "a.docx", "w") as damaged,
    ):
        for name in whole.namelist():
            content = b"<w:document" if name == "word/document.xml" else whole.read(name)
            damaged.writestr(name, content)
    with pytest.raises(InputError, match=r"a\.docx: a DOCX that can be read is required"):
        units(tmp_path / "a.docx")

    def locked(*_: object) -> None:
        raise pypdf.errors.DependencyError("cryptography is required for AES")

    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    monkeypatch.setattr(pypdf, "PdfReader", locked)
    with pytest.raises(InputError, match=r"a\.pdf: a PDF that can be read is required: crypto"):
        units(tmp_path / "a.pdf")


def test_too_large_a_docx_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossrank.retrieval.ingest import office

    monkeypatch.setattr(office, "MOST_UNPACKED", 1000)
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "x" * 2000)
    with pytest.raises(InputError) as error:
        units(tmp_path / "a.docx")
    assert str(error.value) == f"{tmp_path / 'a.docx'}: at most 1000 bytes unpacked are read."


def test_texts_may_be_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.md.gz").write_bytes(gzip.compress(b"# One\n\ntwo\n"))
    (unit,) = units(tmp_path / "a.md.gz")
    assert (unit.text, unit.headings) == ("# One\n\ntwo\n", (Heading(0, 1, "One"),))
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(b"<p>one"))
    assert units(tmp_path / "a.html.gz")[0].text == "one\n"


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.retrieval.ingest import parse

    monkeypatch.setattr(parse, "MOST_BYTES", 1000)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x" * 1001))
    with pytest.raises(InputError, match="at most 1000 bytes are read, and it is larger"):
        units(tmp_path / "a.txt.gz")
    (tmp_path / "b.txt.gz").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(InputError, match=r"b\.txt\.gz: a whole gzip file is required"):
        units(tmp_path / "b.txt.gz")
