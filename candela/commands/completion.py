"""Completion of commands and options by shells: scripts that derive from the parser."""

import argparse
from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish")

BASH = """\
# candela completion bash > ~/.local/share/bash-completion/completions/candela
_candela() {{
  local word path=candela candidates
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{steps}
    esac
  done
  case $path in
{words}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _candela candela
"""
ZSH = """\
#compdef candela
# candela completion zsh > a folder of your fpath, as _candela
autoload -U bashcompinit && bashcompinit
{bash}"""

Parsers = Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a shell."""
    found = list(_parsers(parser, (parser.prog,)))
    return _fish(found) if shell == "fish" else _of_bash(found, is_zsh=shell == "zsh")


def _parsers(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Parsers:
    """Return the parser of each command, with the words that lead to it."""
    yield path, parser
    for name, inner in _commands(parser).items():
        yield from _parsers(inner, (*path, name))


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        each
        for each in parser._actions
        if each.option_strings and each.help is not argparse.SUPPRESS
    ]


def _of_bash(found: list[tuple[tuple[str, ...], argparse.ArgumentParser]], *, is_zsh: bool) -> str:
    steps, words = [], []
    for path, parser in found:
        names = list(_commands(parser))
        options = [text for each in _options(parser) for text in each.option_strings]
        place = " ".join(path)
        steps += [f'      "{place} {name}") path="{place} {name}" ;;' for name in names]
        words.append(f'    "{place}") candidates="{" ".join([*names, *options])}" ;;')
    script = BASH.format(steps="\n".join(steps), words="\n".join(words))
    return ZSH.format(bash=script) if is_zsh else script


def _fish(found: list[tuple[tuple[str, ...], argparse.ArgumentParser]]) -> str:
    lines = ["# candela completion fish > ~/.config/fish/completions/candela.fish"]
    for path, parser in found:
        names = _commands(parser)
        seen = [f"__fish_seen_subcommand_from {name}" for name in path[1:]]
        unseen = [f"not __fish_seen_subcommand_from {' '.join(names)}"] if names else []
        where = f" -n '{'; and '.join([*seen, *unseen])}'" if seen or unseen else ""
        lines += [f"complete -c candela -f{where} -a {name}" for name in names]
        for each in _options(parser):
            texts = [text.removeprefix("--") for text in each.option_strings if text[:2] == "--"]
            takes = " -r" if each.nargs != 0 else ""
            lines += [f"complete -c candela{where} -l {text}{takes}" for text in texts]
    return "\n".join(lines) + "\n"
