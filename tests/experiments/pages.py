"""The elements of a page, as it was written or as a browser has it."""

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


class Elements(HTMLParser):
    """All elements of a page with the text directly and indirectly in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._open: list[Element] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.found.append(element)
        if tag not in ("meta", "input", "br", "img", "link"):  # these have no end
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.found if element.tag == tag]

    def by_id(self, name: str) -> Element:
        (element,) = (each for each in self.found if each.attributes.get("id") == name)
        return element

    def ids(self, tag: str) -> list[str]:
        return [each.attributes["id"] for each in self.all(tag) if "id" in each.attributes]
