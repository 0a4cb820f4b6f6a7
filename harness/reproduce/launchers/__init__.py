"""Ways to get seeds run: on this machine, by Slurm, or in a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan


@dataclass(frozen=True)
class Site:
    """Where things are for every machine that runs seeds: output and data must be visible there under the same path."""

    output: Path
    data: Path
    provider: str
    container_image: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the site as JSON values."""
        return {
            "output": str(self.output),
            "data": str(self.data),
            "provider": self.provider,
            "container_image": self.container_image,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Site:
        """Rebuild a site."""
        image = data.get("container_image")
        return Site(Path(data["output"]), Path(data["data"]), str(data["provider"]), str(image) if image else None)


class Launcher(Protocol):
    """Gets seeds run. After ``run`` each seed's folder holds its record, or an error was raised."""

    def run(self, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        """Run the seeds."""
