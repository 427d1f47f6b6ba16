"""Models: what makes a network for a shape of input and a number of outputs. `check` runs one, `size` weighs it."""

from __future__ import annotations

from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.airbench import Airbench
from tuneful.techniques.models.bag import Bag
from tuneful.techniques.models.check import Size, check, fits, size
from tuneful.techniques.models.conv1d import Conv1d
from tuneful.techniques.models.convnet import ConvNet
from tuneful.techniques.models.decoder import Decoder
from tuneful.techniques.models.encoder_decoder import EncoderDecoder
from tuneful.techniques.models.evidence import Evidence
from tuneful.techniques.models.ft_transformer import FTTransformer
from tuneful.techniques.models.gru import GRU
from tuneful.techniques.models.gru_encoder_decoder import GRUEncoderDecoder
from tuneful.techniques.models.lenet import LeNet
from tuneful.techniques.models.linear import Linear
from tuneful.techniques.models.lora import merged_
from tuneful.techniques.models.lstm import LSTM
from tuneful.techniques.models.make import make
from tuneful.techniques.models.mlp import MLP
from tuneful.techniques.models.mobilenet_v2 import MobileNetV2
from tuneful.techniques.models.mobilenet_v3 import MobileNetV3
from tuneful.techniques.models.own import Own, with_callable
from tuneful.techniques.models.pooling import Attention
from tuneful.techniques.models.pretrained import Pretrained
from tuneful.techniques.models.resnet import ResNet
from tuneful.techniques.models.resnet1d import ResNet1d
from tuneful.techniques.models.resnet9 import ResNet9
from tuneful.techniques.models.rnn import RNN
from tuneful.techniques.models.table_resnet import TableResNet
from tuneful.techniques.models.tabm import TabM
from tuneful.techniques.models.transformer import Transformer
from tuneful.techniques.models.unet import UNet
from tuneful.techniques.models.vit import ViT

TABLE: dict[str, type[Model]] = {
    "linear": Linear,
    "mlp": MLP,
    "tabm": TabM,
    "table_resnet": TableResNet,
    "ft_transformer": FTTransformer,
    "convnet": ConvNet,
    "lenet": LeNet,
    "resnet9": ResNet9,
    "airbench": Airbench,
    "resnet": ResNet,
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3": MobileNetV3,
    "vit": ViT,
    "unet": UNet,
    "bag": Bag,
    "evidence": Evidence,
    "attention": Attention,
    "conv1d": Conv1d,
    "resnet1d": ResNet1d,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "transformer": Transformer,
    "decoder": Decoder,
    "encoder_decoder": EncoderDecoder,
    "gru_encoder_decoder": GRUEncoderDecoder,
    "own": Own,
    "pretrained": Pretrained,
}

__all__ = [
    "GRU", "LSTM", "MLP", "RNN", "TABLE", "Airbench", "Attention", "Bag", "Conv1d", "ConvNet", "Decoder", "EncoderDecoder", "Evidence", "FTTransformer", "GRUEncoderDecoder", "LeNet", "Linear",
    "MobileNetV2", "MobileNetV3", "Own", "Pretrained", "ResNet", "ResNet1d", "ResNet9", "Size", "TabM", "TableResNet", "Transformer", "UNet", "ViT", "check", "fits", "make", "merged_",
    "size", "with_callable",
]  # fmt: skip
