"""Pages for tests: an HTML page that is parsed, and what must not be in one."""

from __future__ import annotations

from html.parser import HTMLParser

EVIL = "</td><script>alert('1')</script>\"&<img src=http://evil/x onerror=x>"


class Page(HTMLParser):
    """Tags with their attributes, the visible text, and whether every tag was closed in order."""

    VOID = frozenset({"meta", "wbr", "br", "hr", "img", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += "" if tag in ("wbr", "strong", "code") else " "
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    @property
    def plain(self) -> str:
        return " ".join(self.text.split())


def assert_inert(page: Page) -> None:
    """Nothing runs, and nothing is fetched."""
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "a"}
    for _, attributes in page.tags:
        assert not {a for a in attributes if a.startswith("on") or a in ("src", "href", "xlink:href", "srcset")}
    assert page.open == []
