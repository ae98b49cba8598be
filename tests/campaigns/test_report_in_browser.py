"""The report's page in a real browser: Chromium, as Debian has it.

Without it these tests are skipped, unless ``PIDJ_TEST_REQUIRE_BROWSER`` is set. The browser is driven by Playwright's
synchronous interface, which keeps an event loop of its own: no test of this module is asynchronous.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from typing import TYPE_CHECKING, Final, Literal

import anyio
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pidj_async.campaigns.report import render_html
from pidj_async.campaigns.statistics import report_of
from pidj_async.store import Store

from .finished import HOUR, MINUTE, Row, log, put, put_spring, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Scheme = Literal["light", "dark"]

PAGES: Final = ("spring", "empty", "one", "doubt", "suppressed", "hostile", "waiting")
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
WIDTHS: Final = (360, 561, 768, 901, 1280, 1600)
HOSTILE: Final = "<script>window.broken = 1</script> \"quoted\" 'too' & <img src=x onerror=window.broken=1> {{ 7 * 7 }}"

# What a browser does of its own accord would be mistaken for what a page does.
QUIETLY: Final = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        message = "there is no Chromium; on Debian: apt-get install chromium"
        if os.environ.get("PIDJ_TEST_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    return found


async def put_all(store: Store) -> None:
    await put_spring(store)
    await put(store, id="empty", state="loading")
    await put(store, [row(1, "sent", at=0, took=80_000)], id="one")
    await put(store, [row(one, "in_doubt", at=one * MINUTE, cause="worker-lost") for one in range(300)], id="doubt")
    await put(store, [row(one, "suppressed", cause="opt-out") for one in range(40)], id="suppressed")
    states = ("pending", "ready", "sending", "cancelled", "expired", "sent")
    waiting: list[Row] = [row(one, states[one % 6], at=one * MINUTE if one % 6 == 5 else None) for one in range(60)]
    await put(store, waiting, id="waiting", state="paused", reason="402 Payment Required")
    await put(
        store,
        [row(1, "in_doubt", at=0, cause=HOSTILE[:40], error=HOSTILE), row(2, "sent", at=HOUR, took=5)],
        id=HOSTILE[:80],
        state="paused",
        reason=HOSTILE,
        settings={"text": HOSTILE, "group_id": HOSTILE, "hours": HOSTILE},
        sources={HOSTILE: {"lines": 9, "invalid": 1, "duplicate": 0, "problems": [[3, HOSTILE]], "complete": True}},
        logged=[log(0, "paused", HOSTILE, detail=HOSTILE), log(HOUR, "late", "x" * 200)],
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each campaign's page, in a file."""
    folder = tmp_path_factory.mktemp("reports")

    async def write() -> dict[str, Path]:
        async with Store(f"sqlite:///{folder / 'store.db'}") as store:
            await put_all(store)
            found = {}
            for name in PAGES:
                report = await report_of(store, HOSTILE[:80] if name == "hostile" else name, price_per_segment=0.0079)
                found[name] = folder / f"{name}.html"
                found[name].write_text(render_html(report), "utf-8")
            return found

    return anyio.run(write)


@pytest.fixture(scope="module")
def browser(pages: dict[str, Path]) -> Iterator[Browser]:
    """Chromium. The pages come first, because they need an event loop too."""
    assert pages
    sandboxed = [] if os.getuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=[*QUIETLY, *sandboxed])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    yield tab
    tab.close()


def show(page: Page, path: Path, *, scheme: Scheme = "light", width: int = 1280) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="screen", color_scheme=scheme)
    page.goto(path.as_uri())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_nothing_of_the_network_and_complains_of_nothing(
    pages: dict[str, Path], page: Page, name: str
) -> None:
    """The page itself is all that is loaded, and the console stays empty."""
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    show(page, pages[name])
    assert [pages[name].as_uri()] == [url for url in asked if not url.startswith("data:")]
    assert [] == complaints


def test_what_comes_from_a_store_is_text(pages: dict[str, Path], page: Page) -> None:
    """Neither a template's text nor a name, a cause or a reason becomes an element or runs."""
    show(page, pages["hostile"])
    assert page.evaluate("window.broken") is None
    assert (0, 0) == (page.locator("script").count(), page.locator("img, iframe, object, a").count())
    assert HOSTILE == page.locator("blockquote").inner_text()
    assert page.locator("h1").inner_text().endswith(HOSTILE[:80])


def test_the_browser_would_load_and_run_nothing_if_asked(pages: dict[str, Path], page: Page) -> None:
    """The page's own policy stops a script and a picture that get in nevertheless."""
    stopped: list[str] = []
    page.on("console", lambda message: stopped.append(message.text))
    show(page, pages["one"])
    page.evaluate(
        """() => {
            const script = document.createElement('script'); script.textContent = 'window.broken = 1';
            const image = document.createElement('img'); image.src = 'http://127.0.0.1:9/x.png';
            document.body.append(script, image);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.broken") is None
    assert 2 == sum("Content Security Policy" in one for one in stopped)


BRIGHTNESS: Final = """async (source) => {
    const image = new Image(); image.src = source; await image.decode();
    const canvas = document.createElement('canvas'); canvas.width = image.width; canvas.height = image.height;
    const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, image.width, image.height).data;
    let sum = 0; for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
    return sum / (data.length / 4) / 765;
}"""


def brightness(browser: Browser, picture: bytes) -> float:
    """From 0, black, to 1, white; measured by the browser, so that no library for pictures is needed."""
    tab = browser.new_page()
    found: float = tab.evaluate(BRIGHTNESS, f"data:image/png;base64,{base64.b64encode(picture).decode()}")
    tab.close()
    return found


def test_dark_is_dark_and_paper_is_light(pages: dict[str, Path], page: Page, browser: Browser) -> None:
    """A reader's dark screen gets a dark page; on paper it is light whatever the screen was."""
    show(page, pages["spring"])
    light = page.screenshot()
    show(page, pages["spring"], scheme="dark")
    dark = page.screenshot()
    page.emulate_media(media="print", color_scheme="dark")
    paper = page.screenshot()
    shades = [brightness(browser, picture) for picture in (light, dark, paper)]
    assert shades[0] > 0.85
    assert shades[1] < 0.25
    assert shades[2] > 0.85
    assert light != paper


CONTRASTS: Final = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const luminance = (colour) => {
        const [r, g, b] = colour.map((one) => one / 255)
            .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const colour = parse(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || ['title', 'desc', 'STYLE'].includes(element.tagName)) continue;
        if (!element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const colour = parse(element.tagName === 'text' ? style.fill : style.color).slice(0, 3);
        const [a, b] = [luminance(colour), luminance(ground(element))].sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), node.data.trim().slice(0, 40)]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_every_word_stands_out(pages: dict[str, Path], page: Page, name: str, scheme: Scheme) -> None:
    """Contrast of all text is at least 4.5, the level AA of WCAG for small letters, on light and dark screens."""
    show(page, pages[name], scheme=scheme)
    contrasts: list[tuple[float, str]] = [(ratio, text) for ratio, text in page.evaluate(CONTRASTS)]
    assert len(contrasts) > 30
    assert [] == [one for one in contrasts if one[0] < 4.5]


COLOURS: Final = """(names) => {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue('--' + name).trim()]));
}"""


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_mark_stands_out(pages: dict[str, Path], page: Page, scheme: Scheme) -> None:
    """What is drawn has a contrast of at least 3 against the ground, the level AA of WCAG for graphics."""
    show(page, pages["one"], scheme=scheme)
    marks = ["sent", "in-doubt", "rejected", "neutral", "waiting", "p50", "p95", "p99"]
    colours: dict[str, str] = page.evaluate(COLOURS, ["paper", *marks])
    ground = luminance(colours["paper"])

    def contrast(name: str) -> float:
        bright, dim = sorted((luminance(colours[name]), ground), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    assert [] == [(name, contrast(name)) for name in marks if contrast(name) < 3]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_any_screen(pages: dict[str, Path], page: Page, name: str) -> None:
    """Nothing reaches beyond the right edge, from a small telephone to a large screen, whatever the words."""
    show(page, pages[name])
    reached = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        reached[width] = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert {} == {width: found for width, found in reached.items() if found > width}


BOXES: Final = """() => [...document.querySelectorAll('figure')].map((figure) => {
    const ground = figure.getBoundingClientRect();
    const pictures = [...figure.querySelectorAll('.picture svg')].filter((one) => one.checkVisibility());
    const edges = (outer, inner) => Math.max(outer.left - inner.left, outer.top - inner.top,
                                             inner.right - outer.right, inner.bottom - outer.bottom);
    const within = pictures.flatMap((picture) => {
        const frame = picture.getBoundingClientRect();
        const parts = [...picture.querySelectorAll('text, rect, circle, path')]
            .map((one) => one.getBoundingClientRect());
        return [edges(ground, frame), ...parts.map((part) => edges(frame, part))];
    });
    const letters = [...pictures[0].querySelectorAll('text')].map((one) => one.getBoundingClientRect().height);
    return {count: pictures.length, beyond: Math.max(...within), area: ground.width * ground.height,
            letters: Math.min(...letters)};
})"""


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("name", ["spring", "one", "hostile"])
def test_a_chart_is_whole(pages: dict[str, Path], page: Page, name: str, media: Literal["screen", "print"]) -> None:
    """In every width one drawing of each chart is shown, all of it, with letters that can be read."""
    show(page, pages[name])
    page.emulate_media(media=media)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        boxes: list[dict[str, float]] = page.evaluate(BOXES)
        assert [1, 1] == [box["count"] for box in boxes]
        assert [] == [box for box in boxes if box["beyond"] > 1.5 or box["area"] < 40_000]
        if media == "screen":
            assert [] == [box["letters"] for box in boxes if box["letters"] < 11]


OVERLAPS: Final = """() => [...document.querySelectorAll('.picture svg')].filter((one) => one.checkVisibility())
    .flatMap((picture) => {
        const boxes = [...picture.querySelectorAll('.axis.x text')].map((one) => one.getBoundingClientRect());
        return boxes.slice(1).map((box, index) => boxes[index].right - box.left);
    }).filter((overlap) => overlap > 0)"""


def test_the_names_of_times_do_not_overlap(pages: dict[str, Path], page: Page) -> None:
    """There is room between the labels of a chart's axis, in every width."""
    show(page, pages["spring"])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert [] == page.evaluate(OVERLAPS)


def test_a_chart_speaks_to_those_who_do_not_see_it(pages: dict[str, Path], page: Page) -> None:
    """A picture has a name and a description; there is one picture of each chart, not one for every width."""
    show(page, pages["spring"])
    tree: str = page.locator("main").aria_snapshot()
    named = re.findall(r'- img "(Texts in each hour|How long Pidj took to answer, in each hour)', tree)
    assert ["Texts in each hour", "How long Pidj took to answer, in each hour"] == named
    assert page.locator(".picture.wide svg > desc").first.text_content() is not None


def test_the_figures_of_a_chart_are_there_as_a_table(pages: dict[str, Path], page: Page) -> None:
    """It opens by keyboard, and has a line for every bar."""
    show(page, pages["spring"])
    table = page.locator("details table")
    assert not table.is_visible()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    assert 47 == table.locator("tbody tr").count()


def test_a_bar_tells_its_figures_when_pointed_at(pages: dict[str, Path], page: Page) -> None:
    """Each bar has the text that browsers show for it."""
    show(page, pages["one"])
    assert "23 Nov, 15:00:00 to 15:00:01 UTC: 1 sent" == page.locator(".picture.wide .bar title").text_content()


@pytest.mark.parametrize(("paper", "size"), [("A4", (595, 842)), ("Letter", (612, 792))])
def test_a_page_can_be_printed(pages: dict[str, Path], page: Page, paper: str, size: tuple[int, int]) -> None:
    """It becomes a PDF of several sheets, on the paper that the reader has."""
    show(page, pages["spring"], scheme="dark")
    document = page.pdf(format=paper)
    assert document.startswith(b"%PDF-")
    sheets = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", document)
    assert 4 <= len(sheets) <= 12
    assert [] == [one for one in sheets if pytest.approx(size, abs=1.5) != tuple(map(float, one))]


CUT: Final = """([height, selector]) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility())
    .filter((one) => one.getBoundingClientRect().height > height).length"""


def test_nothing_that_must_stay_together_is_higher_than_a_sheet(pages: dict[str, Path], page: Page) -> None:
    """A chart, a row or a tile that may not be cut fits on a page, so the printer need not cut it."""
    sheet = (279 - 2 * 16) * 96 / 25.4  # Letter, which is lower than A4
    show(page, pages["spring"], width=round((210 - 2 * 15) * 96 / 25.4))
    page.emulate_media(media="print")
    together = ["figure", "tr", ".tile", ".bar", ".todo li", "blockquote"]
    assert [0] * len(together) == [page.evaluate(CUT, [sheet, selector]) for selector in together]
    styles = [
        page.locator(one).first.evaluate("one => getComputedStyle(one).breakInside")
        for one in together
        if one != ".bar"
    ]
    assert {"avoid"} == set(styles)
