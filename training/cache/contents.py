"""What a cache is of, and the check that this is what a run needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ifadapter_diffusers.base_model import BaseModel

from ..config import Config
from ..cropping.crops import Crops
from .parts import COMMAND

FILE = "content.json"
FORMAT = 1
CANVASES = "the pictures' canvases (of rare shapes they depend on adapter.batch_size)"
DIGITS = 12  # of a hash
DECIDING = ("scaling_factor", "hidden_act", "layer_norm_eps", "norm_num_groups")  # in the config of a model


@dataclass(frozen=True)
class Content:
    """What a cache is of, and how it is stored.

    made_of: everything that decides the values, by the setting or part that messages name.
    parts: number of files.
    of_crops: whether texts depend on the crops, because captions are made of the kept boxes.
    """

    made_of: Mapping[str, Any]
    parts: int
    of_crops: bool = False

    @property
    def digest(self) -> str:
        text = json.dumps([FORMAT, dict(self.made_of), self.parts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Atomic write."""
        folder.mkdir(parents=True, exist_ok=True)
        data = {"format": FORMAT, **asdict(self)}
        temporary = folder / f"{FILE}.tmp"
        temporary.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
        temporary.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Content | None:
        """What the cache in a folder is of; None if there is none.

        Raises ValueError if the file is damaged or of another version.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text("utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']}; expected {FORMAT}")
            return cls(dict(data["made_of"]), int(data["parts"]), bool(data["of_crops"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read ({error}). {remedy(folder)}") from error

    def check(self, folder: Path, made_of: Mapping[str, Any]) -> None:
        """Raises ValueError that names what differs, if the cache is of something else."""
        keys = {**self.made_of, **made_of}
        found = [
            f"{key} {self.made_of.get(key, 'not there')}, now {made_of.get(key, 'not there')}"
            for key in keys
            if self.made_of.get(key) != made_of.get(key)
        ]
        if found:
            raise ValueError(
                f"The cache in {folder} is of other things: {'; '.join(found)}. {remedy(folder)}"
            )


def remedy(folder: Path) -> str:
    return f"Remove {folder} or choose another cache.path, and run `{COMMAND}` with this config and settings."


def latents_made_of(config: Config, base: BaseModel, crops: Crops) -> dict[str, Any]:
    """What decides the latents of a run."""
    return {
        **_crops_made_of(config, crops),
        "adapter.loop.mixed_precision": config.adapter.loop.mixed_precision,
        "the autoencoder": weights_hash(base.vae),
    }


def texts_made_of(
    config: Config, base: BaseModel, crops: Crops, depths: Sequence[int], of_crops: bool
) -> dict[str, Any]:
    """What decides the text states of a run.

    depths: of the local descriptions, see ``BaseModel.embed_phrases``. of_crops: see ``Content``.
    """
    assert config.folder is not None
    return {
        "pictures": _pictures(crops),
        "folder.aspect": config.folder.aspect,
        **(_crops_made_of(config, crops) if of_crops else {}),
        "adapter.loop.mixed_precision": config.adapter.loop.mixed_precision,
        "the text encoders": weights_hash(*base.text_encoders),
        "the tokenizers": _tokenizers(base),
        "adapter.shape.text_depths": list(depths),
    }


def _crops_made_of(config: Config, crops: Crops) -> dict[str, Any]:
    folder = config.folder
    assert folder is not None
    return {
        "pictures": _pictures(crops),
        "folder.size": folder.size,
        "folder.aspect": folder.aspect,
        "folder.crops": folder.crops,
        "adapter.loop.seed": config.adapter.loop.seed,
        CANVASES: _digest(json.dumps(crops.canvases).encode()),
    }


def _pictures(crops: Crops) -> str:
    return f"{len(crops.samples)} with the hash {crops.samples.fingerprint()[:DIGITS]}"


def _tokenizers(base: BaseModel) -> str:
    parts = [(sorted(each.get_vocab().items()), each.pad_token_id) for each in base.tokenizers]
    return _digest(json.dumps(parts).encode())


def weights_hash(*models: Any) -> str:
    """Hash of the weights of models, with their names and precision, and of what else decides a result."""
    digest = hashlib.sha256()
    for model in models:
        digest.update(repr([getattr(model.config, key, None) for key in DECIDING]).encode())
        for name, weight in sorted(model.state_dict().items()):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
            numbers = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(numbers.numpy().data)
    return digest.hexdigest()[:DIGITS]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]
