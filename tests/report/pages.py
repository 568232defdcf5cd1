"""Pages as a parser reads them."""

import hashlib
import re
from base64 import b64decode
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a parser finds: tags with attributes, and the text inside each kind of tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside, self._open = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.setdefault(tag, []).append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        for tag in self._open[-1:]:
            self.inside[tag][-1] += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def assert_self_contained(text):
    """Only the page's own scripts and styles may run, and nothing is loaded from anywhere."""
    page = Page(text)
    policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    allowed = {b64decode(code) for code in re.findall("'sha256-([^']+)'", policy)}
    kinds = [attrs.get("type") for tag, attrs in page.tags if tag == "script"]
    scripts = zip(page.inside.get("script", ()), kinds, strict=True)
    contents = [content for content, kind in scripts if kind != "application/json"]
    contents += page.inside["style"]
    assert {hashlib.sha256(content.encode()).digest() for content in contents} == allowed
    assert not re.search(r"@import|url\(", text)
    for tag, attrs in page.tags:
        assert "style" not in attrs
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, attrs)
