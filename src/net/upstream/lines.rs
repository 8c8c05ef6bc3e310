//! The lines to all primaries, and the way a query takes to one of them (RFC 7766 §6.2: reuse, pipelining, retries).
//!
//! A query goes over a line that has room, else over a new one. What a line that was used before fails to answer is asked
//! once more over a young line, and then over one of its own: a connection that the primary has closed or forgotten
//! meanwhile is no failure (RFC 7766 §6.2.4), nor is a primary that takes only one query at a time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connection::Stood;
use super::exchange::{Exchange, NotBegun};
use super::line::{Line, Standing};
use super::seen::{Phase, Seen, Transport};
use super::{Bounds, POISONED, Target, Upstream};
use crate::reason::Reason;

/// Unused connections are kept this long; primaries close idle ones after ten seconds and more.
const KEEP: Duration = Duration::from_secs(8);
/// Most unused connections kept to one primary.
const IDLE_PER_PRIMARY: usize = 4;

/// Lines by where they lead.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<Route, Vec<Arc<Line>>>>,
}

/// Address, source, and the TLS profile.
type Route = (SocketAddr, Option<IpAddr>, Option<u64>);

fn route(target: &Target) -> Route {
    (target.address, target.source, target.tls.as_ref().map(|profile| profile.id()))
}

impl Lines {
    /// A seat on a line with room, made after `after` if that is given; else on the line that `begin` makes. True: on a
    /// new one.
    fn seat(
        &self,
        target: &Target,
        seats_max: usize,
        after: Option<Instant>,
        begin: impl FnOnce() -> Arc<Line>,
    ) -> (Arc<Line>, Exchange, bool) {
        let mut all = self.lines.lock().expect(POISONED);
        let lines = all.entry(route(target)).or_default();
        lines.retain(|line| line.standing(seats_max, KEEP) != Standing::Over);
        let is_young = |line: &&Arc<Line>| after.is_none_or(|then| line.is_younger_than(then));
        let found = lines.iter().filter(is_young).find(|line| line.standing(seats_max, KEEP) == Standing::Open);
        let (line, new) = match found {
            Some(line) => (line.clone(), false),
            None => {
                let line = begin();
                lines.push(line.clone());
                (line, true)
            }
        };
        // Under the lock, so that two do not take the last seat.
        let exchange = line.sit();
        (line, exchange, new)
    }

    /// Lets lines go that are over, or idle beyond what is kept.
    pub(super) fn tidy(&self) {
        self.lines.lock().expect(POISONED).retain(|_, lines| {
            lines.retain(|line| line.standing(usize::MAX, KEEP) != Standing::Over);
            let mut idle = 0;
            lines.retain(|line| {
                idle += usize::from(line.is_idle());
                !line.is_idle() || idle <= IDLE_PER_PRIMARY
            });
            !lines.is_empty()
        });
    }
}

impl Upstream {
    /// Sends the query that `compose` makes for an id, and waits until the answer begins. What `compose` gives beside
    /// the query is given back with the exchange.
    pub(super) async fn ask<T>(
        &self,
        target: &Target,
        bounds: &Bounds,
        phase: Phase,
        seen: &mut Seen,
        compose: impl Fn(u16) -> (Vec<u8>, T),
    ) -> Result<(Exchange, T), Reason> {
        let (mut after, mut attempt) = (None, 0);
        loop {
            // The last attempt has a line of its own, and its failure is that of the primary.
            let alone = attempt >= 2 || self.manners.takes_one_at_a_time(target.address);
            let seats = if alone { 1 } else { bounds.pipelining };
            let before = if attempt >= 2 { Some(Instant::now()) } else { after };
            let begin = || Line::begin(target, bounds, self.manners.clone(), alone);
            let (line, mut exchange, new) = self.lines.seat(target, seats, before, begin);
            if target.tls.is_some() {
                seen.transport = Transport::Tls;
            } else {
                seen.transport = Transport::Tcp;
            }
            let standing = match line.stood().await {
                Ok(standing) => standing,
                Err(refused) => {
                    refused.show(seen);
                    return Err(refused.reason);
                }
            };
            show(&standing, new, seen);
            seen.reached(phase);
            self.turn(target, bounds).await;
            let (query, more) = compose(exchange.id());
            exchange.send(&query);
            let patience = self.manners.patience(target.address);
            match exchange.begin(patience, bounds.idle).await {
                Ok(round_trip) => {
                    seen.round_trip = Some(round_trip);
                    if after.is_some() {
                        self.manners.learn_patience(target.address, round_trip);
                    }
                    return Ok((exchange, more));
                }
                Err(NotBegun::Again { ignored, .. }) if attempt < 2 => {
                    if ignored {
                        self.manners.learn_one_at_a_time(target.address);
                    }
                    // The line has not done well: nobody else shall try it.
                    line.close();
                    (after, attempt) = (Some(Instant::now()), attempt + 1);
                }
                Err(NotBegun::Again { reason, .. } | NotBegun::Failed(reason)) => return Err(reason),
            }
        }
    }
}

fn show(standing: &Stood, new: bool, seen: &mut Seen) {
    seen.transport = if standing.tls.is_some() { Transport::Tls } else { Transport::Tcp };
    seen.connected_in = new.then_some(standing.connected_in);
    seen.local = standing.local;
    seen.tls.clone_from(&standing.tls);
    seen.fell_back.clone_from(&standing.fell_back);
}
