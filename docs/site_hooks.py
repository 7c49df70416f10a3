"""What mkdocs needs beside docs/: the pages of the root folder, and links that also work inside the built site."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
#: Pages of the root folder, and where each stands in the site.
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
SOURCES = {site: root for root, site in ROOT_PAGES.items()}
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root folder to those of docs/."""
    for root, site in ROOT_PAGES.items():
        files.append(File.generated(config, site, content=(ROOT / root).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links of the repository as links of the site."""
    del config
    site_path = page.file.src_uri
    source = Path(SOURCES.get(site_path, f"docs/{site_path}"))

    def rewrite(match: re.Match[str]) -> str:
        return _rewrite(match, source, site_path, files)

    return LINK.sub(rewrite, markdown)


def _rewrite(match: re.Match[str], source: Path, site_path: str, files: Files) -> str:
    """Return the link as the site needs it, or only its text if it leads to a file that is not a page."""
    path, hash_sign, fragment = match["target"].partition("#")
    if not path or "://" in match["target"]:
        return match[0]
    named = os.path.normpath(source.parent / path)
    target = ROOT_PAGES.get(named, named.removeprefix("docs/"))
    if files.get_file_from_path(target):
        return f"[{match['text']}]({os.path.relpath(target, Path(site_path).parent)}{hash_sign}{fragment})"
    return match["text"] if (ROOT / named).exists() else match[0]
