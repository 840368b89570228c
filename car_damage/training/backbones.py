"""The table of backbones: how each is built, its stages, and its learning rate.

This module does not import Keras, so that `--help` is fast. `networks.py` builds the networks.
"""

from dataclasses import dataclass, replace

from car_damage.errors import UserError

HEAD = "head"  # the name of the classifier's last layer, and of the stage with only this layer


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    `application` is the function in `keras.applications`; None: a network of our own. `stages` maps
    each stage's name to the prefix of its first layer's name, in the order of the layers.
    `default_stage` and `learning_rate` (AdamW's peak) are the defaults of fine-tuning. The network
    ends with the layer `output`. The layer `embedding` has the features that best show whether a
    photo has a car (docs/experiments.md).
    """

    name: str
    application: str | None
    stages: dict[str, str]
    default_stage: str
    learning_rate: float
    output: str
    embedding: str

    @property
    def is_resnet(self) -> bool:
        """Whether it is a ResNet: pixels as in Caffe, and ordinary convolutions."""
        return self.application == "ResNet50"


RESNET50 = Backbone(  # He et al. 2016, https://arxiv.org/abs/1512.03385
    "resnet50",
    "ResNet50",
    stages={f"conv{number}": f"conv{number}_" for number in range(1, 6)},
    default_stage="conv4",
    learning_rate=1e-4,  # at 3e-4, ResNet-50 forgets its pre-training within one epoch
    output="conv5_block3_out",
    embedding="conv4_block3_out",
)
RESNET50_C4 = replace(  # cut as in Faster R-CNN's C4 (Ren et al. 2015)
    RESNET50,
    name="resnet50-c4",
    stages={f"conv{number}": f"conv{number}_" for number in range(1, 5)},
    default_stage="conv3",
    output="conv4_block6_out",
)
MOBILENETV2 = Backbone(  # Sandler et al. 2018, https://arxiv.org/abs/1801.04381
    "mobilenetv2",
    "MobileNetV2",
    stages={"stem": "Conv1"}
    | {f"block{number}": f"block_{number}_" for number in (1, 3, 6, 10, 13)}
    | {"top": "Conv_1"},
    default_stage="block6",
    learning_rate=3e-4,
    output="out_relu",
    embedding="block_13_expand_relu",
)
TINY = Backbone(
    "tiny",
    None,
    stages={f"conv{number}": f"conv{number}" for number in range(1, 6)},
    default_stage="conv1",
    learning_rate=4e-3,  # for drawn cars, from random values
    output="conv5_relu",
    embedding="conv5_relu",
)

BACKBONES = {each.name: each for each in (RESNET50, RESNET50_C4, MOBILENETV2, TINY)}
DEFAULT = RESNET50
SAMPLE_DEFAULT = MOBILENETV2  # small, so that a sample run takes only minutes


def named(name: str) -> Backbone:
    """The backbone with this name. Raises `UserError` if there is none."""
    if name not in BACKBONES:
        raise UserError(f"There is no backbone {name!r}. Choose one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]
