//! Our own listeners with zones of the fixtures on them.

use std::net::SocketAddr;
use std::sync::Arc;

use secondaryd::access::ZoneAccess;
use secondaryd::answer::{Cookies, Identity};
use secondaryd::dns::{Name, zonefile};
use secondaryd::net::{Listeners, Options, Policy, Running, Services};
use secondaryd::served::{Publisher, ZoneId, inbox};
use secondaryd::zone::{Builder, HashKey, Limits};

use crate::zones::Zone;

const KEY: HashKey = HashKey::from_bytes([4; 16]);

/// Serves until dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _publisher: Publisher,
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn start(zones: &[Zone]) -> Served {
        let (mut publisher, view) = Publisher::new(KEY);
        let apexes: Vec<Name> = zones.iter().map(|zone| zone.name.parse().expect("a name")).collect();
        let ids = apexes.iter().cloned().enumerate().map(|(id, apex)| (ZoneId(id as u32), apex));
        let slots = publisher.add_zones(ids);
        for ((zone, apex), slot) in zones.iter().zip(&apexes).zip(&slots) {
            let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
            for record in zonefile::parse(&zone.text, apex).expect("records") {
                builder.add(record.borrow()).expect("a record");
            }
            publisher.publish(slot, Arc::new(builder.finish(None).expect("a zone").0));
        }
        let (sender, _) = inbox::inbox(1, Box::new(|| {}));
        // as the daemon has it: rules for each zone, something to tell about itself
        let policy = Arc::new(Policy::default());
        slots.iter().for_each(|slot| policy.set_zone(slot.id(), Arc::new(ZoneAccess::default())));
        let identity = Identity::default().with_version(b"secondaryd").with_host(b"here");
        policy.identity.store(Arc::new(identity.with_cookies(Cookies::new(vec![[7; 16]], false))));
        let services = Services { view, policy, inbox: sender, outbound: Arc::new(|_, _| Box::pin(async { None })) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let options = Options { workers: 1, pin: false, ..Options::default() };
        let listeners = Listeners::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], options).expect("bound");
        let running = listeners.start(services, runtime.handle()).expect("started");
        let address = running.addresses()[0];
        Served { address, _publisher: publisher, running: Some(running), runtime }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.shutdown());
        }
    }
}
