"""The Helm chart, rendered by Helm itself (its library, in a wheel)."""

import helm_python
import yaml

from . import binaries

CHART = binaries.REPOSITORY / "examples/helm/gatepost"
MANIFESTS = binaries.REPOSITORY / "examples/kubernetes/gatepost.yaml"
AS_MANIFESTS = {"proxySecret": "s3cret"}
HEAD = """\
# Gatepost for Kubernetes with Traefik's middlewares; examples/kubernetes/route.yaml puts an application behind it.
# The chart in examples/helm rendered with `--namespace gatepost --set proxySecret=s3cret`. Make a secret of your own:
#
#   kubectl create namespace gatepost
#   sed "s/s3cret/$(openssl rand -hex 32)/" examples/kubernetes/gatepost.yaml | kubectl apply --namespace gatepost --filename -
"""


def files(values=None, name="gatepost"):
    """What each template becomes."""
    with helm_python.Chart.load(str(CHART)) as chart:
        return {path.rpartition("/")[2]: text for path, text in chart.render(values or {}, name=name, namespace="gatepost").items()}


def notes(values=None, name="gatepost"):
    """What Helm says after an install."""
    return files(values, name)["NOTES.txt"]


def rendered(values=None):
    """The text of every object."""
    made = files(values)
    return [document.strip() for file in sorted(made) if file.endswith(".yaml") for document in made[file].split("\n---\n") if yaml.safe_load(document)]


def objects(values=None):
    """The objects, by kind and name."""
    found = [yaml.safe_load(text) for text in rendered(values)]
    named = {(item["kind"], item["metadata"]["name"]): item for item in found}
    assert len(named) == len(found)
    return named


def manifests():
    """What examples/kubernetes/gatepost.yaml must hold."""
    return HEAD + "".join(f"---\n{text}\n" for text in rendered(AS_MANIFESTS))


if __name__ == "__main__":
    MANIFESTS.write_text(manifests())
