"""An exported folder sent to the Hugging Face hub: only where that was asked for, and at first for its owner alone."""

from pathlib import Path
from typing import Any

from relbench.extras import needed

LONGEST = 200  # characters of what the hub says


def hub_api(repository: str) -> Any:
    """A connection to the hub under the user's token; nothing is sent yet.

    Args:
        repository: OWNER/NAME.

    Raises:
        ValueError: the library or a token is missing, or the name is none; one line.
    """
    needed("huggingface_hub", "hub", "--upload")
    from huggingface_hub import HfApi, get_token  # noqa: PLC0415 - optional

    if repository.count("/") != 1:
        raise ValueError(f"--upload {repository}: name a repository as OWNER/NAME")
    token = get_token()
    if token is None:
        raise ValueError("--upload needs a token of the hub: run `hf auth login`, or set HF_TOKEN; nothing was done")
    return HfApi(token=token)


def upload(api: Any, folder: Path, repository: str) -> str:
    """Send a folder to a repository, which is made if need be, private at first.

    Args:
        api: from `hub_api`.
        folder: that was exported.
        repository: OWNER/NAME.

    Returns:
        Its address.

    Raises:
        ValueError: the hub refuses it, or can't be reached; one line. The folder stays.
    """
    try:
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by relbench")
    except Exception as error:
        words = " ".join(str(error).split())[:LONGEST] or type(error).__name__
        raise ValueError(f"{folder} is written, but was not uploaded to {repository} ({words})") from error
    return str(address)
