"""The backbones in one table: how each is built, where its stages begin, how fast it learns.

It imports no Keras, so that `--help` can list the names at once; `networks.py` builds them.
"""

from dataclasses import dataclass, replace

from car_damage.errors import UserError

HEAD = "head"  # the name of the classifier's last layer, and of the stage that is it alone


@dataclass(frozen=True)
class Backbone:
    """One line of the table.

    `application` is its function in `keras.applications`; None: it is our own. `stages` maps each
    stage's name to the prefix of its first layer's name, in the order of the layers. Fine-tuning
    begins at `default_stage`, with `learning_rate` as AdamW's peak, unless the user says otherwise.
    The network is cut after the layer `output`; the features of the layer `embedding` best show
    that a photo has no car (docs/experiments.md).
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
        """Whether it takes pixels as Caffe's ResNets do, and works in plain convolutions."""
        return self.application == "ResNet50"


RESNET50 = Backbone(  # He et al. 2016, https://arxiv.org/abs/1512.03385
    "resnet50",
    "ResNet50",
    stages={f"conv{number}": f"conv{number}_" for number in range(1, 6)},
    default_stage="conv4",
    learning_rate=1e-4,  # at 3e-4, ResNet-50 forgets what it knew in one epoch
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
    learning_rate=4e-3,  # it starts from random values, on drawn cars
    output="conv5_relu",
    embedding="conv5_relu",
)

BACKBONES = {each.name: each for each in (RESNET50, RESNET50_C4, MOBILENETV2, TINY)}
DEFAULT = RESNET50
SAMPLE_DEFAULT = MOBILENETV2  # small: a sample run should be over in minutes


def named(name: str) -> Backbone:
    """The backbone of that name; `UserError` with all names if there is none."""
    if name not in BACKBONES:
        raise UserError(f"there is no backbone {name!r}; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]
