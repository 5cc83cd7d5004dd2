"""Notebooks, executed.

A cell that raises, a picture without a description, a description without a picture, a page without a title, and prose that
names what is nowhere in the code and the outputs are errors.
"""

import os
import re
from base64 import b64decode, b64encode
from pathlib import Path

import nbformat
from columns import WIDTH, folded
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from pixels import smaller
from products import HERE

TIMEOUT_S = 600
TITLE = re.compile(r"^# .+$", re.MULTILINE)
NAME = re.compile(r"`([A-Za-z_]\w*)`")
WORD = re.compile(r"\w+")


class NotebookError(Exception):
    """A notebook that cannot be a page."""


def page(path: Path) -> dict[str, str]:
    """The file of a page: the notebook, executed."""
    return {f"site/tutorials/{path.name}": executed(path)}


def executed(path: Path) -> str:
    """A notebook with the outputs that its cells have now."""
    notebook = nbformat.read(path, as_version=4)
    if not any(cell.cell_type == "markdown" and TITLE.search(cell.source) for cell in notebook.cells):
        raise NotebookError(f"{path.name} has no title; add a Markdown cell with a line such as '# 1 · Tensors'")
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # not that it uses TCP
        coalesce_streams=True,  # what several frameworks print in one cell arrives in pieces
        resources={"metadata": {"path": str(path.parent)}},
    )
    # Lines and letters of figures are seen on a light and on a dark page.
    environment = {**os.environ, "MATPLOTLIBRC": str(HERE / "matplotlibrc"), "COLUMNS": str(WIDTH)}
    environment["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm's, where nobody sees a bar
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        raise NotebookError(f"{path.name}: a cell raised.\n{error}") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text" in output:
                output.text = folded(output.text)
        drawn = [output.data for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
        for data in drawn:
            data["image/png"] = b64encode(smaller(b64decode(data["image/png"]))).decode()
        if drawn and not cell.metadata.get("alt"):
            raise NotebookError(
                f"{path.name}: a picture without a description; add 'alt', what it shows, to the metadata of its cell:\n"
                f"{cell.source}"
            )
        if cell.metadata.get("alt") and not drawn:
            raise NotebookError(
                f"{path.name}: a cell with a description of its picture shows none; after '%matplotlib inline', a figure "
                f"that is the last value of a cell is shown:\n{cell.source}"
            )
    if unknown := sorted(named(notebook) - set(WORD.findall(shown(notebook)))):
        raise NotebookError(f"{path.name}: the text names {', '.join(unknown)}, which neither the code nor an output has")
    return nbformat.writes(notebook)


def named(notebook: nbformat.NotebookNode) -> set[str]:
    """The names that the text has as code, such as that of an operation in a report."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {name for text in texts for name in NAME.findall(text)}


def shown(notebook: nbformat.NotebookNode) -> str:
    """The code, and what it prints."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "\n".join([*(cell.source for cell in cells), *(output.get("text", "") for output in outputs)])
