"""Seeds derived by name, so that adding a source of randomness never shifts the others."""

import hashlib


def derive_seed(base: int, *names: object) -> int:
    """Return a seed in [0, 2**31) for the stream called `names` under `base`.

    Two streams with different names are independent; the same names always give the same seed,
    on every machine and Python version.
    """
    text = "\x1f".join([str(base), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
