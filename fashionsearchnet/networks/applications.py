"""Networks of keras.applications as trunks. Keras fetches and keeps their ImageNet weights."""

import functools
from collections.abc import Callable, Mapping

import keras

from fashionsearchnet.networks.architecture import IMAGENET, Architecture
from fashionsearchnet.networks.image_input import ImageInput

# What each network subtracts and divides by, of red, green and blue.
_CAFFE_INPUT = functools.partial(ImageInput, channels="bgr", mean=(123.68, 116.779, 103.939))
_SYMMETRIC_INPUT = functools.partial(
    ImageInput, mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5)
)
_TORCH_INPUT = functools.partial(
    ImageInput,
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    scale=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)
_NOTOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_WEIGHTS_SIZE = 224  # MobileNetV2 has other files for other sizes


class Application(Architecture):
    """A network of keras.applications without its classifier."""

    def __init__(
        self,
        name: str,
        constructor: Callable[..., keras.Model],
        image_input: Callable[[int], ImageInput],
        weights_name: str,
        taps: Mapping[str, str],
        pooled_taps: tuple[str, ...] = ("stride4", "stride16", "stride32"),
        least_size: int = 32,
    ):
        """Describes one network.

        Args:
          name: its key.
          constructor: the function of keras.applications.
          image_input: what its ImageNet weights were trained on, for a size.
          weights_name: the file of these weights in Keras' cache.
          taps: see `Architecture`; the last one is the default.
          pooled_taps: see `Architecture`.
          least_size: the least that `constructor` takes.
        """
        self.name = name
        self.taps = taps
        self.default_tap = list(taps)[-1]
        self.pooled_taps = pooled_taps
        self.least_size = least_size
        self._constructor = constructor
        self._image_input = image_input
        self._weights_name = weights_name

    def build(self, image_size: int) -> keras.Model:
        return self._build(image_size, None)

    def image_input(self, size: int) -> ImageInput:
        return self._image_input(size)

    def load_imagenet(self, model: keras.Model) -> None:
        try:
            trained = self._build(_WEIGHTS_SIZE, IMAGENET)
        except Exception as error:  # Keras raises no narrower one when a download fails
            raise FileNotFoundError(
                f"the ImageNet weights of {self.name} cannot be read or fetched "
                f"({str(error).splitlines()[0]}); put the file {self._weights_name} into "
                "~/.keras/models."
            ) from error
        model.set_weights(trained.get_weights())

    def _build(self, image_size: int, weights: str | None) -> keras.Model:
        shape = (image_size, image_size, 3)
        return self._constructor(include_top=False, weights=weights, input_shape=shape)


def _halvings(*prefixes: str) -> dict[str, str]:
    """Returns the taps at the ends of the five parts between which a network halves its maps."""
    return {f"stride{2**i}": prefix for i, prefix in enumerate(prefixes, start=1)}


def _efficientnet(number: int) -> Application:
    """EfficientNetV2-B<number>; the ImageInput takes the place of its own first two layers."""
    constructor = getattr(keras.applications, f"EfficientNetV2B{number}")
    return Application(
        f"efficientnet_v2_b{number}",
        functools.partial(constructor, include_preprocessing=False),
        _TORCH_INPUT,
        f"efficientnetv2-b{number}_notop.h5",
        _halvings("block1", "block2", "block3", "block5", "top_act"),
    )


APPLICATIONS = {
    application.name: application
    for application in (
        Application(
            "resnet50",
            keras.applications.ResNet50,
            _CAFFE_INPUT,
            f"resnet50{_NOTOP}",
            {f"layer{i}": f"conv{i + 1}_" for i in range(1, 5)},  # C2 to C5
            ("layer1", "layer3", "layer4"),
        ),
        Application(
            "densenet121",
            keras.applications.DenseNet121,
            _TORCH_INPUT,
            f"densenet121{_NOTOP}",
            _halvings("conv1_relu", "pool2_relu", "pool3_relu", "pool4_relu", "relu"),
        ),
        Application(
            "inception_resnet_v2",
            keras.applications.InceptionResNetV2,
            _SYMMETRIC_INPUT,
            f"inception_resnet_v2{_NOTOP}",
            # Keras numbers the layers of the lower maps, so their names differ between models.
            {"stride8": "block35_10_ac", "stride16": "block17_20_ac", "stride32": "conv_7b_ac"},
            ("stride8", "stride16", "stride32"),
            least_size=75,
        ),
        Application(
            "mobilenet_v2",
            keras.applications.MobileNetV2,
            _SYMMETRIC_INPUT,
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            _halvings("expanded_conv_", "block_2_", "block_5_", "block_12_", "out_relu"),
        ),
        *(_efficientnet(number) for number in range(4)),
    )
}
