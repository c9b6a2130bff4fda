"""The documentation has every key of the schema with its default, no other, and its examples are valid."""

import re
from pathlib import Path

import msgspec

from mesh.config import Config, parse_config
from mesh.config.kinds import duration_text, size_text
from mesh.config.loading import schema_keys
from mesh.config.schema import HttpSection

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "CONFIGURATION.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_.\[\]]+)` \|([^|]*)\|", TEXT, flags=re.MULTILINE))


def test_the_documented_keys_are_those_of_the_schema_in_its_order():
    assert list(ROWS) == list(schema_keys())


def test_the_documented_defaults_are_those_of_the_schema():
    documented = {key: text.strip().strip("`") for key, text in ROWS.items() if text.strip().startswith("`")}
    assert documented.pop("agent.data_dir") == "data/<name>"
    expected = {}
    for section in msgspec.structs.fields(Config):
        value = HttpSection() if section.encode_name == "http" else section.default
        if not isinstance(value, msgspec.Struct):
            continue
        for field in msgspec.structs.fields(value):
            default = getattr(value, field.name)
            if field.name.endswith("_s"):
                default = duration_text(default)
            elif field.name.endswith("_bytes"):
                default = size_text(default)
            elif isinstance(default, bool):
                default = str(default).lower()
            if default not in ("", None, ()) and not isinstance(default, msgspec.Struct | tuple):
                expected[f"{section.encode_name}.{field.encode_name}"] = str(default)
    expected["http.address"] = "127.0.0.1:8080"
    expected["http.tokens[].scope"] = "change"
    expected["forward.listeners[].max_connections"] = "0"
    expected["forward.listeners[].early_data"] = "true"
    expected["forward.endpoints[].max_connections"] = "0"
    expected["forward.endpoints[].show_target"] = "false"
    expected["forward.endpoints[].visibility"] = expected["forward.listeners[].visibility"] = "mesh"
    expected["forward.socks[].max_connections"] = "0"
    health_check = "forward.endpoints[].health_check"
    expected |= {f"{health_check}.interval": "5s", f"{health_check}.timeout": "2s"}
    expected |= {f"{health_check}.unhealthy_after": "3", f"{health_check}.healthy_after": "2"}
    assert documented == expected


def test_required_keys_are_marked():
    required = {key for key, text in ROWS.items() if text.strip() == "required"}
    assert required == {
        "http.tokens[].name",
        "http.tokens[].hash",
        "http.tls.certificate",
        "http.tls.key",
        "trust.authorities[]",
        "trust.certificate",
        "accept[].address",
        "peers[].address",
        "forward.endpoints[].key",
        "forward.endpoints[].target",
        "forward.listeners[].key",
        "forward.listeners[].address",
        "forward.socks[].address",
    }


def test_the_whole_file_in_the_document_is_valid(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    config = parse_config(
        example.encode(), file="example", directory=tmp_path, environment={}, host_name="host"
    )
    assert config.forward.listeners[0].max_connections == 100
