"""How precisely, and how repeatably, a process computes."""

import keras
import tensorflow as tf

from fashionsearchnet.checks import check_choice
from fashionsearchnet.choices import PRECISIONS
from fashionsearchnet.networks import kernels


def set_arithmetic(precision: str, *, deterministic: bool = False) -> None:
    """Sets the precision of the models that this process builds from now on.

    Losses, distances, maps and boxes are float32 in each. A GPU shortens the factors of float32
    products to 11 bits in tensor_float_32 only; by default TensorFlow would do so everywhere.

    Args:
      precision: one of `choices.PRECISIONS`.
      deterministic: whether the same command gives the same weights on a GPU of the same kind, too.
        It cannot be switched off again.

    Raises:
      ValueError: for an unknown precision, or a deterministic run in tensor_float_32.
    """
    check_choice("precision", precision, PRECISIONS)
    is_short = precision == "tensor_float_32"
    if deterministic and is_short:
        raise ValueError(
            "deterministic runs have no precision tensor_float_32: which products are shortened "
            "depends on the kernels that a GPU chooses. Use float32 or a mixed precision."
        )
    tf.config.experimental.enable_tensor_float_32_execution(is_short)
    keras.mixed_precision.set_dtype_policy("float32" if is_short else precision)
    if deterministic:
        kernels.make_deterministic()


def compute_whole_products() -> None:
    """Ends tensor_float_32: from now on a GPU shortens no factor of a float32 product."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
