"""Notebooks as pages: executed in the build, every time, and turned into Markdown, so that MkDocs checks their links.

A cell that raises fails the build. The executed notebook is offered for download.

mkdocs-jupyter is not used: its cache knows the notebook but not the package, so that it shows old outputs after an edit
of the package; what it offers for download is not executed; MkDocs does not see the links of the HTML that it makes, and
a page carries JupyterLab's style sheet and loads MathJax.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import MarkdownExporter
from traitlets.config import Config

HERE = Path(__file__).parent
TIMEOUT_S = 120
AT_ONCE = 2
TITLE = re.compile(r"^# .+$", re.MULTILINE)


def on_startup(**_: Any) -> None:
    """Figures whose lines and letters are seen on a light and on a dark page."""
    os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the notebooks in the navigation, below the page that introduces them."""
    assert config.nav is not None
    for section in config.nav:
        pages = section.get("Tutorials")
        if pages:
            notebooks = sorted((Path(config.docs_dir) / "tutorials").glob("*.ipynb"))
            pages += [f"tutorials/{path.stem}.md" for path in notebooks]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the page, its pictures and the executed notebook in the place of each notebook."""
    found = [file for file in files if file.src_uri.endswith(".ipynb")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        executed = list(pool.map(lambda file: execute(Path(file.abs_src_path)), found))
    for file, notebook in zip(found, executed, strict=True):
        files.remove(file)
        for uri, content in pages(file.src_uri, notebook).items():
            files.append(File.generated(config, uri, content=content))
    return files


def execute(path: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs that its cells have now."""
    notebook = nbformat.read(path, as_version=4)
    try:
        return NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
    except CellExecutionError as error:
        raise PluginError(f"{path.name}: a cell raised.\n{error}") from error


def pages(uri: str, notebook: nbformat.NotebookNode) -> dict[str, str | bytes]:
    """The files of the site that an executed notebook becomes, by their path in the documentation."""
    folder, _, name = uri.rpartition("/")
    name = name.removesuffix(".ipynb")
    for cell in notebook.cells:
        drawn = any("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))
        if drawn and not cell.metadata.get("alt"):
            raise PluginError(f"{uri}: a picture without a description; its cell's metadata needs an 'alt':\n{cell.source}")
    exporter = MarkdownExporter(
        config=Config(
            {
                "MarkdownExporter": {"template_file": str(HERE / "notebook.md.j2")},
                # What several frameworks print in one cell arrives in pieces.
                "CoalesceStreamsPreprocessor": {"enabled": True},
                "ExtractOutputPreprocessor": {"output_filename_template": name + "_{cell_index}_{index}{extension}"},
            }
        )
    )
    body, resources = exporter.from_notebook_node(notebook)
    download = f"{name}.executed.ipynb"
    link = f"[:material-download: Download this notebook, executed]({download}){{ .notebook-download }}"
    body, titles = TITLE.subn(lambda title: f"{title[0]}\n\n{link}", body, count=1)
    if not titles:
        raise PluginError(f"{uri}: the notebook has no title, a line such as '# 1 · Tensors'")
    outputs = {f"{folder}/{key}": value for key, value in resources["outputs"].items()}
    return {f"{folder}/{name}.md": body, f"{folder}/{download}": nbformat.writes(notebook), **outputs}
