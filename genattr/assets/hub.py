"""Hugging Face's hub: asked where it answers; elsewhere, what was fetched before is used."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genattr.assets import http


@contextmanager
def reached() -> Iterator[bool]:
    """Let ``huggingface_hub`` fetch files if its hub answers; yield whether it does.

    Without a network the library would try again and again, and warn each time twice.
    """
    from huggingface_hub import constants

    log = logging.getLogger("huggingface_hub")
    before, level = constants.HF_HUB_OFFLINE, log.level
    answers = not before and http.answers(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = not answers
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():  # of one library about another
            warnings.filterwarnings("ignore", ".*local_dir_use_symlinks")
            yield answers
    finally:
        constants.HF_HUB_OFFLINE = before
        log.setLevel(level)
