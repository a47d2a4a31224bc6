"""The graph of our network as an ONNX model, made from its weights alone and fit for frames of any size.

It computes what `networks.despeckler.Despeckler` computes, with two exact changes of form that make it leaner:

- Padding to a multiple of the side is left to the caller (`padded`, `side_multiple`), so that no layer copies a frame.
- The last convolution acts at full resolution behind a pixel shuffle. The same sums are taken by a convolution at the
  folded resolution in front of the shuffle (`in_front_of_shuffle`), which then moves one channel only.

ONNX operators: https://onnx.ai/onnx/operators, opset 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

Float32 = npt.NDArray[np.float32]
Weights = Mapping[str, Float32]

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "frames", "despeckled"
FORM = "4"
"""Changes whenever this module makes another graph of the same weights, so that graphs of before are not used."""


def side_multiple(weights: Weights) -> int:
    """Return the number of pixels that each side of a frame must be a multiple of."""
    return int(_fold(weights) * 2 ** _levels(weights))


def padded(frames_nyx: Float32, multiple: int) -> Float32:
    """Return frames (N, Y, X) extended at their end by replication until both sides are multiples of a number."""
    pad_y, pad_x = (-side % multiple for side in frames_nyx.shape[1:])
    if not (pad_y or pad_x):
        return np.ascontiguousarray(frames_nyx, np.float32)
    return np.pad(frames_nyx, ((0, 0), (0, pad_y), (0, pad_x)), mode="edge")


def despeckler_graph(weights: Weights) -> onnx.ModelProto:
    """Make the ONNX model of our network.

    Parameters
    ----------
    weights
        Its state dict as arrays.

    Returns
    -------
    onnx.ModelProto
        Input `INPUT` and output `OUTPUT`, both float32 of shape (N, 1, Y, X) with sides as `side_multiple` says.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    layers = _Layers(weights)
    fold = _fold(weights)
    features = layers.add("SpaceToDepth", [INPUT], blocksize=fold)
    features = layers.convolution(features, "head")
    skips: list[str] = []
    levels = _levels(weights)
    for level in range(levels):
        features = layers.stage(features, f"encoder.{level}")
        skips.append(features)
        features = layers.convolution(features, f"down.{level}", stride=2)
    features = layers.stage(features, "middle")
    for level in reversed(range(levels)):
        features = layers.convolution(features, f"up.{level}", stride=2, kind="ConvTranspose")
        features = layers.stage(layers.add("Add", [features, skips.pop()]), f"decoder.{level}")
    features = layers.convolution(features, "tail")
    layers.constants["last.weight"] = in_front_of_shuffle(weights["last.weight"], fold)
    layers.constants["last.bias"] = np.repeat(weights["last.bias"], fold**2)
    features = layers.convolution(features, "last")
    layers.add("DepthToSpace", [features], output=OUTPUT, blocksize=fold)

    shape = ["n", 1, "y", "x"]
    graph = helper.make_graph(
        layers.nodes,
        "despeckler",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in layers.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def in_front_of_shuffle(kernel: Float32, fold: int) -> Float32:
    """Turn a 3 x 3 kernel (1, C, 3, 3) behind a pixel shuffle into one in front of it, (fold^2, fold^2 C, 3, 3).

    Output pixel fold Y + i and tap d of the kernel meet at row Y + floor((i + d) / fold) of the channel that the
    shuffle puts at offset (i + d) mod fold; the same for columns. Zero padding means the same pixels in both forms.
    """
    channels = kernel.shape[1]
    moved = np.zeros((fold, fold, channels, fold, fold, 3, 3), kernel.dtype)
    for i, j, dy, dx in np.ndindex(fold, fold, 3, 3):
        (row, sub_y), (column, sub_x) = divmod(i + dy - 1, fold), divmod(j + dx - 1, fold)
        moved[i, j, :, sub_y, sub_x, row + 1, column + 1] = kernel[0, :, dy, dx]
    return moved.reshape(fold**2, fold**2 * channels, 3, 3)


def _fold(weights: Weights) -> int:
    """Side of the squares of pixels that become channels."""
    return int(np.sqrt(weights["head.weight"].shape[1]))


def _levels(weights: Weights) -> int:
    return sum(name.startswith("down.") and name.endswith(".weight") for name in weights)


class _Layers:
    """Nodes and constants of a graph that grows."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Float32] = {}
        self._weights = weights

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        """Add a node; return the name of its output."""
        from onnx import helper

        output = output or f"{len(self.nodes)}.{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, features: str, layer: str, *, stride: int = 1, kind: str = "Conv", groups: int = 1) -> str:
        """Add a layer with its own weights: odd kernels with zero padding, or 2 x 2 with stride 2 and none."""
        names = [f"{layer}.weight", f"{layer}.bias"]
        for name in names:
            self.constants.setdefault(name, self._weights[name])
        side = int(self.constants[names[0]].shape[-1])
        return self.add(
            kind,
            [features, *names],
            output=layer,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[(side - 1) // 2] * 4,
            group=groups,
        )

    def stage(self, features: str, stage: str) -> str:
        """Add the residual blocks of a stage: two convolutions with a ReLU between them, beside an identity.

        The first may connect its channels in groups; it has as many outputs as inputs, so its kernel tells the groups.
        """
        blocks = {name.split(".")[stage.count(".") + 1] for name in self._weights if name.startswith(f"{stage}.")}
        for block in sorted(blocks, key=int):
            outputs, of_group = self._weights[f"{stage}.{block}.first.weight"].shape[:2]
            first = self.convolution(features, f"{stage}.{block}.first", groups=outputs // of_group)
            inner = self.add("Relu", [first])
            change = self.convolution(inner, f"{stage}.{block}.second")
            features = self.add("Add", [features, change])
        return features
