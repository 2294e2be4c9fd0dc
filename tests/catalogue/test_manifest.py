"""Manifests in every form, and what is said of the rows that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from catalogue.manifest import ManifestRow, Pairing, pair_folders, read_manifest
from ootd_core.categories import Category, Variant
from tests.catalogue.drawn_catalogue import small_pictures, write_manifest
from tryon.options import TryOnOptions

DEFAULTS = TryOnOptions(num_inference_steps=7, seed=3)
ROW = {"person": "p.png", "garment": "g.png", "category": "dress"}


def read(path: Path) -> list[ManifestRow]:
    return read_manifest(str(path), DEFAULTS, Variant.FULL_BODY).checked()


def faults(path: Path, variant: Variant = Variant.FULL_BODY) -> list[str]:
    return [str(fault) for fault in read_manifest(str(path), DEFAULTS, variant).faults]


def test_csv_json_lines_and_parquet_say_the_same(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "m.csv").write_text(
        "person,garment,category,mask,keypoints,seed,options,name\r\n"
        'p.png,a.png|b.png,upper|lower,m.png,,5,"{""guidance_scale"": 3.0}",first\r\n'
        "p.png,/abs/g.png,dress,,k.json,,,\r\n",
        encoding="utf-8-sig",
    )
    rows: list[dict[str, Any]] = [
        {"person": "p.png", "garment": ["a.png", "b.png"], "category": ["upper", "lower"],
         "mask": "m.png", "seed": 5, "options": {"guidance_scale": 3.0}, "name": "first"},
        {"person": "p.png", "garment": ["/abs/g.png"], "category": ["dress"],
         "keypoints": "k.json"},
    ]  # fmt: skip
    write_manifest(tmp_path / "m.jsonl", rows)
    table = [{name: row.get(name) for name in rows[0] | rows[1]} for row in rows]
    parquet.write_table(pa.Table.from_pylist(table), tmp_path / "m.parquet")
    by_csv = read(tmp_path / "m.csv")
    assert by_csv == read(tmp_path / "m.jsonl") == read(tmp_path / "m.parquet")
    first, second = by_csv
    assert first.person == str(tmp_path / "p.png") and first.mask == str(tmp_path / "m.png")
    assert first.garments == (
        (str(tmp_path / "a.png"), Category.UPPER),
        (str(tmp_path / "b.png"), Category.LOWER),
    )
    assert (first.options.seed, first.options.guidance_scale) == (5, 3.0)
    assert (first.options.num_inference_steps, first.name, first.number) == (7, "first", 1)
    assert second.garments == (("/abs/g.png", Category.DRESS),)
    assert second.options is DEFAULTS and second.name == "p-g" and second.mask is None
    assert second.addresses == [str(tmp_path / "p.png"), "/abs/g.png", str(tmp_path / "k.json")]


def test_addresses_of_stores_stay_as_they_are(tmp_path: Path) -> None:
    rows = [{**ROW, "person": "s3://bucket/p.png", "garment": "https://host/g.png?x=1"}]
    (row,) = read(write_manifest(tmp_path / "m.jsonl", rows))
    assert row.person == "s3://bucket/p.png"
    assert row.garments[0][0] == "https://host/g.png?x=1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"category": "hat"}, "category is 'hat', but must be one of upper, lower, dress"),
        ({"person": None}, "person is missing"),
        ({"person": 3}, "person is 3, but must be a path"),
        ({"garment": ["a.png", "b.png"]}, "there are 2 garments and 1 categories"),
        ({"colour": "red"}, "there is no column colour; there are person, garment"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5, but must be a whole number"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"options": {"steps": 3}}, "there is no option steps; there are num_inference_steps"),
        (
            {"options": {"mask_sleeves": "long"}, "category": "lower"},
            "sleeves are 'long', but a garment of category",
        ),
        ({"options": {"num_inference_steps": 0}}, "num_inference_steps is 0"),
        ({"options": "{"}, "options is no JSON"),
        ({"options": "[" * 100_000}, "options is no JSON"),
        ({"garment": [], "category": []}, "garment, category is missing"),
        ({"options": [1]}, "options must be a JSON object"),
    ],
    ids=str,
)
def test_a_fault_is_named_with_its_row(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = write_manifest(tmp_path / "m.jsonl", [ROW, ROW | changes, ROW])
    (said,) = faults(path)
    assert said.startswith("Row 2: ") and sentence in said
    with pytest.raises(ValueError, match=r"The manifest has 1 fault\. Row 2: "):
        read(path)


def test_all_faults_are_found_and_some_are_shown(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.jsonl", [ROW | {"category": f"c{i}"} for i in range(9)])
    assert [said[:5] for said in faults(path)] == [f"Row {i}" for i in range(1, 10)]
    with pytest.raises(ValueError, match=r"has 9 faults.* And 4 more: `batch check`"):
        read(path)


def test_a_variant_refuses_what_it_cannot_wear(tmp_path: Path) -> None:
    (said,) = faults(write_manifest(tmp_path / "m.jsonl", [ROW]), Variant.HALF_BODY)
    assert "half-body" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("m.txt", b"", "must end in .csv, .jsonl, .parquet"),
        (
            "m.csv",
            b"person;garment;category\n",
            "no column person, garment, category: .* by commas",
        ),
        ("m.csv", b"person,garment,category\n", "has no rows"),
        ("m.csv", b"person,garment,category\na,b,dress,d\n", "more fields than there are columns"),
        ("m.csv", "persön,ü".encode("latin-1"), "is not UTF-8"),
        (
            "m.csv",
            b"person,garment,category,person\na,b,dress,c\n",
            "has the column person twice: leave one of them",
        ),
        (
            "m.csv",
            b'person,garment,category\na,b,dress\n"c,d,dress\ne,f,dress\n',
            r"m.csv cannot be read as CSV from line 3 on \(unexpected end of data\): look there",
        ),
        (
            "m.csv",
            b'person,garment,category\n"' + b"c,d,dress\n" * 20_000,
            "m.csv cannot be read as CSV from line 2 on",
        ),
        (
            "m.csv",
            b'person,garment,category,name\na,b,dress,"A\nc,d,dress,"\n',
            "Row 1: name goes over several lines, from line 2 on: close the quotation mark",
        ),
        ("m.jsonl", b"[" * 100_000, "Row 1: is no JSON"),
        ("m.jsonl", b'{"person": "a", "person": "b"}\n', "Row 1: .*person stands there twice"),
        ("m.jsonl", b"{]\n", "Row 1: is no JSON"),
        ("m.jsonl", b"[1]\n", "Row 1: is no JSON object"),
        ("m.parquet", b"PAR1", "is no Parquet file"),
    ],
)
def test_a_file_that_is_no_manifest(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read(tmp_path / name)


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file at"):
        read(tmp_path / "m.csv")


def test_equal_options_are_one_object_and_a_row_has_an_identity(tmp_path: Path) -> None:
    rows = [ROW | {"seed": 5}, ROW | {"seed": 5, "name": "b"}, ROW | {"seed": 6}]
    first, second, third = read(write_manifest(tmp_path / "m.jsonl", rows))
    assert first.options is second.options and first.options is not third.options
    assert len({first.id, second.id, third.id}) == 3
    moved = read(write_manifest(tmp_path / "m2.jsonl", [rows[2], rows[0]]))
    assert [row.id for row in moved] == [third.id, first.id], "the number does not matter"


def test_a_row_is_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    (expected,) = read(write_manifest(tmp_path / "m" / "m.jsonl", [ROW]))
    small_pictures(tmp_path / "p", 1, "person")
    for folder, manifest, pictures in ((".", "m/m.jsonl", "p"), ("m", "m.jsonl", "../p")):
        monkeypatch.chdir(tmp_path / folder)
        (row,) = read(Path(manifest))
        assert (row, row.id) == (expected, expected.id)
        (pair,) = pair_folders(
            pictures, pictures, "dress", Pairing.ZIP, DEFAULTS, Variant.FULL_BODY
        ).rows
        assert pair.person == str(tmp_path / "p" / "person00.png")


def test_two_folders(tmp_path: Path) -> None:
    people = small_pictures(tmp_path / "p", 2, "person")
    clothes = small_pictures(tmp_path / "g", 2, "garment")
    (tmp_path / "p" / "notes.txt").write_text("no picture")

    def pairs(pairing: Pairing) -> list[tuple[str, str]]:
        found = pair_folders(
            str(tmp_path / "p"), str(tmp_path / "g"), "dress", pairing, DEFAULTS, Variant.FULL_BODY
        )
        assert all(row.garments[0][1] is Category.DRESS for row in found.rows)
        return [(row.person, row.garments[0][0]) for row in found.checked()]

    a, b, x, y = map(str, [*people, *clothes])
    assert pairs(Pairing.ZIP) == [(a, x), (b, y)]
    assert sorted(pairs(Pairing.PRODUCT)) == sorted([(a, x), (a, y), (b, x), (b, y)])
    clothes[1].unlink()
    with pytest.raises(ValueError, match=r"has 2 pictures and .* 1: to go picture by picture"):
        pairs(Pairing.ZIP)
    clothes[0].unlink()
    with pytest.raises(ValueError, match="There are no pictures in"):
        pairs(Pairing.PRODUCT)


def test_json_of_a_row_is_what_it_says(tmp_path: Path) -> None:
    """Lists with one member, and options as text, are taken, too."""
    row = ROW | {"garment": ["g.png"], "options": json.dumps({"height": 64})}
    (found,) = read(write_manifest(tmp_path / "m.jsonl", [row]))
    assert found.options.height == 64 and len(found.garments) == 1


def test_a_line_of_json_ends_where_the_line_does(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    lines = [json.dumps(ROW | {"name": name}, ensure_ascii=False) for name in ("a\u2028b", "c")]
    path.write_bytes("\r\n\n".join(lines).encode())
    assert [row.name for row in read(path)] == ["a\u2028b", "c"]


def test_a_fault_can_be_printed_whatever_a_file_is_called(tmp_path: Path) -> None:
    (said,) = faults(write_manifest(tmp_path / "m.jsonl", [ROW | {"category": "a\udce9"}]))
    assert said.encode().startswith(rb"Row 1: category is 'a\udce9'")


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "m.parquet"
    table = pa.Table.from_pylist([ROW | {"person": f"p{number}.png"} for number in range(9)])
    parquet.write_table(table, path, use_dictionary=False, compression="none")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x06\0\0\0p3.png", b"\xff\xff\xff\x7fp3.png"))
    with pytest.raises(ValueError, match=r"m\.parquet is damaged .*: write it anew\."):
        read(path)


def test_no_depth_of_lists_ends_the_reading(tmp_path: Path) -> None:
    """Between what JSON reads and what it refuses are depths that only its repr cannot do."""
    rows = [
        json.dumps(ROW)[:-1] + f', "options": {{"seed": {"[" * depth}{"]" * depth}}}}}\n'
        for depth in range(900, 1000)
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(rows))
    assert len(faults(path)) == len(rows)
