"""What makes a site of docs/, whose pages stay such as GitHub shows them.

Pages link to files outside docs/ as they do in the repository. Such files become pages of the site, Markdown as it is
and sources as code.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
from pathlib import Path

from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "site" / "reference"

BESIDE_DOCS = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md", "benches/RESULTS.md")
"""Pages of the repository outside docs/ that have a place in the site's navigation."""

LANGUAGE_BY_SUFFIX = {".py": "python", ".json": "json", ".toml": "toml", ".rs": "rust", ".proto": "proto"}

LINK = re.compile(r"\[([^]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
"""A link to a file: its text, the file, and the anchor there."""

ERROR_CODE = re.compile(r"[a-z0-9]+\.[a-z0-9-]+")

TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- /tabs -->\n", re.MULTILINE | re.DOTALL)
TAB = re.compile(r"^\*\*(.+)\*\*$", re.MULTILINE)


def slug(text: str, separator: str) -> str:
    """The anchor of a heading: as GitHub has it, but for a heading that is the code of an error: the code."""
    return text if ERROR_CODE.fullmatch(text) else slugify(text, separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Gives headings the anchors of `slug`."""
    config.mdx_configs["toc"]["slugify"] = slug
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the reference, what pages link to outside docs/, and the pictures of those pages."""
    for page in sorted(REFERENCE.glob("*.md")):
        files.append(File.generated(config, f"reference/{page.name}", abs_src_path=str(page)))
    waiting = [ROOT / name for name in BESIDE_DOCS]
    waiting += [path for page in (ROOT / "docs").glob("*.md") for path in outside(page)]
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        files.append(page_of(path, config))
        if path.suffix == ".md":
            waiting += outside(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links to where the site has their files, and makes tabs of what stands between the marks of tabs.

    A folder has no page: of a link to one the text stays. Where the text is the name of a page's file, the title of the
    page stands for it.
    """
    place = repository_path(page.file.src_uri)

    def in_site(link: re.Match[str]) -> str:
        text, file, anchor = link.groups("")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(place), file))
        if file.endswith("/"):
            return text
        if not (ROOT / target).is_file():
            # Code that looks like a link; of a link to nothing MkDocs complains.
            return link[0]
        there = posixpath.relpath(site_path(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{title_of(target) if text.endswith('.md') else text}]({there}{anchor})"

    return TABS.sub(lambda found: as_tabs(found[1]), LINK.sub(in_site, markdown))


@functools.cache
def title_of(name: str) -> str:
    """The title of a page of the repository: its first heading."""
    found = re.search(r"^# (.+)$", (ROOT / name).read_text(), re.MULTILINE)
    return found[1] if found else posixpath.basename(name)


def outside(page: Path) -> list[Path]:
    """The files outside docs/ to which a page links."""
    targets = [(page.parent / link[2]).resolve() for link in LINK.finditer(page.read_text())]
    return [path for path in targets if path.is_file() and not path.is_relative_to(ROOT / "docs")]


def page_of(path: Path, config: MkDocsConfig) -> File:
    """The page of a file outside docs/; of a picture the picture itself."""
    name = path.relative_to(ROOT).as_posix()
    if path.suffix in {".md", ".svg"}:
        return File.generated(config, site_path(name), abs_src_path=str(path))
    if path.suffix == ".ipynb":
        return File.generated(config, site_path(name), content=text_of_notebook(path))
    language = LANGUAGE_BY_SUFFIX.get(path.suffix, "text")
    head = f"---\ntitle: {path.name}\nsearch:\n  exclude: true\n---\n\n# {name}"
    text = f"{head}\n\n~~~~{language}\n{path.read_text()}~~~~\n"
    return File.generated(config, site_path(name), content=text)


def text_of_notebook(path: Path) -> str:
    """The cells of a notebook as a page; what they show is seen where they run."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_text())["cells"]]
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells) + "\n"


def site_path(name: str) -> str:
    """Where the site has a file of the repository."""
    path = posixpath.normpath(name)
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if path.endswith((".md", ".svg")) else f"{path}.md"


def repository_path(src_uri: str) -> str:
    """Where the repository has a page of the site."""
    return src_uri if (ROOT / src_uri).is_file() else f"docs/{src_uri}"


def as_tabs(text: str) -> str:
    """Tabs, out of parts that each begin with a line in bold type: the name of the tab."""
    _, *parts = TAB.split(text)
    tabs = []
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        indented = "\n".join(f"    {line}" if line else "" for line in part.strip("\n").split("\n"))
        tabs.append(f'=== "{name}"\n\n{indented}\n')
    return "\n".join(tabs) + "\n"
