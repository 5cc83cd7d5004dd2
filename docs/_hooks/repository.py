"""Links to the repository: to edit what a page is made from, to open a notebook in Colab, to install from it.

The address is the environment variable REPO_URL; as long as there is none, no page has such a link.
"""

import re
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

BRANCH = "main"
NOWHERE = "URL-OF-THE-REPOSITORY"
"""What stands for the address where it is not known."""
SOURCES = {
    r"tutorials/(.+\.ipynb)": r"docs/tutorials/\1",
    r"activations/index\.md|disagreements\.md": "docs/_make/",
    r"activations/(.+)\.md": r"crosscheck/_catalogue/\1.py",
    r"dictionary/.+\.md": "crosscheck/_dictionary/",
    r"reference/(?!cli|report).+\.md": "docs/_make/reference.py",
}
"""What is made has its source elsewhere: by its place in the documentation."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    if config.repo_url:
        config.edit_uri = f"edit/{BRANCH}/docs/"
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return markdown.replace(NOWHERE, address(config) or NOWHERE)


def on_page_context(context: dict[str, object], page: Page, config: MkDocsConfig, nav: Navigation) -> None:
    """A made page leads to its source, which can be edited; a folder can be looked at."""
    if (url := address(config)) and (source := source_of(page.file.src_uri)):
        page.edit_url = f"{url}/{'tree' if source.endswith('/') else 'edit'}/{BRANCH}/{source}"


def on_page_content(html: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Offer a notebook in Colab, which takes those that are on GitHub; crosscheck is to be installed there first."""
    url = address(config)
    where = urlsplit(url)
    if where.netloc != "github.com" or not page.file.src_uri.endswith(".ipynb"):
        return html
    colab = f"https://colab.research.google.com/github{where.path}/blob/{BRANCH}/docs/{page.file.src_uri}"
    install = f'%pip install "torch-jax-crosscheck[all,dictionary] @ git+{url}"'
    said = f'<a href="{colab}">Open it in Colab</a>, and first run there <code>{install}</code>'
    return re.sub("</h1>", lambda title: f'{title[0]}<p class="notebook-download">{said}</p>', html, count=1)


def address(config: MkDocsConfig) -> str:
    return (config.repo_url or "").rstrip("/")


def source_of(place: str) -> str:
    """The file in the repository, or the folder, that a made page comes from; "" for a page that is itself the source."""
    for pattern, source in SOURCES.items():
        if found := re.fullmatch(pattern, place):
            return found.expand(source)
    return ""
