"""The step that averages the spectra of stamped test images."""

from __future__ import annotations

import torch

from benchkit.contracts import checks
from benchkit.ops.frequency import channel_spectra, dct2
from benchkit.protocol import generator
from benchkit.stages.scenes import attacker
from benchkit.stages.workspace import Result, Task


def make_spectrum(task: Task) -> Result:
    """Average the spectra of random test images with an attack's trigger; keep one, clean and stamped."""
    attack, test = task.attack, task.data.test
    able = attack.carries(test).nonzero().squeeze(1)
    order = torch.randperm(len(able), generator=generator(task.job.seed, "spectrum"))
    clean = test.images[able[order[: task.job.images].to(able.device)]]
    returned = attack.stamp(clean.clone(), attacker(task, "stamp"))
    stamped = checks.images(attack.name, "stamp", clean, returned)
    # Most triggers only brighten: on a bright image there would be little to see.
    middling = (clean.flatten(1).float() - 100).square().mean(1).argsort()
    example = int(middling[len(middling) // 4])
    change = stamped[example].float() - clean[example].float()
    return {
        "spectra": channel_spectra(stamped),
        "clean": clean[example].clone(),
        "stamped": stamped[example].clone(),
        "change": dct2(change).abs(),
    }, {"images": len(clean)}
