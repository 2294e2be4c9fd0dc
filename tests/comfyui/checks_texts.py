# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""What users read: tooltips on everything, translations that follow the schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker import Inside


def _schemas(inside: Inside) -> dict[str, Any]:
    return {
        name: node.GET_SCHEMA() for name, node in inside.nodes.items() if name.startswith("OOTD_")
    }


def check_everything_has_a_tooltip(inside: Inside) -> str:
    schemas = _schemas(inside)
    assert len(schemas) == 12, sorted(schemas)
    for name, schema in schemas.items():
        assert schema.description and schema.category == "virtual try-on", name
        for slot in (*schema.inputs, *schema.outputs):
            assert slot.tooltip and slot.tooltip.endswith("."), (name, slot)
        for output in schema.outputs:
            assert output.display_name, name
    return f"{len(schemas)} nodes"


def check_translations_follow_the_schema(inside: Inside) -> None:
    tables = {
        language: json.loads(
            (inside.pack / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8")
        )
        for language in ("en", "zh")
    }
    schemas = _schemas(inside)
    for language, table in tables.items():
        assert set(table) == set(schemas), language
        for name, schema in schemas.items():
            inputs = {each.id: each.tooltip for each in schema.inputs}
            assert set(table[name]["inputs"]) == set(inputs), (language, name)
            assert len(table[name]["outputs"]) == len(schema.outputs), (language, name)
            if language == "en":
                assert table[name]["display_name"] == schema.display_name
                assert table[name]["description"] == schema.description, name
                for key, tooltip in inputs.items():
                    assert table[name]["inputs"][key]["tooltip"] == tooltip, (name, key)
            else:
                texts = json.dumps(table[name]["inputs"], ensure_ascii=False)
                assert re.search(r"[\u4e00-\u9fff]", table[name]["description"] + texts)


def check_every_node_has_a_help_page_in_both_languages(inside: Inside) -> None:
    """ComfyUI looks for docs/ID/LANGUAGE.md, then docs/ID.md; pictures of either are relative to
    docs/, and a table of more than two columns does not fit beside the canvas."""
    folder = inside.pack / "web" / "docs"
    for name, schema in _schemas(inside).items():
        for page in (folder / f"{name}.md", folder / name / "zh.md"):
            text = page.read_text(encoding="utf-8")
            for slot in schema.inputs:
                assert f"`{slot.id}`" in text, (page, slot.id)
            for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
                assert (folder / picture).is_file(), (page, picture)
            assert not re.search(r"^\|(?:[^|\n]*\|){3}", text, re.MULTILINE), page
