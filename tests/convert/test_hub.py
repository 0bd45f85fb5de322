import base64
import hashlib
import http.server
import json
import pathlib
import threading
import urllib.parse

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.convert import hub
from vidjax.convert.card import read_metadata
from vidjax.convert.variables import flatten

constants = pytest.importorskip("huggingface_hub.constants")

NAME = "tsm_resnet_tiny"
REPO = "someone/waving"
COMMIT = "0" * 39


class _Handler(http.server.BaseHTTPRequestHandler):
    """As much of the Hub as one repository of some files needs."""

    protocol_version = "HTTP/1.1"
    server: "_Hub"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        name = urllib.parse.unquote(self.path).rpartition("/")[2]
        known = self.path.startswith(f"/{REPO}/resolve/main/")
        if not known or name not in self.server.files:
            code = "EntryNotFound" if known else "RepoNotFound"
            return self._answer(404, b"", {"X-Error-Code": code})
        content = self.server.files[name]
        etag = hashlib.sha256(content).hexdigest()
        commit = f"{COMMIT}{len(self.server.commits) % 10}"
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit}
        return self._answer(200, content, headers)

    def do_PUT(self):
        content = self._body()
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self._answer(200, b"")

    def do_POST(self):
        path = urllib.parse.urlparse(self.path).path
        answer = {
            "/api/repos/create": self._create,
            f"/api/models/{REPO}/preupload/main": self._preupload,
            f"/{REPO}.git/info/lfs/objects/batch": self._batch,
            f"/api/models/{REPO}/commit/main": self._commit,
            "/api/validate-yaml": lambda _: {"errors": [], "warnings": []},
        }[path](self._body())
        headers = {"Content-Type": "application/json"}
        self._answer(200, json.dumps(answer).encode(), headers)

    def _create(self, body):
        self.server.created.append(json.loads(body))
        return {"url": f"{self.server.address}/{REPO}", "name": REPO, "id": "1"}

    def _preupload(self, body):
        rows = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"] == hub.FILE else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return {"files": rows}

    def _batch(self, body):
        rows = [
            {
                **row,
                "actions": {
                    "upload": {"href": f"{self.server.address}/put/{row['oid']}"}
                },
            }
            for row in json.loads(body)["objects"]
        ]
        return {"transfer": "basic", "objects": rows}

    def _commit(self, body):
        files = {}
        for row in map(json.loads, body.splitlines()):
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            else:
                self.server.commits.append(value["summary"])
        self.server.files |= files
        url = f"{self.server.address}/{REPO}/commit/{COMMIT}1"
        return {"commitUrl": url, "commitOid": f"{COMMIT}1", "success": True}

    def _body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status, content, headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


class _Hub(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.objects, self.created, self.commits = {}, {}, [], []
        self.address = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # Plain HTTP instead.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with _Hub() as hub_server:
        thread = threading.Thread(target=hub_server.serve_forever, daemon=True)
        thread.start()
        yield hub_server
        hub_server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def variables():
    model = vidjax.create_model(NAME, num_classes=3)
    return jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


@pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # Theirs.
def test_a_model_goes_to_the_hub_and_comes_back(server, variables):
    address = vidjax.push(
        REPO,
        NAME,
        variables,
        labels=("wave", "nod", "rest"),
        licence="mit",
        private=True,
        token="hf_none",
        endpoint=server.address,
    )
    assert address.endswith(f"/{REPO}/commit/{COMMIT}1")
    assert server.files.keys() == {"model.safetensors", "README.md"}
    assert server.created[0]["name"] == "waving"
    assert server.created[0].get("private") or "private" in str(server.created[0])
    assert server.commits == [f"Upload {NAME}"]
    page = server.files["README.md"].decode()
    assert page.startswith('---\nlibrary_name: "vidjax"\nlicense: "mit"\n')
    assert f'from_pretrained("{REPO}")' in page

    name, found = vidjax.from_pretrained(REPO, endpoint=server.address)
    assert name == NAME
    _same(found, variables)
    name, fresh = vidjax.from_pretrained(
        REPO, num_classes=7, head="reset", endpoint=server.address
    )
    assert fresh["params"]["logits"]["bias"].shape == (7,)


def test_what_the_hub_does_not_have_is_one_sentence(server):
    with pytest.raises(ValueError, match=r"else/where is no folder, and nothing came"):
        vidjax.from_pretrained("else/where", endpoint=server.address)
    with pytest.raises(ValueError, match=r"is no folder, and nothing came"):
        vidjax.from_pretrained(REPO, endpoint=server.address)
    with pytest.raises(ValueError, match=r"no folder, and nothing came.*a/b/c"):
        vidjax.from_pretrained("a/b/c", endpoint=server.address)


def test_a_model_goes_into_a_folder_and_comes_back(tmp_path, variables):
    folder = tmp_path / "models" / "waving"
    assert vidjax.push(folder, NAME, variables) == str(folder)
    assert {f.name for f in folder.iterdir()} == {"model.safetensors", "README.md"}
    for where in (folder, str(folder)):
        name, found = vidjax.from_pretrained(where)
        assert name == NAME
        _same(found, variables)
    metadata = read_metadata(folder / hub.FILE)
    assert metadata["classes"] == "3"
    assert json.loads(metadata["clip"])["num_frames"] == 8


def test_a_folder_without_a_model_or_of_another_model_is_refused(tmp_path, variables):
    with pytest.raises(ValueError, match=r"no model\.safetensors in"):
        vidjax.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no model\.safetensors in"):
        vidjax.from_pretrained("./nowhere")
    vidjax.push(tmp_path, NAME, variables)
    with pytest.raises(ValueError, match="variables of tsm_resnet_tiny, not of tsn_"):
        vidjax.from_pretrained(tmp_path, name="tsn_resnet_tiny")
    vidjax.save_variables(tmp_path / hub.FILE, variables)
    with pytest.raises(ValueError, match=r"does not say which model.*name="):
        vidjax.from_pretrained(tmp_path)
    _, found = vidjax.from_pretrained(tmp_path, name=NAME, num_classes=3)
    _same(found, variables)


def test_labels_must_be_as_many_as_the_classes(tmp_path, variables):
    with pytest.raises(ValueError, match="2 labels do not name 3 classes"):
        vidjax.push(tmp_path, NAME, variables, labels=("a", "b"))
    assert not list(pathlib.Path(tmp_path).iterdir())


def test_the_hub_without_its_library_says_how_to_get_it(monkeypatch, variables):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install \"vidjax\[hub\]\""):
        vidjax.push("user/name", NAME, variables)
    with pytest.raises(ImportError, match="huggingface_hub is needed"):
        vidjax.from_pretrained("user/name")
