"""The step that averages the spectra of stamped test images."""

from __future__ import annotations

import torch

from benchkit.contracts import checks
from benchkit.ops.frequency import channel_spectra
from benchkit.protocol import generator
from benchkit.stages.workspace import Job, Result, Workspace


def make_spectrum(workspace: Workspace, job: Job) -> Result:
    """Average the spectra of random test images with an attack's trigger; keep one, clean and stamped."""
    attack, test = workspace.attack(job), workspace.data(job).test
    order = torch.randperm(len(test), generator=generator(job["seed"], "spectrum"))
    clean = test.images[order[: job["images"]].to(test.images.device)]
    returned = attack.stamp(clean.clone(), workspace.attacker(job, "stamp"))
    stamped = checks.images(attack.name, "stamp", clean, returned)
    # Most triggers only brighten: on a bright image there would be little to see.
    middling = (clean.flatten(1).float() - 100).square().mean(1).argsort()
    example = int(middling[len(middling) // 4])
    return {
        "spectra": channel_spectra(stamped),
        "clean": clean[example].clone(),
        "stamped": stamped[example].clone(),
    }, {"images": len(clean)}
