"""EfficientNet-Lite in NumPy, straight from the tensors of its file: slow and plain."""

from collections.abc import Mapping

import numpy as np

# Repeats, kernel, stride, expansion, channels.
LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE1 = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 40),
    (4, 3, 2, 6, 80),
    (4, 5, 1, 6, 112),
    (5, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LITE2 = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
Tensors = Mapping[str, np.ndarray]


def logits(tensors: Tensors, image: np.ndarray, stages=LITE0) -> np.ndarray:
    """Returns the 1000 logits of one image `[size, size, 3]`, values (pixel - 127) / 128."""
    return tensors["_fc.weight"] @ head(tensors, image, stages).mean((1, 2)) + tensors["_fc.bias"]


def head(tensors: Tensors, image: np.ndarray, stages=LITE0) -> np.ndarray:
    """Returns the last map, `[1280, h, w]`."""
    x = convolve(image.transpose(2, 0, 1), tensors["_conv_stem.weight"], 2)
    x = relu6(normalise(tensors, "_bn0", x))
    index = 0
    for repeats, kernel, stride, expansion, channels in stages:
        for repeat in range(repeats):
            name, inputs = f"_blocks.{index}", x
            if expansion > 1:
                x = convolve(x, tensors[f"{name}._expand_conv.weight"], 1)
                x = relu6(normalise(tensors, f"{name}._bn0", x))
            weights = tensors[f"{name}._depthwise_conv.weight"]
            assert weights.shape == (x.shape[0], 1, kernel, kernel)
            x = convolve_each(x, weights[:, 0], stride if repeat == 0 else 1)
            x = relu6(normalise(tensors, f"{name}._bn1", x))
            x = convolve(x, tensors[f"{name}._project_conv.weight"], 1)
            x = normalise(tensors, f"{name}._bn2", x)
            assert x.shape[0] == channels
            if repeat:
                x = x + inputs
            index += 1
    x = convolve(x, tensors["_conv_head.weight"], 1)
    return relu6(normalise(tensors, "_bn1", x))


def shifted(x: np.ndarray, kernel: int, stride: int):
    """Yields (row, column, view): what each place of a kernel sees, padded as TensorFlow does."""
    size = x.shape[1]
    cells = -(-size // stride)
    missing = max((cells - 1) * stride + kernel - size, 0)
    padding = (missing // 2, missing - missing // 2)
    padded = np.pad(x, ((0, 0), padding, padding))
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + (cells - 1) * stride + 1, stride)
            columns = slice(column, column + (cells - 1) * stride + 1, stride)
            yield row, column, padded[:, rows, columns]


def convolve(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """Weights `[out, in, k, k]`."""
    places = shifted(x, weights.shape[2], stride)
    return np.sum([np.tensordot(weights[:, :, i, j], view, 1) for i, j, view in places], 0)


def convolve_each(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """Weights `[channels, k, k]`, one kernel per channel."""
    places = shifted(x, weights.shape[2], stride)
    return np.sum([weights[:, i, j, None, None] * view for i, j, view in places], 0)


def normalise(tensors: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    weight, bias, mean, variance = (
        tensors[f"{name}.{part}"][:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0.0, 6.0)


def random_tensors(rng: np.random.Generator, stages=LITE0) -> dict[str, np.ndarray]:
    """Returns tensors of the shapes and names of the file, small at random."""
    tensors: dict[str, np.ndarray] = {}

    def add(convolution: str, normalization: str, *shape: int) -> None:
        deviation = (2.0 / np.prod(shape[1:])) ** 0.5
        tensors[f"{convolution}.weight"] = rng.normal(0.0, deviation, shape)
        for part in ("weight", "running_var"):
            tensors[f"{normalization}.{part}"] = rng.uniform(0.8, 1.2, shape[0])
        for part in ("bias", "running_mean"):
            tensors[f"{normalization}.{part}"] = rng.normal(0.0, 0.1, shape[0])
        tensors[f"{normalization}.num_batches_tracked"] = np.asarray([5], np.int64)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    index, inputs = 0, 32
    for repeats, kernel, _, expansion, channels in stages:
        for _ in range(repeats):
            name, inner = f"_blocks.{index}", inputs * expansion
            if expansion > 1:
                add(f"{name}._expand_conv", f"{name}._bn0", inner, inputs, 1, 1)
            add(f"{name}._depthwise_conv", f"{name}._bn1", inner, 1, kernel, kernel)
            add(f"{name}._project_conv", f"{name}._bn2", channels, inner, 1, 1)
            index, inputs = index + 1, channels
    add("_conv_head", "_bn1", 1280, inputs, 1, 1)
    tensors["_fc.weight"] = rng.normal(0.0, 0.05, (1000, 1280))
    tensors["_fc.bias"] = rng.normal(0.0, 0.1, 1000)
    return {
        name: value if value.dtype == np.int64 else value.astype(np.float32)
        for name, value in tensors.items()
    }
