//! The open clients. A handle is a number: the slot in its low half, the slot's generation in its high half. It is never
//! a pointer, so a late or wrong one finds nothing instead of freed memory.

use std::sync::{Arc, PoisonError, RwLock};

use e2bridge_core::{Code, Error, Result};

use crate::client::Client;

/// Slots by number. A generation is issued once: 1 first, raised when the client is closed.
#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    client: Option<Arc<Client>>,
}

static TABLE: RwLock<Table> = RwLock::new(Table { slots: Vec::new(), free: Vec::new() });

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
                Ok(client)
            }
            Place::Closed => Ok(None),
            Place::Never => Err(never()),
        }
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

/// The open clients.
pub(crate) fn open_clients() -> Vec<Arc<Client>> {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    table.slots.iter().filter_map(|slot| slot.client.clone()).collect()
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
