"""Ask an exported model with torch and torchvision alone; lmd-bench is not needed.

    lmd-bench export KEY --out exported
    python examples/load_exported.py exported picture.png

It reads a ResNet with a linear head; `model.json` says what other encoders and heads are.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch import nn

folder, picture = map(Path, sys.argv[1:])
facts = json.loads((folder / "model.json").read_text())
tensors = load_file(folder / "model.safetensors")
trunk = {k.removeprefix("encoder.network."): v for k, v in tensors.items() if "encoder." in k}
encoder = torchvision.models.get_model(facts["config"]["training.backbone"])
encoder.fc = nn.Identity()
if trunk["conv1.weight"].shape[2] == 3:  # the stem for small images
    encoder.conv1, encoder.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
encoder.load_state_dict(trunk)

rgb = Image.open(picture).convert("RGB").resize([facts["image_size"]] * 2, Image.BILINEAR)
image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1).float() / 255
mean, std = (torch.tensor(facts[name])[:, None, None] for name in ("mean", "std"))
with torch.no_grad():
    features = encoder.eval()(((image - mean) / std)[None])
    logits = features @ tensors["head.weight"].T + tensors["head.bias"]
    probabilities = (logits / facts["temperature"]).softmax(dim=1)[0]
for name, p in zip(facts["class_names"], probabilities.tolist(), strict=True):
    print(f"{name} {p:.4f}")
