"""Completion for bash, zsh and fish: each shell asks `storekeeper __complete` for the words that can follow."""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import WAYS, parser, words_of
from .operations import operations

BASH = """_storekeeper() {
  local IFS=$'\\n'
  COMPREPLY=($(storekeeper __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ ${#COMPREPLY[@]} -eq 0 ]; then compopt -o default; fi
}
complete -F _storekeeper storekeeper
"""
ZSH = """#compdef storekeeper
_storekeeper() {
  local -a found
  found=("${(@f)$(storekeeper __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=(${found:#})
  if (( ${#found} )); then compadd -- "${found[@]}"; else _files; fi
}
compdef _storekeeper storekeeper
"""
FISH = """function __storekeeper_complete
    set -l words (commandline -opc) (commandline -ct)
    storekeeper __complete $words[2..-1] 2>/dev/null
end
complete -c storekeeper -f -a '(__storekeeper_complete)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
OWN = ("login", "logout", "token", "completion", "version", "help")


def candidates(words: Sequence[str]) -> list[str]:
    """Return what the last of the words can become, sorted; nothing where a value of somebody's own is due."""
    *before, begun = words or [""]
    return sorted(one for one in _following(before, begun) if one.startswith(begun))


def _following(before: Sequence[str], begun: str) -> list[str]:  # noqa: PLR0911 - one for each place
    known = list(operations().values())
    groups = sorted({one.group for one in known})
    if not before:
        return [*groups, *OWN]
    if before[0] == "completion":
        return list(SHELLS) if len(before) == 1 else []
    if before[0] not in groups:
        return groups if before == ["help"] else []
    commands = words_of(before[0], known)
    chosen = commands.get(before[1]) if len(before) > 1 else None
    if chosen is None and len(before) == 1 and not begun.startswith("-"):
        return [*(one for one in commands if one), *(["wait"] if before[0] == "tasks" else [])]
    chosen = chosen or commands.get("")
    if chosen is None:
        return []
    actions = {text: one for one in parser(chosen)._actions for text in one.option_strings}
    last = actions.get(before[-1])
    if last is not None and last.nargs != 0:
        return [str(one) for one in last.choices or ()] if before[-1] not in {"-o", "--output"} else list(WAYS)
    return [one for one in actions if one.startswith("--")] if begun.startswith("-") else []
