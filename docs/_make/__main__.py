"""Make what the documentation shows of running code: `python docs/_make [PART ...] [--again]`.

PART is `notebooks`, `examples`, `catalogue`, `dictionary` or `reference`; without one, all are made. MkDocs then renders
it, without PyTorch and JAX.
"""

import argparse
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_hooks")]
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import examples  # noqa: E402
import notebooks  # noqa: E402
import products  # noqa: E402
from blocks import blocks  # noqa: E402
from columns import WIDTH  # noqa: E402
from products import Maker  # noqa: E402

PARTS = ("notebooks", "examples", "catalogue", "dictionary", "reference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python docs/_make")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--again", action="store_true", help="make also what rests on nothing that has changed")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder of pages and notebooks")
    parser.add_argument("--made", type=Path, default=ROOT / "build" / "docs", help="the folder to write to")
    asked = parser.parse_args()
    if wrong := set(asked.parts) - set(PARTS):
        parser.error(f"PART: got {', '.join(sorted(wrong))}, expected one of {', '.join(PARTS)}")

    maker = Maker(asked.made, again=asked.again)
    os.environ["COLUMNS"] = str(WIDTH)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        # Notebooks run in processes of their own, beside what is made here.
        with ThreadPoolExecutor(1) as beside:
            waiting: list[Future[None] | None] = []
            for part in asked.parts or PARTS:
                made = MAKE[part]
                waiting += [beside.submit(made, maker, asked.docs)] if part == "notebooks" else [made(maker, asked.docs)]
            for future in waiting:
                if future is not None:
                    future.result()
    except (examples.ExampleError, notebooks.NotebookError) as error:
        sys.exit(str(error))


def make_notebooks(maker: Maker, docs: Path) -> None:
    for path in sorted((docs / "tutorials").glob("*.ipynb")):
        maker.make(
            f"notebook-{path.stem}",
            products.key(files=[path, *products.package()]),
            partial(notebooks.page, path),
        )
    maker.forget("notebook-")


def make_examples(maker: Maker, docs: Path) -> None:
    folders = ("results", "benchmarks/found/issues")
    shown = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for where, text in examples.pages(docs):
        maker.make(
            "examples-" + where.replace("/", "-"),
            products.key(*(block.key for block in blocks(text)), files=[*shown, *products.package()]),
            partial(examples.outputs, text, where),
        )
    maker.forget("examples-")


def make_catalogue(maker: Maker, docs: Path) -> None:
    import activations

    activations.make(maker)


def make_dictionary(maker: Maker, docs: Path) -> None:
    import dictionary

    dictionary.make(maker)


def make_reference(maker: Maker, docs: Path) -> None:
    import reference

    maker.make("reference", products.key(files=products.package()), reference.files, made_with="")


MAKE = {
    "notebooks": make_notebooks,
    "examples": make_examples,
    "catalogue": make_catalogue,
    "dictionary": make_dictionary,
    "reference": make_reference,
}

if __name__ == "__main__":
    main()
