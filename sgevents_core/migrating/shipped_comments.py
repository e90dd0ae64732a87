"""The comments of an ini file that came with the classic daemon, and say nothing about a studio.

Only their hashes are stored: the wording is the classic daemon's.
"""

from __future__ import annotations

import hashlib
from typing import Final

_DIGEST_SIZE: Final = 5
_ALL: Final = (
    "00900acfb9 041da746db 05cf33da3b 072d83c6c0 075edce68d 090ad6c00f 09267789d0 "
    "0c4e595134 0f9a291af4 0fd9d358b1 16dbfb0625 1c1d817970 1c1fce3688 1d0a914804 "
    "1f168a5bc2 206f4b2d11 20f89dea5a 21e207eacd 2372ec9757 2454ba30ff 258641f883 "
    "258cf53905 2780530ebd 287a9f6d38 29d9d73bc4 2df34c7e75 2fd7861a9b 3056f9458f "
    "331335afed 340ddaa9fc 3b53ac8417 3fb775b514 41106899a3 4198ce64ee 440b1b1a67 "
    "45419e2da5 462ab89929 4772270f4c 479b640c6c 47ce91a2fc 4b696e455b 4b71065765 "
    "4b885b2770 4bae3e79b5 53c336d72a 57f0d3ad36 5d4b50526c 5d8821fbc4 5eaf22fdaa "
    "6304c3cf91 68dcdfced1 69260d6254 6a3dceceae 6c7a548161 6d73db48c3 7054667d03 "
    "746ad302c7 7843f1aa5f 8007ac2375 84dee10a6a 8580ecb41b 87f6a8c0c7 88a72d88ef "
    "8d874bb1bb 8fb4366315 90176961f2 91da21a03d 92f87f8089 93ec1e7c4a 94c8985b63 "
    "9772c32466 98430fe198 a0440e144a a0a95c1481 a5e512c4c2 a6d753ef27 a834e26c0f "
    "ac2fd6faba b084ac18d5 b47e245527 b5676f4d4c b56e642da4 b676d87ea1 b7b759173e "
    "b7c8c83c8b c072087661 c102f05664 c10c9d1ca2 c12361ecf4 c13885e3ee c768ef4c27 "
    "c772345846 cdba85d33a d13b68d7b2 d2133fc2a4 d3128d3df5 d6af87b765 d7bea74a5a "
    "d7d5418f5b d992056892 dde5556dcb e1f4fa5a99 e362dabbc8 eed4a589e5 f0f1e03ed3 "
    "f551b43104 f701c1fad0 f729e3047a f74ef7e947 f924aa597d fe9f2b79f9"
)
_HASHES: Final = frozenset(_ALL.split())


def is_shipped(comment_text: str) -> bool:
    """Return whether a comment came with the classic daemon, in any of its versions.

    Args:
        comment_text: One line of it, without the sign before it.
    """
    normal_text = " ".join(comment_text.split()).lower()
    return hashlib.blake2b(normal_text.encode(), digest_size=_DIGEST_SIZE).hexdigest() in _HASHES
