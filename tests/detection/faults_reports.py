"""A report that says otherwise than was found."""

from dataclasses import replace

from detection.reports import Written

RECORD = "crosscheck._report.report.record"
DATA = "crosscheck._report.report.report_data"
DOCUMENT = "crosscheck._report.text.document"


def report(name, of, lie, at):
    return Written(name=name, kind="reports", of=of, lie=lie, cause="contradiction", at=at)


def field(**changes):
    return lambda record: lambda comparison: {**record(comparison), **changes}


def softened(record):
    """A failing comparison with the causes of one that passes."""

    def lie(comparison):
        data = record(comparison)
        return {**data, "causes": {"rounding": next(iter(data["causes"].values()))}}

    return lie


def elsewhere(record):
    def lie(comparison):
        data = record(comparison)
        return data if data["worst"] is None else {**data, "worst": {**data["worst"], "input": 0.0}}

    return lie


def summary(**changes):
    def lie(report_data):
        def data(report):
            found = report_data(report)
            return {**found, "summary": {**found["summary"], **changes}}

        return data

    return lie


def without_failures(report_data):
    def lie(report):
        data = report_data(report)
        return {**data, "comparisons": [one for one in data["comparisons"] if one["passed"]]}

    return lie


def without_one(report_data):
    def lie(report):
        data = report_data(report)
        return {**data, "comparisons": data["comparisons"][1:]}

    return lie


def praised(as_text):
    return lambda renderable: as_text(renderable).replace("FAILED", "PASSED", 1)


FAULTS = [
    report("a failed comparison written as passed", RECORD, field(passed=True), "passed in json"),
    report("a passed comparison written as failed", RECORD, field(passed=False), "passed in json"),
    report("another cause", RECORD, field(cause="rounding"), "cause in json"),
    report("causes that pass", RECORD, softened, "causes in json"),
    report("the other side", RECORD, field(side="torch"), "side in json"),
    report("another worst input", RECORD, elsewhere, "worst in json"),
    report("a smaller error", RECORD, field(max_ulp=0.5), "max_ulp in json"),
    report("no points", RECORD, field(points=0), "points in json"),
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
        lambda _: property(lambda self: any(one.passed for one in self.comparisons)),
        "report.passed",
    ),
]
