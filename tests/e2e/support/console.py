"""People at the console: real browsers, each logged in as somebody."""

from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from . import binaries
from .gatepost import PASSWORD

BASE = "http://localhost:8000"
# a browser tells of every answer that is no 2xx, and that it goes to what was wrong rather than to the first field
TOLD = ("Failed to load resource", "Autofocus processing was blocked")


@contextmanager
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def visits(browser):
    """Opens browsers of their own; what one of them complains of fails the test."""
    contexts, complaints = [], []

    def opened(user="ann", width=1280, to="/", **options):
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if user:
            log_in(page, user, to=to)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not [text for text in complaints if not text.startswith(TOLD)], complaints


def log_in(page, user, password=PASSWORD, to="/"):
    page.goto(f"{BASE}/login?rd={to}")
    page.get_by_label("User name, e-mail or phone").fill(user)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{BASE}{to}")


def go(page, name):
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", level=1).wait_for()


def tab_to(page, wanted):
    """Goes on by the Tab key alone until this has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"the Tab key does not lead to {wanted}")
