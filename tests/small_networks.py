"""The input and the trunk of networks that are quickly built."""

from typing import Any

from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.image_input import ImageInput


def network(
    image_size: int = 40,
    first_stride: int = 2,
    width: float = 0.05,
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5),
    **trunk: Any,
) -> dict[str, Any]:
    """Returns the arguments `image_input` and `trunk` of a system."""
    return {
        "image_input": ImageInput(image_size, mean=mean),
        "trunk": Trunk(first_stride=first_stride, width=width, **trunk),
    }
