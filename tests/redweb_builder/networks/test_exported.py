"""Network files of strangers: what onnxruntime says of one is raised, and not printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.networks.exported import ONNX, load_exported

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

CPU = torch.device("cpu")


def test_names_in_a_file_do_not_reach_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """onnxruntime's log has the names of nodes as they are: this one sets the title of the window."""
    make = onnx.helper
    x, y = (make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    to = make.make_node("Reshape", ["x", "shape"], ["y"], name="\x1b]0;owned\x07")
    shape = onnx.numpy_helper.from_array(np.array([7]), "shape")
    model = make.make_model(make.make_graph([to], "g", [x], [y], [shape]), opset_imports=[make.make_opsetid("", 17)])
    model.ir_version = 8
    file = tmp_path / "a.onnx"
    file.write_bytes(model.SerializeToString())
    network = load_exported(file, ONNX, CPU)
    with pytest.raises(Exception, match="owned"):
        network.run([np.zeros((1, 3, 4, 4), np.float32)])
    if tuple(map(int, runtime.__version__.split(".")[:2])) < (1, 25):
        pytest.skip("this onnxruntime, of Python 3.10, ends the process at a tensor that lies about its size")
    lies = onnx.TensorProto(name="shape", data_type=onnx.TensorProto.INT64, dims=[1 << 31, 1 << 31], raw_data=b"1234")
    model.graph.initializer[0].CopyFrom(lies)
    file.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsUnavailable):
        load_exported(file, ONNX, CPU)
    assert capfd.readouterr() == ("", "")
