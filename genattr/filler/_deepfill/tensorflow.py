"""DeepFill-v1 in TensorFlow 2, from the same checkpoint: a check of the PyTorch network.

Written with TensorFlow's own operations, padding and resizing included; only the list of layers is
shared. Images are (B, H, W, C) here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genattr.assets.tensorflow import tensorflow
from genattr.filler._deepfill.contextual_attention import LEAST_NORM, OVERLAP, SOFTMAX_SCALE
from genattr.filler._deepfill.network import PARTS, Layer

Array = NDArray[np.float32]


def load(prefix: Path) -> Callable[[Array, Array], Array]:
    """Return the network as a function of (B, H, W, 3) images and (B, H, W, 1) holes.

    Parameters
    ----------
    prefix
        Of the checkpoint's files, which are trusted: verify them first.
    """
    tf = tensorflow("filler.backend=tensorflow")
    network = Network(tf, prefix)
    spec = [tf.TensorSpec([None, None, None, channels], tf.float32) for channels in (3, 1)]
    graph = tf.function(network, input_signature=spec)
    return lambda image, hole: np.array(graph(tf.constant(image), tf.constant(hole)))


class Network:
    """The network with the variables of a checkpoint.

    Parameters
    ----------
    tf
        TensorFlow.
    prefix
        Of the checkpoint's files.
    """

    def __init__(self, tf: Any, prefix: Path) -> None:
        self._tf = tf
        reader = tf.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map()
        self._variables = {
            name: tf.constant(reader.get_tensor(name))
            for name in names
            if name.startswith("inpaint_net/") and name.endswith(("kernel", "bias"))
        }

    def __call__(self, image: Any, hole: Any) -> Any:
        """Fill holes; see ``DeepFillNetwork.forward``."""
        tf = self._tf
        visible = image * (1 - hole)
        guess = self._run("coarse", self._with_hole(visible, hole))
        guessed = self._with_hole(tf.clip_by_value(guess, -1, 1) * hole + visible, hole)
        matched = self._run("matched", guessed)
        copied = self._run("copied", self._attend(matched, self._shrink(hole, 4)))
        refined = self._run("fine", tf.concat([self._run("imagined", guessed), copied], axis=3))
        return tf.clip_by_value(refined, -1, 1) * hole + visible

    def _with_hole(self, image: Any, hole: Any) -> Any:
        return self._tf.concat([image, self._tf.ones_like(hole), hole], axis=3)

    def _run(self, part: str, features: Any) -> Any:
        for layer in PARTS[part][1]:
            features = self._convolve(layer, features)
        return features

    def _convolve(self, layer: Layer, features: Any) -> Any:
        tf, scope = self._tf, f"inpaint_net/{layer.name}"
        if layer.doubled:
            scope = f"{scope}/{layer.name}_conv"
            features = self._resize(features, tf.shape(features)[1:3] * 2)
        features = tf.nn.conv2d(
            features,
            self._variables[f"{scope}/kernel"],
            layer.stride,
            "SAME",
            dilations=layer.dilation,
        )
        features = tf.nn.bias_add(features, self._variables[f"{scope}/bias"])
        return {"elu": tf.nn.elu, "relu": tf.nn.relu, "none": tf.identity}[layer.activation](
            features
        )

    def _resize(self, features: Any, size: Any) -> Any:
        raw = self._tf.raw_ops.ResizeNearestNeighbor
        return raw(images=features, size=size, align_corners=True)

    def _shrink(self, features: Any, factor: int) -> Any:
        return self._resize(features, self._tf.shape(features)[1:3] // factor)

    def _attend(self, features: Any, hole: Any) -> Any:
        """Run contextual attention row by row, as the authors' graph does."""
        tf = self._tf
        keys = self._patches(self._shrink(features, 2), 3, 1)
        lengths = tf.sqrt(tf.reduce_sum(keys**2, axis=3, keepdims=True))
        inputs = (
            keys,
            keys / tf.maximum(lengths, LEAST_NORM),
            self._patches(features, 4, 2),
            self._patches(self._shrink(hole, 2), 3, 1),
        )
        result = tf.TensorSpec([None, None, features.shape[3]], tf.float32)
        return tf.map_fn(
            lambda row: self._attend_one(*row),
            inputs,
            fn_output_signature=result,
            parallel_iterations=1,
        )

    def _patches(self, features: Any, side: int, stride: int) -> Any:
        sides, strides = [1, side, side, 1], [1, stride, stride, 1]
        return self._tf.image.extract_patches(features, sides, strides, [1, 1, 1, 1], "SAME")

    def _attend_one(self, queries: Any, keys: Any, pieces: Any, removed: Any) -> Any:
        """Rebuild one row; its patches are (h, w, values)."""
        tf = self._tf
        shape = tf.shape(queries)
        height, width, count = shape[0], shape[1], shape[0] * shape[1]
        flat = [tf.reshape(part, [count, part.shape[2]]) for part in (queries, keys, pieces)]
        usable_keys = tf.cast(
            tf.reduce_max(tf.reshape(removed, [1, count, 9]), axis=2) == 0, tf.float32
        )
        scores = self._fuse(tf.matmul(flat[0], flat[1], transpose_b=True), height, width)
        weights = tf.nn.softmax(scores * usable_keys * SOFTMAX_SCALE, axis=1) * usable_keys
        channels = pieces.shape[2] // 16
        return tf.nn.conv2d_transpose(
            tf.reshape(weights, [1, height, width, count]),
            tf.transpose(tf.reshape(flat[2], [count, 4, 4, channels]), [1, 2, 3, 0]),
            tf.stack([1, 2 * height, 2 * width, channels]),
            2,
            "SAME",
        )[0] / OVERLAP  # fmt: skip

    def _fuse(self, scores: Any, height: Any, width: Any) -> Any:
        tf = self._tf
        count = height * width
        for sides in ((height, width), (width, height)):
            diagonal = tf.reshape(tf.eye(3), [3, 3, 1, 1])
            image = tf.reshape(scores, [1, count, count, 1])
            summed = tf.nn.conv2d(image, diagonal, 1, "SAME")
            grid = tf.reshape(summed, [*sides, *sides])
            scores = tf.reshape(tf.transpose(grid, [1, 0, 3, 2]), [count, count])
        return scores
