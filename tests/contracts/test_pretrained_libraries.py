"""transformers and timm: tiny networks made and saved by the libraries themselves, loaded by our code. Nothing is fetched."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuneful.core.errors import MissingError, ModelError
from tuneful.core.form import Form
from tuneful.pipeline.goals import form
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.words import from_words
from tuneful.runtime.text import Tokenizer, apply
from tuneful.techniques.models import Pretrained, check, make, shim, size
from tuneful.techniques.models.depth import layers
from tuneful.techniques.models.hub import library

IMAGE = Form.of((3, 32, 32), 5)
TEXT = Form.text(12, 99, 4)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a test asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def asked(name: str) -> Any:
    try:
        return shim.library(name)
    except MissingError as error:
        pytest.skip(str(error).splitlines()[0])


@pytest.fixture
def timm(no_network: None) -> Any:
    return asked("timm")


@pytest.fixture
def transformers(no_network: None) -> Any:
    return asked("transformers")


@pytest.fixture
def vit(transformers: Any, tmp_path: Path) -> Path:
    config = transformers.ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=7,
    )
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture
def bert(transformers: Any, tmp_path: Path) -> Path:
    config = transformers.DistilBertConfig(
        vocab_size=99, dim=24, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=16
    )
    torch.manual_seed(0)
    transformers.DistilBertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


# ------------------------------------------------------------------------------------------------ transformers


def test_a_folder_of_transformers_gives_its_network_with_a_new_head(transformers: Any, vit: Path):
    net = make(Pretrained(name=str(vit)), IMAGE).eval()
    check(net, IMAGE)
    theirs = transformers.ViTForImageClassification.from_pretrained(vit, local_files_only=True).eval()
    x = torch.randn(2, 3, 32, 32)
    own, other = net.net.vit, theirs.vit
    torch.testing.assert_close(own(pixel_values=x).last_hidden_state, other(pixel_values=x).last_hidden_state)
    same = make(Pretrained(name=str(vit)), IMAGE.with_outputs(7)).eval()  # as many classes: its head is kept
    torch.testing.assert_close(same(x), theirs(pixel_values=x).logits)


def test_text_is_masked_where_it_is_padding(transformers: Any, bert: Path):
    net = make(Pretrained(name=f"transformers:{bert}"), TEXT).eval()
    check(net, TEXT)
    x = torch.randint(2, 99, (3, 12))
    x[:, 8:] = 0
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(x[:, :8]), rtol=1e-4, atol=1e-5)


def test_a_probed_network_learns_all_that_is_new(bert: Path):
    net = make(Pretrained(name=str(bert), train="head"), TEXT)
    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    assert {name.split(".")[2] for name in learning} == {"pre_classifier", "classifier"}


def test_layers_of_transformers_come_in_their_order(bert: Path, vit: Path):
    order = layers(make(Pretrained(name=str(bert)), TEXT))
    assert [names[0].split(".")[-2] for names in (order[0], order[-1])] == ["word_embeddings", "classifier"]
    assert sum("layer." in names[0] for names in order) == 2
    rates = (model := Pretrained(name=str(vit), fade=0.5)).rates(make(model, IMAGE))
    first, last = (next(r.free for n, r in rates.items() if part in n) for part in ("embeddings", "classifier"))
    assert (first, last) == (0.5**4, 1)


def test_lora_on_transformers_is_merged_equal(bert: Path):
    from tuneful.techniques.models import merged_

    net = make(Pretrained(name=str(bert), train="head", lora=2, lora_at="*q_lin"), TEXT).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith(".up"):
                p.normal_()
    x = torch.randint(2, 99, (3, 12))
    assert sum(name.endswith(".up") for name, _ in net.named_parameters()) == 2
    y = net(x)
    torch.testing.assert_close(merged_(net)(x), y, rtol=1e-6, atol=1e-6)


def test_weights_that_lack_part_of_the_body_are_refused(vit: Path):
    state = load_file(vit / "model.safetensors")
    lost = [name for name in state if ".layer.1." in name or ".layers.1." in name]
    assert lost
    save_file({n: t for n, t in state.items() if n not in lost}, vit / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack \d+ tensors of the network"):
        make(Pretrained(name=str(vit)), IMAGE)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (Form.of((3, 28, 28), 5), "takes images of 3x32x32; these are 3x28x28"),
        (Form.of((1, 32, 32), 5), "takes images of 3x32x32; these are 1x32x32"),
        (Form.of((9,), 5), "networks of transformers take images or tokens; these are vector of 9"),
    ],
)
def test_data_that_do_not_fit_are_told(vit: Path, form: Form, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        make(Pretrained(name=str(vit)), form)


def test_other_tokens_are_told(bert: Path):
    with pytest.raises(ModelError, match="knows 99 tokens; the data have 50"):
        make(Pretrained(name=str(bert)), Form.text(12, 50, 4))


def test_a_hub_that_cannot_be_reached_is_told(transformers: Any):
    with pytest.raises(ModelError, match=r"cannot load nobody/nothing-here, which is no local folder") as caught:
        make(Pretrained(name="transformers:nobody/nothing-here"), IMAGE)
    assert "copy the network's folder here" in caught.value.hint


def test_its_size_is_known_without_its_weights(vit: Path):
    with torch.device("meta"):
        net = make(Pretrained(name=str(vit)), IMAGE)
    assert next(net.parameters()).device.type == "meta"
    assert size(net, IMAGE) == size(make(Pretrained(name=str(vit)), IMAGE), IMAGE)


# ------------------------------------------------------------------------------------------------ timm


def saved(timm: Any, folder: Path, name: str, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    net = timm.create_model(name, **settings)
    folder.mkdir()
    save_file(net.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": name,
        "num_classes": settings["num_classes"],
        "model_args": {k: v for k, v in settings.items() if k not in ("num_classes", "in_chans")},
    }
    config["pretrained_cfg"] = {
        "num_classes": settings["num_classes"],
        "input_size": [3, 32, 32],
        "first_conv": "conv1",
        "classifier": "fc",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return net.eval()


def test_a_folder_of_timm_gives_its_network(timm: Any, tmp_path: Path):
    theirs = saved(timm, tmp_path / "net", "resnet10t", num_classes=5)
    net = make(Pretrained(name=str(tmp_path / "net")), IMAGE).eval()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(net(x), theirs(x))
    other = make(Pretrained(name=str(tmp_path / "net"), train="last:1"), IMAGE.with_outputs(3))
    check(other, IMAGE.with_outputs(3))
    assert {name.split(".")[1] for name, p in other.named_parameters() if p.requires_grad} == {"layer4", "fc"}


def test_a_network_of_timm_is_filled_from_a_file(timm: Any, tmp_path: Path):
    theirs = saved(timm, tmp_path / "net", "vit_tiny_patch16_224", num_classes=5, img_size=32)
    file = str(tmp_path / "net" / "model.safetensors")
    net = make(Pretrained(name="timm:vit_tiny_patch16_224", weights=file), IMAGE).eval()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(net(x), theirs(x))
    with pytest.raises(ModelError, match="of another shape: pos_embed"):
        make(Pretrained(name="timm:vit_tiny_patch16_224", weights=file), Form.of((3, 64, 64), 5))


def test_a_name_that_timm_does_not_know_is_told_with_those_alike(timm: Any):
    with pytest.raises(ModelError, match=r"timm has no network resnet18x; alike are .*resnet18"):
        make(Pretrained(name="timm:resnet18x"), IMAGE)


def test_timms_hub_that_cannot_be_reached_is_told(timm: Any, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ModelError, match=r"timm cannot load resnet18, which is no local folder"):
        make(Pretrained(name="timm:resnet18"), IMAGE)


# ------------------------------------------------------------------------------------------------ without them


@pytest.mark.parametrize(("name", "package"), [("transformers:x", "transformers"), ("timm:x", "timm")])
def test_a_library_that_is_absent_is_told(name: str, package: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingError, match=f"needs the package {package}, which is not installed") as caught:
        make(Pretrained(name=name), IMAGE)
    assert "tuneful[pretrained]" in caught.value.hint


def test_what_a_name_means(tmp_path: Path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ModelError, match=r"has no config.json that can be read"):
        library(str(tmp_path / "a"))
    for text, which in (('{"model_type": "vit"}', "transformers"), ('{"architecture": "resnet18"}', "timm")):
        (tmp_path / "a" / "config.json").write_text(text)
        assert library(str(tmp_path / "a")) == (which, str(tmp_path / "a"))
    (tmp_path / "a" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="names neither a model_type"):
        library(str(tmp_path / "a"))
    assert library("timm:resnet18") == ("timm", "resnet18")
    assert library("resnet") == ("", "")


@pytest.mark.parametrize("pad", [0, 1], ids=["padding-0", "padding-1"])
def test_texts_are_cut_by_the_networks_own_tokenizer_and_mean_the_same_to_it(transformers: Any, tmp_path: Path, pad: int):
    tokenizers = pytest.importorskip("tokenizers")
    texts = ["good film today", "bad film never", "great fun", "awful bore", "nice and good", "bad bad thing"] * 20
    library_made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    library_made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] if pad == 0 else ["[CLS]", "[PAD]", "[UNK]", "[SEP]"]
    library_made.train_from_iterator(
        texts, tokenizers.trainers.WordPieceTrainer(vocab_size=80, special_tokens=special, show_progress=False)
    )
    ends = [(word, library_made.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
    library_made.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    library_made.save(str(tmp_path / "tokenizer.json"))
    config = transformers.BertConfig(
        vocab_size=library_made.get_vocab_size(), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, pad_token_id=pad, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    saved = transformers.BertForSequenceClassification(config).eval()
    saved.save_pretrained(tmp_path)

    labels = ["good" if at % 2 == 0 else "bad" for at in range(len(texts))]
    job = from_words("train", "texts", ["model=pretrained", f"name={tmp_path}"])
    assert job.reading["tokens"] == str(tmp_path)
    task = prepare((texts, labels), tokens=job.reading["tokens"])
    net = make(Pretrained(name=str(tmp_path)), form(task)).eval()
    heard: dict[str, torch.Tensor] = {}
    body = next(module for module in net.modules() if type(module).__name__ == "BertModel")
    body.register_forward_hook(lambda _module, _given, out: heard.update(out=out.last_hidden_state[:, 0]))

    some = ["good film", "bad bad thing"]
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]")
    theirs = fast(some, padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = saved.bert(input_ids=theirs["input_ids"], attention_mask=theirs["attention_mask"]).last_hidden_state[:, 0]
        net(torch.as_tensor(apply(task.schema, some)).long())
    torch.testing.assert_close(heard["out"], wanted)
    assert Tokenizer(task.schema["tokenizer"]).text([int(n) for n in apply(task.schema, some)[1]]) == "bad bad thing"
