"""The built site, looked through: links, anchors and pictures lead somewhere, and no page asks another host for anything.

MkDocs checks what it reads as Markdown. This also sees what plugins, templates and notebooks' outputs put on a page.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

LOADED = {"src", "srcset", "poster", "data"}
"""Attributes whose value a browser fetches at once; so does it a link's href, but not an anchor's."""
MANY = 20


class Page(HTMLParser):
    """A page's anchors, what it leads to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name == "href" and tag == "a":
                self.leads.append(value)
            elif name in LOADED or (name == "href" and tag == "link"):
                self.loads.append(value)


def on_post_build(config: MkDocsConfig) -> None:
    found = list(faults(Path(config.site_dir)))
    if found:
        more = [f"and {len(found) - MANY} more"] if len(found) > MANY else []
        raise PluginError("The site has faults:\n" + "\n".join(found[:MANY] + more))


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the pages below a folder, one line each."""
    # The theme's page for addresses that do not exist knows no place relative to the others.
    paths = [path for path in sorted(site.rglob("*.html")) if path != site / "404.html"]
    read = {path: Page(path.read_text(encoding="utf-8")) for path in paths}
    for path, page in read.items():
        name = path.relative_to(site).as_posix()
        for link in dict.fromkeys(page.loads):
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            if parts.netloc:
                yield f"{name}: loads {link} from another host"
            elif not _target(site, name, link).is_file():
                yield f"{name}: loads {link}, which is not there"
        for link in dict.fromkeys(page.leads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = _target(site, name, link)
            if not target.is_file():
                yield f"{name}: links to {link}, which is not there"
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].anchors:
                yield f"{name}: links to {link}, an anchor that is not there"


def _target(site: Path, page: str, link: str) -> Path:
    """The file that a link on a page leads to; a folder is its index page."""
    path = site / unquote(urlsplit(urljoin(f"/{page}", link)).path).lstrip("/")
    return path / "index.html" if path.is_dir() else path
