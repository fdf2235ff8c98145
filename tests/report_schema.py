"""The JSON schema of the report, made from the declarations of its document.

`python tests/report_schema.py` writes it into the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from sphinx.pycode import ModuleAnalyzer

import sphinx_nbcache.report
from sphinx_nbcache.report import as_json

PATH = Path(sphinx_nbcache.report.__file__).with_name(as_json.SCHEMA_FILE)
BASE = "https://sphinx-nbcache.readthedocs.io/en/latest/"


def report_schema() -> dict[str, Any]:
    """Return the schema, with the docstrings of fields as descriptions."""
    docs = ModuleAnalyzer.for_module(as_json.__name__).find_attr_docs()
    schema = msgspec.json.schema(as_json.ReportDocument)
    for kind, definition in schema["$defs"].items():
        for name, described in definition["properties"].items():
            text = " ".join(docs[kind, name]).strip()
            # Beside a reference, no other keyword is understood by all validators.
            definition["properties"][name] = (
                {"allOf": [described], "description": text}
                if "$ref" in described
                else described | {"description": text}
            )
    document = schema["$defs"]["ReportDocument"]
    document["properties"]["schema"]["const"] = as_json.REPORT_SCHEMA
    document["properties"]["schema"].pop("default", None)
    document["required"] = ["schema", *document["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": BASE + as_json.SCHEMA_FILE,
        "title": "nbcache-report.json",
        **schema,
    }


def schema_text() -> str:
    """Return the text of the file."""
    return json.dumps(report_schema(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema_text(), encoding="utf-8")
