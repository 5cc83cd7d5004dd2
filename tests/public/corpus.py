"""The corpus of public ports: a line for each, and beneath it what is said where it is no certificate."""

from collections.abc import Iterator, Sequence

from corpora import Corpus

from public import MODULES, ports_of
from public.judged import Row, apart
from public.records import PublicPort

PORTS = {module: ports_of(module) for module in MODULES}
"""By the module."""
MODULE_OF = {port.name: module for module, ports in PORTS.items() for port in ports}


def judged(port: PublicPort) -> Row:
    return apart(MODULE_OF[port.name], port)


def line(row: Row) -> str:
    package = f"{row['package']} {row['versions'][row['package']]}"
    sizes = f"{row['layers']:6} {row['parameters'] or 0:10,}"
    cost = f"{row['seconds']:8.1f} {row['gigabytes'] or 0:5.1f}"
    mark = "" if row["as_expected"] else "   WRONG"
    said = "" if row["verdict"] == "certified" else f"\n    {row['said']}"
    return f"{row['port']:32} {package:20} {sizes} {row['verdict']:24} {cost}{mark}{said}"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many are as expected."""
    yield f"{sum(row['as_expected'] for row in rows)} of {len(rows)} as expected"


CORPUS = Corpus(
    name="ports",
    case="port",
    cases=[port for ports in PORTS.values() for port in ports],
    judged=judged,
    head=f"{'port':32} {'package':20} {'layers':>6} {'parameters':>10} {'verdict':24} {'seconds':>8} {'GB':>5}",
    line=line,
    sums=sums,
    worse=lambda row, kept: not row["as_expected"],
    left_out=[f"left out: {module}, whose library is not installed" for module, ports in PORTS.items() if not ports],
    whole=False,
    variables={"JAX_TRACEBACK_FILTERING": "off"},  # else the last line of an exception is JAX's about that
)
