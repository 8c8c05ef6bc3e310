use super::*;
use crate::dns::RecordType;
use crate::local::{Link, Patch};

fn host(text: &str) -> Box<[u8]> {
    local::content::host(text).expect("a host").into()
}

fn group() -> Group {
    let reserved = |name: Name, n| (name, Ok(Reserved { id: ZoneId(n), uuid: Uuid::from_u128(n.into()) }));
    let zones = ["192.0.2.7", "198.51.100.7"].map(|ip| new_zone_for(ip.parse().expect("an address")).expect("a zone"));
    let ground = Ground {
        board: Arc::default(),
        hash_key: HashKey::from_bytes([7; 16]),
        now: Timestamp::from_secs(1_795_305_000),
        quotas: Quotas { zones: 9, records: 99, reverse_records: 9 },
        allow_subzones: false,
        owned: None,
        reserved: zones.into_iter().zip(1..).map(|(name, n)| reserved(name, n)).collect(),
        left: HashMap::new(),
        newcomers: Newcomers::default(),
    };
    Group::new(ground, 1)
}

fn request(steps: Vec<Step>) -> LocalRequest {
    let name_servers = vec!["ns1.example.org".parse().expect("a name")];
    let (tenant, user) = ("1000".to_owned(), "admin".to_owned());
    LocalRequest { tenant, user, name_servers, steps, keep_good: false, dry_run: false, mark: None }
}

/// "PUT replaces all of it", and of TTL and device it says nothing: those stay that are there when it is made.
#[test]
fn a_ptr_that_is_replaced_keeps_ttl_and_device_where_it_moves_too() {
    let mut group = group();
    let id = Uuid::from_u128(77);
    let put = |address: &str, text: &str| {
        let address = address.parse().expect("an address");
        Step::PutPtr(PtrDraft {
            id: Some(id),
            address,
            host: host("a.example"),
            ttl: None,
            text: text.to_owned(),
            link: None,
        })
    };
    group.request(&request(vec![put("192.0.2.7", "one")])).expect("made");
    // given a TTL and a device that another dialect has set after the replacement was read
    let link = Some(Link { href: "http://x/1".to_owned(), rel: "servers".to_owned() });
    let patch = Patch { ttl: Some(Some(77)), link: Some(link.clone()), ..Patch::default() };
    let zone = group.works[&ZoneId(1)].definition.uuid;
    let edit = Step::Edit { zone, description: None, edits: vec![Edit::Update(id, patch)] };
    group.request(&request(vec![edit])).expect("made");
    // when it is replaced where it is, and then moves
    for (address, zone) in [("192.0.2.7", ZoneId(1)), ("198.51.100.7", ZoneId(2))] {
        group.request(&request(vec![put(address, "two")])).expect("made");
        // then both are there still
        let entry = group.works[&zone].zone.by_id(id).cloned().expect("there");
        assert_eq!((entry.rtype, entry.ttl, entry.link.clone()), (RecordType::PTR, Some(77), link.clone()));
        assert_eq!((&*entry.text, entry.num), ("two", 2));
    }
}

/// Downstreams compare serials: one that the zone before had would leave them with that zone.
#[test]
fn a_zone_that_is_made_again_begins_behind_the_last_serial_of_the_one_before() {
    let mut group = group();
    let (name, now) = (new_zone_for("192.0.2.7".parse().expect("an address")).expect("a zone"), group.ground.now);
    let first = local::first_serial(now);
    // given a zone of that name that was removed today with the seventh serial
    let (key, kept) = left::kept(&name, first.plus(6), now).expect("kept");
    assert!(kept.is_some());
    assert_eq!(left::kept(&name, Serial(first.0 - 1), now), None, "of yesterday nothing need be kept");
    group.ground.left.insert(name, first.plus(6));
    // when it is made again, beside one that never was
    for address in ["192.0.2.7", "198.51.100.7"] {
        let (address, host) = (address.parse().expect("an address"), host("a.example"));
        let ptr = PtrDraft { id: None, address, host, ttl: None, text: String::new(), link: None };
        group.request(&request(vec![Step::PutPtr(ptr)])).expect("made");
    }
    // then it goes on, and nothing is kept any more
    let serial = |id| group.works[&ZoneId(id)].snapshot.serial();
    assert_eq!((serial(1), serial(2)), (first.plus(7), first));
    let Some(Write::Local { metas, .. }) = group.write() else { panic!("zones are written") };
    assert!(metas.contains(&(key, None)), "{metas:?}");
}
