"""What a check raises."""


class ContractError(AssertionError):
    """A plug-in does not do what each of its kind has to."""


def expect(condition: object, sentence: str) -> None:
    """Raise ContractError with `sentence` unless `condition` holds."""
    if not condition:
        raise ContractError(sentence)
