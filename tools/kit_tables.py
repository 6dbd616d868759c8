"""Writes the tables of docs/research_kit.md anew, from the classes' own docstrings.

python tools/kit_tables.py
"""

import pathlib
import re

from stm_jax.catalogue import READS, RULES, SIMILARITIES, STORES, table_of

GUIDE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "research_kit.md"


def main() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for package in (RULES, STORES, READS, SIMILARITIES):
        mark = f"<!-- {package}, by tools/kit_tables.py -->\n\n"
        found = re.compile(re.escape(mark) + r"(\|.*\n)*")
        assert found.search(text), f"{GUIDE} has no place for {package}"
        made = f"{mark}{table_of(package)}\n"
        text = found.sub(made.replace("\\", r"\\"), text)
    GUIDE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
