"""Runs seeds one after the other on this machine."""

from __future__ import annotations

from harness.reproduce.bundle import PRIVATE
from harness.reproduce.data import prepare_view
from harness.reproduce.launchers import Site
from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan
from harness.reproduce.seed import Workshop, require_isolation, run_seed
from harness.sandbox import Blame, Bubblewrap, Container, Provider, RunnerError, Unconfined


class Local:
    """The launcher for the machine that the command runs on."""

    def run(self, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        """Run the seeds in order; see ``seed.run_seed`` for what it raises."""
        if not seeds:
            return
        provider = provider_of(site)
        require_isolation(provider)
        view = prepare_view(site.data, plan.dataset, plan.tokenizer, site.output / PRIVATE)
        for seed in seeds:
            folder = site.output / "seeds" / str(seed)
            run_seed(plan, seed, Workshop(provider, view, site.output / "submission", folder), progress)


def provider_of(site: Site) -> Provider:
    """Return the sandbox provider that was asked for.

    Raises:
        RunnerError: there is none of that name.
    """
    if site.provider == "bubblewrap":
        return Bubblewrap()
    if site.provider == "container" and site.container_image:
        return Container(site.container_image)
    if site.provider == "none":
        return Unconfined()
    raise RunnerError(Blame.USER, f"no isolation of the name {site.provider!r}")
