"""benchkit completion: the script with which a shell completes benchkit's commands, options and names."""

from __future__ import annotations

import click

from benchkit.text import hand_out

WHERE = {
    "bash": "put it into ~/.local/share/bash-completion/completions/benchkit (needs bash 4.4 and bash-completion), "
    "or write in ~/.bashrc: source <(benchkit completion bash)",
    "zsh": "put it into a file _benchkit in a folder of $fpath, or write in ~/.zshrc, after compinit: "
    "source <(benchkit completion zsh)",
    "fish": "put it into ~/.config/fish/completions/benchkit.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(WHERE)))
def cmd(shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL; its last line says where to put it."""
    from click.shell_completion import get_completion_class

    from benchkit.cli import COMPLETING, cli, learn_shells

    learn_shells()
    made = get_completion_class(shell)
    assert made is not None
    hand_out(f"{made(cli, {}, 'benchkit', COMPLETING).source().rstrip()}\n# {WHERE[shell]}\n")
