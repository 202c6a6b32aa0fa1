"""An export for Hugging Face, uploaded to the hub: only where it is asked for, and private at first."""

from __future__ import annotations

import re
from pathlib import Path

from redweb_builder.errors import SettingsError, UserError
from redweb_builder.version import __version__


class HubError(UserError):
    """The hub cannot be reached, or refuses."""


def check_login(repository: str) -> None:
    """Raise HubError where nothing could be uploaded (no token, no network), SettingsError for a name that is none.

    Asked before an export, which may take hours. repository: OWNER/NAME.
    """
    from huggingface_hub import HfApi

    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repository, re.ASCII):
        raise SettingsError(f"--push {repository}: give owner and name of a data set on the hub, such as ana/streets")
    try:
        HfApi().whoami()
    except Exception as error:  # the hub client raises a dozen unrelated types
        raise HubError(
            f"--push {repository}: nothing can be uploaded ({_first_line(error)}). `hf auth login` stores a token"
        ) from error


def push(folder: Path, repository: str) -> str:
    """Upload an export as a data set of the hub; returns its address.

    A repository that is not there is made, private. Parquet files of an earlier upload that are no more are deleted.
    folder: of the export. repository: OWNER/NAME. Raises HubError.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        address = hub.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message=f"Written by redweb-builder {__version__}",
            delete_patterns=["data/*.parquet"],
        )
    except Exception as error:  # as above
        raise HubError(
            f"{repository} was not uploaded ({_first_line(error)}). The export is whole: "
            f"hf upload {repository} {folder} --repo-type dataset"
        ) from error
    return str(address)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
