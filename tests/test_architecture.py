"""The rules that keep the tree apart, read off its imports and calls with `ast`.

Imports go down only; the three cores know neither ComfyUI nor each other; what ComfyUI loads stays
free of diffusers; and nothing in them prints, evaluates text or unpickles. Each rule yields
`file:line: what is wrong`.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORES = ("ootd_core", "humanparse", "openpose")
FACE = "tryon"
COMPOSITIONS = ("catalogue", "cli", "mini", "tests", "benchmarks", "workflows")
NODES = "nodes"  # the one folder that knows ComfyUI
PACKAGES = (*CORES, FACE, NODES, *COMPOSITIONS)

# A package imports packages of lower levels and itself; tests import everything.
LEVELS = (CORES, (FACE,), ("catalogue", "mini"), (NODES, "cli", "benchmarks"), ("workflows",))
# The same inside ootd_core, whose flat files are at the bottom with the folders named first.
CORE_LEVELS = (("images", "masks", "checkpoints"), ("datasets",), ("training", "evaluation"))

COMFYUI = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "nodes"}
UNKNOWN_TO_COMFYUI = {"diffusers", "accelerate"}
HEAVY = UNKNOWN_TO_COMFYUI | {"transformers"}
LAZY = {"ai_edge_litert", "cv2", "onnxruntime"}  # imported by the function that first uses them
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

# What the nodes build on: with all that it imports, it works where diffusers is not installed.
COMFYUI_PATH = (
    "ootd_core.masks.agnostic",
    "ootd_core.categories",
    "ootd_core.checkpoints.locating",
    "ootd_core.conditioning",
    "ootd_core.images.fitting",
    "ootd_core.fusion",
    "ootd_core.images",
    "ootd_core.masks.labels",
    "ootd_core.latents",
    "ootd_core.masks",
    "ootd_core.checkpoints.reading",
    "ootd_core.checkpoints.catalogue",
    "humanparse",
    "openpose",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One imported module: `module` absolute, `relative` how many dots it was written with."""

    module: str
    relative: int
    line: int
    at_top: bool
    for_types_only: bool

    @property
    def package(self) -> str:
        return self.module.split(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A parsed file; `path` is relative to the root of the repository."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.parts[0]

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


Rule = Callable[[Source], Iterator[tuple[int, str]]]


def source(path: str, text: str) -> Source:
    return Source(path=Path(path), text=text, tree=ast.parse(text))


@cache
def all_sources() -> tuple[Source, ...]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    files += sorted(ROOT.glob("*.py"))
    return tuple(
        source(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")) for file in files
    )


@cache
def imports(file: Source) -> tuple[Import, ...]:
    """All imports of a file, wherever they stand."""
    type_checking = {
        id(child)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    inside_functions = {
        id(child)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    return tuple(
        Import(
            module=module,
            relative=dots,
            line=getattr(node, "lineno", 0),
            at_top=id(node) not in inside_functions,
            for_types_only=id(node) in type_checking,
        )
        for node in ast.walk(file.tree)
        for module, dots in _imported(node, file)
    )


def _imported(node: ast.AST, file: Source) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, 0
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = file.path.parts[:-1]
            kept = package[: max(0, len(package) - node.level + 1)]
            base = ".".join([*kept, base]).strip(".")
        for alias in node.names:
            # Either a module or a name in one: both are looked up by `reachable`.
            yield f"{base}.{alias.name}", node.level


def calls(file: Source) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def cores_know_neither_comfyui_nor_each_other(file: Source) -> Iterator[tuple[int, str]]:
    if file.package not in CORES:
        return
    others = set(PACKAGES) - {file.package}
    for found in imports(file):
        if found.package in COMFYUI | others:
            yield found.line, f"imports {found.module}"


def level_of(name: str, levels: tuple[tuple[str, ...], ...]) -> int | None:
    return next((number for number, names in enumerate(levels) if name in names), None)


def imports_go_down(file: Source) -> Iterator[tuple[int, str]]:
    own = level_of(file.package, LEVELS)
    if own is None:
        return
    for found in imports(file):
        level = level_of(found.package, LEVELS)
        if level is not None and found.package != file.package and level >= own:
            yield found.line, f"imports {found.module}, which is not below {file.package}"


def imports_inside_the_core_go_down(file: Source) -> Iterator[tuple[int, str]]:
    if file.package != "ootd_core":
        return
    for found in imports(file):
        if found.package != "ootd_core":
            continue
        own, other = (core_folder(module) for module in (file.module, found.module))
        level = level_of(other, CORE_LEVELS) or 0
        if own != other and level >= max(1, level_of(own, CORE_LEVELS) or 0):
            yield found.line, f"imports {found.module}, which is not below {own or 'flat files'}"


def core_folder(module: str) -> str:
    """The folder of ootd_core that a module is in, "" for a flat file."""
    name = module.split(".")[1] if "." in module else ""
    return name if level_of(name, CORE_LEVELS) is not None else ""


def packages_import_their_own_relatively(file: Source) -> Iterator[tuple[int, str]]:
    if file.package not in (*CORES, NODES):
        return
    for found in imports(file):
        if found.package == file.package and not found.relative:
            yield found.line, f"imports {found.module} absolutely"
        if found.relative >= len(file.path.parts) and file.package != NODES:
            yield found.line, "imports from beyond its package"


def compositions_import_absolutely(file: Source) -> Iterator[tuple[int, str]]:
    if file.package not in COMPOSITIONS:
        return
    for found in imports(file):
        if found.relative:
            yield found.line, f"imports {found.module} relatively"


def only_nodes_know_comfyui(file: Source) -> Iterator[tuple[int, str]]:
    if file.package in (NODES, "tests"):
        return
    for found in imports(file):
        inside_entry_point = file.path == Path("__init__.py") and not found.at_top
        if found.package in COMFYUI and not inside_entry_point:
            yield found.line, f"imports {found.module}"


def heavy_libraries_wait_until_used(file: Source) -> Iterator[tuple[int, str]]:
    if file.package not in (*CORES, NODES):
        return
    for found in imports(file):
        if found.package in LAZY and found.at_top and not found.for_types_only:
            yield found.line, f"imports {found.package} at the top: import it where it is used"


def names_say_something(file: Source) -> Iterator[tuple[int, str]]:
    for part in file.path.with_suffix("").parts:
        if part in VAGUE_NAMES:
            yield 1, f"is called {part}: name the thing"


def modules_say_what_they_are(file: Source) -> Iterator[tuple[int, str]]:
    if file.package != "tests" and file.text.strip() and not ast.get_docstring(file.tree):
        yield 1, "has no docstring"


def weights_are_only_weights(file: Source) -> Iterator[tuple[int, str]]:
    for call, name in calls(file):
        options = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name == "torch.load" and options.get("weights_only") != "True":
            yield call.lineno, "calls torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and options.get("allow_pickle", "False") != "False":
            yield call.lineno, "calls numpy.load with allow_pickle"


def text_is_not_run(file: Source) -> Iterator[tuple[int, str]]:
    if file.package == "tests":
        return  # tests may write the files that have to be refused
    for call, name in calls(file):
        if name in ("eval", "exec", "compile", "__import__"):
            yield call.lineno, f"calls {name}"
    for found in imports(file):
        error_only = found.module in ("pickle", "pickle.UnpicklingError")
        if found.package in PICKLES and not error_only:
            yield found.line, f"imports {found.module}"
    for node in ast.walk(file.tree):
        used = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if used.startswith("pickle.") and used != "pickle.UnpicklingError":
            yield getattr(node, "lineno", 0), f"uses {used}"


def only_programs_print(file: Source) -> Iterator[tuple[int, str]]:
    if file.package in COMPOSITIONS or file.path.name in ("quickstart.py", "comfyui_setup.py"):
        return
    for call, name in calls(file):
        if name == "print":
            yield call.lineno, "prints: use the module's logger"


def devices_are_not_assumed(file: Source) -> Iterator[tuple[int, str]]:
    """A literal "cuda" may be compared with, but not be handed on: that is for programs."""
    if file.package not in (*CORES, NODES):
        return
    compared = {
        id(child)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Compare)
        for child in ast.walk(node)
    }
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Constant) or id(node) in compared:
            continue
        if isinstance(node.value, str) and (node.value == "cuda" or node.value.startswith("cuda:")):
            yield node.lineno, "assumes CUDA: let the caller say the device"
    for call, name in calls(file):
        if name.endswith(".cuda"):
            yield call.lineno, "assumes CUDA: use .to(device)"


def nothing_happens_at_import(file: Source) -> Iterator[tuple[int, str]]:
    if file.package not in (*CORES, NODES):
        return
    for statement in file.tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield statement.lineno, f"runs {ast.unparse(statement.value.func)}() at import"
    for node in ast.walk(file.tree):
        changed = node.targets if isinstance(node, ast.Assign) else []
        for target in changed:
            if ast.unparse(target).startswith(("os.environ", "sys.path", "sys.modules")):
                yield target.lineno, f"changes {ast.unparse(target)}"
    for call, name in calls(file):
        if name.startswith(("sys.path.", "os.environ.set", "os.environ.up", "logging.basicConfig")):
            yield call.lineno, f"calls {name}"


RULES: list[Rule] = [
    cores_know_neither_comfyui_nor_each_other,
    imports_go_down,
    imports_inside_the_core_go_down,
    packages_import_their_own_relatively,
    compositions_import_absolutely,
    only_nodes_know_comfyui,
    heavy_libraries_wait_until_used,
    names_say_something,
    modules_say_what_they_are,
    weights_are_only_weights,
    text_is_not_run,
    only_programs_print,
    devices_are_not_assumed,
    nothing_happens_at_import,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    broken = [
        f"{file.path}:{line}: {problem}" for file in all_sources() for line, problem in rule(file)
    ]
    assert not broken, "\n" + "\n".join(broken)


def class_names(files: Iterable[Source]) -> dict[str, list[str]]:
    """Where each class is defined, by its name."""
    places: dict[str, list[str]] = {}
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{file.path}:{node.lineno}")
    return places


def test_no_two_classes_share_a_name() -> None:
    files = [file for file in all_sources() if file.package != "tests"]
    shared = [f"{n}: {', '.join(p)}" for n, p in class_names(files).items() if len(p) > 1]
    assert not shared, "\n" + "\n".join(shared)


def test_a_shared_name_is_seen() -> None:
    files = [source("cli/a.py", "class A: ..."), source("mini/b.py", "def f():\n    class A: ...")]
    assert class_names(files) == {"A": ["cli/a.py:1", "mini/b.py:2"]}


def reachable(start: str, files: dict[str, Source]) -> Iterator[tuple[str, Import]]:
    """Every import, but those for types only, of the module `start` and of what it imports."""
    todo, seen = [start], {start}
    while todo:
        module = todo.pop()
        if module not in files:
            continue
        for found in imports(files[module]):
            if found.for_types_only:
                continue
            yield module, found
            # `from .a import b`: b may be a module or a name in a.
            for name in (found.module, found.module.rpartition(".")[0]):
                if name and name not in seen:  # no name is the root's own __init__.py
                    seen.add(name)
                    todo.append(name)


@pytest.mark.parametrize("start", COMFYUI_PATH)
def test_what_comfyui_loads_needs_no_diffusers(start: str) -> None:
    files = {file.module: file for file in all_sources()}
    assert start in files, f"{start} is gone: correct COMFYUI_PATH"
    starts = [name for name in files if name == start or name.startswith(f"{start}.")]
    broken = {
        f"{module}:{found.line} imports {found.module}"
        for name in starts
        for module, found in reachable(name, files)
        if found.package in HEAVY or ".training" in found.module
    }
    assert not broken, "\n" + "\n".join(sorted(broken))


def test_the_nodes_need_no_diffusers_anywhere() -> None:
    """transformers is ComfyUI's own; `clip_towers` imports it when a checkpoint is loaded."""
    files = {file.module: file for file in all_sources()}
    starts = [name for name in files if name.startswith(f"{NODES}.")]
    assert len(starts) > 10
    broken = {
        f"{module}:{found.line} imports {found.module}"
        for name in starts
        for module, found in reachable(name, files)
        if found.package in UNKNOWN_TO_COMFYUI or ".training" in found.module
    }
    assert not broken, "\n" + "\n".join(sorted(broken))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (cores_know_neither_comfyui_nor_each_other, "ootd_core/a.py", "import comfy.utils"),
        (cores_know_neither_comfyui_nor_each_other, "ootd_core/a.py", "from openpose import b"),
        (imports_go_down, "mini/a.py", "from cli.b import c"),
        (imports_go_down, "ootd_core/a.py", "def f():\n    from mini import b"),
        (imports_go_down, "catalogue/a.py", "import mini.b"),
        (imports_go_down, "nodes/a.py", "from ..cli import b"),
        (
            imports_inside_the_core_go_down,
            "ootd_core/training/a.py",
            "from ..evaluation.b import c",
        ),
        (imports_inside_the_core_go_down, "ootd_core/evaluation/a.py", "from ..training import c"),
        (
            imports_inside_the_core_go_down,
            "ootd_core/datasets/x/a.py",
            "from ...training.b import c",
        ),
        (imports_inside_the_core_go_down, "ootd_core/masks/a.py", "from ..datasets.b import c"),
        (imports_inside_the_core_go_down, "ootd_core/a.py", "from .training.b import c"),
        (packages_import_their_own_relatively, "openpose/a.py", "from openpose.b import c"),
        (packages_import_their_own_relatively, "openpose/a.py", "from ..ootd_core import c"),
        (compositions_import_absolutely, "cli/a.py", "from .b import c"),
        (only_nodes_know_comfyui, "cli/a.py", "def f():\n    import folder_paths"),
        (only_nodes_know_comfyui, "__init__.py", "from comfy_api.latest import io"),
        (heavy_libraries_wait_until_used, "humanparse/a.py", "import onnxruntime as ort"),
        (names_say_something, "ootd_core/utils.py", ""),
        (modules_say_what_they_are, "ootd_core/a.py", "x = 1"),
        (weights_are_only_weights, "ootd_core/a.py", "torch.load(path)"),
        (weights_are_only_weights, "ootd_core/a.py", "torch.load(path, weights_only=False)"),
        (text_is_not_run, "cli/a.py", "eval(text)"),
        (text_is_not_run, "cli/a.py", "from pickle import load"),
        (text_is_not_run, "cli/a.py", "import pickle\npickle.loads(data)"),
        (only_programs_print, "ootd_core/a.py", "print(1)"),
        (devices_are_not_assumed, "ootd_core/a.py", "def f(device='cuda'): ..."),
        (devices_are_not_assumed, "ootd_core/a.py", "model.cuda()"),
        (nothing_happens_at_import, "ootd_core/a.py", "folder.mkdir()"),
        (nothing_happens_at_import, "ootd_core/a.py", "def f():\n    os.environ['A'] = 'b'"),
    ],
)
def test_a_rule_sees_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    assert list(rule(source(path, text)))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (imports_go_down, "cli/a.py", "from mini.b import c\nfrom tryon import d\nimport cli.e"),
        (imports_go_down, "nodes/a.py", "from ..ootd_core.a import b\nfrom . import c"),
        (imports_go_down, "tests/a.py", "from cli.b import c"),
        (imports_inside_the_core_go_down, "ootd_core/masks/a.py", "from ..images.b import c"),
        (imports_inside_the_core_go_down, "ootd_core/training/a.py", "from ..datasets.b import c"),
        (imports_inside_the_core_go_down, "ootd_core/training/a.py", "from .b import c"),
        (imports_inside_the_core_go_down, "ootd_core/datasets/x/a.py", "from ...fusion import b"),
        (packages_import_their_own_relatively, "openpose/a/b.py", "from ..c import d"),
        (only_nodes_know_comfyui, "__init__.py", "def f():\n    from .nodes import extension"),
        (heavy_libraries_wait_until_used, "humanparse/a.py", "def f():\n    import cv2"),
        (text_is_not_run, "cli/a.py", "model.eval()\nre.compile('a')"),
        (text_is_not_run, "cli/a.py", "import pickle\nwrong = pickle.UnpicklingError"),
        (devices_are_not_assumed, "ootd_core/a.py", "fast = device.type == 'cuda'"),
    ],
)
def test_a_rule_lets_good_code_pass(rule: Rule, path: str, text: str) -> None:
    assert not list(rule(source(path, text)))


def test_imports_are_followed_from_module_to_module() -> None:
    files = [
        source("ootd_core/a.py", "from .b import c"),
        source("ootd_core/b.py", "def f():\n    import diffusers"),
    ]
    found = reachable("ootd_core.a", {file.module: file for file in files})
    assert [name for name, each in found if each.package == "diffusers"] == ["ootd_core.b"]
