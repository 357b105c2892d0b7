"""A transformer with int8 weights, run by ONNX Runtime: made once on this machine, kept in a folder, the same numbers for each token.

Weights are rounded for each output by itself (per channel), activations as they come. It needs the packages onnx and
onnxruntime: pip install 'shopbot[onnx]'. `python -m benchmarks.embedding` measures what it gains and what it costs in quality.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.vector_cache import fingerprint
from shopbot.errors import ModelError, UsageError

FORMAT = 1
"""Raised where what is made below changes, so that files of an older release are not taken."""

SAME_COSINE = 0.9
"""Below it the export is not the model: rounding alone leaves 0.97 and more."""

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TRIED = ("a", "When does a parcel arrive that was sent today?", "One sentence, and another. " * 12)


def default_folder() -> Path:
    """Where exported models are kept."""
    return Path.home() / ".cache" / "shopbot" / "onnx"


def use_int8(model: Any, weights: Path, folder: Path | None = None) -> None:
    """Let the transformer of a SentenceTransformer run in int8; `weights` is the folder that it was loaded from.

    The file is made in `folder` where it is not there yet, in seconds. Raises ModelError where a package is missing or the
    model cannot be exported, and UsageError where it has no transformer.
    """
    transformer = model[0]
    if type(transformer).__name__ != "Transformer":
        raise UsageError(
            "int8 is for models with a transformer, and this one has none: take float32, which is as fast for it."
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise _packages_missing() from error
    path = (folder if folder is not None else default_folder()) / f"{fingerprint(weights)[:24]}-{FORMAT}.onnx"
    session = _session(path, onnxruntime) if path.is_file() else None
    if session is None:
        _make(model, path, onnxruntime)
        session = _session(path, onnxruntime)
    if session is None:
        raise ModelError(f"{path} was just made and cannot be read; delete it and try again.")
    transformer.forward = _Forward(session)
    _inner(transformer).to("meta")  # frees the float32 weights


class _Forward:
    """What stands in for the transformer's `forward`: tokens in, a vector for each out."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = [given.name for given in session.get_inputs()]

    def __call__(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        import torch

        given = {name: features[name].numpy() for name in self._inputs if name in features}
        if "token_type_ids" in self._inputs and "token_type_ids" not in given:
            given["token_type_ids"] = np.zeros_like(given["input_ids"])
        features["token_embeddings"] = torch.from_numpy(self._session.run(None, given)[0])
        return features


def _session(path: Path, onnxruntime: Any) -> Any:
    """A session with as many threads as torch has; None where the file is damaged."""
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the processor is shared with the shop
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (RuntimeError, ValueError, onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf):
        return None


def _make(model: Any, path: Path, onnxruntime: Any) -> None:
    """Export, round, compare with the model in float32, and only then put the file in its place, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as temporary:
        rounded = Path(temporary, "int8.onnx")
        try:
            _export(model, Path(temporary), rounded)
        except ImportError as error:
            raise _packages_missing() from error
        except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"the model cannot be exported to ONNX ({reason}); take bfloat16 or float32.") from error
        session = _session(rounded, onnxruntime)
        likeness = 0.0 if session is None else _likeness(model, session)
        if likeness < SAME_COSINE:
            raise ModelError(
                f"in int8 the model is not the same any more (a cosine of {likeness:.2f}); take bfloat16 or float32."
            )
        rounded.replace(path)


def _export(model: Any, folder: Path, rounded: Path) -> None:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    tokens: Mapping[str, Any] = model.tokenizer(list(_TRIED), padding=True, truncation=True, return_tensors="pt")
    names = [name for name in _INPUTS if name in tokens]
    free = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer's, about shapes; `_likeness` compares other shapes
        torch.onnx.export(
            _traced(_inner(model[0]), names),
            tuple(tokens[name] for name in names),
            str(folder / "plain.onnx"),
            input_names=names,
            output_names=["token_embeddings"],
            dynamic_axes=dict.fromkeys((*names, "token_embeddings"), free),
            opset_version=17,
            dynamo=False,  # the other exporter needs two more packages
        )
    quant_pre_process(
        str(folder / "plain.onnx"), str(folder / "shapes.onnx"), skip_optimization=True, skip_symbolic_shape=True
    )
    quantize_dynamic(
        folder / "shapes.onnx",
        rounded,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )


def _traced(inner: Any, names: list[str]) -> Any:
    """The transformer with its inputs in order and one output, as the exporter wants it."""
    import torch

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *given: Any) -> Any:
            return self.inner(**dict(zip(names, given, strict=True))).last_hidden_state

    return Traced().eval()  # the exporter puts back what it finds, and training would drop some tokens


def _likeness(model: Any, session: Any) -> float:
    """The least cosine between texts in float32 and in int8, each text by itself, so in shapes that were not exported."""
    import torch

    transformer = model[0]
    forward = _Forward(session)
    least = 1.0
    for text in _TRIED:
        tokens = model.tokenizer([text], truncation=True, return_tensors="pt")
        with torch.inference_mode():
            right = transformer(dict(tokens))["token_embeddings"][0].float().mean(dim=0)
        found = forward(dict(tokens))["token_embeddings"][0].mean(dim=0)
        least = min(least, float(torch.nn.functional.cosine_similarity(right, found, dim=0)))
    return least


def _inner(transformer: Any) -> Any:
    """The model of transformers inside sentence-transformers' module, which was called auto_model before 6.0."""
    return transformer._modules.get("model", transformer._modules.get("auto_model"))


def _packages_missing() -> ModelError:
    return ModelError("int8 needs the packages onnx and onnxruntime: pip install 'shopbot[onnx]'")
