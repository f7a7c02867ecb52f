"""The step that averages the spectra of stamped test images."""

from __future__ import annotations

import torch

from benchkit.contracts import checks
from benchkit.ops.frequency import channel_spectra
from benchkit.protocol import generator
from benchkit.stages.workspace import Bench, Job, Result


def make_spectrum(bench: Bench, job: Job) -> Result:
    """Average the spectra of random test images with an attack's trigger; keep one, clean and stamped."""
    attack, test = bench.attack(job), bench.data(job).test
    order = torch.randperm(len(test), generator=generator(job["seed"], "spectrum"))
    clean = test.images[order[: job["images"]].to(test.images.device)]
    returned = attack.stamp(clean.clone(), bench.attacker(job, "stamp"))
    stamped = checks.images(attack.name, "stamp", clean, returned)
    # Most triggers only brighten: on a bright image there would be little to see.
    middling = (clean.flatten(1).float() - 100).square().mean(1).argsort()
    example = int(middling[len(middling) // 4])
    return {
        "spectra": channel_spectra(stamped),
        "clean": clean[example].clone(),
        "stamped": stamped[example].clone(),
    }, {"images": len(clean)}
