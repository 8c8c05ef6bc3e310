//! The dashboard in a real browser: headless Chromium ([`browser`]) before the built daemon, whose zones come from
//! primaries of the test. What people read is asserted; how it looks is kept as `target/tmp/dashboard-*.png`.
//!
//! Without `chromedriver` the tests say so and are passed over; `tests/run` installs it.

mod browser;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../api/primary.rs"]
mod primary;

use std::time::Duration;

use serde_json::json;

use browser::{Browser, Look};
use harness::daemon::{Secondaryd, TOKEN};
use harness::wait::SOON;
use primary::Primary;

const APEX: &str = "good.example";

fn version(serial: u32) -> String {
    format!("@ 300 SOA ns h {serial} 3600 600 86400 300\n@ 300 NS ns\nns 300 A 192.0.2.1\n")
}

/// A daemon with a zone that is well and one whose primaries are not.
struct Stage {
    daemon: Secondaryd,
    primary: Primary,
    browser: Browser,
}

impl Stage {
    /// `None` if there is no browser here.
    fn set() -> Option<Stage> {
        let browser = Browser::start()?;
        let daemon = Secondaryd::reserve().started();
        let primary = Primary::start(APEX, &version(7));
        let stage = Stage { daemon, primary, browser };
        stage.make(APEX, &[&stage.primary.address()]);
        stage.make("bad.example", &["127.0.0.9#1", "127.0.0.10#1"]);
        stage.daemon.wait_item("bad.example", 1, "an error", |item| item["status"] == "ERROR");
        stage.daemon.wait_item(APEX, 0, "well", |item| item["status"] == "OK");
        Some(stage)
    }

    fn make(&self, name: &str, primaries: &[&str]) -> String {
        let body = json!({"properties": {"zoneName": name, "primaryIps": primaries}}).to_string();
        let (code, made) = self.daemon.send("POST", "/secondaryzones", &body).expect("answered");
        assert_eq!(code, 202, "{made}");
        made["href"].as_str().expect("a path").to_owned()
    }

    /// Opens the page and gives it the token.
    fn log_in(&self, token: &str) {
        self.browser.open(&format!("http://{}/", self.daemon.api()));
        self.browser.type_into("#token", token);
        self.browser.click("#login button");
    }

    /// Waits until the card of a zone holds all of `words`.
    #[track_caller]
    fn await_card(&self, zone: &str, words: &[&str]) {
        let card = format!("section[aria-label='{zone}']");
        self.browser.await_text(&card, SOON, words);
    }
}

#[test]
fn every_zone_is_shown_with_its_primaries_and_what_is_wrong_with_them() {
    let Some(stage) = Stage::set() else { return };
    stage.log_in(TOKEN);
    stage.await_card(APEX, &["Available", "Serving serial 7", "OK", "Has the serial we serve", "AXFR"]);
    let reason = "Connection with primary nameserver could not be established";
    stage.await_card(
        "bad.example",
        &["Failed", "Nothing to serve", "127.0.0.9#1", "127.0.0.10#1", reason, "CONNECT_REFUSED"],
    );
    stage.browser.await_text("#summary", SOON, &["2 zones", "1 not served", "2 of 3 primaries fail"]);
    assert!(!stage.browser.is_shown("#login"), "the login is gone");

    // "Why?" gives verdict, evidence and what to do.
    stage.browser.click("section[aria-label='bad.example'] .actions button");
    stage.await_card("bad.example", &["Evidence", "What to do", "As primaries see us", "Last attempts"]);

    // The search leaves what fits.
    stage.browser.type_into("#search", "good");
    stage.browser.await_count("section.zone", SOON, 1);
    stage.await_card(APEX, &["Serving serial 7"]);
}

/// While events come, the page asks by itself every 30 s only; what is there earlier came by an event.
#[test]
fn a_change_is_followed_by_events_without_a_reload() {
    const AT_ONCE: Duration = Duration::from_secs(15);
    let Some(stage) = Stage::set() else { return };
    stage.log_in(TOKEN);
    stage.await_card(APEX, &["Serving serial 7"]);
    stage.browser.run("window.marker = 'the same page'");
    stage.browser.await_true("the stream is open", SOON, "return streaming");

    stage.primary.replace(APEX, &version(8));
    let path = stage.daemon.zone_path(APEX);
    stage.daemon.expect("PUT", &format!("{path}/axfr?mode=refresh"), 202);
    stage.browser.await_text(&format!("section[aria-label='{APEX}']"), AT_ONCE, &["Serving serial 8"]);

    let made = stage.make("new.example", &["127.0.0.11#1"]);
    stage.browser.await_text("section[aria-label='new.example']", AT_ONCE, &["CONNECT_REFUSED"]);
    stage.daemon.expect("DELETE", &made, 202);
    stage.browser.await_count("section[aria-label='new.example']", AT_ONCE, 0);
    assert_eq!(stage.browser.run("return window.marker"), "the same page");
}

#[test]
fn a_wrong_token_is_refused_in_words() {
    let Some(stage) = Stage::set() else { return };
    stage.log_in("not the token");
    stage.browser.await_text("#notice", SOON, &["This token is not accepted."]);
    assert!(stage.browser.is_shown("#login") && !stage.browser.is_shown("#search"), "asked again");
    assert_eq!(stage.browser.run("return sessionStorage.length"), 0, "and the token is forgotten");
    // The right one goes on from there, and the words go.
    stage.browser.type_into("#token", TOKEN);
    stage.browser.click("#login button");
    stage.await_card(APEX, &["Serving serial 7"]);
    assert!(!stage.browser.is_shown("#notice"));
    stage.browser.click("#forget");
    stage.browser.await_true("the login is back", SOON, "return !document.getElementById('login').hidden");
    stage.browser.await_count("section.zone", SOON, 0);
}

/// Whatever the width and the colours: nothing stands out of the page, and text can be told from its ground.
#[test]
fn narrow_and_dark_pages_hold_everything() {
    let Some(stage) = Stage::set() else { return };
    let long = format!("{}.example", ["a-very-long-label-of-a-zone-name-0123456789"; 4].join("."));
    stage.make(&long, &["127.0.0.12#1"]);
    stage.daemon.wait_item(&long, 0, "an error", |item| item["status"] == "ERROR");
    stage.log_in(TOKEN);
    stage.await_card("bad.example", &["CONNECT_REFUSED"]);
    stage.browser.click("section[aria-label='bad.example'] .actions button");
    stage.await_card("bad.example", &["What to do"]);
    stage.await_card(&long, &["CONNECT_REFUSED"]);
    for (width, height) in [(320, 700), (390, 844), (760, 1000), (768, 1024), (1280, 900)] {
        for dark in [false, true] {
            stage.browser.look(Look { width, height, dark });
            let name = format!("dashboard-{width}-{}", if dark { "dark" } else { "light" });
            stage.browser.keep_picture(&name);
            assert_eq!(stage.browser.run(OUTSIDE), json!([]), "{name}: what stands out");
            let faint = stage.browser.run(FAINT);
            assert_eq!(faint, json!([]), "{name}: what is hard to read");
        }
    }
}

/// Elements that are wider than the page, or whose text is cut off.
const OUTSIDE: &str = "
    const wide = document.documentElement.clientWidth;
    return [...document.querySelectorAll('body *')]
        .filter(e => e.getClientRects().length && (e.getBoundingClientRect().right > wide + 0.5 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).overflow !== 'visible' && !e.matches('input, select')))
        .map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40));
";

/// Texts whose contrast with their ground is below 4.5 (WCAG 2.2, success criterion 1.4.3).
const FAINT: &str = "
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = e => {
        for (; e; e = e.parentElement) {
            const found = parts(getComputedStyle(e).backgroundColor);
            if (found.length === 3 || found[3] > 0) return found;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if (!own || !e.getClientRects().length || e.disabled) continue;
        const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.className + ' ' + e.textContent.slice(0, 40) + ' ' + ((a + 0.05) / (b + 0.05)).toFixed(1));
    }
    return bad;
";
