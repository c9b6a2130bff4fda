"""Each default of the configuration stands in its schema and nowhere else."""

import ast
from pathlib import Path

import msgspec

from mesh.config.schema import Config, HealthCheckSection

ROOT = Path(__file__).resolve().parents[3]


def numbers() -> set[str]:
    """Fields of the schema whose default is a number, but for what times of other things are called, too."""
    sections = [value for field in Config.__struct_fields__ if (value := getattr(Config(), field))]
    structs = [type(section) for section in sections if isinstance(section, msgspec.Struct)]
    return {
        field.name
        for struct in (*structs, HealthCheckSection)
        for field in msgspec.structs.fields(struct)
        if type(field.default) in {int, float}
    } - {"timeout_s", "interval_s"}


def test_no_other_struct_and_no_function_has_a_default_for_what_is_configured():
    names, found = numbers(), []
    assert {"open_timeout_s", "max_hops", "pending_opens", "healthy_after"} <= names
    for path in sorted([*(ROOT / "mesh").rglob("*.py"), *(ROOT / "actors").rglob("*.py")]):
        if path.name == "schema.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant() | ast.BinOp()):
                    given = {name}
                case ast.arguments(defaults=defaults, kwonlyargs=only, kw_defaults=only_defaults):
                    args = [*node.posonlyargs, *node.args]
                    pairs = [*zip(args[len(args) - len(defaults) :], defaults, strict=True)]
                    pairs += [*zip(only, only_defaults, strict=True)]
                    given = {each.arg for each, value in pairs if isinstance(value, ast.Constant | ast.BinOp)}
                case _:
                    given = set()
            found += [(str(path.relative_to(ROOT)), name) for name in sorted(given & names)]
    assert found == []
