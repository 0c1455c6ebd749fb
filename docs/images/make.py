"""Take the pictures of docs/pages.md.

    sidefeed demo --keep FOLDER --no-browser
    python docs/images/make.py FOLDER

Serves the project and photographs its pages with the system's Chromium.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
DANA, ANN = "dana.cole@brightwater.example", "ann.lee@brightwater.example"
PICTURES = (("forecast", "/", {}), ("conflicts", "/conflicts", {}), ("deals", "/deals?q=contract&trace=1", {}),
            ("mapping", "/mapping", {}), ("mine", "/mine", {}), ("accuracy", "/accuracy", {}),
            ("forecast-dark", "/", {"color_scheme": "dark"}),
            ("forecast-phone", "/", {"viewport": {"width": 390, "height": 900}}))


def main(folder: str) -> None:
    command = [sys.executable, "-m", "sidefeed", "serve", "-C", folder, "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium",
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            _take(browser, folder, told["url"])
            browser.close()
    finally:
        process.terminate()
        process.wait()


def _take(browser: Browser, folder: str, at: str) -> None:
    visitors = {email: _signed_in(browser, folder, at, email) for email in (DANA, ANN)}
    for name, path, options in PICTURES:
        page = browser.new_context(**{"viewport": {"width": 1180, "height": 900}, **options},
                                   storage_state=visitors[ANN if name == "mine" else DANA]).new_page()
        page.goto(at + path)
        page.wait_for_selector("[hx-trigger^=load]", state="detached")
        page.evaluate("document.querySelector('footer').remove()")
        height = page.evaluate("Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)")
        width = page.viewport_size["width"] if page.viewport_size else 1180
        taken = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": min(height, 1800)})
        (HERE / f"{name}.png").write_bytes(_smaller(browser, taken))


def _signed_in(browser: Browser, folder: str, at: str, email: str) -> Any:
    """What a browser keeps after this person signed in."""
    asked = [sys.executable, "-m", "sidefeed", "serve", "-C", folder, "--link", "--port", at.rpartition(":")[2],
             "--json", "--as", email]
    told = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)  # noqa: S603
    context = browser.new_context()
    page = context.new_page()
    page.goto(told["sign_in"])
    page.click("main button")
    return context.storage_state()


def _smaller(browser: Browser, picture: bytes) -> bytes:
    """The same picture in at most 256 colours: a quarter of the size, and no difference to the eye."""
    page = browser.new_page()
    width, height, raw = page.evaluate(_PIXELS, b64encode(picture).decode())
    page.close()
    pixels = np.frombuffer(b64decode(raw), dtype=np.uint8).reshape(-1, 4)[:, :3]
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    colours, index, count = np.unique(packed, return_inverse=True, return_counts=True)
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int32)
    palette = rgb[np.argsort(-count)[:256]]
    nearest = np.array([int(((palette - one) ** 2).sum(axis=1).argmin()) for one in rgb], dtype=np.uint8)
    rows = nearest[index].reshape(height, width)
    body = np.hstack([np.zeros((height, 1), dtype=np.uint8), rows]).tobytes()
    return b"\x89PNG\r\n\x1a\n" + b"".join((
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        _chunk(b"PLTE", palette.astype(np.uint8).tobytes()), _chunk(b"IDAT", zlib.compress(body, 9)),
        _chunk(b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


_PIXELS = """async picture => {
  const image = new Image(); image.src = "data:image/png;base64," + picture; await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const bytes = pen.getImageData(0, 0, image.width, image.height).data;
  let text = ""; for (let at = 0; at < bytes.length; at += 32768)
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return [image.width, image.height, btoa(text)];
}"""


if __name__ == "__main__":
    main(sys.argv[1])
