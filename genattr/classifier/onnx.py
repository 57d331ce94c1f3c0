"""A network from an ONNX file, run by ONNX Runtime on the CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from genattr.assets.weights import files_hash
from genattr.classifier.runtime import ANY, Layout, Port, Run, RuntimeClassifier, only
from genattr.errors import UserError

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
NUMBERS = re.compile(r"tensor\((?!string).*\)")
LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)  # and the name's length


@dataclass(frozen=True, kw_only=True)
class OnnxClassifier(RuntimeClassifier):
    """An ONNX file: normalized images to one output, or to several by name.

    Sizes, layout and the number of rows at once come from the file. It runs with as many threads
    as PyTorch has. Files with the weights, which large models have beside them, count for the
    fingerprint. No libraries of custom operations are loaded.
    """

    usual_layout: ClassVar[Layout] = "nchw"

    extra: ClassVar[str] = "onnx"

    def open(self) -> tuple[Run, Port]:
        session = self._session()
        inputs = session.get_inputs()
        given = only(inputs, [one.name for one in inputs], self.path)
        outputs = [one.name for one in session.get_outputs() if NUMBERS.fullmatch(one.type)]
        if given.type not in TYPES:
            raise UserError(f"classifier.path={self.path}: its input is {given.type}, no image")

        def run(batch: Any) -> dict[str, Any]:
            return dict(zip(outputs, session.run(outputs, {given.name: batch}), strict=True))

        sizes = [size if isinstance(size, int) and size > 0 else None for size in given.shape]
        return run, Port(sizes or ANY, TYPES[given.type])

    def _session(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("classifier=onnx needs pip install 'genattr[onnx]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors, which are told as exceptions anyway
        return onnxruntime.InferenceSession(
            str(self.file), options, providers=["CPUExecutionProvider"]
        )

    def hash_of(self, network: nn.Module) -> str:
        """Hash the file, and those with its weights."""
        return files_hash(self.file, *weight_files(self.file))


def weight_files(file: Path) -> Sequence[Path]:
    """Find the files beside an ONNX file that hold its weights.

    They are the values of the entries ``location`` of protocol buffers, in their usual encoding.
    """
    content = file.read_bytes()
    names = {content[m.end() : m.end() + m[1][0]] for m in LOCATION.finditer(content)}
    paths = [file.parent / name.decode(errors="replace") for name in sorted(names)]
    return [path for path in paths if path.is_file()]
