"""Pages of Debian's free documentation packages, with the addresses at which the public finds them.

Read straight from the downloaded package; nothing is installed and nothing is stripped.
"""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LIBREOFFICE = "4:7.4.7-1+deb12u14"
PACKAGES = {
    "libreoffice-help-en-us": LIBREOFFICE,
    "libreoffice-help-en-gb": LIBREOFFICE,
    "libreoffice-help-de": LIBREOFFICE,
    "libreoffice-help-zh-cn": LIBREOFFICE,
    "debian-handbook": "11.20220922",
    "debian-reference-en": "2.100",
}
#: Where the files of a package lie, and the address at which they are published.
PLACES = (
    (
        re.compile(r"\./usr/share/libreoffice/help/(?P<lang>[\w-]+)/(?P<page>text/.+\.html)$"),
        "https://help.libreoffice.org/7.4/{lang}/{page}",
    ),
    (
        re.compile(
            r"\./usr/share/doc/debian-handbook/html/(?P<lang>en-US|de-DE|zh-CN)/"
            r"(?P<page>[\w.-]+\.html|Common_Content/images/(?:green|dot)\.png)$"
        ),
        "https://debian-handbook.info/browse/{lang}/stable/{page}",
    ),
    (
        re.compile(r"\./usr/share/debian-reference/(?P<page>\w+\.(?P<lang>en)\.html)$"),
        "https://www.debian.org/doc/manuals/debian-reference/{page}",
    ),
)
_INDEX = re.compile(r"(?:/main0000|/index(?:\.en)?)\.html$")
_PARAGRAPH = re.compile(r'<p[ >].*?</p>|<div class="para">.*?</div>', re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
#: By what a paragraph shows its language.
_OWN = {
    "en": re.compile(r"\b(?:the|a|of|to|in|is)\b", re.IGNORECASE),
    "de": re.compile(r"\b(?:der|die|das|und|nicht|ist|sie)\b", re.IGNORECASE),
    "zh": re.compile(r"[\u4e00-\u9fff]{4}"),
}


@dataclass(frozen=True)
class Page:
    """A file of a package and the address at which the public finds it."""

    package: str
    path: str
    lang: str
    url: str
    date: str
    body: bytes

    @property
    def language(self) -> str:
        """ISO 639-1."""
        return self.lang[:2]

    @property
    def media_type(self) -> str:
        """As a server sends it."""
        return "image/png" if self.path.endswith(".png") else "text/html; charset=utf-8"

    @property
    def is_index(self) -> bool:
        """A table of contents: links, hardly a sentence."""
        return bool(_INDEX.search(self.path))


def prose(page: Page) -> int:
    """Characters in paragraphs of at least 60 characters (Chinese: 20), markup left out.

    Translations have pages that nobody has translated yet; such paragraphs do not count.
    """
    least = 20 if page.language == "zh" else 60
    own = _OWN[page.language]
    texts = (" ".join(_TAG.sub("", p).split()) for p in _PARAGRAPH.findall(page.body.decode()))
    return sum(len(t) for t in texts if len(t) >= least and own.search(t))


def read_package(name: str, version: str, folder: Path) -> tuple[list[Page], bytes]:
    """The pages of a Debian package, and its copyright file."""
    # apt's own download user cannot write into our folder.
    quiet = ("-qq", "-o", "APT::Sandbox::User=root")
    subprocess.run(["apt-get", *quiet, "download", f"{name}={version}"], cwd=folder, check=True)
    (deb,) = folder.glob(f"{name}_*.deb")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    pages, licence = [], b""
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as files:
        for file in files:
            if not (file.isreg() or file.islnk()):
                continue
            if file.name == f"./usr/share/doc/{name}/copyright":
                licence = _content(files, file)
            for pattern, address in PLACES:
                if match := pattern.match(file.name):
                    pages.append(_page(name, file, _content(files, file), address, match))
    return sorted(pages, key=lambda p: p.path), licence


def _content(files: tarfile.TarFile, file: tarfile.TarInfo) -> bytes:
    handle = files.extractfile(file)
    assert handle is not None
    return handle.read()


def _page(
    package: str, file: tarfile.TarInfo, body: bytes, address: str, match: re.Match[str]
) -> Page:
    date = datetime.fromtimestamp(file.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The English handbook is published without a language in its address.
    url = address.format(**match.groupdict()).replace("/browse/en-US/", "/browse/")
    return Page(package, file.name[1:], match["lang"], url, date, body)
