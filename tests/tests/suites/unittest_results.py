"""Runs one module of tests and writes each test's result to a file, a line each.

unittest's own verbose output is no measure: children write between its lines.
"""

import sys
import unittest


class Results(unittest.TextTestResult):
    """Keeps what became of each test; of a failed subtest, that it failed."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.of_test = {}

    def startTest(self, test):
        super().startTest(test)
        self.of_test[test.id()] = "ok"

    def addError(self, test, err):
        super().addError(test, err)
        self.of_test[test.id()] = "error"

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.of_test[test.id()] = "fail"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.of_test[test.id()] = "skip"

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.of_test[test.id()] = "expected failure"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.of_test[test.id()] = "unexpected success"

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.of_test[test.id()] = "fail"


_, MODULE, FILE = sys.argv
runner = unittest.TextTestRunner(verbosity=2, resultclass=Results)
suite = unittest.defaultTestLoader.loadTestsFromName(MODULE)
result = runner.run(suite)
with open(FILE, "w", encoding="utf-8") as out:
    for name in sorted(result.of_test):
        print(name, result.of_test[name], sep="\t", file=out)
sys.exit(not result.wasSuccessful())
