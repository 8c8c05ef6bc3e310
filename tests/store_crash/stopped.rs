//! The writer stops for good after each of its steps.

use secondaryd::store::{Options, Store, Write, ZoneNumber};
use secondaryd::zone::{HashKey, Snapshot};

use crate::model::*;

const ZONE: ZoneNumber = 3;

/// What the outside may rely on.
#[derive(Default, Debug)]
struct Promised {
    acknowledged: u32,
    submitted: u32,
    confirmed: u8,
    defined: bool,
}

impl Promised {
    /// Whether the write that leads to serial `to` was acknowledged.
    fn step(&mut self, store: &Store, to: u32, one: Write) -> bool {
        self.submitted = to;
        write(store, one).map(|()| self.acknowledged = to).is_ok()
    }
}

/// Writes, the zone at any serial, and how it is stored.
struct Scenario {
    /// Ends with the first refused write; true if it came to its end.
    run: fn(&Store, HashKey, &mut Promised) -> bool,
    model_at: fn(u32) -> Model,
    options: Options,
}

/// Runs the scenario until it stops after each of its steps, and looks at what the next start finds.
fn stop_everywhere(scenario: &Scenario) {
    for steps in 2.. {
        let directory = tempfile::tempdir().expect("a directory");
        let mut promised = Promised::default();
        let finished = {
            let stop = Options { stop_after_steps: Some(steps), ..scenario.options.clone() };
            match Store::open(directory.path(), stop) {
                Ok((store, _)) => (scenario.run)(&store, store.hash_key(), &mut promised),
                Err(error) => panic!("opening takes two steps: {error}"),
            }
        };

        let (store, zones) = open(directory.path(), scenario.options.clone());
        let key = store.hash_key();
        let check = |snapshot: &Snapshot| (scenario.model_at)(snapshot.serial().0).check(snapshot, key);
        let stored = loaded(&zones, ZONE).map_or(0, check);
        assert!(
            stored == promised.acknowledged || stored == promised.submitted,
            "stopped after {steps} steps: stored {stored}, {promised:?}"
        );
        let zone = zones.get(&ZONE);
        let confirmed = zone.and_then(|zone| zone.confirmation.as_ref()).map_or(0, |bytes| bytes[0]);
        assert!(confirmed >= promised.confirmed, "an acknowledged confirmation was lost");
        let definition = zone.and_then(|zone| zone.definition.clone());
        assert!(definition == Some(vec![9; 20_000].into()) || !promised.defined && definition.is_none());

        // Whatever was left over is in nobody's way, and goes.
        let model = (scenario.model_at)(stored);
        write(&store, model.append(stored.max(1), stored.max(1) + 1, key)).expect("stored");
        write(&store, model.replace(5_000, None, key)).expect("stored");
        wait_until_tidy(&store);
        drop(store);
        let (_, zones) = open(directory.path(), scenario.options.clone());
        let snapshot = loaded(&zones, ZONE).expect("loaded");
        assert_eq!(model.check(snapshot, key), 5_000);
        let pages = snapshot.pages().count();
        drop(zones);
        assert_eq!(stored_pages(directory.path()), pages, "left over after {steps} steps");
        assert_eq!(keys(directory.path()).get(&'j'), None, "left over after {steps} steps");
        if finished {
            break;
        }
    }
}

const CHANGING: Model = Model { zone: ZONE, hosts: 701 };

fn change(store: &Store, key: HashKey, promised: &mut Promised) -> bool {
    let model = CHANGING;
    let mut serial = 0;
    let ends_well = write(store, Write::Define { zone: model.zone, bytes: vec![9; 20_000] }).is_ok();
    promised.defined = ends_well;
    if !ends_well || !promised.step(store, 1, model.replace(1, None, key)) {
        return false;
    }
    serial += 1;
    // Journal, then a checkpoint, then journal again.
    for jump in [1, 1, 3, 20, 1, 1] {
        if !promised.step(store, serial + jump, model.append(serial, serial + jump, key)) {
            return false;
        }
        serial += jump;
        let confirmed = promised.confirmed + 1;
        if write(store, Write::Confirm { zone: model.zone, bytes: vec![confirmed; 24].into() }).is_err() {
            return false;
        }
        promised.confirmed = confirmed;
    }
    // A full transfer with its difference, one without, and on.
    promised.step(store, serial + 500, model.replace(serial + 500, Some(serial), key))
        && promised.step(store, serial + 900, model.replace(serial + 900, None, key))
        && promised.step(store, serial + 901, model.append(serial + 900, serial + 901, key))
}

#[test]
fn stopped_after_any_step_a_zone_is_wholly_old_or_wholly_new() {
    for batch_octets in [16 << 20, SMALL_BATCH_OCTETS] {
        let scenario = Scenario { run: change, model_at: |_| CHANGING, options: options(batch_octets) };
        stop_everywhere(&scenario);
    }
}

/// Small below serial 100, large from there on, small again from 200 on, and so forth.
fn moving(serial: u32) -> Model {
    Model { zone: ZONE, hosts: if serial / 100 % 2 == 1 { 701 } else { 23 } }
}

fn move_between_tree_and_file(store: &Store, key: HashKey, promised: &mut Promised) -> bool {
    let replace = |serial| moving(serial).replace(serial, None, key);
    let append = |serial| moving(serial).append(serial, serial + 1, key);
    promised.step(store, 1, replace(1))
        && promised.step(store, 2, append(1))
        && promised.step(store, 101, replace(101))
        && promised.step(store, 102, append(101))
        && promised.step(store, 150, replace(150))
        && promised.step(store, 201, replace(201))
        && promised.step(store, 202, append(201))
        && promised.step(store, 0, Write::Remove { zone: ZONE })
        && promised.step(store, 301, replace(301))
}

#[test]
fn stopped_while_its_pages_move_between_tree_and_file_a_zone_is_wholly_old_or_wholly_new() {
    let options = Options { file_octets: 8 << 10, ..options(SMALL_BATCH_OCTETS) };
    stop_everywhere(&Scenario { run: move_between_tree_and_file, model_at: moving, options });
}
