"""Prints the tests that a run of pytest has skipped, one a line, from its --junitxml file."""

import sys
import xml.etree.ElementTree as ElementTree


def main(report: str) -> None:
    """Prints them as pytest takes them back; a file that was skipped as a whole is one line."""
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            module, name = case.get("classname", ""), case.get("name", "")
            path = (module or name).replace(".", "/") + ".py"
            print(f"{path}::{name}" if module else path)


if __name__ == "__main__":
    main(sys.argv[1])
