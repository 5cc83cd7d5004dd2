"""A report that says otherwise than was found."""

from dataclasses import replace

from detection.reports import Written

DATA = "crosscheck._report.json_file.InJson.data"
DOCUMENT = "crosscheck._report.text.document"


def report(name, of, lie, at):
    return Written(name=name, kind="reports", of=of, lie=lie, cause="contradiction", at=at)


def comparisons(change):
    """A lie about each comparison."""

    def lie(data):
        return lambda report: (
            (written := data(report))
            | {"comparisons": [comparison | change(comparison) for comparison in written["comparisons"]]}
        )

    return lie


def field(**changes):
    return comparisons(lambda _: changes)


def softened(comparison):
    """A failing comparison with the causes of one that passes."""
    return {"causes": {"rounding": next(iter(comparison["causes"].values()))}}


def elsewhere(comparison):
    return {} if comparison["worst"] is None else {"worst": {**comparison["worst"], "input": 0.0}}


def summary(**changes):
    return lambda data: lambda report: (written := data(report)) | {"summary": written["summary"] | changes}


def without_failures(written):
    def lie(report):
        data = written(report)
        return {**data, "comparisons": [comparison for comparison in data["comparisons"] if comparison["passed"]]}

    return lie


def without_one(written):
    def lie(report):
        data = written(report)
        return {**data, "comparisons": data["comparisons"][1:]}

    return lie


def praised(as_text):
    return lambda renderable: as_text(renderable).replace("FAILED", "PASSED", 1)


FAULTS = [
    report("a failed comparison written as passed", DATA, field(passed=True), "passed in json"),
    report("a passed comparison written as failed", DATA, field(passed=False), "passed in json"),
    report("another cause", DATA, field(cause="rounding"), "cause in json"),
    report("causes that pass", DATA, comparisons(softened), "causes in json"),
    report("the other side", DATA, field(side="torch"), "side in json"),
    report("another worst input", DATA, comparisons(elsewhere), "worst in json"),
    report("a smaller error", DATA, field(max_ulp=0.5), "max_ulp in json"),
    report("no points", DATA, field(points=0), "points in json"),
    report("failures left out", DATA, without_failures, "comparisons in json"),
    report("a comparison left out", DATA, without_one, "comparisons in json"),
    report("a summary that passes", DATA, summary(passed=True), "summary.passed in json"),
    report("no failures in the summary", DATA, summary(failed=0), "summary.failed in json"),
    report("a verdict that passes in text", "crosscheck._report.terminal.as_text", praised, "the verdict in text"),
    report(
        "a title that passes",
        DOCUMENT,
        lambda document: lambda report: replace(document(report), title="PASSED: relu"),
        "the verdict in markdown",
    ),
    report(
        "the colour of what passes",
        DOCUMENT,
        lambda document: lambda report: replace(document(report), passed=True),
        "the colour in html",
    ),
    report(
        "evidence left out",
        DOCUMENT,
        lambda document: lambda report: replace(document(report), blocks=[]),
        None,
    ),
    report(
        "a report that passes if one comparison does",
        "crosscheck._report.report.Report.passed",
        lambda _: property(lambda self: any(comparison.passed for comparison in self.comparisons)),
        "report.passed",
    ),
]
