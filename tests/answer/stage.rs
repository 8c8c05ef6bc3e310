//! A served view with zones on it, and queries in wire form.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use secondaryd::answer::{self, Client, Identity, Outcome, Workspace};
use secondaryd::dns::{Name, Record, RecordType, name};
use secondaryd::served::{Publisher, State, Transport, ViewHandle, ZoneId};
use secondaryd::time::Timestamp;
use secondaryd::zone::{Builder, HashKey, Limits};

/// The key of all tests; nothing may depend on it.
pub(crate) const KEY: HashKey = HashKey::from_bytes(*b"sixteen octets..");

/// Queries of a group: as few as show whether one disturbs another.
const NEIGHBOURS: usize = 3;

/// Zones that are served.
pub(crate) struct Stage {
    publisher: Publisher,
    view: Arc<ViewHandle>,
    next: u32,
    /// What the server says about itself.
    pub(crate) identity: Identity,
    /// Rounds of the NSEC3 hash beyond which nothing is proved.
    pub(crate) nsec3_iterations_max: u16,
    /// The time at which everything is asked.
    pub(crate) now: Timestamp,
    /// One for all queries: nothing of an earlier one may show.
    work: RefCell<Workspace>,
    /// The last queries, which the next one shares a group with.
    recent: RefCell<VecDeque<Vec<u8>>>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let (publisher, view) = Publisher::new(KEY);
        Stage {
            publisher,
            view,
            next: 0,
            identity: Identity::default(),
            nsec3_iterations_max: answer::NSEC3_ITERATIONS_MAX,
            now: Timestamp::default(),
            work: RefCell::new(Workspace::for_groups()),
            recent: RefCell::default(),
        }
    }

    /// From now on not all zones are known.
    pub(crate) fn is_loading(&mut self) {
        self.publisher.set_whole(false);
    }

    /// Serves `apex` from `records`.
    pub(crate) fn serve<'r>(&mut self, apex: &Name, records: impl IntoIterator<Item = &'r Record>) {
        let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
        for record in records {
            builder.add(record.borrow()).expect("a record the builder takes");
        }
        let (snapshot, _) = builder.finish(None).expect("a zone");
        let slot = self.add(apex);
        self.publisher.publish(&slot, Arc::new(snapshot));
    }

    /// Adds a zone in another state.
    pub(crate) fn add_as(&mut self, apex: &Name, state: State) {
        let slot = self.add(apex);
        self.publisher.set_state(&slot, state);
    }

    /// Says until when a zone is good.
    pub(crate) fn set_expires(&mut self, apex: &Name, at: Timestamp) {
        let slot = self.view.load().zone(apex).cloned().expect("a zone");
        self.publisher.set_expires(&slot, Some(at));
    }

    /// Says that a version of a zone waits for approval.
    pub(crate) fn hold(&mut self, apex: &Name) {
        let slot = self.view.load().zone(apex).cloned().expect("a zone");
        self.publisher.set_held(&slot, true);
    }

    fn add(&mut self, apex: &Name) -> Arc<secondaryd::served::Slot> {
        self.next += 1;
        self.publisher.add_zones([(ZoneId(self.next), apex.clone())]).remove(0)
    }

    /// What the reply to `query` is about, as those count who limit equal replies.
    pub(crate) fn subject(&self, query: &[u8]) -> u64 {
        self.respond(query, Transport::Udp).expect("a reply");
        self.work.borrow().subject()
    }

    /// The reply to `query`, or what else is to be done: the same alone and read together with those before it.
    pub(crate) fn respond(&self, query: &[u8], transport: Transport) -> Result<Vec<u8>, Outcome> {
        let mut buffer = vec![0xee; if transport == Transport::Udp { 4096 } else { 65_535 }];
        buffer[..query.len()].copy_from_slice(query);
        let client = Client {
            identity: &self.identity,
            now: self.now,
            nsec3_iterations_max: self.nsec3_iterations_max,
            keepalive: std::time::Duration::from_secs(10),
            ..Client::new(transport, SocketAddr::from(([198, 51, 100, 100], 5353)))
        };
        let (view, work) = (self.view.load(), &mut *self.work.borrow_mut());
        let outcome = answer::respond(&view, &client, work, &mut buffer, query.len());
        let mut recent = self.recent.borrow_mut();
        for (index, query) in recent.iter().map(Vec::as_slice).chain([query]).enumerate() {
            work.read(&view, index, query);
        }
        work.look_ahead(&view, recent.len() + 1);
        let mut again = vec![0xee; buffer.len()];
        again[..query.len()].copy_from_slice(query);
        assert_eq!(work.answer(&view, &client, recent.len(), &mut again), outcome);
        assert_eq!(again, buffer, "as one of a group");
        recent.push_back(query.to_vec());
        if recent.len() == NEIGHBOURS {
            recent.pop_front();
        }
        match outcome {
            Outcome::Reply(len) => Ok(buffer[..len].to_vec()),
            other => Err(other),
        }
    }
}

/// A question and how it is put.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// In wire form, in the spelling to be asked.
    pub(crate) name: Vec<u8>,
    pub(crate) qtype: RecordType,
    pub(crate) class: u16,
    /// RD and CD as they stand in the third and fourth octet.
    pub(crate) flags: [u8; 2],
    pub(crate) edns: Option<Edns>,
    /// Options of EDNS in wire form.
    pub(crate) options: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Edns {
    pub(crate) octets: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
}

impl Question {
    pub(crate) fn new(text: &str, qtype: RecordType) -> Question {
        let mut wire = Vec::new();
        name::parse_labels(text.as_bytes(), &mut wire).expect("a name");
        wire.push(0);
        Question { name: wire, qtype, class: 1, flags: [0, 0], edns: None, options: Vec::new() }
    }

    pub(crate) fn to_message(&self) -> Vec<u8> {
        let mut message =
            vec![0x12, 0x34, self.flags[0], self.flags[1], 0, 1, 0, 0, 0, 0, 0, self.edns.is_some() as u8];
        message.extend_from_slice(&self.name);
        message.extend_from_slice(&self.qtype.0.to_be_bytes());
        message.extend_from_slice(&self.class.to_be_bytes());
        if let Some(edns) = self.edns {
            let [high, low] = edns.octets.to_be_bytes();
            message.extend_from_slice(&[0, 0, 41, high, low, 0, edns.version, (edns.dnssec_ok as u8) << 7, 0]);
            message.extend_from_slice(&(self.options.len() as u16).to_be_bytes());
            message.extend_from_slice(&self.options);
        }
        message
    }
}
