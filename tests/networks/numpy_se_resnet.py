"""An SE-ResNet in NumPy, straight from tensors with timm's names: slow and plain."""

from collections.abc import Mapping, Sequence

import numpy as np

Tensors = Mapping[str, np.ndarray]
REDUCTION = 16


def last_map(tensors: Tensors, image: np.ndarray, repeats: Sequence[int]) -> np.ndarray:
    """Returns the last map, `[channels, h, w]`, of one image `[size, size, 3]`."""
    x = convolve(image.transpose(2, 0, 1), tensors["conv1.weight"], 2)
    x = np.maximum(normalise(tensors, "bn1", x), 0.0)
    x = np.max([view for _, _, view in shifted(x, 3, 2, -np.inf)], axis=0)
    for stage, number in enumerate(repeats):
        for block in range(number):
            x = bottleneck(tensors, f"layer{stage + 1}.{block}", x, 2 if stage and not block else 1)
    return x


def bottleneck(tensors: Tensors, name: str, x: np.ndarray, stride: int) -> np.ndarray:
    skip = x
    for number, step in ((1, 1), (2, stride), (3, 1)):
        x = convolve(x, tensors[f"{name}.conv{number}.weight"], step)
        x = normalise(tensors, f"{name}.bn{number}", x)
        x = np.maximum(x, 0.0) if number < 3 else x
    weights, biases = (
        [tensors[f"{name}.se.fc{i}.{part}"] for i in (1, 2)] for part in ("weight", "bias")
    )
    hidden = np.maximum(weights[0][:, :, 0, 0] @ x.mean((1, 2)) + biases[0], 0.0)
    shares = 1.0 / (1.0 + np.exp(-(weights[1][:, :, 0, 0] @ hidden + biases[1])))
    x = x * shares[:, None, None]
    if f"{name}.downsample.0.weight" in tensors:
        skip = convolve(skip, tensors[f"{name}.downsample.0.weight"], stride)
        skip = normalise(tensors, f"{name}.downsample.1", skip)
    return np.maximum(x + skip, 0.0)


def shifted(x: np.ndarray, kernel: int, stride: int, filled: float = 0.0):
    """Yields (row, column, view): what each place of a kernel sees, padded as PyTorch does."""
    around = (kernel // 2, kernel // 2)
    padded = np.pad(x, ((0, 0), around, around), constant_values=filled)
    cells = (padded.shape[1] - kernel) // stride + 1
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + (cells - 1) * stride + 1, stride)
            columns = slice(column, column + (cells - 1) * stride + 1, stride)
            yield row, column, padded[:, rows, columns]


def convolve(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """Weights `[out, in / groups, k, k]`; the groups follow from the shapes."""
    groups = x.shape[0] // weights.shape[1]
    parts = zip(np.split(x, groups), np.split(weights, groups), strict=True)
    return np.concatenate(
        [
            np.sum(
                [
                    np.tensordot(part_weights[:, :, i, j], view, 1)
                    for i, j, view in shifted(part, weights.shape[2], stride)
                ],
                axis=0,
            )
            for part, part_weights in parts
        ]
    )


def normalise(tensors: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    weight, bias, mean, variance = (
        tensors[f"{name}.{part}"][:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def random_tensors(
    rng: np.random.Generator,
    repeats: Sequence[int],
    channels: Sequence[int],
    width: int,
    groups: int,
) -> dict[str, np.ndarray]:
    """Returns tensors of the shapes and names of a file of timm, at random."""
    tensors: dict[str, np.ndarray] = {"fc.weight": rng.normal(size=(1000, channels[-1]))}

    def add(convolution: str, normalization: str, *shape: int) -> None:
        tensors[f"{convolution}.weight"] = rng.normal(0.0, (2.0 / np.prod(shape[1:])) ** 0.5, shape)
        for part in ("weight", "running_var"):
            tensors[f"{normalization}.{part}"] = rng.uniform(0.8, 1.2, shape[0])
        for part in ("bias", "running_mean"):
            tensors[f"{normalization}.{part}"] = rng.normal(0.0, 0.1, shape[0])

    add("conv1", "bn1", 64, 3, 7, 7)
    inputs = 64
    for stage, (number, outputs) in enumerate(zip(repeats, channels, strict=True)):
        inner = width * 2**stage
        for block in range(number):
            name = f"layer{stage + 1}.{block}"
            add(f"{name}.conv1", f"{name}.bn1", inner, inputs, 1, 1)
            add(f"{name}.conv2", f"{name}.bn2", inner, inner // groups, 3, 3)
            add(f"{name}.conv3", f"{name}.bn3", outputs, inner, 1, 1)
            squeezed = outputs // REDUCTION
            for layer, shape in (("fc1", (squeezed, outputs)), ("fc2", (outputs, squeezed))):
                tensors[f"{name}.se.{layer}.weight"] = rng.normal(size=(*shape, 1, 1))
                tensors[f"{name}.se.{layer}.bias"] = rng.normal(size=shape[0])
            if not block:
                add(f"{name}.downsample.0", f"{name}.downsample.1", outputs, inputs, 1, 1)
            inputs = outputs
    return {name: value.astype(np.float32) for name, value in tensors.items()}
