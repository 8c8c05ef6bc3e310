//! A version between its arrival, the disk and those it is served to.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::super::fixture::{keeper_of, prepared, zone};
use super::super::outbound;
use super::super::zones::configured;
use super::*;
use crate::config::Config;
use crate::dns::message::{self, HEADER_OCTETS, Question};
use crate::net::upstream::Volume;

const ID: ZoneId = ZoneId(1);
const PATIENCE: Duration = Duration::from_secs(4);

/// A keeper with one zone, whose versions are made durable like this and told to the downstream.
fn keeper(durability: Durability, downstream: Option<SocketAddr>) -> (tempfile::TempDir, Keeper) {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut keeper, _) = keeper_of(Config { state_dir: directory.path().to_owned(), durability, ..Config::default() });
    let mut zone = zone();
    zone.notify = downstream.into_iter().map(|address| NotifyTarget { address, key: None }).collect();
    keeper.add_zones(vec![configured(&zone, ID, Timestamp::now())]);
    (directory, keeper)
}

/// A full transfer of this version, which began when `base` was the newest.
fn arrival(keeper: &Keeper, serial: u32, base: Option<u32>) -> Arrival {
    let contents = Contents::New(Box::new(prepared(keeper, serial, base)));
    Arrival { volume: Volume::default(), expire_secs: None, contents }
}

fn take(keeper: &mut Keeper, serial: u32, base: Option<u32>) -> Transferred {
    let exchange = keeper.zones[&ID].exchange(0);
    let arrival = arrival(keeper, serial, base);
    keeper.take(&exchange, Accept::Newer, arrival).expect("nothing is wrong with it")
}

fn commit(keeper: &mut Keeper, serial: u32, base: Option<u32>) -> Arc<Snapshot> {
    let prepared = prepared(keeper, serial, base);
    let version = prepared.snapshot.clone();
    keeper.commit(ID, prepared, Giver::RolledBack { user: "admin".to_owned() }).expect("taken");
    version
}

/// T7, with `durability = "before"`: what comes while a version is on its way to the disk is judged beside that version, not
/// beside the older one that is still served.
#[tokio::test]
async fn what_comes_next_comes_after_the_version_on_its_way_to_the_disk() {
    let (_directory, mut keeper) = keeper(Durability::Before, None);
    let first = commit(&mut keeper, 102, None);
    assert_eq!((keeper.zones[&ID].served, keeper.zones[&ID].newest_serial()), (None, Some(Serial(102))));
    // a server that is behind: newer than what is served, older than what was taken
    let older = take(&mut keeper, 101, None);
    assert!(matches!(older, Transferred::UpToDate { serial: Serial(101), .. }), "{older:?}");
    assert!(matches!(take(&mut keeper, 103, Some(102)), Transferred::Committed(_)));
    let second = keeper.zones[&ID].coming.clone().expect("it waits for the disk");
    keeper.stored(ID, first, false, Ok(()));
    assert_eq!((keeper.zones[&ID].served, keeper.zones[&ID].newest_serial()), (Some(Serial(102)), Some(Serial(103))));
    keeper.stored(ID, second, false, Ok(()));
    assert_eq!(keeper.zones[&ID].served, Some(Serial(103)));
    assert!(keeper.zones[&ID].coming.is_none());
}

/// O3: "NOTIFY out on each published change", also while changes come faster than the disk takes them.
#[tokio::test]
async fn downstreams_are_told_of_a_durable_version_behind_the_served_one() {
    let downstream = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let (_directory, mut keeper) = keeper(Durability::Behind, Some(downstream.local_addr().expect("bound")));
    let first = commit(&mut keeper, 1, None);
    commit(&mut keeper, 2, Some(1));
    // given that the next version is served before the disk has the first
    assert_eq!(keeper.zones[&ID].served, Some(Serial(2)));
    keeper.stored(ID, first, true, Ok(()));
    let mut message = [0; 512];
    let (octets, _) = timeout(PATIENCE, downstream.recv_from(&mut message)).await.expect("a NOTIFY").expect("received");
    let message = &message[..octets];
    let (_, question_end) = Question::read(message, HEADER_OCTETS).expect("a question");
    let soa = message::records(message, question_end, 1).next().expect("an answer").expect("a record");
    // its SOA is that of the version which downstreams can be given
    let rdata = &message[soa.rdata..soa.rdata + soa.rdata_len];
    assert_eq!(rdata[rdata.len() - 20..][..4], 1u32.to_be_bytes());
}

/// The same for transfers: a downstream gets what was served when it asked, and does not wait for all that came since.
#[tokio::test]
async fn a_downstream_gets_the_version_that_was_served_when_it_asked() {
    let (_directory, mut keeper) = keeper(Durability::Behind, None);
    let source = outbound::source(keeper.board.clone(), keeper.store.clone());
    let first = commit(&mut keeper, 1, None);
    let asked = tokio::spawn(source(keeper.zones[&ID].slot.clone(), None));
    tokio::task::yield_now().await;
    commit(&mut keeper, 2, Some(1));
    keeper.stored(ID, first, true, Ok(()));
    let given = timeout(PATIENCE, asked).await.expect("at once").expect("no panic").expect("contents");
    assert_eq!(given.snapshot.serial(), Serial(1));
}
