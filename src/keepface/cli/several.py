"""Options that take several values after one name, as a shell writes them for a pattern: `--ref anna*.jpg`."""

from collections.abc import Collection, Sequence


def spread(words: Sequence[str], valued: Collection[str], option: str) -> list[str]:
    """Repeat an option's name before each word that follows its first value, so that each is a value of it.

    That is done once an argument was named before: the first word that belongs to no option is always an argument.
    `valued` are the names of options that take a value; nothing behind `--` is touched.
    """
    out: list[str] = []
    rest = list(words)
    is_named = False
    while rest:
        word = rest.pop(0)
        out.append(word)
        if word == "--":
            return out + rest
        if not _is_option(word):
            is_named = True
        elif word in valued and rest:
            out.append(rest.pop(0))
            while word == option and is_named and rest and not _is_option(rest[0]):
                out += [option, rest.pop(0)]
    return out


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1
