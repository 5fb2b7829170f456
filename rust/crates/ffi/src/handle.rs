//! The open clients. A handle is a number: the slot in its low half, the slot's generation in its high half. It is never
//! a pointer, so a late or wrong one finds nothing instead of freed memory.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use e2bridge_core::{Code, Error, Result};

use crate::client::Client;

/// Slots by number. A generation is issued once: 1 first, raised when the client is closed.
#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Closed clients, until the last call on them has ended.
    closing: Vec<Weak<Client>>,
}

struct Slot {
    generation: u32,
    client: Option<Arc<Client>>,
}

static TABLE: RwLock<Table> = RwLock::new(Table { slots: Vec::new(), free: Vec::new(), closing: Vec::new() });

/// What a handle refers to.
enum Place {
    Open(u32),
    Closed,
    Never,
}

impl Table {
    fn insert(&mut self, client: Arc<Client>) -> Result<u64> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).map_err(|_| {
                    Error::new(Code::LimitExceeded, "open: no handle is left in this process")
                })?;
                self.slots.push(Slot { generation: 1, client: None });
                slot
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.client = Some(client);
        Ok(join(slot, entry.generation))
    }

    fn place(&self, handle: u64) -> Place {
        let (slot, generation) = split(handle);
        match self.slots.get(slot as usize) {
            Some(entry) if generation == entry.generation && entry.client.is_some() => Place::Open(slot),
            Some(entry) if (1..entry.generation).contains(&generation) => Place::Closed,
            // The last generation of a retired slot is never raised.
            Some(entry) if generation == entry.generation && generation == u32::MAX => Place::Closed,
            _ => Place::Never,
        }
    }

    fn find(&self, handle: u64) -> Result<Arc<Client>> {
        match self.place(handle) {
            Place::Open(slot) => self.slots[slot as usize].client.clone().ok_or_else(closed),
            Place::Closed => Err(closed()),
            Place::Never => Err(never()),
        }
    }

    fn remove(&mut self, handle: u64) -> Result<Option<Arc<Client>>> {
        match self.place(handle) {
            Place::Open(slot) => {
                let entry = &mut self.slots[slot as usize];
                let client = entry.client.take();
                // A slot whose generations are used up is not used again: handles never repeat.
                if let Some(next) = entry.generation.checked_add(1) {
                    entry.generation = next;
                    self.free.push(slot);
                }
                self.closing.retain(|client| client.strong_count() > 0);
                self.closing.extend(client.as_ref().map(Arc::downgrade));
                Ok(client)
            }
            Place::Closed => Ok(None),
            Place::Never => Err(never()),
        }
    }

    fn alive(&self) -> Vec<Arc<Client>> {
        let open = self.slots.iter().filter_map(|slot| slot.client.clone());
        open.chain(self.closing.iter().filter_map(Weak::upgrade)).collect()
    }
}

/// Keeps `client` under a new handle.
///
/// # Errors
/// `LIMIT_EXCEEDED` after 2^32 clients at once.
pub(crate) fn insert(client: Client) -> Result<u64> {
    TABLE.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::new(client))
}

/// The client of `handle`, held until the caller drops it.
///
/// # Errors
/// `CLOSED` after its closing; `INVALID_ARGUMENT` for a number that never was a handle.
pub(crate) fn find(handle: u64) -> Result<Arc<Client>> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner).find(handle)
}

/// Takes the client of `handle` out; `None` when it is closed already.
///
/// # Errors
/// `INVALID_ARGUMENT` for a number that never was a handle.
pub(crate) fn remove(handle: u64) -> Result<Option<Arc<Client>>> {
    TABLE.write().unwrap_or_else(PoisonError::into_inner).remove(handle)
}

/// The clients that are there: open, or closed and still held by a call.
pub(crate) fn alive_clients() -> Vec<Arc<Client>> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner).alive()
}

const fn join(slot: u32, generation: u32) -> u64 {
    ((generation as u64) << 32) | slot as u64
}

#[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
const fn split(handle: u64) -> (u32, u32) {
    (handle as u32, (handle >> 32) as u32)
}

fn closed() -> Error {
    Error::new(Code::Closed, "the client is closed").about("client")
}

fn never() -> Error {
    Error::invalid("client", "is not a handle of this library")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::double::DoubleBackend;

    fn client() -> Arc<Client> {
        Arc::new(Client::new(Box::new(DoubleBackend::noting().0)))
    }

    #[test]
    fn a_used_up_slot_is_retired_and_its_last_handle_stays_closed() {
        let mut table = Table::default();
        table.slots.push(Slot { generation: u32::MAX, client: None });
        table.free.push(0);
        let last = table.insert(client()).unwrap();
        assert_eq!(split(last), (0, u32::MAX));
        assert!(table.remove(last).unwrap().is_some());
        assert!(table.remove(last).unwrap().is_none());
        assert_eq!(table.find(last).err().map(|error| error.code()), Some(Code::Closed));
        let next = table.insert(client()).unwrap();
        assert_eq!(split(next), (1, 1), "the slot is not used again");
    }

    #[test]
    fn a_closed_client_counts_until_the_last_call_lets_go_of_it() {
        let mut table = Table::default();
        let handle = table.insert(client()).unwrap();
        let in_a_call = table.find(handle).unwrap();
        assert!(table.remove(handle).unwrap().is_some());
        assert_eq!(table.alive().len(), 1, "a call holds it");
        drop(in_a_call);
        assert!(table.alive().is_empty());
        let next = table.insert(client()).unwrap();
        drop(table.remove(next).unwrap());
        assert_eq!(table.closing.len(), 1, "what is gone is forgotten at the next close");
    }

    proptest! {
        #[test]
        fn halves_come_back(slot in any::<u32>(), generation in any::<u32>()) {
            prop_assert_eq!(split(join(slot, generation)), (slot, generation));
        }

        /// Against a map that never forgets a handle: open, close (also twice), find, and numbers out of the air.
        #[test]
        fn behaves_like_a_map_of_all_handles_ever(
            steps in proptest::collection::vec((0..4_u8, any::<prop::sample::Index>(), any::<u64>()), 1..60)
        ) {
            let mut table = Table::default();
            let mut issued: Vec<u64> = Vec::new();
            let mut open: HashMap<u64, Arc<Client>> = HashMap::new();
            for (step, index, air) in steps {
                let known = (!issued.is_empty()).then(|| *index.get(&issued));
                match (step, known) {
                    (0, _) | (_, None) => {
                        let fresh = client();
                        let handle = table.insert(Arc::clone(&fresh)).unwrap();
                        prop_assert!(handle != 0 && !issued.contains(&handle));
                        issued.push(handle);
                        open.insert(handle, fresh);
                    }
                    (1, Some(handle)) => {
                        let removed = table.remove(handle).unwrap();
                        let expected = open.remove(&handle);
                        prop_assert_eq!(removed.is_some(), expected.is_some());
                        prop_assert!(removed.zip(expected).is_none_or(|(a, b)| Arc::ptr_eq(&a, &b)));
                    }
                    (2, Some(handle)) => match (table.find(handle), open.get(&handle)) {
                        (Ok(found), Some(expected)) => prop_assert!(Arc::ptr_eq(&found, expected)),
                        (Err(error), None) => prop_assert_eq!(error.code(), Code::Closed),
                        (found, _) => prop_assert!(false, "{:?} for {handle:#x}", found.err()),
                    },
                    _ => {
                        // Near misses: a slot that exists with a generation of the air.
                        for handle in [air, join(0, split(air).1), air & 0xffff_ffff] {
                            if !issued.contains(&handle) {
                                let error = table.find(handle).err();
                                prop_assert_eq!(error.map(|error| error.code()), Some(Code::InvalidArgument));
                                prop_assert!(table.remove(handle).is_err());
                            }
                        }
                    }
                }
            }
        }
    }
}
