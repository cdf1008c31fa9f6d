"""Writes the published schemas beside this file, trimmed to what a test needs.

    go mod download -json sigs.k8s.io/gateway-api@v1.6.3        # prints the folder; so for the other two
    mvn dependency:get -Dtransitive=false -Dartifact=dev.openfeature.contrib.providers:flagd:0.11.8
    python make_schemas.py GATEWAY_API_DIR ISTIO_API_DIR KSERVE_DIR FLAGD_JAR

All four are licensed under Apache-2.0. Left out are descriptions and, of KServe's schema, what stands beside and below
``spec.predictor``: 350 kB of containers and volumes, of which only the names are kept. Added is that no object may
have a field that the schema does not name: the API server drops such a field, and `kubectl` refuses it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CRDS = "config/crd"


def version_of(path: Path, name: str, version: str) -> dict[str, Any]:
    """The schema of one version of a CustomResourceDefinition."""
    for document in yaml.safe_load_all(path.read_text()):
        if document and document["metadata"]["name"] == name:
            for found in document["spec"]["versions"]:
                if found["name"] == version:
                    schema: dict[str, Any] = found["schema"]["openAPIV3Schema"]
                    return schema
    raise SystemExit(f"{path}: no {name} {version}")


def strict(node: Any) -> Any:
    """Without descriptions, and closed where fields are named."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: strict(value) for key, value in node.items() if not (key == "description" and isinstance(value, str))}
    if isinstance(kept.get("properties"), dict) and node.get("type") == "object":
        kept.setdefault("additionalProperties", False)
    return kept


def write(name: str, schema: Any, source: str) -> None:
    """One line an object's field would be 10,000 lines; a line a file is what `git diff` can do nothing with anyway."""
    text = json.dumps({"$comment": f"{source}; Apache-2.0; see make_schemas.py", **schema}, separators=(",", ":"))
    (HERE / name).write_text(text + "\n", encoding="utf-8")


def main(gateway_api: str, istio: str, kserve: str, flagd: str) -> None:
    """Write all of them."""
    route = Path(gateway_api, CRDS, "standard", "gateway.networking.k8s.io_httproutes.yaml")
    schema = version_of(route, "httproutes.gateway.networking.k8s.io", "v1")
    write("httproute.json", strict(schema), "sigs.k8s.io/gateway-api v1.6.3")

    path = Path(istio, "kubernetes", "customresourcedefinitions.gen.yaml")
    schema = version_of(path, "virtualservices.networking.istio.io", "v1")
    # It leaves these three to Kubernetes, which knows them of every object.
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    write("virtualservice.json", strict(schema), "istio.io/api v1.32.0")

    path = Path(kserve, CRDS, "full", "serving.kserve.io_inferenceservices.yaml")
    schema = version_of(path, "inferenceservices.serving.kserve.io", "v1beta1")
    spec = schema["properties"]["spec"]["properties"]
    spec |= {"explainer": {}, "transformer": {}}
    schema["properties"]["status"] = {}
    predictor = spec["predictor"]["properties"]
    spec["predictor"]["properties"] = {
        field: predictor[field] if field == "canaryTrafficPercent" else {} for field in predictor
    }
    write("inferenceservice.json", strict(schema), "github.com/kserve/kserve v0.15.0")

    with zipfile.ZipFile(flagd) as jar:
        for name in ("flags", "targeting"):
            schema = json.loads(jar.read(f"flagd/schemas/{name}.json"))
            write(f"flagd_{name}.json", schema, "dev.openfeature.contrib.providers:flagd 0.11.8")


if __name__ == "__main__":
    main(*sys.argv[1:])
